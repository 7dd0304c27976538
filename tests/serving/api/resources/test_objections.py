"""Objections over HTTP, through the real app: heeded by every endpoint from the acknowledgement on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Any

import pandas as pd

from configs.settings import Settings
from configs.workspace import Workspace
from features.people.suppression_list import suppress
from serving.access.control import access_control
from serving.access.keys import ApiKeys
from serving.answer.champion import Champions
from serving.api.schema.campaigns import TakenObjections
from serving.jobs.job_queue import JobQueue
from serving.jobs.process import work
from serving.records.prediction_log import PredictionLog
from tests.serving.bulk.scored import score_all

Make = Callable[..., Any]
OPPOSED = "urn:staycast:problem:opposed-customer"


def tell(client: Any, customer: str = "c1", objects: bool = True, **headers: str) -> str:
    response = client.post("/v1/objections", json={"customer_id": customer, "objects": objects}, headers=headers)
    assert response.status_code == 200, response.text
    (taken,) = TakenObjections.model_validate_json(response.content).objections
    assert taken.customer_id == customer
    return taken.status


def refused(response: Any) -> bool:
    return (response.status_code, response.json()["type"]) == (404, OPPOSED)


def test_who_objects_gets_no_score_from_any_worker_until_it_is_withdrawn(make: Make, log: PredictionLog) -> None:
    client, other = make(), make()
    assert (tell(client), tell(other)) == ("accepted", "known")
    kept = len(log.read())
    for each in (client, other):
        assert refused(each.post("/v1/predictions", json={"customer_id": "c1"}))
        assert refused(each.get("/v1/customers/c1"))
        assert refused(each.get("/v1/customers/c1/change", params={"since": "2024-03-01T00:00:00Z"}))
        assert refused(each.post("/v1/what-if", json={"customer_id": "c1", "changes": {"spend_90d": 1.0}}))
    assert len(log.read()) == kept
    assert tell(client, objects=False) == "accepted"
    assert other.post("/v1/predictions", json={"customer_id": "c1"}).status_code == 200


def test_among_many_it_is_said_who_objects_and_the_others_are_answered(make: Make, log: PredictionLog) -> None:
    client = make()
    tell(client)
    tell(client, "never seen")
    body = client.post("/v1/predictions", json={"customer_ids": ["c0", "c1", "nobody", "never seen"]}).json()
    assert [answer["customer_id"] for answer in body["predictions"]] == ["c0"]
    assert body["not_found"] == ["c1", "nobody", "never seen"] and body["opposed"] == ["c1", "never seen"]
    assert log.read()["customer_id"].tolist() == ["c0"]
    inputs = [{"name": "customer_id", "datatype": "BYTES", "shape": [2], "data": ["c0", "c1"]}]
    outputs = client.post("/v2/models/churn/infer", json={"inputs": inputs}).json()["outputs"]
    told = {output["name"]: output["data"] for output in outputs}
    assert told["status"][1] == "opposed" and told["probability"][1] is None
    assert told["prediction_id"][0] is not None and told["prediction_id"][1] is None


def test_the_same_request_again_tells_nothing_of_before_to_who_objects_since(make: Make) -> None:
    client, headers = make(), {"Idempotency-Key": "a-1"}
    body = {"customer_ids": ["c0", "c1"]}
    assert len(client.post("/v1/predictions", json=body, headers=headers).json()["predictions"]) == 2
    tell(client)
    again = client.post("/v1/predictions", json=body, headers=headers).json()
    assert [answer["customer_id"] for answer in again["predictions"]] == ["c0"] and again["opposed"] == ["c1"]
    assert client.post("/v1/predictions", json=body, headers=headers).json() == again


def test_no_list_and_no_count_holds_who_objects(
    make: Make,
    champions: Champions,
    settings: Settings,
    customers: pd.DataFrame,
    workspace: Workspace,
    now: datetime,
) -> None:
    client = make()
    score_all(customers.head(5), champions, settings, workspace, now)
    tell(client)
    page = client.get("/v1/customers").json()
    assert [row["customer_id"] for row in page["customers"]] == ["c0", "c2", "c3", "c4"]
    assert page["in_file"] == 4


def test_a_result_that_holds_who_objects_since_is_given_no_more_and_the_next_job_makes_another(
    make: Make,
    champions: Champions,
    settings: Settings,
    customers: pd.DataFrame,
    workspace: Workspace,
    now: datetime,
) -> None:
    client, headers = make(), {"Idempotency-Key": "a-1"}
    place = client.post("/v1/score-jobs", json={"format": "parquet"}, headers=headers).headers["location"]
    with JobQueue(workspace.score_jobs) as queue:
        work(workspace, queue, [], lambda *given: score_all(customers.head(5), champions, settings, workspace, now))
    tell(client, "elsewhere")
    assert client.get(f"{place}/result").status_code == 200
    tell(client)
    gone = client.get(f"{place}/result")
    assert gone.status_code == 410 and "objects" in gone.json()["detail"]
    again = client.post("/v1/score-jobs", json={"format": "parquet"}, headers=headers)
    assert again.status_code == 202 and again.headers["location"] != place


def test_a_past_answer_is_told_to_who_examines_answers_alone(
    make: Make, workspace: Workspace, settings: Settings
) -> None:
    with ApiKeys(workspace.access_keys) as keys:
        secrets = {role: keys.create(role, role)[1] for role in ("crm", "reviewer")}
    client = make(access=access_control(settings.access, workspace))
    crm, reviewer = ({"X-API-Key": secret} for secret in secrets.values())
    asked = client.post("/v1/predictions", json={"customer_id": "c1"}, headers=crm).json()["prediction_id"]
    tell(client, **crm)
    assert refused(client.get(f"/v1/predictions/{asked}", headers=crm))
    assert client.get(f"/v1/predictions/{asked}", headers=reviewer).status_code == 200
    assert client.post("/v1/objections", json={"customer_id": "c2"}, headers=reviewer).status_code == 403


def test_an_objection_of_who_was_erased_is_refused_and_none_beside_it_is_kept(make: Make, workspace: Workspace) -> None:
    suppress(workspace, ["c9"])
    response = make().post("/v1/objections", json={"objections": [{"customer_id": "c1"}, {"customer_id": "c9"}]})
    assert response.status_code == 422 and "erased" in response.text
    assert make().post("/v1/predictions", json={"customer_id": "c1"}).status_code == 200


def test_while_who_objects_cannot_be_kept_or_read_there_is_503_and_no_score(make: Make, workspace: Workspace) -> None:
    client = make()
    tell(client, "c2")
    with closing(sqlite3.connect(workspace.objections, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert client.post("/v1/objections", json={"customer_id": "c1"}).status_code == 503
        other.execute("ROLLBACK")
        other.execute("ALTER TABLE objections RENAME TO elsewhere")
    assert client.post("/v1/predictions", json={"customer_id": "c1"}).status_code == 503
    assert make(workspace=None).post("/v1/objections", json={"customer_id": "c1"}).status_code == 503
