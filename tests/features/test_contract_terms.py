"""The meaning of a contract's columns, on rows as vendors export them; the answers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import ibis
import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings
from features.contract_terms import OPTIONAL, STATUSES, with_terms
from features.ingest import with_local_time
from features.labels.by_kind import Knowledge
from features.quality.check import ValidatedTable, read_values
from features.schema import feature_columns
from features.tables import TABLES
from features.windows import timestamp, trials_as_of
from tests.feature_rows import FeatureRows, LabelRows

Features = Callable[..., pd.DataFrame]
AS_OF = datetime(2023, 4, 1)
UNTIL = datetime(2024, 6, 1)
START = pd.Timestamp("2023-01-01")


def company(*rows: dict[str, object]) -> dict[str, pd.DataFrame]:
    """One contract a row, from 2023-01-01 on at 10 a month unless it says otherwise."""
    frame = pd.DataFrame([{"started_at": START, "plan": "a", "price_per_month": 10.0, **row} for row in rows])
    frame = frame.reindex(columns=list(dict.fromkeys([*frame.columns, *OPTIONAL, "recorded_at"])))
    times = [name for name, kind in OPTIONAL.items() if kind.startswith("timestamp")] + ["started_at", "recorded_at"]
    frame = frame.astype(dict.fromkeys(times, "datetime64[us]")).astype({"cancel_at_period_end": float})
    frame["subscription_id"] = [f"s{i}" for i in range(len(frame))]
    customers = pd.DataFrame({"customer_id": frame["customer_id"].unique(), "signed_up_at": pd.Timestamp("2020-01-01")})
    return {"customers": customers, "subscriptions": frame}


@pytest.fixture(scope="module")
def business(settings: Settings) -> Settings:
    churn = settings.churn.model_copy(update={"kind": "contract", "horizon_days": 30, "grace_days": 14})
    return settings.model_copy(
        update={"churn": churn, "clv": settings.clv.model_copy(update={"horizon_days": 30}), "data_until": UNTIL}
    )


@pytest.fixture(scope="module")
def unannounced(opened) -> Features:
    """As `features`, where ends are not announced: as an ingest writes it into every contract."""

    compute = FeatureRows()

    def rows(raw: dict[str, pd.DataFrame], as_of: datetime) -> pd.DataFrame:
        tables = opened(raw)
        tables["subscriptions"] = tables["subscriptions"].mutate(ends_unannounced=ibis.literal(1.0))
        return compute(tables, as_of)

    return rows


label_rows = LabelRows()


def churned(opened, tables: dict[str, pd.DataFrame], business: Settings, as_of: datetime) -> pd.Series:
    """1 left, 0 stayed, missing: no customer then."""
    return label_rows(opened(tables), as_of, Knowledge(UNTIL), business)["churned"]


NOTICE = {
    "agreed_end": ({"cancelled_at": "2023-03-15", "renews_at": "2024-01-01"}, "2024-01-01"),
    "paid_until": ({"cancelled_at": "2023-03-15", "paid_until": "2023-04-20"}, "2023-04-20"),
    "later_of_both": (
        {"cancelled_at": "2023-03-15", "paid_until": "2023-04-20", "renews_at": "2024-01-01"},
        "2024-01-01",
    ),
    "given_end": ({"cancelled_at": "2023-03-15", "ended_at": "2023-05-01", "renews_at": "2024-01-01"}, "2023-05-01"),
    "of_period": ({"cancelled_at": "2023-03-15", "paid_until": "2023-04-20", "cancel_at_period_end": 1}, "2023-04-20"),
}


@pytest.mark.parametrize("name", NOTICE)
def test_a_notice_is_not_the_end_who_has_paid_on_is_a_customer_under_notice_until_then(
    features: Features, opened, business: Settings, name: str
) -> None:
    row, end = NOTICE[name]
    tables, end = company({"customer_id": "ann", **row}), pd.Timestamp(end)
    ann = features(tables, AS_OF).loc["ann"]
    assert (ann["contracts_active"], ann["contracts_under_notice"]) == (1, 1)
    assert ann["days_to_end"] == (end - pd.Timestamp(AS_OF)).days
    after = features(tables, (end + pd.Timedelta(days=1)).to_pydatetime()).loc["ann"]
    assert (after["contracts_active"], after["days_since_contract_end"]) == (0, 1)
    days_before = {end - pd.Timedelta(days=31): 0.0, end - pd.Timedelta(days=29): 1.0}
    for day, left in days_before.items():
        assert churned(opened, tables, business, day.to_pydatetime())["ann"] == left


def test_a_notice_that_takes_effect_at_once_ends_the_contract_whatever_is_paid(features: Features) -> None:
    row = {"customer_id": "ann", "cancelled_at": "2023-03-15", "paid_until": "2023-04-20", "cancel_at_period_end": 0}
    ann = features(company(row), AS_OF).loc["ann"]
    assert (ann["contracts_active"], ann["days_since_contract_end"]) == (0, 17)


def test_a_notice_without_any_end_ends_the_contract_unless_ends_are_unannounced(
    features: Features, unannounced: Features
) -> None:
    row = {"customer_id": "ann", "cancelled_at": "2023-03-15"}
    assert features(company(row), AS_OF).loc["ann", "contracts_active"] == 0
    for compute, unsaid in (
        (unannounced, {}),
        (features, {"cancel_at_period_end": 1}),
        (features, {"status": "Non-Renewing"}),
    ):
        ann = compute(company({**row, **unsaid}), AS_OF).loc["ann"]
        assert (ann["contracts_active"], ann["contracts_under_notice"]) == (1, 1)
        assert np.isnan(ann["days_to_end"])


@pytest.mark.slow
@pytest.mark.parametrize("end", ["9999-12-31", "2999-12-31", "2099-12-31"])
@pytest.mark.parametrize("column", ["ended_at", "renews_at", "paid_until"])
def test_a_far_off_end_is_no_end_and_no_notice(
    features: Features, opened, business: Settings, end: str, column: str
) -> None:
    row = {column: end, "recorded_at": "2023-01-01"}
    tables = company({"customer_id": "ann", **row}, {"customer_id": "bob", **row, "recorded_at": None})
    rows = features(tables, AS_OF)
    assert rows["contracts_active"].tolist() == [1, 1] and rows["contracts_under_notice"].tolist() == [0, 0]
    assert rows[["days_to_end", "days_to_renewal"]].isna().all(axis=None)
    assert churned(opened, tables, business, AS_OF).tolist() == [0, 0]


def test_what_never_began_is_no_contract(features: Features, opened, business: Settings) -> None:
    tables = company(
        {"customer_id": "expired", "status": "incomplete_expired", "ended_at": "2023-04-10"},
        {"customer_id": "withdrawn", "ended_at": "2022-12-20", "cancelled_at": "2022-12-20"},
        {"customer_id": "same_day", "ended_at": START},
        {"customer_id": "customer", "ended_at": "2023-04-10"},
    )
    rows = features(tables, AS_OF)
    assert rows["contracts_total"].to_dict() == {"expired": 0, "withdrawn": 0, "same_day": 0, "customer": 1}
    assert churned(opened, tables, business, AS_OF).dropna().to_dict() == {"customer": 1.0}


@pytest.mark.parametrize(("micros", "counts"), [(1, 0), (999_999, 0), (1_000_000, 1)])
def test_a_fraction_of_a_second_makes_neither_a_contract_nor_a_trial(
    features: Features, opened, micros: int, counts: int
) -> None:
    soon = START + pd.Timedelta(micros, "us")
    ended = company({"customer_id": "ann", "ended_at": soon})
    assert features(ended, AS_OF).loc["ann", "contracts_total"] == counts
    in_trial = opened(company({"customer_id": "ann", "trial_ends_at": soon}))["subscriptions"]
    assert len(trials_as_of(in_trial, AS_OF).to_pandas()) == counts


def test_a_trial_is_no_contract_until_it_is_converted_and_one_that_is_not_is_told_apart(
    features: Features, opened, business: Settings
) -> None:
    trial = {"trial_ends_at": "2023-04-10"}
    tables = company(
        {"customer_id": "converted", **trial},
        {"customer_id": "cancelled", **trial, "cancelled_at": "2023-04-03", "ended_at": "2023-04-10"},
        {"customer_id": "paid_nothing", **trial, "cancelled_at": "2023-04-03", "paid_until": "2023-04-10"},
        {"customer_id": "open", "status": "trialing"},
        {"customer_id": "left_later", **trial, "ended_at": "2023-04-25"},
    )
    during, after = features(tables, AS_OF), features(tables, datetime(2023, 4, 12))
    assert during["contracts_active"].sum() == during["trials_lost"].sum() == 0
    assert after["contracts_active"].to_dict() == {
        "converted": 1, "cancelled": 0, "paid_nothing": 0, "open": 0, "left_later": 1
    }  # fmt: skip
    assert after["trials_lost"].to_dict() == {
        "converted": 0, "cancelled": 1, "paid_nothing": 1, "open": 0, "left_later": 0
    }  # fmt: skip
    assert after.loc["converted", "contract_tenure_days"] == 2
    assert after.loc["converted", "paid_total"] == pytest.approx(10 * 2 / 30.4375)
    assert churned(opened, tables, business, AS_OF).dropna().empty
    assert churned(opened, tables, business, datetime(2023, 4, 12)).dropna().to_dict() == {
        "converted": 0, "left_later": 1
    }  # fmt: skip


def test_a_pause_is_no_churn_and_costs_nothing(features: Features, opened, business: Settings) -> None:
    paused = {"paused_at": "2023-03-02", "resumes_at": "2023-05-01"}
    tables = company(
        {"customer_id": "back", **paused},
        {"customer_id": "still", "paused_at": "2023-03-02"},
        {"customer_id": "never"},
        {"customer_id": "left", **paused, "ended_at": "2023-04-16"},
    )
    rows = features(tables, AS_OF)
    assert rows["contracts_paused"].to_dict() == {"back": 1, "still": 1, "never": 0, "left": 1}
    assert rows.loc["back", "paid_total"] == pytest.approx(10 * 60 / 30.4375)
    assert rows.loc["never", "paid_total"] == pytest.approx(10 * 90 / 30.4375)
    assert churned(opened, tables, business, AS_OF).to_dict() == {"back": 0, "still": 0, "never": 0, "left": 1}
    value = label_rows(opened(tables), datetime(2023, 4, 21), Knowledge(UNTIL), business)["clv"]
    assert value.to_dict() == pytest.approx(
        {"back": 10 * 20 / 30.4375, "still": 0, "never": 10 * 30 / 30.4375, "left": 0}
    )
    assert features(tables, datetime(2023, 5, 2)).loc["back", "contracts_paused"] == 0


@pytest.mark.slow
def test_a_plan_change_is_no_churn_and_one_who_comes_back_is_a_customer_again(
    features: Features, opened, business: Settings
) -> None:
    ended = {"ended_at": "2023-04-10", "cancelled_at": "2023-04-10"}
    tables = company(
        {"customer_id": "changed", **ended},
        {"customer_id": "changed", "started_at": "2023-04-10", "plan": "b"},
        {"customer_id": "back", **ended},
        {"customer_id": "back", "started_at": "2023-07-01"},
    )
    assert churned(opened, tables, business, AS_OF).to_dict() == {"changed": 0, "back": 1}
    assert churned(opened, tables, business, datetime(2023, 8, 1)).to_dict() == {"changed": 0, "back": 0}
    assert features(tables, datetime(2023, 8, 1))["contracts_active"].to_dict() == {"changed": 1, "back": 1}


def test_what_is_paid_moves_on_and_a_contract_not_paid_on_has_ended(
    features: Features, opened, business: Settings
) -> None:
    tables = company(
        {"customer_id": "pays", "paid_until": "2024-06-10"},
        {"customer_id": "stopped", "paid_until": "2023-04-10"},
        {"customer_id": "pays_by_year", "renews_at": "2024-01-01", "paid_until": "2023-03-10"},
        {
            "customer_id": "past_its_year",
            "started_at": "2022-03-01",
            "renews_at": "2023-03-01",
            "paid_until": "2023-05-01",
        },
    )  # fmt: skip
    rows = features(tables, AS_OF)
    assert rows["contracts_active"].tolist() == [1, 1, 1, 1] and rows["contracts_under_notice"].sum() == 0
    assert rows["days_to_end"].isna().all()  # where the paid period ends was another day then
    assert rows["days_to_renewal"].dropna().to_dict() == {"pays_by_year": 275}
    assert churned(opened, tables, business, AS_OF).to_dict() == {
        "pays": 0, "stopped": 1, "pays_by_year": 0, "past_its_year": 0
    }  # fmt: skip
    assert features(tables, datetime(2023, 4, 11)).loc["stopped", "contracts_active"] == 0


def test_a_cancellation_after_the_end_counts_for_nothing(features: Features) -> None:
    tables = company({"customer_id": "ann", "ended_at": "2023-02-01", "cancelled_at": "2023-03-01"})
    ann = features(tables, AS_OF).loc["ann"]
    assert (ann["contracts_active"], ann["cancelled_before"], ann["days_since_contract_end"]) == (0, 0, 59)


def exported(style: str, history: dict[str, int], day: int) -> dict[str, object]:
    """How one contract stands in an export of that day; all times are days after the start, periods last 30 days."""
    notice, at_once = history["notice"], history["at_once"]
    period_end = lambda at: history["trial"] + 30 * max(0, -(-(at - history["trial"]) // 30))  # noqa: E731
    end = notice if at_once else period_end(notice)
    row: dict[str, object] = {"customer_id": f"c{history['number']}", "trial_ends_at": history["trial"] or None}
    row |= {"cancelled_at": notice if notice < day else None, "ended_at": end if end < day else None}
    if style == "announced" and notice < day:
        row["ended_at"] = end
    if style == "period":
        row |= {"paid_until": period_end(min(day, notice)), "cancel_at_period_end": float(notice < day and not at_once)}
    times = {n: START + pd.Timedelta(days=v) for n, v in row.items() if n.endswith(("_at", "until")) and v is not None}
    return {**{n: v for n, v in row.items() if v is not None}, **times}


@pytest.mark.slow
@pytest.mark.parametrize("style", ["announced", "unannounced", "period"])
def test_a_row_of_the_past_knows_what_scoring_on_that_day_would_have_known(
    features: Features, unannounced: Features, style: str
) -> None:
    compute = unannounced if style == "unannounced" else features
    rng = np.random.default_rng(3)
    histories = [
        {
            "number": n,
            "notice": int(rng.integers(1, 200)),
            "at_once": int(style != "unannounced" and rng.random() < 0.3),
            "trial": int(rng.choice([0, 14])),
        }
        for n in range(250)
    ]
    for day in (10, 14, 15, 60, 104, 133):
        as_of = (START + pd.Timedelta(days=day)).to_pydatetime()
        then = compute(company(*[exported(style, h, day) for h in histories]), as_of)
        later = compute(company(*[exported(style, h, 365) for h in histories]), as_of)
        pd.testing.assert_frame_equal(then, later)
        if day > 60:
            assert then["contracts_under_notice"].sum() > 10 and (then["contracts_active"] == 0).sum() > 10


def test_the_page_states_each_column_and_each_status_of_a_contract() -> None:
    page = (Path(__file__).parents[2] / "docs" / "own-data.md").read_text("utf-8")
    section = page[page.index("### Contracts") :]
    for word in (*OPTIONAL, *STATUSES):
        own = ("ends_unannounced", "ended_day_over", "known_until")
        assert word in own or f"`{word}`" in section or f"`churn.{word}`" in section


BOOKED_IN_MARCH = {"started_at": "2023-04-15", "recorded_at": "2023-03-20"}


@pytest.mark.parametrize(
    ("after", "days_to_end", "under_notice"),
    [
        ({}, np.nan, 0),  # it goes on without an end
        ({"ended_at": "2023-06-10"}, 70.0, 1),  # it has an end of its own
        ({"started_at": "2023-04-25"}, 9.0, 1),  # it begins 15 days after the end: another contract
        ({"recorded_at": None}, 9.0, 1),  # nothing says since when it is known
        ({"recorded_at": "2023-04-02"}, 9.0, 1),  # it was booked later
        ({"cancelled_at": "2023-03-30", "ended_at": "2023-04-15"}, 9.0, 1),  # it was withdrawn
        ({"ended_at": "2023-03-30"}, 9.0, 1),  # withdrawn without a notice
    ],
)
def test_who_has_booked_the_next_contract_is_under_notice_no_longer(
    features: Features, after: dict[str, object], days_to_end: float, under_notice: int
) -> None:
    first = {"customer_id": "ann", "cancelled_at": "2023-03-15", "ended_at": "2023-04-10"}
    row = features(company(first, {"customer_id": "ann", **BOOKED_IN_MARCH, **after}), AS_OF).loc["ann"]
    assert (row["contracts_active"], row["contracts_total"], row["contracts_under_notice"]) == (1, 1, under_notice)
    np.testing.assert_equal(row["days_to_end"], days_to_end)


@pytest.mark.slow
@pytest.mark.parametrize(("grace_days", "under_notice"), [(14, 1), (15, 0)])
def test_a_booking_renews_what_ends_within_the_grace_days_of_labels_before_it(
    opened, business: Settings, grace_days: int, under_notice: int
) -> None:
    first = {"customer_id": "ann", "cancelled_at": "2023-03-15", "ended_at": "2023-04-10"}
    rows = company(first, {"customer_id": "ann", **BOOKED_IN_MARCH, "started_at": "2023-04-25"})
    ann = FeatureRows()(opened(rows), AS_OF, grace_days=grace_days).loc["ann"]
    assert ann["contracts_under_notice"] == under_notice
    churn = business.churn.model_copy(update={"grace_days": grace_days})
    left = churned(opened, rows, business.model_copy(update={"churn": churn}), AS_OF)
    assert left["ann"] == under_notice


def test_bookings_succeed_one_another_without_a_break_and_only_what_ends_where_they_begin(features: Features) -> None:
    ends = {"customer_id": "ann", "cancelled_at": "2023-03-15", "ended_at": "2023-04-10"}
    next_one = {"customer_id": "ann", **BOOKED_IN_MARCH, "ended_at": "2023-05-15"}
    directly = {**next_one, "started_at": "2023-05-20", "ended_at": "2023-06-20"}
    later = {**next_one, "started_at": "2023-12-01", "ended_at": "2024-04-01"}
    assert features(company(ends, next_one, later), AS_OF).loc["ann", "days_to_end"] == 44
    assert features(company(ends, next_one, directly, later), AS_OF).loc["ann", "days_to_end"] == 80
    beside = {"customer_id": "ann", "cancelled_at": "2023-03-15", "ended_at": "2023-09-28"}
    row = features(company(beside, {**next_one, "ended_at": "2024-04-15"}), AS_OF).loc["ann"]
    assert (row["days_to_end"], row["contracts_under_notice"]) == (180, 1)


def test_a_booking_counts_as_one_and_takes_the_renewal_off_the_contract_before_it(features: Features) -> None:
    first = {"customer_id": "ann", "renews_at": "2023-04-10"}
    both = company(first, {"customer_id": "ann", **BOOKED_IN_MARCH}, {"customer_id": "bob", **BOOKED_IN_MARCH})
    rows = features(both, AS_OF)
    assert rows["contracts_booked"].tolist() == [1, 1] and np.isnan(rows.loc["ann", "days_to_renewal"])
    assert rows.loc["bob", "contracts_active"] == 0 and rows.loc["ann", "price_now"] == 10
    assert features(company(first), AS_OF).loc["ann", "days_to_renewal"] == 9


@pytest.mark.parametrize(
    ("zone", "notice", "counts"),
    [
        ("UTC", "2023-03-15 23:59", True),
        ("UTC", "2023-03-16 00:01", False),
        ("UTC", "2023-03-16", False),  # a date alone: the day after in every zone
        ("America/New_York", "2023-03-16 03:59", True),
        ("America/New_York", "2023-03-16 04:00", False),
        ("America/New_York", "2023-03-16", False),
        ("Asia/Tokyo", "2023-03-15 14:59", True),
        ("Asia/Tokyo", "2023-03-15 15:00", False),
        ("Asia/Tokyo", "2023-03-14 20:00", True),  # before the end as it is kept: any notice
    ],
)
def test_notice_on_the_day_of_a_date_alone_end_counts_until_that_day_is_over_where_the_business_is(
    zone: str, notice: str, counts: bool
) -> None:
    row = {"customer_id": "ann", "ended_at": "2023-03-15", "cancelled_at": notice}
    spec = TABLES["subscriptions"]
    frame, _ = read_values(spec, company(row)["subscriptions"])
    checked = ValidatedTable(spec, frame, frame.head(0))
    (found,) = with_terms(ibis.memtable(with_local_time(checked, ZoneInfo(zone)))).to_pandas().itertuples()
    assert pd.notna(found.cancelled_at) == counts
    assert found.ends_at == max(pd.Timestamp("2023-03-15"), pd.Timestamp(notice) if counts else START)


def test_notice_later_on_the_day_of_a_date_alone_end_is_notice_and_the_day_after_next_is_none(
    features: Features,
) -> None:
    same_day = {"cancelled_at": "2023-03-15 18:30", "ended_at": "2023-03-15"}
    rows = company({"customer_id": "ann", **same_day}, {"customer_id": "bob", **same_day, "ended_at": "2023-03-13"})
    assert features(rows, AS_OF)["cancelled_before"].to_dict() == {"ann": 1, "bob": 0}
    at_noon = features(rows, datetime(2023, 3, 15, 12))
    assert at_noon["contracts_active"].to_dict() == {"ann": 1, "bob": 0}


def test_of_contracts_that_begin_together_the_one_recorded_last_is_current(features: Features) -> None:
    def plan(*rows: dict[str, object]) -> str:
        named = [{"customer_id": "ann", "plan": f"p{i}", **row} for i, row in enumerate(rows)]
        return str(features(company(*named), AS_OF).loc["ann", "plan_now"])

    assert plan({"recorded_at": "2023-02-02"}, {"recorded_at": "2023-02-01"}) == "p0"
    assert plan({"renews_at": "2023-09-01"}, {"renews_at": "2023-08-01"}) == "p0"
    assert plan(*[{}] * 11) == "p10"


@pytest.mark.slow
def test_contracts_loaded_up_to_a_moment_are_at_any_later_one_what_they_were_then(opened) -> None:
    rows = [
        *(given for given, _ in NOTICE.values()),
        {"renews_at": "2023-04-10"},
        {"ended_at": "2023-05-01", "recorded_at": "2023-03-01"},
        {"trial_ends_at": "2023-04-15"},
        {"started_at": "2023-03-25", "trial_ends_at": "2023-04-08", "ended_at": "2023-04-08"},
        {"paused_at": "2023-03-01", "resumes_at": "2023-04-20"},
        BOOKED_IN_MARCH,
    ]
    raw = company(
        *({"customer_id": f"c{i}", **row} for i, row in enumerate(rows)), {"customer_id": "c6"} | BOOKED_IN_MARCH
    )
    tables, compute = opened(raw), FeatureRows()
    loaded = {**tables, "subscriptions": tables["subscriptions"].mutate(known_until=timestamp(AS_OF))}
    own = [c.name for c in feature_columns(tables, ()) if c.table in ("subscriptions", "trials", "bookings")]
    then = compute(tables, AS_OF + pd.Timedelta(seconds=1))[own]
    for later in (datetime(2023, 4, 12), datetime(2024, 1, 1)):
        pd.testing.assert_frame_equal(compute(loaded, later)[own], then)
