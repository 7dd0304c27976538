from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette

from configs.settings import Settings
from configs.workspace import Workspace
from serving.access.control import access_control
from serving.access.keys import ApiKeys
from serving.api.app import create_app
from serving.api.schema.answers import PastAnswer
from serving.records.prediction_log import PredictionLog


@pytest.fixture
def client(app: Starlette, calling: Callable[[Starlette], Any]) -> Any:
    return calling(app)


def events(log: PredictionLog) -> list[dict[str, Any]]:
    """What is on record beside answers."""
    entries = [entry for entry in log.store.entries() if entry.kind == "read"]
    return [orjson.loads(log._own.open(entry.summary, b"read  summary")) for entry in entries]


def test_a_past_answer_is_told_as_it_was_sent_and_that_it_can_be_made_again(client: Any, log: PredictionLog) -> None:
    many = client.post("/v1/predictions", json={"customer_ids": ["c1", "c2", "c3"], "top_reasons": 0})
    one = client.post("/v1/predictions", json={"customer_id": "c1"}, headers={"X-Purpose": "retention"})
    for answer in (*many.json()["predictions"], one.json()):
        past = client.get(f"/v1/predictions/{answer['prediction_id']}")
        told = PastAnswer.model_validate_json(past.content)
        assert past.json()["prediction"] == answer
        assert told.replay is not None and (told.replay.same, told.replay.why) == (True, "")
    assert one.content in past.content
    assert told.asked is not None and told.asked.purpose == "retention"
    assert [event["prediction_id"] for event in events(log)][-1] == one.json()["prediction_id"]


@pytest.mark.parametrize("unknown", ["01HQVT3TE09VWHWG6H0PRM5FZS", "c1", "%2e%2e", "x" * 300])
def test_what_is_not_on_record_is_not_found_and_nothing_of_it_is_said(unknown: str, client: Any) -> None:
    answer = client.get(f"/v1/predictions/{unknown}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_who_was_erased_is_not_found(client: Any, log: PredictionLog) -> None:
    made = client.post("/v1/predictions", json={"customer_id": "c1"}).json()["prediction_id"]
    log.erase(["c1"])
    assert client.get(f"/v1/predictions/{made}").status_code == 404


def test_a_crm_is_told_the_answer_and_others_whose_it_was_and_every_reading_is_on_record(
    calling: Callable[[Starlette], Any],
    models: Any,
    reader: Any,
    log: PredictionLog,
    settings: Settings,
    now: datetime,
    workspace: Workspace,
) -> None:
    with ApiKeys(workspace.access_keys) as store:
        keys = {role: store.create(role, role)[1] for role in ("crm", "reviewer")}
    access = access_control(settings.access, workspace)
    client = calling(create_app(models, reader, log, settings, clock=lambda: now, access=access))

    def as_(role: str) -> dict[str, str]:
        return {"X-API-Key": keys[role]}

    made = client.post("/v1/predictions", json={"customer_id": "c1"}, headers=as_("crm")).json()
    told = {role: client.get(f"/v1/predictions/{made['prediction_id']}", headers=as_(role)).json() for role in keys}
    assert told["crm"] == {"prediction": made}
    assert told["reviewer"]["asked"] == {"caller": "key:crm", "role": "crm", "purpose": ""}
    assert told["reviewer"]["replay"] == {"same": True, "why": ""}
    assert [(event["caller"], event["role"]) for event in events(log)] == [
        ("key:crm", "crm"),
        ("key:reviewer", "reviewer"),
    ]
    assert client.get(f"/v1/predictions/{made['prediction_id']}").status_code == 401


def test_nothing_is_told_that_cannot_be_noted_as_read(
    client: Any, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = client.post("/v1/predictions", json={"customer_id": "c1"}).json()["prediction_id"]

    def full(*arguments: Any) -> None:
        raise OSError

    monkeypatch.setattr(log, "note_read", full)
    assert client.get(f"/v1/predictions/{made}").status_code == 503
