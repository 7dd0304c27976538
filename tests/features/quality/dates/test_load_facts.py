"""Bookings and notices without a date are known from the end of the data on, and move no end of the data."""

from __future__ import annotations

from datetime import UTC, datetime

import ibis
import pandas as pd
import pytest

from configs.settings import Settings
from features.columns.campaign import redemption_share
from features.labels.by_kind import end_of_known
from features.quality.check import ValidatedTable, check_table
from features.quality.dates.load_facts import TICK, newest_times, with_load_facts
from features.quality.quality_report import describe
from features.tables import REDEMPTIONS_UNKNOWN, TABLES
from features.windows import contacts_as_of, known_contracts

NOW = datetime(2024, 5, 25, tzinfo=UTC)


@pytest.fixture(scope="module")
def business(settings: Settings) -> Settings:
    return settings.model_copy(update={"churn": settings.churn.model_copy(update={"kind": "contract"})})


def checked(*rows: dict[str, object]) -> ValidatedTable:
    frame = pd.DataFrame([{"customer_id": "ann", "started_at": "2024-01-01", **row} for row in rows])
    frame["subscription_id"] = [f"s{i}" for i in range(len(frame))]
    return check_table(TABLES["subscriptions"], frame, NOW, {"ann"})


def with_facts(business: Settings, *rows: dict[str, object]) -> pd.DataFrame:
    return with_load_facts({"subscriptions": checked(*rows)}, business, NOW)["subscriptions"].used


def test_a_contract_that_begins_after_the_load_is_booked_since_the_end_of_the_data(business: Settings) -> None:
    rows = with_facts(business, {"cancelled_at": "2024-05-20T10:00"}, {"started_at": "2024-06-01"})
    assert rows["recorded_at"].tolist()[1] == pd.Timestamp("2024-05-20 10:00:00")
    said = with_facts(business, {}, {"started_at": "2024-06-01", "recorded_at": "2024-02-01"})
    assert said["recorded_at"].tolist()[1] == pd.Timestamp("2024-02-01")


def test_a_start_more_than_two_years_ahead_is_a_mistake(business: Settings) -> None:
    bad = checked({}, {"started_at": "2027-06-01"}).quarantined
    assert bad["subscription_id"].tolist() == ["s1"] and "lies in the future" in bad["reason"][0]


@pytest.mark.parametrize(
    ("row", "noticed"),
    [
        ({"cancel_at_period_end": "yes"}, True),
        ({"status": "Non-Renewing", "paid_until": "2024-07-01"}, True),
        ({"cancel_at_period_end": "yes", "paid_until": "2024-03-01"}, False),  # over, as the period says
        ({"cancel_at_period_end": "no", "status": "non_renewing"}, False),
        ({"cancel_at_period_end": "yes", "recorded_at": "2024-02-01"}, False),  # known since then
        ({"cancelled_at": "9999-12-31"}, False),
    ],
)
def test_a_notice_without_a_date_is_known_from_the_end_of_the_data_on(
    business: Settings, row: dict[str, object], noticed: bool
) -> None:
    rows = with_facts(business, {"started_at": "2024-05-01"}, row)
    assert rows["cancelled_at"].notna().tolist() == [False, noticed]
    assert not noticed or rows["cancelled_at"][1] == pd.Timestamp("2024-05-02") - TICK


def test_the_data_goes_up_to_the_newest_notice_and_not_to_a_booking(opened, business: Settings) -> None:
    one = checked({"cancelled_at": "2024-05-20"}, {"started_at": "2024-06-01", "recorded_at": "2024-02-01"})
    assert max(newest_times({"subscriptions": one})) == pd.Timestamp("2024-05-20")
    (table,) = describe({"subscriptions": one}, business)["tables"]
    assert table["newest"].startswith("2024-02-01")
    frame = one.used.astype(object)
    assert end_of_known(opened({"subscriptions": frame}), business) == datetime(2024, 5, 21)


@pytest.mark.parametrize("now", [NOW, NOW.replace(day=20, hour=14, microsecond=9)])
def test_a_booking_moves_no_end_of_the_data_that_is_a_date_alone(opened, business: Settings, now: datetime) -> None:
    tables = {"subscriptions": checked({"cancelled_at": "2024-05-20"}, {"started_at": "2024-06-01"})}
    frame = with_load_facts(tables, business, now)["subscriptions"].used.astype(object)
    end = end_of_known(opened({"subscriptions": frame}), business, now)
    assert end == min(datetime(2024, 5, 21), now.replace(tzinfo=None, microsecond=0))
    assert known_contracts(opened({"subscriptions": frame})["subscriptions"], "started_at", end).count().execute() == 2


@pytest.mark.parametrize(("redeemed", "shares"), [(None, [None, None]), ("2024-03-02", [0.5, 0.0])])
def test_redemptions_that_nobody_wrote_down_are_unknown_and_not_none(
    opened, business: Settings, redeemed: str | None, shares: list[float | None]
) -> None:
    rows = pd.DataFrame({"contact_id": ["a", "b", "c"], "customer_id": ["ann", "ann", "bob"], "campaign": "x"})
    rows = rows.assign(contacted_at="2024-03-01", redeemed_at=[redeemed, None, None])
    contacts = check_table(TABLES["contacts"], rows, NOW, {"ann", "bob"})
    used = with_load_facts({"contacts": contacts}, business, NOW)["contacts"].used
    assert REDEMPTIONS_UNKNOWN not in contacts.used
    table = contacts_as_of(ibis.memtable(used.astype({"redeemed_at": "datetime64[us]"})), datetime(2024, 4, 1))
    told = table.group_by("customer_id").agg(share=redemption_share(table)).order_by("customer_id").to_pandas()
    assert told["share"].astype(object).where(told["share"].notna(), None).tolist() == shares
