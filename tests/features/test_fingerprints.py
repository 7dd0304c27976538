from __future__ import annotations

from datetime import UTC, datetime

from configs.settings import Settings
from configs.workspace import Workspace
from features.fingerprints import features_fingerprint
from features.store.event_log import Event, EventLog


def test_features_are_built_anew_for_other_tables_settings_or_events_and_not_for_another_port(
    fresh: Workspace, few: Settings
) -> None:
    before = features_fingerprint(few, fresh)
    other_port = few.model_copy(update={"serving": few.serving.model_copy(update={"port": 3001})})
    assert features_fingerprint(other_port, fresh) == before
    every_other = few.as_of.model_copy(update={"every_months": 2})
    assert features_fingerprint(few.model_copy(update={"as_of": every_other}), fresh) != before
    orders = fresh.tables / "orders.parquet"
    content = orders.read_bytes()
    orders.write_bytes(content + b" ")
    assert features_fingerprint(few, fresh) != before
    orders.write_bytes(content)
    row = {"order_id": "e1", "customer_id": "c1", "ordered_at": "2024-08-30T10:00:00Z", "amount": 5.0}
    with EventLog(fresh.events) as log:
        assert features_fingerprint(few, fresh) == before
        log.append([Event("e1", "orders", row)], datetime(2024, 9, 1, tzinfo=UTC))
    assert features_fingerprint(few, fresh) != before
