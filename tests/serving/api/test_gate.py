"""Over HTTP: who may ask is let on, everybody else is told why not, and nothing of what was given comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from configs.settings import Access, Settings
from configs.workspace import Workspace
from serving.access.control import access_control
from serving.access.keys import ApiKeys
from serving.access.roles import OPERATIONS, PUBLIC, ROLES
from serving.api.app import create_app
from serving.records.prediction_log import PredictionLog

ASK = {"customer_id": "c1"}


@pytest.fixture
def keys(workspace: Workspace) -> dict[str, str]:
    with ApiKeys(workspace.access_keys) as store:
        return {role: store.create(f"the {role}", role)[1] for role in ROLES}


@pytest.fixture
def closed(
    keys: dict[str, str],
    workspace: Workspace,
    calling: Callable,
    models: Any,
    reader: Any,
    log: PredictionLog,
    settings: Settings,
) -> Callable[..., Any]:
    def client(per_minute: float = 6000, failures: float = 6000) -> Any:
        limits = {"requests_per_minute": per_minute, "failures_per_minute": failures}
        access = access_control(Access(required=None, tokens=None, **limits), workspace)
        return calling(create_app(models, reader, log, settings, access=access))

    return client


def ask(client: Any, method: str, path: str, key: str | None) -> Any:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    if method == "POST":
        return client.post(path, json=ASK, headers=headers)
    return client.get(path, headers=headers)


@pytest.mark.parametrize("operation", [*OPERATIONS, *sorted(PUBLIC)], ids=" ".join)
def test_every_operation_answers_those_who_may_and_nobody_else(
    closed: Callable, keys: dict[str, str], operation: tuple[str, str]
) -> None:
    client = closed()
    for role, key in keys.items():
        status = ask(client, *operation, key).status_code
        assert (status == 403) == (operation not in PUBLIC and role not in OPERATIONS[operation])
    for wrong in (None, "staycast_0_0", "a.b.c"):
        assert (ask(client, *operation, wrong).status_code == 401) == (operation not in PUBLIC)


def test_who_is_not_known_is_told_how_to_say_it_and_what_was_given_is_not_repeated(closed: Callable) -> None:
    response = ask(closed(), "POST", "/v1/predictions", "staycast_stolen_Zq9secret")
    assert response.status_code == 401 and response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "urn:staycast:problem:unauthorized" and "Zq9secret" not in response.text


def test_a_path_that_is_not_there_is_told_to_those_who_are_known_alone(closed: Callable, keys: dict[str, str]) -> None:
    client = closed()
    assert client.get("/v2/secrets").status_code == 401
    assert ask(client, "GET", "/v2/secrets", keys["reviewer"]).status_code == 404
    assert ask(client, "GET", "/v1/events", keys["reviewer"]).status_code == 405


def test_a_route_that_nobody_put_into_the_table_nobody_may_ask(
    closed: Callable, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(OPERATIONS, ("GET", "/v1/models"))
    client = closed()
    assert {ask(client, "GET", "/v1/models", key).status_code for key in keys.values()} == {403}


def test_who_asks_too_much_is_told_when_to_come_again_and_others_are_answered(
    closed: Callable, keys: dict[str, str]
) -> None:
    client = closed(per_minute=12)
    statuses = [ask(client, "GET", "/v1/models", keys["crm"]).status_code for _ in range(4)]
    assert statuses[0] == 200 and statuses[-1] == 429
    refused = ask(client, "GET", "/v1/models", keys["crm"])
    assert refused.json()["type"] == "urn:staycast:problem:rate-limit" and int(refused.headers["retry-after"]) >= 1
    assert ask(client, "GET", "/v1/models", keys["analyst"]).status_code == 200


def test_every_answer_has_a_request_id_and_is_kept_by_no_cache(closed: Callable, keys: dict[str, str]) -> None:
    client = closed()
    given = client.get("/healthz", headers={"x-request-id": "call-4711-of-the-crm"})
    assert given.headers["x-request-id"] == "call-4711-of-the-crm"
    for response in (
        ask(client, "POST", "/v1/predictions", keys["crm"]),
        client.get("/v1/models"),
        client.get("/none"),
    ):
        assert len(response.headers["x-request-id"]) == 26
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
    hostile = client.get("/healthz", headers={"x-request-id": "a b <script>"})
    assert len(hostile.headers["x-request-id"]) == 26


def test_the_log_names_the_caller_and_never_the_key(
    closed: Callable, keys: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "serving.access"):
        ask(closed(), "POST", "/v1/predictions", keys["crm"])
    assert "caller=key:the crm" in caplog.text and keys["crm"] not in caplog.text


def test_where_the_keys_cannot_be_read_nobody_is_let_in_and_the_service_is_not_ready(
    closed: Callable, keys: dict[str, str], workspace: Workspace
) -> None:
    workspace.access_keys.write_bytes(b"damaged")
    client = closed()
    for path, key in (("/v1/models", keys["admin"]), ("/v1/models", None), ("/readyz", None)):
        response = ask(client, "GET", path, key)
        assert response.status_code == 503 and int(response.headers["retry-after"]) >= 1
        assert response.json()["type"] == "urn:staycast:problem:unavailable" and "access.db" not in response.text
    assert client.get("/healthz").status_code == 200


def test_who_says_twice_or_unreadably_who_asks_is_told_how_to_say_it(closed: Callable, keys: dict[str, str]) -> None:
    client, key = closed(), keys["crm"]
    for headers in (
        [("authorization", f"Bearer {key}"), ("authorization", f"Bearer {key}")],
        [("authorization", ""), ("x-api-key", key)],
        [("authorization", f"Bearer\t{key}")],
    ):
        response = client.get("/v1/models", headers=headers)
        assert response.status_code == 400 and key not in response.text
        assert response.json()["type"] == "urn:staycast:problem:bad-credential"


def test_from_an_address_of_many_wrong_keys_wrong_ones_are_refused_for_a_while_and_right_ones_never(
    closed: Callable, keys: dict[str, str]
) -> None:
    client = closed(failures=12)
    statuses = [ask(client, "GET", "/v1/models", "staycast_0_0").status_code for _ in range(4)]
    assert statuses == [401, 401, 429, 429]
    assert int(ask(client, "GET", "/v1/models", "a.b.c").headers["retry-after"]) >= 1
    assert ask(client, "GET", "/v1/models", keys["crm"]).status_code == 200
    assert ask(client, "GET", "/v1/models", None).status_code == 401
