from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from configs.workspace import Workspace
from features.engine import connect
from features.store.event_log import (
    ConflictError,
    Event,
    EventLog,
    Fault,
    date_columns,
    empty_events,
    event_frames,
    find_faults,
    merge_events,
)

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[3]
UTC_ZONE = ZoneInfo("UTC")


def order(event_id: str = "e1", **changed: object) -> Event:
    row = {"order_id": "n1", "customer_id": "ann", "ordered_at": "2024-03-01T11:00:00Z", "amount": 5}
    return Event(event_id, "orders", {**row, **changed})


def rows_of(log: EventLog) -> pd.DataFrame:
    return event_frames(log.read()[0], UTC_ZONE)["orders"]


def test_the_same_event_again_is_known_and_stored_once(workspace: Workspace) -> None:
    with EventLog(workspace.events) as log:
        assert log.append([order(), order()], NOW) == ["accepted", "known"]
        assert log.append([order(ordered_at="2024-03-01T12:00:00+01:00", amount=5.0)], NOW) == ["known"]
        assert len(rows_of(log)) == 1


@pytest.mark.parametrize(
    ("again", "what"),
    [
        (order(amount=6), "event_id came before with other content"),
        (order("e2"), "order_id came before with another event_id"),
    ],
)
def test_the_same_id_with_other_content_is_a_conflict_and_nothing_is_stored(
    workspace: Workspace, again: Event, what: str
) -> None:
    with EventLog(workspace.events) as log:
        log.append([order()], NOW)
        with pytest.raises(ConflictError, match=what) as told:
            log.append([order("e3", order_id="n3"), again], NOW)
        assert told.value.place == 1
        assert rows_of(log)["order_id"].tolist() == ["n1"]


def contract(event_id: str, customer_id: str, **given: object) -> Event:
    row = {"subscription_id": "s", "customer_id": customer_id, "started_at": "2024-01-01T00:00:00Z"}
    return Event(event_id, "subscriptions", {**row, **given})


def test_a_contract_that_events_gave_to_a_customer_is_no_other_s_whichever_request_brings_it(
    workspace: Workspace,
) -> None:
    first, other = contract("e1", "ann", price_per_month=9.0), contract("e2", "bob", ended_at="2024-02-01T00:00:00Z")
    with EventLog(workspace.events) as log:
        (outcome,) = log.append_each([[first, other]], NOW)
        assert isinstance(outcome, ConflictError) and outcome.place == 1 and log.read() == ([], 0)
        log.append([first], NOW)
        with pytest.raises(ConflictError, match="subscription_id came before as another customer's"):
            log.append([other], NOW)
        assert log.append([first, contract("e3", "ann", price_per_month=8.0)], NOW) == ["known", "accepted"]
        alike = [contract(f"e-{i}", "bob", subscription_id=i) for i in ('s", "', "s2", "", 's"', "s\\")]
        assert log.append(alike, NOW) == ["accepted"] * len(alike)
        alias = contract("e4", "web-7")
        assert log.append_each([[alias]], NOW, lambda event, others: {*others} == {"ann"}) == [["accepted"]]


def test_a_contact_whose_event_id_was_told_in_another_way_before_is_known(workspace: Workspace) -> None:
    row = {"contact_id": "m", "customer_id": "ann", "contacted_at": "2024-03-01T09:00:00Z", "campaign": "spring"}
    with EventLog(workspace.events) as log:
        log.append([Event("contact:of ' m'", "contacts", row)], NOW)
        assert log.append([Event("contact:of 'm'", "contacts", row)], NOW) == ["known"]
        with pytest.raises(ConflictError, match="contact_id came before"):
            log.append([Event("contact:of 'm'", "contacts", {**row, "campaign": "autumn"})], NOW)


def test_the_time_of_arrival_is_ours_and_rises_strictly_even_if_the_clock_falls(workspace: Workspace) -> None:
    with EventLog(workspace.events) as log:
        log.append([order("a", order_id="a"), order("b", order_id="b")], NOW)
        log.append([order("c", order_id="c")], NOW - timedelta(hours=1))
        came = rows_of(log)["recorded_at"]
        assert came.iloc[0] == pd.Timestamp(NOW).tz_localize(None)
        assert came.is_monotonic_increasing and came.is_unique
        assert log.position() == log.read()[1] == came.iloc[2].value // 1000


def test_many_threads_and_files_lose_no_event(workspace: Workspace) -> None:
    logs = [EventLog(workspace.events) for _ in range(2)]

    def send(log: EventLog, name: str) -> None:
        for i in range(20):
            log.append([order(f"{name}{i}", order_id=f"{name}{i}")], NOW)

    threads = [threading.Thread(target=send, args=(logs[n % 2], f"t{n}-")) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows_of(logs[0])) == 120
    for log in logs:
        log.close()


def test_an_acknowledged_event_survives_a_process_that_is_killed(workspace: Workspace) -> None:
    code = f"""
import os, signal
from pathlib import Path
from datetime import datetime, UTC
from features.store.event_log import EventLog, Event
log = EventLog(Path({str(workspace.events)!r}))
row = {order().row!r}
log.append([Event("e1", "orders", row)], datetime.now(UTC))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    with EventLog(workspace.events) as log:
        assert rows_of(log)["order_id"].tolist() == ["n1"]


def test_a_bad_event_is_refused_with_the_rules_of_an_ingest() -> None:
    bad = order(customer_id="nobody", ordered_at="2024-03-01T12:00:00Z", discount=-1)
    told = find_faults([order(), bad], ["orders"], {"ann"}, NOW)
    assert {(f.place, f.field) for f in told} == {(1, "customer_id"), (1, "ordered_at"), (1, "discount")}
    assert Fault(1, "ordered_at", "lies in the future") in told


def test_an_event_of_a_table_that_the_business_has_not_is_refused() -> None:
    row = {"interaction_id": "i", "customer_id": "ann", "occurred_at": "2024-03-01T11:00:00Z", "kind": "ticket"}
    (told,) = find_faults([Event("e", "interactions", row)], ["orders"], {"ann"}, NOW)
    assert told.field == "type" and "only orders" in told.detail


def test_good_events_have_no_faults_even_if_one_comes_twice() -> None:
    early = order(ordered_at=" 2024-02-29T23:30:00-02:00")
    assert find_faults([order(), order(), early], ["orders"], {"ann"}, NOW) == []


def test_an_order_in_both_is_the_tables_row_known_from_the_earlier_of_the_two_on(workspace: Workspace) -> None:
    with EventLog(workspace.events) as log:
        log.append([order(), order("e2", order_id="n2")], NOW)
        came = rows_of(log)
    late = came.head(1).assign(amount=7.0, recorded_at=came["recorded_at"] + pd.Timedelta(days=1))
    backend = connect()
    for name, frame in (("held", late), ("came", came)):
        backend.con.register(name, frame)
    both = merge_events(backend.table("held"), backend.table("came"), "order_id").to_pandas().set_index("order_id")
    assert sorted(both.index) == ["n1", "n2"]
    assert both.loc["n1", "amount"] == 7
    assert both.loc["n1", "recorded_at"] == pd.Timestamp("2024-03-01 12:00")


def test_no_events_have_the_columns_of_the_checked_table(workspace: Workspace) -> None:
    with EventLog(workspace.events) as log:
        log.append([order()], NOW)
        assert list(empty_events("orders", UTC_ZONE)) == list(rows_of(log))


def test_an_event_of_a_business_that_counts_orders_counts_as_one_whatever_its_amount(workspace: Workspace) -> None:
    with EventLog(workspace.events) as log:
        log.append([order(amount=49.9), order("e2", order_id="n2", amount=-3)], NOW)
        assert event_frames(log.read()[0], UTC_ZONE, counts_orders=True)["orders"]["amount"].tolist() == [1.0, 1.0]
        assert rows_of(log)["amount"].tolist() == [49.9, -3.0]


def test_midnight_of_an_event_is_a_moment_unless_all_loaded_times_of_its_column_are_dates(opened) -> None:
    new_york, at_midnight = ZoneInfo("America/New_York"), "2024-03-01T00:00:00Z"
    sent = [("orders", json.dumps({**order().row, "ordered_at": at_midnight}), 1)]

    def told(*loaded: str) -> list[object]:
        orders = pd.DataFrame({"order_id": list(loaded), "customer_id": "ann", "ordered_at": loaded, "amount": 5})
        tables = opened({"orders": orders})
        frame = event_frames(sent, new_york, dates=date_columns(tables))["orders"]
        return frame[["local_hour", "local_weekday"]].fillna(-1).iloc[0].tolist()

    assert told("2024-01-01", "2024-01-02") == [-1, 4]  # a Friday without an hour
    assert told("2024-01-01", "2024-01-02 10:00") == [19, 3]  # seven in the evening of Thursday
    assert event_frames(sent, new_york)["orders"]["local_hour"].tolist() == [19]


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"order_id": "9", "customer_id": "1", "ordered_at": "2024-01-01T00:00:00+00:00", "amount": 1e155}',
        '{"order_id": "9", "customer_id": "1", "ordered_at": "2024-01-01T00:00:00+00:00", "amount": NaN}',
        '{"order_id": "9", "customer_id": "1", "ordered_at": "2024-01-01T00:00:00+00:00", "amount": "ten"}',
        '{"order_id": "9", "customer_id": "1", "ordered_at": "soon", "amount": 1.0}',
        '{"order_id": "9", "customer_id": "1", "amount": 1.0}',
    ],
)
def test_a_row_that_nothing_can_be_computed_with_stops_no_other(tmp_path: Path, content: str) -> None:
    row = {"order_id": "7", "customer_id": "1", "ordered_at": "2024-01-01T00:00:00Z", "amount": 5.0}
    with EventLog(tmp_path / "events.db") as log:
        log.append([Event("e1", "orders", row)], datetime(2024, 1, 2, tzinfo=UTC))
        with sqlite3.connect(tmp_path / "events.db") as other:
            other.execute("INSERT INTO events VALUES (?, 'e2', 'orders', '9', '1', ?)", [2**52, content])
        rows, position = log.read(["1"])
        assert log.read() == (rows, position) and position == 2**52
    frames = event_frames(rows, ZoneInfo("UTC"))
    assert frames["orders"]["order_id"].tolist() == ["7"]
