"""The same request under the same key, over HTTP, on real models and a real record."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from starlette.applications import Starlette

from configs.settings import Settings
from configs.workspace import Workspace
from serving.access.control import access_control
from serving.access.keys import ApiKeys
from serving.api.app import create_app
from serving.records.prediction_log import PredictionLog
from serving.records.repeats import KEEP

Make = Callable[..., Any]


@pytest.fixture
def make(
    models: Any, reader: Any, log: PredictionLog, settings: Settings, now: datetime, workspace: Workspace, calling: Any
) -> Make:
    def client(at: datetime = now, **others: Any) -> Any:
        given = {"workspace": workspace, **others}
        return calling(create_app(models, reader, log, settings, clock=lambda: at, **given))

    return client


def ask(client: Any, key: str, body: Any, **headers: str) -> Any:
    return client.post("/v1/predictions", json=body, headers={"Idempotency-Key": key, **headers})


ONE = {"customer_id": "c1", "top_reasons": 2}
MANY = {"customer_ids": ["c3", "gone", "nobody", "c1", "c3"], "explain": "none"}


@pytest.mark.parametrize("body", [ONE, MANY])
def test_the_same_again_is_answered_the_same_by_whichever_worker_and_from_whatever_features(
    body: Any, make: Make, log: PredictionLog, reader: Any
) -> None:
    clients = [make(left=lambda ids: {"gone"} & {*ids}) for _ in range(2)]
    first = ask(clients[0], '"a-1"', body)
    count = len(log.read())
    reader.frame["spend_90d"] += 100.0
    again = [ask(client, key, body) for client in clients for key in ("a-1", '"a-1"')]
    assert first.status_code == 200 and {response.content for response in again} == {first.content}
    assert len(log.read()) == count
    assert ask(clients[0], "a-2", body).content != first.content
    reads = [entry for entry in log.store.entries() if entry.kind == "read"]
    assert len(reads) == len(again)


def test_another_body_under_the_same_key_is_refused_and_tells_nothing(make: Make) -> None:
    client = make()
    ask(client, "a-1", ONE)
    refused = ask(client, "a-1", {**ONE, "customer_id": "c2"})
    assert refused.status_code == 422 and refused.json()["type"] == "urn:staycast:problem:reused-key"
    assert "c1" not in refused.text and "c2" not in refused.text and "a-1" not in refused.text


@pytest.mark.parametrize("key", ["", '"', "x" * 256, "two words"])
def test_what_is_no_key_is_refused(key: str, make: Make) -> None:
    assert ask(make(), key, ONE).status_code == 422


def test_two_keys_at_once_are_none(make: Make, app: Starlette) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert make().post("/v1/predictions", json=ONE, headers=headers).status_code == 422


def test_a_key_is_of_its_caller_and_ends_after_a_day(make: Make, workspace: Workspace, now: datetime) -> None:
    from configs.settings import Access

    with ApiKeys(workspace.access_keys) as keys:
        secrets = [keys.create(name, "crm")[1] for name in ("one", "other")]
    control = access_control(Access(required=True, requests_per_minute=6000, tokens=None), workspace)
    client = make(access=control)
    ids = [ask(client, "a-1", ONE, **{"X-API-Key": secret}).json()["prediction_id"] for secret in (*secrets, *secrets)]
    assert ids[:2] == ids[2:] and ids[0] != ids[1]
    later = make(at=now + KEEP + timedelta(seconds=1), access=control)
    assert ask(later, "a-1", ONE, **{"X-API-Key": secrets[0]}).json()["prediction_id"] not in ids


def test_who_was_erased_is_not_told_again(make: Make, log: PredictionLog, reader: Any) -> None:
    client = make()
    ask(client, "a-1", ONE)
    many = ask(client, "a-2", MANY)
    log.erase(["c1"])
    reader.frame = reader.frame.drop("c1")
    assert ask(client, "a-1", ONE).status_code == 404
    again = ask(client, "a-2", MANY).json()
    assert [answer["customer_id"] for answer in again["predictions"]] == ["c3"]
    assert again["predictions"][0]["prediction_id"] != many.json()["predictions"][0]["prediction_id"]
    assert ask(client, "a-2", MANY).json() == again


def test_what_failed_is_tried_anew_under_its_key(make: Make, reader: Any) -> None:
    client, frame = make(), reader.frame
    reader.frame = frame.drop("c1")
    assert ask(client, "a-1", ONE).status_code == 404
    reader.frame = frame
    assert ask(client, "a-1", ONE).status_code == 200


def test_without_a_file_it_is_answered_anew_and_where_it_is_locked_not_at_all(
    make: Make, workspace: Workspace, reader: Any
) -> None:
    client = make(workspace=None)
    assert ask(client, "a-1", ONE).content != ask(client, "a-1", ONE).content
    client = make()
    assert ask(client, "a-1", ONE).status_code == 200
    other = sqlite3.connect(workspace.repeats, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    locked = ask(client, "a-2", ONE)
    assert locked.status_code == 503 and int(locked.headers["retry-after"]) > 0
    assert client.post("/v1/predictions", json=ONE).status_code == 200
    other.execute("ROLLBACK")
    other.close()
    assert ask(client, "a-2", ONE).status_code == 200
    workspace.repeats.unlink()  # what would be kept now would be gone with this process
    assert ask(client, "a-3", ONE).status_code == 503


def test_who_sees_some_alone_is_told_again_what_may_be_seen(
    make: Make, workspace: Workspace, customers: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    from serving.api.resources import repeats

    client = make()
    first = ask(client, "a-1", ONE)

    async def nobody(scope: Any, ids: Any) -> set[str]:
        return set()

    monkeypatch.setattr(repeats, "visible", nobody)
    assert ask(client, "a-1", ONE).content != first.content


def test_who_was_not_told_of_need_not_be_seen_and_what_may_be_seen_no_more_is_replaced(
    make: Make, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    from serving.api.resources import repeats

    client, seen = make(), {"c1"}

    async def some(scope: Any, ids: Any) -> set[str]:
        return seen & {*ids}

    def counts() -> tuple[int, int]:
        return len(log.read()), sum(entry.kind == "read" for entry in log.store.entries())

    monkeypatch.setattr(repeats, "visible", some)
    body = {"customer_ids": ["nobody", "c1"]}
    first, again = (ask(client, "a-1", body) for _ in range(2))
    assert first.content == again.content and counts() == (1, 1)
    seen.clear()
    anew = ask(client, "a-1", body)
    assert anew.content != first.content and counts() == (2, 1)
    seen.add("c1")
    assert ask(client, "a-1", body).content == anew.content and counts() == (2, 2)
