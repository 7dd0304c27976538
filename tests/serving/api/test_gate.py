"""Over HTTP: who may ask is let on, everybody else is told why not, and nothing of what was given comes back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from configs.settings import Access, Settings
from configs.workspace import Workspace
from serving.access.control import access_control
from serving.access.keys import ApiKeys
from serving.access.roles import OF_VISIBLE, OPERATIONS, PUBLIC, ROLES
from serving.access.rows import rows_of
from serving.api.app import create_app
from serving.records.prediction_log import PredictionLog
from tests.serving.bulk.scored import score_all

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
    assert (ask(client, *operation, None).status_code == 401) == (operation not in PUBLIC)
    for wrong in ("staycast_0_0", "a.b.c"):
        assert ask(client, *operation, wrong).status_code == 401


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


def test_every_answer_to_a_caller_tells_how_many_requests_are_left(closed: Callable, keys: dict[str, str]) -> None:
    client = closed(per_minute=12)  # two at once, one each five seconds
    answers = [ask(client, "GET", path, keys["crm"]) for path in ("/v1/models", "/none", "/healthz")]
    assert [a.status_code for a in answers] == [200, 404, 429]
    assert [a.headers["ratelimit"].partition(";t=")[0] for a in answers] == [f'"requests";r={n}' for n in (1, 0, 0)]
    assert {a.headers["ratelimit-policy"] for a in answers} == {'"requests";q=2;w=10'}
    assert int(answers[-1].headers["retry-after"]) <= int(answers[-1].headers["ratelimit"].partition(";t=")[2]) <= 10
    assert "ratelimit" not in client.get("/healthz").headers


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


@pytest.fixture
def branches(
    workspace: Workspace, calling: Callable, models: Any, reader: Any, log: PredictionLog, settings: Settings
) -> dict[str, Any]:
    """A service whose callers see their branch: c0 to c9 are of north, c10 to c19 of south; and its keys."""
    frame = pd.DataFrame({"customer_id": [f"c{i}" for i in range(20)], "branch": ["north"] * 10 + ["south"] * 10})
    workspace.tables.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(workspace.tables / "customers.parquet")
    given = {"north": "branch=north", "all": "branch=*", "none": "shop=1"}
    with ApiKeys(workspace.access_keys) as store:
        keys = {name: store.create(name, "admin", rows=rows_of([rows]))[1] for name, rows in given.items()}
    access = access_control(Access(required=None, requests_per_minute=6e4, row_scope="branch", tokens=None), workspace)
    app = create_app(models, reader, log, settings, access=access, events=Events(), workspace=workspace)
    return {"client": calling(app), **keys}


class Events:
    """Takes every event."""

    def accept_together(self, batches: Any, clock: Callable[[], Any]) -> list[tuple[list[str], Any]]:
        return [(["accepted"] * len(batch.events), clock()) for batch in batches]


def predict(branches: dict[str, Any], who: str, **asked: Any) -> Any:
    headers = {"x-api-key": branches[who]}
    return branches["client"].post("/v1/predictions", json=asked, headers=headers)


def test_a_customer_of_another_branch_is_answered_as_one_who_is_not_known(branches: dict[str, Any]) -> None:
    assert predict(branches, "north", customer_id="c3").status_code == 200
    answers = [predict(branches, who, customer_id=i) for who, i in (("north", "c13"), ("none", "c3"), ("north", "zz"))]
    assert [answer.status_code for answer in answers] == [404] * 3
    bodies = {answer.text.replace("c13", "ID").replace("c3", "ID").replace("zz", "ID") for answer in answers}
    assert len(bodies) == 1
    assert predict(branches, "all", customer_id="c13").status_code == 200


def test_of_a_list_those_of_other_branches_are_among_the_unknown_in_the_order_asked(branches: dict[str, Any]) -> None:
    ids = ["c15", "c3", "zz", "c11", "c1"]
    body = predict(branches, "north", customer_ids=ids).json()
    assert [answer["customer_id"] for answer in body["predictions"]] == ["c3", "c1"]
    assert body["not_found"] == ["c15", "zz", "c11"] and body["left"] == []
    assert predict(branches, "all", customer_ids=ids).json()["not_found"] == ["zz"]


EVENT = {"event_id": "e", "type": "order", "order_id": "o", "ordered_at": "2024-02-01T00:00:00Z", "amount": 1.0}
TENSOR = {"name": "customer_id", "shape": [1], "datatype": "BYTES"}
CONTACT = {"contact_id": "m", "contacted_at": "2024-02-01T00:00:00Z", "campaign": "spring", "arm": "treated"}
OF_ONE: dict[tuple[str, str], Callable[[str], Any]] = {  # what is asked of one customer, by operation
    ("POST", "/v1/predictions"): lambda one: {"customer_id": one},
    ("POST", "/v1/events"): lambda one: {**EVENT, "customer_id": one},
    ("POST", "/v1/contacts"): lambda one: {**CONTACT, "customer_id": one},
    ("POST", "/v1/outcomes"): lambda one: {
        "outcome_id": f"of {one}", "customer_id": one, "outcome": "kept", "happened_at": "2024-02-01T00:00:00Z",
    },
    ("POST", "/v1/objections"): lambda one: {"customer_id": one},
    ("POST", "/v1/what-if"): lambda one: {"customer_id": one, "changes": {"days_since_last_order": 3.0}},
    ("POST", "/v2/models/{name}/infer"): lambda one: {"inputs": [{**TENSOR, "data": [one]}]},
    ("GET", "/v1/customers/{customer_id}"): lambda one: None,
    ("GET", "/v1/customers/{customer_id}/change"): lambda one: None,
}  # fmt: skip


def ask_of(branches: dict[str, Any], operation: tuple[str, str], who: str, one: str) -> Any:
    method, path = operation
    query = {"since": "2999-01-01T00:00:00Z"} if path.endswith("change") else None
    path, body = path.replace("{name}", "churn").replace("{customer_id}", one), OF_ONE[operation](one)
    headers = {"x-api-key": branches[who]}
    if method == "POST":
        return branches["client"].post(path, json=body, headers=headers)
    return branches["client"].get(path, params=query, headers=headers)


@pytest.mark.parametrize("operation", OF_ONE, ids=" ".join)
def test_whatever_is_asked_of_a_customer_of_another_branch_is_answered_as_of_one_who_is_not_known(
    branches: dict[str, Any], operation: tuple[str, str]
) -> None:
    predict(branches, "all", customer_ids=["c3", "c13"])
    own, anybody = (ask_of(branches, operation, *of) for of in (("north", "c3"), ("all", "c13")))
    assert own.status_code == anybody.status_code == 200, (own.text, anybody.text)
    others = [ask_of(branches, operation, *of) for of in (("north", "c13"), ("north", "zz"), ("none", "c3"))]
    assert {other.status_code for other in others} <= {404, 422}
    assert len({re.sub(r"c13|zz|c3", "ID", other.text) for other in others}) == 1
    assert set(OF_ONE) >= {of for of in OF_VISIBLE if of[0] == "POST" or "{customer_id}" in of[1]}


def test_a_past_answer_of_another_branch_is_as_one_that_is_not_on_record(branches: dict[str, Any]) -> None:
    ids = [predict(branches, "all", customer_id=one).json()["prediction_id"] for one in ("c3", "c13")]

    def told(who: str, prediction_id: str) -> Any:
        return ask(branches["client"], "GET", f"/v1/predictions/{prediction_id}", branches[who])

    assert [told("north", i).status_code for i in ids] == [200, 404]
    assert [told("all", i).status_code for i in ids] == [200, 200]
    refused, unknown = told("north", ids[1]), told("north", "01HQWDV2Z0W8Y2J1V0V0V0V0V0")
    assert refused.text.replace(ids[1], "ID") == unknown.text.replace("01HQWDV2Z0W8Y2J1V0V0V0V0V0", "ID")


def test_a_list_holds_and_counts_customers_of_the_own_branch_alone_page_by_page(
    branches: dict[str, Any], workspace: Workspace, champions: Any, settings: Settings, customers: pd.DataFrame
) -> None:
    first, second = (pd.Timestamp(day, tz="UTC").to_pydatetime() for day in ("2024-01-01", "2024-02-01"))
    score_all(customers.assign(as_of=first), champions, settings, workspace, first)
    stay = customers[~customers["customer_id"].isin(["c1", "c12", "c200"])]
    score_all(stay.assign(as_of=second), champions, settings, workspace, second)

    def page(who: str, **query: Any) -> Any:
        headers = {"x-api-key": branches[who]}
        response = branches["client"].get("/v1/customers", params=query, headers=headers)
        assert response.status_code == 200, response.text
        return response.json()

    for sort in ("customer_id", "-probability"):
        found, cursor = [], {}
        while cursor is not None:
            body = page("north", sort=sort, limit=4, **cursor)
            found += [customer["customer_id"] for customer in body["customers"]]
            cursor = {"cursor": body["next"]} if body["next"] else None
            assert body["in_file"] == 9
        assert sorted(found) == [f"c{i}" for i in range(10) if i != 1]
    compared = [page(who, changed_since="2024-01-02T00:00:00Z")["compared_with"]["gone"] for who in ("north", "all")]
    assert compared == [1, 3] and page("all")["in_file"] == len(stay)
    nobody = page("none")
    assert (nobody["customers"], nobody["next"], nobody["in_file"]) == ([], None, 0)


def test_what_tells_of_all_customers_together_is_refused_to_who_sees_some_with_the_reason(
    branches: dict[str, Any],
) -> None:
    refused = {operation for operation in OPERATIONS if operation not in OF_VISIBLE}
    jobs = {operation for operation in OPERATIONS if operation[1].startswith("/v1/score-jobs")}  # of everybody
    assert refused == {("GET", "/v1/releases"), ("GET", "/metrics")} | jobs and len(jobs) == 4
    for operation in OPERATIONS:
        answer = ask(branches["client"], *operation, branches["north"])
        assert (answer.status_code == 403) == (operation in refused)
        assert operation not in refused or "of all customers together" in answer.json()["detail"]
    assert ask(branches["client"], "GET", "/metrics", branches["all"]).status_code == 200


def test_where_callers_see_some_customers_everybody_says_who_asks(branches: dict[str, Any]) -> None:
    assert branches["client"].get("/v1/models").status_code == 401
    with pytest.raises(ValueError, match="row_scope"):
        Access(required=False, requests_per_minute=60, row_scope="branch", tokens=None)
