"""One end of the data for labels, ready exports and the quality report, however it is set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings
from features.engine import connect
from features.labels.by_kind import Knowledge, data_end, end_of_known, labels_at, what_is_known
from features.labels.gaps import Gap
from features.labels.ready_label import prepare
from features.quality import quality_report
from features.sql import AsOfStatements
from tests.feature_rows import LabelRows

label_rows = LabelRows()
NOW = datetime(2026, 5, 4, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data_until", "utc"),
    [
        (datetime(2018, 1, 1), datetime(2018, 1, 1)),
        (datetime(2018, 1, 1, 10, 30), datetime(2018, 1, 1, 10, 30)),
        (datetime(2018, 1, 1, 10, 30, tzinfo=UTC), datetime(2018, 1, 1, 10, 30)),
        (datetime(2018, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=2))), datetime(2017, 12, 31, 22, 30)),
        (datetime(2018, 1, 1, 20, tzinfo=timezone(-timedelta(hours=5))), datetime(2018, 1, 2, 1)),
        (datetime(9999, 12, 31), datetime(9999, 12, 31)),
        (pd.Timestamp("2018-01-01 10:30", tz="Asia/Tokyo"), datetime(2018, 1, 1, 1, 30)),
    ],
)
def test_the_end_of_the_data_is_the_same_time_for_all_who_ask(
    settings: Settings, data_until: datetime, utc: datetime
) -> None:
    until = settings.model_copy(update={"data_until": data_until})
    assert end_of_known({}, until) == utc
    profiles = prepare({"profiles": pd.DataFrame({"customer_id": ["a"]})}, until, NOW)["profiles"]
    assert profiles["exported_at"].item() == pd.Timestamp(utc, tz="UTC")
    assert quality_report.describe({}, until)["data_until"] == f"{utc.isoformat()}Z"


def test_without_a_date_that_is_set_the_data_ends_at_the_newest_time_that_tells(settings: Settings) -> None:
    open_ended = settings.model_copy(update={"data_until": None})
    times = [pd.NaT, pd.Timestamp("2024-03-01"), None, pd.Timestamp("2024-05-01 10:00"), pd.Timestamp("2024-04-01")]
    assert data_end(open_ended, times) == datetime(2024, 5, 1, 10, 0, 0, 1)
    assert data_end(open_ended, [*times, pd.Timestamp("2024-05-01")]) == datetime(2024, 5, 2)
    assert data_end(open_ended, [pd.NaT, None]) is None
    fixed = settings.model_copy(update={"data_until": datetime(2024, 1, 1)})
    assert data_end(fixed, times, NOW) == datetime(2024, 1, 1)


@pytest.mark.parametrize(
    ("zone", "loaded_at", "end"),
    [
        ("UTC", datetime(2024, 3, 9, tzinfo=UTC), datetime(2024, 3, 2)),
        ("UTC", datetime(2024, 3, 1, 15, 4, 5, 6, tzinfo=UTC), datetime(2024, 3, 1, 15, 4, 5)),
        ("America/New_York", datetime(2024, 3, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, 20)),  # evening there
        ("America/New_York", datetime(2024, 3, 2, 5, tzinfo=UTC), datetime(2024, 3, 2)),
        ("Asia/Tokyo", datetime(2024, 3, 1, 16, tzinfo=UTC), datetime(2024, 3, 1, 16)),  # over there, and not in UTC
        ("Asia/Tokyo", datetime(2024, 2, 29, 20, tzinfo=UTC), datetime(2024, 3, 1, 0, 0, 0, 1)),  # began there only
    ],
)
def test_the_day_of_the_newest_date_is_known_to_its_end_but_never_past_the_load(
    settings: Settings, zone: str, loaded_at: datetime, end: datetime
) -> None:
    business = settings.model_copy(update={"data_until": None, "time_zone": zone})
    assert data_end(business, [pd.Timestamp("2024-03-01")], loaded_at) == end


@pytest.mark.parametrize(
    "now", [NOW, NOW.replace(tzinfo=None), datetime(2026, 5, 5, 1, tzinfo=timezone(timedelta(hours=2)))]
)
def test_an_export_without_a_date_is_of_the_last_midnight_in_utc(settings: Settings, now: datetime) -> None:
    open_ended = settings.model_copy(update={"data_until": None})
    profiles = prepare({"profiles": pd.DataFrame({"customer_id": ["a"]})}, open_ended, now)["profiles"]
    assert profiles["exported_at"].item() == pd.Timestamp("2026-05-04", tz="UTC")


def daily_shop(days: int = 200, late: int = 0) -> dict[str, pd.DataFrame]:
    """Forty customers of whom ten order every day, in turn, from 1 January 2024 on; recorded so many days later."""
    number = np.arange(days * 10)
    times = pd.Timestamp("2024-01-01 10:00") + pd.to_timedelta(number // 10, unit="D")
    orders = pd.DataFrame(
        {"order_id": [f"o{i}" for i in number], "customer_id": [f"c{i % 40}" for i in number], "ordered_at": times}
    )
    orders = orders.assign(amount=10.0, recorded_at=times + pd.Timedelta(days=late) if late else pd.NaT)
    ids = [f"c{i}" for i in range(40)]
    return {
        "customers": pd.DataFrame({"customer_id": ids, "signed_up_at": pd.Timestamp("2023-12-01")}),
        "orders": orders,
    }


def without(shop: dict[str, pd.DataFrame], first: str, last: str) -> dict[str, pd.DataFrame]:
    days = shop["orders"]["ordered_at"].dt.normalize()
    return {**shop, "orders": shop["orders"][~days.between(first, last)]}


@pytest.fixture
def open_ended(settings: Settings) -> Settings:
    churn = settings.churn.model_copy(update={"horizon_days": 14, "horizons_days": (14, 30), "activity_days": 30})
    clv = settings.clv.model_copy(update={"horizon_days": 20})
    return settings.model_copy(update={"churn": churn, "clv": clv, "data_until": None})


def labels(opened: Any, raw: dict[str, pd.DataFrame], settings: Settings, as_of: datetime) -> pd.DataFrame:
    tables = opened(raw)
    known = what_is_known(tables, settings)
    return label_rows(tables, as_of, known, settings)


def test_a_label_whose_window_touches_a_gap_is_unknown_of_everybody(opened: Any, open_ended: Settings) -> None:
    raw = without(daily_shop(), "2024-04-15", "2024-05-05")
    over = labels(opened, raw, open_ended, datetime(2024, 4, 10))  # some ordered before the gap: unknown as all
    assert over[["churned", "churned_30", "clv"]].isna().all(axis=None)
    before = labels(opened, raw, open_ended, datetime(2024, 4, 1))
    assert before["churned"].tolist() == [0.0] * 40
    assert before["churned_30"].isna().all()
    assert before["clv"].isna().all()
    after = labels(opened, raw, open_ended, datetime(2024, 5, 10))
    assert after[["churned", "churned_30"]].eq(0).all(axis=None)
    assert after["clv"].eq(50).all()


def test_days_on_which_the_business_was_closed_are_known(opened: Any, open_ended: Settings) -> None:
    raw = without(daily_shop(), "2024-04-15", "2024-05-05")
    closed = ((datetime(2024, 4, 15).date(), datetime(2024, 5, 5).date()),)
    quality = open_ended.quality.model_copy(update={"closed": closed})
    rows = labels(opened, raw, open_ended.model_copy(update={"quality": quality}), datetime(2024, 4, 16))
    assert rows["churned"].eq(1).all()


def test_what_is_missing_at_the_end_of_data_said_to_be_complete_is_unknown(opened: Any, open_ended: Settings) -> None:
    raw = without(daily_shop(), "2024-07-01", "2024-07-31")
    complete = open_ended.model_copy(update={"data_until": datetime(2024, 7, 20)})
    assert labels(opened, raw, complete, datetime(2024, 7, 1))["churned"].isna().all()
    assert labels(opened, raw, complete, datetime(2024, 6, 10))["churned"].eq(0).all()


@pytest.mark.parametrize("late", [0, 5])
def test_rows_that_come_late_make_the_newest_days_unknown_and_nobody_a_leaver(
    opened: Any, open_ended: Settings, late: int
) -> None:
    raw = daily_shop(late=late)  # orders up to 18 July, the newest of them recorded up to five days later
    exported = pd.Timestamp("2024-07-18 10:00")
    raw["orders"] = raw["orders"][~(raw["orders"]["recorded_at"] > exported)]
    known = what_is_known(opened(raw), open_ended)
    assert known.labels_until == datetime(2024, 7, 18 - late, 10, 0, 0, 1)
    assert known.recorded_until == (exported.to_pydatetime() if late else datetime(2024, 7, 18, 10, 0, 0, 1))
    newest = datetime(2024, 7, 18) - timedelta(days=late + 14)
    assert labels(opened, raw, open_ended, newest)["churned"].eq(0).all()
    assert labels(opened, raw, open_ended, newest + timedelta(days=1))["churned"].isna().all()


@pytest.mark.parametrize("late", [0, 1])
def test_records_of_dates_alone_are_compared_day_by_day(opened: Any, open_ended: Settings, late: int) -> None:
    raw = daily_shop(late=late)
    dates = raw["orders"]["ordered_at"].dt.normalize()
    raw["orders"] = raw["orders"].assign(ordered_at=dates, recorded_at=dates + pd.Timedelta(days=late))
    raw["orders"] = raw["orders"][raw["orders"]["recorded_at"] <= pd.Timestamp("2024-07-18")]
    known = what_is_known(opened(raw), open_ended)
    assert known.until == known.labels_until == datetime(2024, 7, 19 - late)
    at_noon = datetime(2024, 7, 18, 12, tzinfo=UTC)
    assert what_is_known(opened(raw), open_ended, at_noon).labels_until == datetime(2024, 7, 18 - late, 12)


def test_one_row_in_a_thousand_that_comes_very_late_holds_nothing_up(opened: Any, open_ended: Settings) -> None:
    raw = daily_shop(late=1)
    orders = raw["orders"]
    raw["orders"] = orders.assign(
        recorded_at=orders["recorded_at"].where(orders.index != 500, orders["recorded_at"].max())
    )
    known = what_is_known(opened(raw), open_ended)
    assert known.labels_until == datetime(2024, 7, 18, 10, 0, 0, 1)


@pytest.mark.slow
def test_contracts_over_a_gap_are_unknown_and_their_value_too(opened: Any, open_ended: Settings) -> None:
    number = np.arange(2000)  # ten contracts of 20 days begin each day, in turn for 40 customers
    started = pd.Timestamp("2024-01-01 10:00") + pd.to_timedelta(number // 10, unit="D")
    contracts = pd.DataFrame({"subscription_id": number.astype(str), "customer_id": [f"c{i % 40}" for i in number]})
    contracts = contracts.assign(started_at=started, ended_at=started + pd.Timedelta(days=20), price_per_month=30.0)
    days = contracts["started_at"].dt.normalize()
    gap = days.between("2024-04-15", "2024-05-05")
    customers = daily_shop()["customers"]
    business = open_ended.model_copy(update={"churn": open_ended.churn.model_copy(update={"kind": "contract"})})
    raw = {"customers": customers, "subscriptions": contracts[~gap]}
    over = labels(opened, raw, business, datetime(2024, 4, 16))
    assert over["active"].all()
    assert over[["churned", "clv"]].isna().all(axis=None)
    clear = labels(opened, raw, business, datetime(2024, 3, 1))
    assert clear["churned"].eq(0).all()
    assert clear["clv"].notna().all()
    at_edge = labels(opened, raw, business, datetime(2024, 3, 25))  # within the grace of 14 days after the horizon
    assert at_edge["churned"].isna().all()
    assert at_edge["clv"].notna().all()


def test_a_gap_is_touched_from_its_first_moment_to_its_last() -> None:
    gap = Gap("orders", datetime(2024, 4, 15), datetime(2024, 5, 6), 210.0)
    later = Gap("orders", datetime(2024, 8, 1), datetime(2024, 9, 1), 210.0)
    known, asked = Knowledge(datetime(2025, 1, 1), gaps={"orders": (gap, later)}), connect().execute
    assert not asked(known.in_gap("orders", gap.begins - timedelta(days=5), 5))
    assert asked(known.in_gap("orders", gap.begins - timedelta(days=5), 6))
    assert asked(known.in_gap("orders", gap.ends - timedelta(microseconds=1), 1))
    assert not asked(known.in_gap("orders", gap.ends, 80))
    assert asked(known.in_gap("orders", gap.ends, 100))
    assert known.in_gap("subscriptions", gap.begins, 1) is None


@pytest.mark.parametrize("kind", ["inactivity", "contract"])
def test_labels_are_one_statement_for_all_dates_and_give_what_each_date_alone_gives(
    opened, contracts: dict[str, pd.DataFrame], shop: dict[str, pd.DataFrame], settings: Settings, kind: str
) -> None:
    raw = {**contracts, "orders": shop["orders"]}
    raw["customers"] = pd.concat([raw["customers"], shop["customers"]]).drop_duplicates("customer_id")
    raw["contacts"] = raw["customers"][["customer_id"]].assign(
        contact_id=lambda rows: "k" + rows["customer_id"], contacted_at=pd.Timestamp("2024-05-20"), campaign="call"
    )
    tables, business = (
        opened(raw),
        settings.model_copy(update={"churn": settings.churn.model_copy(update={"kind": kind})}),
    )
    gaps = {
        name: (Gap(name, datetime(2024, 4, 15), datetime(2024, 5, 6), 9.0),) for name in ("orders", "subscriptions")
    }
    known, backend = Knowledge(datetime(2024, 9, 1), gaps=gaps), tables["customers"].get_backend()

    def compiled(as_of: datetime) -> list[str]:
        return [str(backend.compile(labels_at(tables, tables["customers"], as_of, known, business)))]

    statements, told = AsOfStatements(compiled), set()
    for as_of in pd.date_range("2024-02-01", "2024-10-01", freq="17D").to_pydatetime():
        told.add(tuple(backend.con.execute(statements.at(as_of)[0]).df().notna().any()))
    for as_of in (datetime(2024, 4, 1), datetime(2024, 8, 20)):
        assert statements.at(as_of) == compiled(as_of)
    assert len(told) > 3  # some windows are whole, others touch the gap or the end


def test_a_contract_that_was_booked_at_the_end_of_the_data_takes_no_label_away(opened, settings: Settings) -> None:
    """What the load is the first to show counts as known a microsecond before the end."""
    churn = settings.churn.model_copy(update={"kind": "contract"})
    business = settings.model_copy(update={"churn": churn, "data_until": None})
    rows = [("a", "2024-01-05", None), ("b", "2024-03-31", None), ("c", "2024-06-01", "2024-03-31 23:59:59.999999")]
    contracts = pd.DataFrame(rows, columns=["customer_id", "started_at", "recorded_at"]).assign(subscription_id="s")
    customers = pd.DataFrame({"customer_id": list("abc"), "signed_up_at": "2024-01-01"})
    known = what_is_known(opened({"customers": customers, "subscriptions": contracts}), business)
    assert known.until == known.labels_until == datetime(2024, 4, 1)
