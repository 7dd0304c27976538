"""Contract columns and labels on three customers whose answers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from configs.errors import ConfigError, DataError
from configs.settings import Settings
from features.labels.by_kind import end_of_known, first_event, labels_at, require_amounts
from features.quality.check import check_tables
from features.schema import describe, feature_columns

AS_OF = datetime(2024, 7, 1)
Features = Callable[..., pd.DataFrame]


def table(*rows: tuple[object, ...]) -> pd.DataFrame:
    columns = ["subscription_id", "customer_id", "started_at", "ended_at", "cancelled_at", "renews_at", "plan"]
    frame = pd.DataFrame(rows, columns=[*columns, "price_per_month"])
    return frame.astype({c: "datetime64[us]" for c in columns if c.endswith("_at")})


def company(*rows: tuple[object, ...]) -> dict[str, pd.DataFrame]:
    subscriptions = table(*rows)
    first = subscriptions.groupby("customer_id")["started_at"].min()
    customers = pd.DataFrame({"customer_id": first.index, "signed_up_at": first.to_numpy()})
    return {"customers": customers, "subscriptions": subscriptions}


ROWS = (
    # ann moved from basic to plus on 1 June, dearer; cancels on 10 July, to end on 31 July
    ("a1", "ann", "2024-01-01", "2024-06-01", None, None, "basic", 10.0),
    ("a2", "ann", "2024-06-01", "2024-07-31", "2024-07-10", None, "plus", 12.0),
    # bob's year ends on 15 July and is renewed three days later
    ("b1", "bob", "2023-07-15", None, None, "2024-07-15", "pro", 30.0),
    ("b2", "bob", "2024-07-18", None, None, "2025-07-18", "pro", 33.0),
    # cat cancelled in May and has none
    ("c1", "cat", "2024-02-01", "2024-05-20", "2024-05-01", None, "basic", 10.0),
    # dan's year ends on 20 July and nothing follows
    ("d1", "dan", "2023-07-20", "2024-07-20", None, "2024-07-20", "pro", 20.0),
)

BY_HAND = {
    ("ann", "contracts_active"): 1,
    ("ann", "contracts_total"): 2,
    ("ann", "subscribed_days"): 182,
    ("ann", "contract_tenure_days"): 30,
    ("ann", "days_to_renewal"): np.nan,
    ("ann", "contracts_under_notice"): 0,
    ("ann", "days_to_end"): np.nan,
    ("ann", "days_since_contract_end"): 30,
    ("ann", "cancelled_before"): 0,
    ("ann", "price_now"): 12,
    ("ann", "price_change"): 2,
    ("ann", "price_rises"): 1,
    ("ann", "days_since_price_rise"): 30,
    ("ann", "plan_changes"): 1,
    ("ann", "paid_total"): (152 * 10 + 30 * 12) / 30.4375,
    ("bob", "days_to_renewal"): 14,
    ("bob", "contracts_active"): 1,
    ("bob", "price_change"): np.nan,
    ("cat", "contracts_active"): 0,
    ("cat", "cancelled_before"): 1,
    ("cat", "price_now"): np.nan,
    ("cat", "days_since_contract_end"): 42,
    ("cat", "paid_total"): 109 * 10 / 30.4375,
    ("dan", "days_to_renewal"): 19,
    ("dan", "contracts_under_notice"): 0,
}


@pytest.fixture(scope="module")
def rows(features: Features) -> pd.DataFrame:
    return features(company(*ROWS), AS_OF)


@pytest.mark.parametrize(("customer", "column"), BY_HAND)
def test_column_is_what_one_works_out_by_hand(rows: pd.DataFrame, customer: str, column: str) -> None:
    assert rows.loc[customer, column] == pytest.approx(BY_HAND[customer, column], nan_ok=True)


def test_the_plan_is_that_of_the_contract_alive(rows: pd.DataFrame) -> None:
    assert rows["plan_now"].to_dict() == {"ann": "plus", "bob": "pro", "cat": None, "dan": "pro"}


def test_a_cancellation_is_known_from_its_moment_on_and_its_end_with_it(features: Features) -> None:
    before = features(company(*ROWS), datetime(2024, 7, 10)).loc["ann"]
    after = features(company(*ROWS), datetime(2024, 7, 10, 1)).loc["ann"]
    assert (before["contracts_under_notice"], after["contracts_under_notice"]) == (0, 1)
    assert np.isnan(before["days_to_end"])
    assert after["days_to_end"] == pytest.approx(21 - 1 / 24)


def test_an_end_without_a_cancellation_is_known_ahead_only_if_it_was_recorded_before(features: Features) -> None:
    plain = company(("x", "eve", "2024-01-01", "2024-08-01", None, None, "basic", 10.0))
    recorded = plain["subscriptions"].assign(recorded_at=pd.Timestamp("2024-03-01"))
    assert np.isnan(features(plain, AS_OF).loc["eve", "days_to_end"])
    assert features({**plain, "subscriptions": recorded}, AS_OF).loc["eve", "days_to_end"] == 31
    late = plain["subscriptions"].assign(recorded_at=pd.Timestamp("2024-07-02"))
    assert features({**plain, "subscriptions": late}, AS_OF).loc["eve", "contracts_total"] == 0


def test_failed_payments_are_counted_beside_contracts_only(features: Features) -> None:
    interactions = pd.DataFrame(
        [("i1", "ann", "2024-06-15", "payment_failed"), ("i2", "ann", "2024-05-01", "payment_failed")],
        columns=["interaction_id", "customer_id", "occurred_at", "kind"],
    )
    ann = features({**company(*ROWS), "interactions": interactions}, AS_OF).loc["ann"]
    assert (ann["failed_payments_30d"], ann["failed_payments_90d"]) == (1, 2)
    assert "failed_payments_30d" not in {c.name for c in feature_columns(["orders", "interactions"], ())}


@pytest.mark.parametrize("column", feature_columns(["subscriptions", "interactions"], ()), ids=lambda c: c.name)
def test_every_column_can_be_said_with_and_without_a_value(column) -> None:
    row = {column.name: "pro" if column.dtype == "string" else 2.0}
    for said in (describe(column.name, row), describe(column.name, {column.name: None})):
        assert said and "{" not in said and "nan" not in said.lower()


@pytest.fixture(scope="session")
def business(settings: Settings) -> Settings:
    churn = settings.churn.model_copy(update={"kind": "contract", "horizon_days": 30, "grace_days": 14})
    clv = settings.clv.model_copy(update={"horizon_days": 30})
    return settings.model_copy(update={"churn": churn, "clv": clv})


def told(opened, raw: dict[str, pd.DataFrame], settings: Settings, as_of: datetime, until: datetime) -> pd.DataFrame:
    tables = opened(raw)
    return labels_at(tables, tables["customers"], as_of, until, settings).to_pandas().set_index("customer_id")


def test_who_ends_without_a_contract_following_within_the_grace_has_left(opened, business: Settings) -> None:
    found = told(opened, company(*ROWS), business, AS_OF, datetime(2024, 8, 14))
    assert found["active"].to_dict() == {"ann": True, "bob": True, "cat": False, "dan": True}
    # ann ends on 31 July, one day past the horizon; bob is renewed within the grace; dan is not
    assert found["churned"].dropna().to_dict() == {"ann": 0.0, "bob": 0.0, "dan": 1.0}
    strict = business.model_copy(update={"churn": business.churn.model_copy(update={"grace_days": 2})})
    assert told(opened, company(*ROWS), strict, AS_OF, datetime(2024, 8, 14)).loc["bob", "churned"] == 1.0


def test_one_of_two_contracts_that_ends_is_no_leaving(opened, business: Settings) -> None:
    both = company(*ROWS, ("d2", "dan", "2024-01-01", None, None, None, "basic", 5.0))
    assert told(opened, both, business, AS_OF, datetime(2024, 8, 14)).loc["dan", "churned"] == 0.0


def test_a_chain_of_short_contracts_is_followed_to_its_end(opened, business: Settings) -> None:
    weeks = [
        (f"w{i}", "eve", datetime(2024, 6, 24) + timedelta(weeks=i), datetime(2024, 7, 1) + timedelta(weeks=i), None)
        for i in range(3)
    ]
    chain = company(*[(*w, None, "week", 3.0) for w in weeks])
    assert told(opened, chain, business, AS_OF, datetime(2024, 9, 1)).loc["eve", "churned"] == 1.0
    # the last one ends on 15 July: a horizon of 14 days ends before
    short = business.model_copy(update={"churn": business.churn.model_copy(update={"horizon_days": 14})})
    assert told(opened, chain, short, AS_OF, datetime(2024, 9, 1)).loc["eve", "churned"] == 0.0


def test_a_label_is_unknown_until_horizon_and_grace_have_passed(opened, business: Settings) -> None:
    early = told(opened, company(*ROWS), business, AS_OF, datetime(2024, 8, 13, 23))
    assert early["churned"].isna().all() and early["clv"].notna().all()
    earlier = told(opened, company(*ROWS), business, AS_OF, datetime(2024, 7, 30, 23))
    assert earlier["clv"].isna().all()
    assert business.outcome_days("churn") == 44 and business.outcome_days("clv") == 30


def test_a_contact_within_the_horizon_is_told_and_one_within_the_grace_after_it_is_not(opened, business) -> None:
    contacts = pd.DataFrame(
        [("k1", "ann", "2024-07-30", "stay"), ("k2", "dan", "2024-07-31", "come back")],
        columns=["contact_id", "customer_id", "contacted_at", "campaign"],
    )
    found = told(opened, {**company(*ROWS), "contacts": contacts}, business, AS_OF, datetime(2024, 8, 14))
    assert found["contacted"].to_dict() == {"ann": 1.0, "bob": 0.0, "cat": 0.0, "dan": 0.0}
    assert told(opened, company(*ROWS), business, AS_OF, datetime(2024, 8, 14))["contacted"].isna().all()


def test_value_is_the_price_of_the_days_alive(opened, business: Settings) -> None:
    found = told(opened, company(*ROWS), business, AS_OF, datetime(2024, 8, 14))["clv"]
    month = 30.4375
    assert found["ann"] == pytest.approx(12 * 30 / month)
    assert found["bob"] == pytest.approx((14 * 30 + 13 * 33) / month)
    assert found["cat"] == 0
    assert found["dan"] == pytest.approx(20 * 19 / month)


def test_value_is_discounted_as_a_sum_over_small_steps_says(opened, business: Settings) -> None:
    clv = business.clv.model_copy(update={"annual_discount_rate": 0.2, "margin": 0.5})
    found = told(opened, company(*ROWS), business.model_copy(update={"clv": clv}), AS_OF, datetime(2024, 8, 14))["clv"]
    middles = (np.arange(19 * 1000) + 0.5) / 1000
    assert found["dan"] == pytest.approx(np.sum(1.2 ** (-middles / 365.25)) / 1000 * 0.5 * 20 / 30.4375, rel=1e-9)


def test_a_contract_without_a_price_makes_the_value_unknown_not_zero(opened, business: Settings) -> None:
    raw = company(*ROWS)
    unpriced = raw["subscriptions"].assign(
        price_per_month=raw["subscriptions"]["price_per_month"].where(lambda p: p != 20)
    )
    found = told(opened, {**raw, "subscriptions": unpriced}, business, AS_OF, datetime(2024, 8, 14))["clv"]
    assert np.isnan(found["dan"]) and found["ann"] > 0
    none = opened({**raw, "subscriptions": raw["subscriptions"].drop(columns="price_per_month")})
    with pytest.raises(ConfigError, match=r"clv.forecast"):
        require_amounts(none, business)


def test_with_orders_beside_contracts_value_is_what_was_ordered(opened, features: Features, business: Settings) -> None:
    orders = pd.DataFrame(
        [("o1", "ann", "2024-06-20", 7.0), ("o2", "ann", "2024-07-05", 9.0)],
        columns=["order_id", "customer_id", "ordered_at", "amount"],
    ).astype({"ordered_at": "datetime64[us]"})
    mixed = {**company(*ROWS), "orders": orders}
    found = told(opened, mixed, business, AS_OF, datetime(2024, 8, 14))
    assert found["clv"].to_dict() == {"ann": 9.0, "bob": 0.0, "cat": 0.0, "dan": 0.0}
    assert found.loc["dan", "churned"] == 1.0
    ann = features(mixed, AS_OF).loc["ann"]
    assert (ann["orders_total"], ann["contracts_active"]) == (1, 1)


def test_the_data_reaches_to_its_newest_event_not_to_an_end_set_in_advance(opened, business: Settings) -> None:
    tables = opened(company(*ROWS))
    open_ended = business.model_copy(update={"data_until": None})
    assert first_event(tables, open_ended) == datetime(2023, 7, 15)
    assert end_of_known(tables, open_ended) == datetime(2024, 7, 18, 0, 0, 0, 1)


def test_contracts_need_customers_and_subscriptions_and_nothing_else(settings: Settings) -> None:
    now = pd.Timestamp("2025-01-01", tz="UTC").to_pydatetime()
    raw = company(*ROWS)
    declared = settings.columns.model_copy(update={"attributes": (), "sensitive": ()})
    assert list(check_tables(raw, declared, now, "contract")) == ["customers", "subscriptions"]
    with pytest.raises(DataError, match="no table orders"):
        check_tables(raw, declared, now, "inactivity")


DAYS = st.integers(min_value=0, max_value=400)
MAYBE = st.one_of(st.none(), DAYS)
CONTRACT = st.tuples(st.sampled_from(["ann", "bob"]), DAYS, MAYBE, MAYBE, MAYBE, MAYBE, st.sampled_from(["a", "b"]))
START = pd.Timestamp("2024-01-01")


def drawn(contracts: list[tuple]) -> pd.DataFrame:
    def at(day: int | None) -> pd.Timestamp | None:
        return None if day is None else START + pd.Timedelta(days=day)

    rows = [
        (
            f"s{i}",
            who,
            at(began),
            at(end and began + end),
            at(gone and began + gone),
            at(due and began + due),
            plan,
            10.0 + i,
        )
        for i, (who, began, end, gone, due, _, plan) in enumerate(contracts)
    ]
    recorded = pd.Series([at(c[5]) for c in contracts], dtype="datetime64[us]")
    return table(*rows).assign(recorded_at=recorded)


@hypothesis_settings(max_examples=25, deadline=None)
@given(past=st.lists(CONTRACT, min_size=1, max_size=5), late=st.lists(CONTRACT, max_size=4), day=st.integers(1, 300))
def test_nothing_that_comes_or_is_recorded_later_changes_a_feature(features: Features, past, late, day: int) -> None:
    customers = pd.DataFrame({"customer_id": ["ann", "bob"], "signed_up_at": [START - pd.Timedelta(days=1)] * 2})
    moment = START + pd.Timedelta(days=day)
    known = drawn(past)
    began_later = drawn([(w, day + b, *rest) for w, b, *rest in late]).assign(
        subscription_id=lambda f: "later" + f["subscription_id"]
    )
    recorded_later = drawn(late).assign(
        recorded_at=moment + pd.Timedelta(days=1), subscription_id=lambda f: "recorded" + f["subscription_id"]
    )
    ends = known["recorded_at"].isna() & ~(known["ended_at"] < moment) & ~(known["cancelled_at"] < moment)
    changed = known.assign(
        ended_at=known["ended_at"].mask(ends, moment + pd.Timedelta(days=3)),
        cancelled_at=known["cancelled_at"].mask(ends, moment),
    )
    before = features({"customers": customers, "subscriptions": known}, moment.to_pydatetime())
    frames = [f for f in (changed, began_later, recorded_later) if len(f)]
    after = features({"customers": customers, "subscriptions": pd.concat(frames)}, moment.to_pydatetime())
    pd.testing.assert_frame_equal(before, after)
