from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from starlette.applications import Starlette

from configs.settings import Settings
from serving.api.app import create_app
from serving.records.prediction_log import PredictionLog


def asked(client: Any, purpose: str) -> Any:
    return client.post("/v1/predictions", json={"customer_id": "c1"}, headers={"X-Purpose": purpose})


@pytest.mark.parametrize(("purposes", "taken"), [((), "retention.call-1"), (("retention", "service"), "service")])
def test_a_purpose_is_kept_with_the_answer(
    purposes: tuple[str, ...],
    taken: str,
    calling: Callable[[Starlette], Any],
    models: Any,
    reader: Any,
    log: PredictionLog,
    settings: Settings,
    now: datetime,
) -> None:
    records = settings.records.model_copy(update={"purposes": purposes})
    business = settings.model_copy(update={"records": records})
    client = calling(create_app(models, reader, log, business, clock=lambda: now))
    answer = asked(client, taken)
    assert log.find(answer.json()["prediction_id"]).asker.purpose == taken
    plain = client.post("/v1/predictions", json={"customer_id": "c1"})
    assert log.find(plain.json()["prediction_id"]).asker.purpose == ""
    refused = asked(client, "not allowed")
    assert refused.status_code == 422
    assert "not allowed" not in refused.text
    assert len(log.read()) == 2
