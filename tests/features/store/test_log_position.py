from __future__ import annotations

from datetime import UTC, datetime

from configs.workspace import Workspace
from features.store.durable_file import connect
from features.store.event_log import Event, EventLog
from features.store.log_position import log_position


def test_the_position_is_that_of_the_log_and_asking_makes_no_log(workspace: Workspace) -> None:
    assert log_position(workspace) == 0
    assert not workspace.events.exists()
    row = {"order_id": "e1", "customer_id": "c1", "ordered_at": "2024-08-30T10:00:00Z", "amount": 5.0}
    with EventLog(workspace.events) as log:
        assert log_position(workspace) == log.position() == 0
        log.append([Event("e1", "orders", row)], datetime(2024, 9, 1, tzinfo=UTC))
        assert log_position(workspace) == log.position() > 0
    assert log_position(workspace) > 0


def test_a_log_that_was_only_begun_holds_nothing(workspace: Workspace) -> None:
    connect(workspace.events).close()
    assert log_position(workspace) == 0
