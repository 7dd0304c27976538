from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette

from configs.settings import Settings
from configs.workspace import Workspace
from serving.answer.champion import Champions, LoadedModel
from serving.api.app import create_app
from serving.records.prediction_log import PredictionLog
from serving.replay import replay

Calling = Callable[[Starlette], Any]


@pytest.fixture
def client(calling: Calling, models: Any, reader: Any, log: PredictionLog, planned: Settings, now: datetime) -> Any:
    return calling(create_app(models, reader, log, planned, clock=lambda: now))


@pytest.mark.parametrize("asked", [{}, {"top_reasons": 0}, {"explain": "none"}])
def test_every_answer_is_made_again_bit_by_bit_whatever_was_asked_beside_it(
    asked: dict[str, Any],
    client: Any,
    log: PredictionLog,
    champions: Champions,
    workspace: Workspace,
    settings: Settings,
) -> None:
    many = client.post("/v1/predictions", json={"customer_ids": [f"c{i}" for i in range(100)], **asked})
    one = client.post("/v1/predictions", json={"customer_id": "c7", **asked})
    answers = [*many.json()["predictions"], one.json()]
    assert {a["churn"] is None for a in answers} == {True, False}
    for answer in answers:
        record = log.find(answer["prediction_id"])
        assert record.answer in many.content + one.content
        again = replay(record, workspace, settings, champions)
        assert (again.same, again.why) == (True, "")
        assert again.answer == record.answer == orjson.dumps(answer)


def test_an_answer_of_before_a_part_was_given_is_made_again_without_it(
    client: Any, log: PredictionLog, champions: Champions, workspace: Workspace, settings: Settings
) -> None:
    given = next(
        answer
        for answer in client.post("/v1/predictions", json={"customer_ids": [f"c{i}" for i in range(20)]}).json()[
            "predictions"
        ]
        if answer["churn"]
    )
    record = log.find(given["prediction_id"])
    for part in ("churn", "clv"):
        del given[part]["by_horizon_text"]
    older = replace(record, answer=orjson.dumps(given))
    assert replay(older, workspace, settings, champions).same is True
    given["churn"]["by_horizon_text"] = "No order within 30 days: certain."
    altered = replay(replace(record, answer=orjson.dumps(given)), workspace, settings, champions)
    assert (altered.same, altered.why) == (False, "it differs in churn.by_horizon_text")


def test_what_an_answer_was_made_from_is_what_the_models_read(
    client: Any, log: PredictionLog, reader: Any, champions: Champions
) -> None:
    answer = client.post("/v1/predictions", json={"customer_id": "c3"}).json()
    record = log.find(answer["prediction_id"])
    read = reader.read(["c3"])
    assert record.features.equals(read)
    assert champions.columns <= set(record.features.columns)
    assert record.context.models == {"churn": {"version": "3", "files": ""}, "clv": {"version": "4", "files": ""}}
    assert "source" not in record.context.settings and record.context.settings["currency"] == "USD"


def test_an_altered_record_and_other_models_are_told_apart_from_the_same(
    client: Any, log: PredictionLog, champions: Champions, workspace: Workspace, settings: Settings
) -> None:
    answer = client.post("/v1/predictions", json={"customer_id": "c3"}).json()
    record = log.find(answer["prediction_id"])
    features = record.features.assign(spend_90d=record.features["spend_90d"] * 1.5)
    other = replay(replace(record, features=features), workspace, settings, champions)
    assert other.same is False and "clv.expected" in other.why
    assert other.answer != record.answer
    gone = replay(record, workspace, settings)
    assert gone.same is None and "churn/3 is not in the registry" in gone.why
    bare = replay(replace(record, context=None, features=None), workspace, settings, champions)
    assert bare.same is None and "not kept" in bare.why


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning:mlflow")
def test_an_answer_is_made_again_by_the_version_that_made_it_when_another_serves(
    calling: Calling,
    reader: Any,
    log: PredictionLog,
    champions: Champions,
    workspace: Workspace,
    settings: Settings,
    register: Callable[..., str],
    tmp_path: Any,
) -> None:
    assert champions.churn and champions.clv
    register(workspace, champions.churn.bundle)
    register(workspace, champions.clv.bundle)
    first = Champions.load(workspace)
    client = calling(create_app(Fixed(first), reader, log, settings))
    answer = client.post("/v1/predictions", json={"customer_id": "c3"}).json()
    register(workspace, champions.churn.bundle)
    second = Champions.load(workspace)
    assert second.labels == {"churn": "churn/2", "clv": "clv/1"}
    record = log.find(answer["prediction_id"])
    assert replay(record, workspace, settings, second).same is True
    assert len(record.context.models["churn"]["files"]) == 64
    other = Champions(LoadedModel(first.churn.bundle, "1", first.churn.base, "else"), first.clv)  # type: ignore[union-attr]
    assert "churn/1" in changed(record, workspace, settings, other).why


class Fixed:
    def __init__(self, champions: Champions) -> None:
        self._champions = champions

    def current(self) -> Champions:
        return self._champions


def changed(record: Any, workspace: Workspace, settings: Settings, other: Champions) -> Any:
    """The replay of a record that says its models had other files."""
    models = {**record.context.models, "churn": {"version": "1", "files": "else"}}
    return replay(replace(record, context=replace(record.context, models=models)), workspace, settings)


def test_both_arms_of_a_canary_are_made_again_bit_by_bit_by_their_own_models(
    calling: Calling,
    running: Callable[..., Champions],
    reader: Any,
    log: PredictionLog,
    settings: Settings,
    now: datetime,
) -> None:
    champions = running(40.0)
    client = calling(create_app(Fixed(champions), reader, log, settings, clock=lambda: now))
    ids = [f"c{i}" for i in range(60)]
    answers = client.post("/v1/predictions", json={"customer_ids": ids}).json()["predictions"]
    assert [a["customer_id"] for a in answers] == ids
    assert {(a["arms"]["churn"], a["model"]["churn"]) for a in answers} == {
        ("canary", "churn/9"),
        ("champion", "churn/3"),
    }
    for answer in answers:
        record = log.find(answer["prediction_id"])
        again = replay(record, None, settings, champions)
        assert (again.same, again.answer) == (True, record.answer)
    canary = next(log.find(a["prediction_id"]) for a in answers if a["arms"]["churn"] == "canary")
    assert replay(canary, None, settings, replace(champions, releases={})).same is None
    assert canary.context.arms["churn"]["release"] == champions.releases["churn"].release.id
