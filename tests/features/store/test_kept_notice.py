"""What an event gave of a contract holds after the next load, where that does not contradict it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import ibis.expr.types as ir
import pandas as pd
import pytest

from features.engine import create_temp_table
from features.store.contract_events import loaded_contracts, merge_contracts
from features.store.event_log import event_frames
from features.store.kept_notice import END_AHEAD, kept_of, shown_by
from features.store.kept_notice import NOTICE as A_NOTICE
from features.store.timestamps import to_micros
from features.windows import bookings_as_of, subscriptions_as_of

UNTIL = datetime(2024, 5, 1)  # the end of the load's data
ARRIVAL = datetime(2024, 4, 1)
AHEAD, PAST, NOTICED = "2024-05-20", "2024-04-20", "2024-03-30"
ENDS, ENDED, NOTICE = (
    {"ended_at": f"{AHEAD}T12:00:00Z"},
    {"ended_at": f"{PAST}T12:00:00Z"},
    {"cancelled_at": f"{NOTICED}T12:00:00Z"},
)
OTHER = (
    {"paused_at": "2024-03-30T12:00:00Z"},
    {"paid_until": "2024-02-01T12:00:00Z"},
    {"status": "trialing"},
    {"plan": "a"},
)
FLAG = {"cancel_at_period_end": 1.0}
Sent = list[tuple[datetime, dict[str, Any]]]


def states(
    opened, sent: Sent, of_load: dict[str, Any], others: dict[str, Any], started: str = "2023-01-01"
) -> ir.Table:
    """The states of contract s by its events and its row of a load, in which another contract stands."""
    rows = [{"subscription_id": "s", "started_at": started, **of_load}, {"subscription_id": "t", **others}]
    table = pd.DataFrame(rows).assign(customer_id=["s", "t"]).fillna({"started_at": "2023-01-01"})
    table = opened({"subscriptions": table})["subscriptions"]
    event = {"subscription_id": "s", "customer_id": "s", "started_at": f"{started}T00:00:00Z"}
    logged = [("subscriptions", json.dumps({**event, **given}), to_micros(at)) for at, given in sent]
    loaded, shown = loaded_contracts(table, ["s"]), shown_by(table, UNTIL)
    frame = event_frames(logged, ZoneInfo("UTC"), until=UNTIL, loaded=loaded, shown=shown)["subscriptions"]
    return merge_contracts(table, create_temp_table(table.get_backend(), "sent", frame))


def kept_beside(given: dict[str, Any], row: dict[str, Any], shown: set[str]) -> list[tuple[int, dict[str, Any]]]:
    """What of one event holds beside a row of a load that shows this of any contract, and the columns of the row."""
    told = {"started_at": "2023-01-01T00:00:00Z", **given, "recorded_at": to_micros(ARRIVAL)}
    row = {"started_at": "2023-01-01", **row}
    return kept_of([told], row, frozenset(shown | {n for n in row if n != "started_at"}), to_micros(UNTIL))


def seen(table: ir.Table, as_of: datetime) -> tuple[bool, bool]:
    """Whether contract s is alive, and under notice."""
    row = subscriptions_as_of(table, as_of).to_pandas().set_index("customer_id").loc["s"]
    return bool(row["alive"]), bool(row["notice"])


@pytest.mark.parametrize(
    ("given", "row", "shown", "columns"),
    [
        (ENDS, {"ended_at": AHEAD}, {"ended_at", END_AHEAD}, {}),
        (ENDS, {}, {"ended_at"}, ENDS),  # the load has ends that came
        (NOTICE, {"ended_at": AHEAD}, {"ended_at"}, NOTICE),
        (NOTICE | ENDS, {}, {"ended_at"}, NOTICE | ENDS),
        ({"cancel_at_period_end": 1.0}, {"cancel_at_period_end": 1, "cancelled_at": "2024-03-20"}, {A_NOTICE}, FLAG),
        ({"status": "non-renewing"}, {"status": "active"}, {"status"}, FLAG),
    ],
)
def test_what_the_load_does_not_contradict_is_known_from_the_event_on(
    given: dict[str, Any], row: dict[str, Any], shown: set[str], columns: dict[str, Any]
) -> None:
    ((since, kept),) = kept_beside(given, row, shown)
    assert since == to_micros(ARRIVAL)
    assert {name: value for name, value in kept.items() if value is not None} == columns


@pytest.mark.parametrize(
    ("given", "row", "shown"),
    [
        (ENDS, {}, {"ended_at", END_AHEAD}),
        (ENDED, {}, {"ended_at"}),  # it would have come
        (NOTICE, {}, {"cancelled_at", A_NOTICE}),
        (NOTICE | ENDS, {}, {A_NOTICE}),
        (ENDS, {"ended_at": AHEAD, "recorded_at": "2024-04-10"}, {"ended_at"}),  # it says since when it is known
        ({"ended_at": "9999-12-31T00:00:00Z"}, {"ended_at": AHEAD}, {"ended_at"}),
        (ENDS, {"ended_at": "2024-05-22"}, {"ended_at", END_AHEAD}),  # else the other day would be known as early
        *[(given, row, {"ended_at"}) for given in OTHER for row in ({}, {"ended_at": AHEAD})],
    ],
)
def test_a_load_that_shows_the_contract_open_although_it_shows_others_ends_or_notices_counts(
    given: dict[str, Any], row: dict[str, Any], shown: set[str]
) -> None:
    assert kept_beside(given, row, shown) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "of_load"),
    [
        (ENDS, {"ended_at": AHEAD, "cancelled_at": "2024-04-20"}),  # notice after the end was given
        ({"cancel_at_period_end": 1.0}, {"cancel_at_period_end": 1, "cancelled_at": "2024-04-30 23:59:59"}),
        (NOTICE, {"paid_until": AHEAD}),
    ],
)
def test_a_contract_is_under_notice_from_the_event_on_whatever_day_a_later_load_gives(
    opened, given: dict[str, Any], of_load: dict[str, Any]
) -> None:
    table = states(opened, [(ARRIVAL, given)], of_load, {})
    asked = [datetime(2024, 3, 31), datetime(2024, 4, 2), datetime(2024, 4, 20), UNTIL]
    assert [seen(table, day) for day in asked] == [(True, False), *[(True, True)] * 3]


@pytest.mark.slow
def test_an_end_that_came_is_kept_where_the_load_has_no_ends_and_what_was_withdrawn_is_not(opened) -> None:
    table = states(opened, [(ARRIVAL, ENDED)], {}, {})
    assert [seen(table, datetime(2024, 4, day)) for day in (2, 25)] == [(True, True), (False, False)]
    table = states(opened, [(ARRIVAL, ENDS), (datetime(2024, 4, 10), {"ended_at": None})], {}, {})
    assert seen(table, UNTIL) == (True, False)


def test_events_after_the_load_are_laid_over_what_is_kept(opened) -> None:
    later = [(datetime(2024, 5, 3), {"plan": "b"}), (datetime(2024, 5, 5), {"cancelled_at": None})]
    table = states(opened, [(ARRIVAL, NOTICE | ENDS), *later], {"price_per_month": 10}, {})
    asked = [datetime(2024, 5, day) for day in (2, 4, 6)]
    assert [seen(table, day) for day in asked] == [(True, True), (True, True), (True, False)]
    newest = table.filter(table.superseded_at.isnull(), table.customer_id == "s").to_pandas()
    assert newest[["plan", "price_per_month"]].to_numpy().tolist() == [["b", 10]]


@pytest.mark.slow
def test_a_row_is_one_contract_at_every_moment_and_one_that_was_booked_by_an_event_is_known_since(opened) -> None:
    table = states(opened, [(datetime(2024, 2, 5), ENDS)], {"ended_at": AHEAD}, {}, started="2024-03-01")
    for day in (datetime(2024, 2, 6), datetime(2024, 3, 1)):
        assert bookings_as_of(table, day).customer_id.execute().tolist() == ["s"]
    assert bookings_as_of(table, datetime(2024, 3, 2)).count().execute() == 0
    assert sorted(subscriptions_as_of(table, datetime(2024, 3, 2)).customer_id.execute()) == ["s", "t"]
