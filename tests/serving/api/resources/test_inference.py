"""The Open Inference Protocol over HTTP, beside the answers of /v1, on real models and a real record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.applications import Starlette

from configs.settings import Access, Settings
from configs.workspace import Workspace
from serving.access.control import access_control
from serving.access.keys import ApiKeys
from serving.answer.champion import Champions
from serving.api.app import create_app
from serving.api.schema.inference import InferenceAnswer, InferenceModelFacts, outputs_of
from serving.records.prediction_log import PredictionLog


@pytest.fixture
def client(app: Starlette, calling: Callable[[Starlette], Any]) -> Any:
    return calling(app)


def infer(client: Any, model: str, ids: list[str], **more: Any) -> Any:
    headers = more.pop("headers", {})
    tensor = {"name": "customer_id", "shape": [len(ids)], "datatype": "BYTES", "data": ids}
    return client.post(f"/v2/models/{model}/infer", json={"inputs": [tensor], **more}, headers=headers)


def columns(response: Any) -> dict[str, list[Any]]:
    """The outputs by name, of the length that their shape says."""
    answer = InferenceAnswer.model_validate_json(response.content)
    assert all(output.shape == [len(output.data)] for output in answer.outputs)
    return {output.name: output.data for output in answer.outputs}


def test_it_says_what_v1_says_and_keeps_it_on_record(client: Any, log: PredictionLog) -> None:
    ids = [f"c{place}" for place in range(40)]
    known = {
        a["customer_id"]: a for a in client.post("/v1/predictions", json={"customer_ids": ids}).json()["predictions"]
    }
    response = infer(client, "churn", ids, id="7")
    assert (response.json()["model_name"], response.json()["model_version"], response.json()["id"]) == (
        "churn",
        "3",
        "7",
    )
    churn, clv = columns(response), columns(infer(client, "clv", ids))
    assert tuple(churn) == outputs_of("churn") and tuple(clv) == outputs_of("clv")
    risks = [(known[i]["churn"] or {}).get("probability") for i in ids]
    assert churn["probability"] == risks and None in risks
    assert {status for status, risk in zip(churn["status"], risks, strict=True) if risk is None} == {"lapsed"}
    for name in ("expected", "low", "high"):
        assert clv[name] == [known[i]["clv"][name] for i in ids]
    kept = log.read().set_index("prediction_id")
    assert [kept.loc[p, "customer_id"] for p in churn["prediction_id"]] == ids
    assert [kept.loc[p, "expected"] for p in clv["prediction_id"]] == clv["expected"]
    assert set(clv["model"]) == {"clv/4"}


def test_each_place_has_a_value_in_the_order_asked_and_nobody_is_made_up(
    calling: Callable[..., Any], models: Any, reader: Any, log: PredictionLog, settings: Settings
) -> None:
    client = calling(create_app(models, reader, log, settings, left=lambda ids: {"gone"} & {*ids}))
    told = columns(infer(client, "clv", ["c3", "nobody", "c1", "c3", "gone"]))
    assert told["status"][1] == "unknown" and told["status"][4] == "left"
    assert told["expected"][0] == told["expected"][3] and told["expected"][1] is told["expected"][4] is None
    assert told["prediction_id"][1] is None and len(log.read()) == 2
    chosen = infer(client, "clv", ["c3"], outputs=[{"name": "high"}, {"name": "low"}])
    assert list(columns(chosen)) == ["high", "low"]


def test_failures_are_problems_that_say_error_too_whoever_refuses(
    client: Any, models: Any, calling: Callable[..., Any], reader: Any, log: Any, settings: Settings, tmp_path: Any
) -> None:
    workspace = Workspace(tmp_path)
    with ApiKeys(workspace.access_keys) as keys:
        reviewer = {"X-API-Key": keys.create("one", "reviewer")[1]}
    control = access_control(Access(required=True, requests_per_minute=6000, tokens=None), workspace)
    guarded = calling(create_app(models, reader, log, settings, access=control))
    for response, status in (
        (infer(client, "churn", ["nobody"]), 404),
        (infer(client, "hair", ["c1"]), 404),
        (client.get("/v2/models/hair"), 404),
        (client.get("/v2/models/churn/versions/3"), 404),
        (client.get("/v2/models/churn/infer"), 405),
        (infer(client, "churn", ["c1"], colour="red"), 422),
        (infer(client, "churn", []), 422),
        (client.post("/v2/models/churn/infer", content=b"x"), 415),
        (infer(guarded, "churn", ["c1"]), 401),
        (infer(guarded, "churn", ["c1"], headers=reviewer), 403),
    ):
        assert response.status_code == status
        assert response.json()["error"] and response.json()["status"] == status
    assert "error" not in client.post("/v1/predictions", json={"customer_id": "nobody"}).json()
    assert guarded.get("/v2/models/churn", headers=reviewer).status_code == 200


def test_what_the_server_is_and_whether_it_is_ready(client: Any, models: Any, app: Starlette) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2").json() == {"name": "staycast", "version": "1", "extensions": []}
    facts = InferenceModelFacts.model_validate_json(client.get("/v2/models/clv").content)
    assert facts.versions == ["4"] and [tensor.name for tensor in facts.outputs] == list(outputs_of("clv"))
    assert client.get("/v2/models/clv/ready").json() == {"name": "clv", "ready": True}
    models.champions = replace(models.champions, clv=None, unserved={"clv": "it was taken away"})
    assert client.get("/v2/models/clv/ready").status_code == infer(client, "clv", ["c1"]).status_code == 503
    assert client.get("/v2/models/clv").json()["versions"] == []
    app.state.draining = True
    response = client.get("/v2/health/ready")
    assert response.status_code == 503 and "stopping" in response.json()["error"]
    assert client.get("/v2/health/live").status_code == 200


def test_where_a_canary_runs_each_value_names_the_model_that_gave_it(
    client: Any, models: Any, running: Callable[..., Champions]
) -> None:
    models.champions = running(50.0)
    response = infer(client, "churn", [f"c{place}" for place in range(30)])
    assert set(columns(response)["model"]) == {"churn/3", "churn/9"}
    assert set(response.json()["model_version"].split(",")) == {"3", "9"}
