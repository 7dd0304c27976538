"""Why a score changed: over HTTP, on real models, a real record and a clock that moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson
import pandas as pd
import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from features.people.suppression_list import suppress
from serving.answer.champion import Champions, LoadedModel
from serving.api.app import create_app
from serving.api.resources.changes import CANNOT_TELL, NOT_KEPT
from serving.api.schema.customers import CustomerChange
from serving.records.prediction_log import PredictionLog
from tests.serving.conftest import train

Ask = Callable[..., Any]


class Clock:
    """A time that a test moves."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock(now: datetime) -> Clock:
    return Clock(now)


@pytest.fixture
def client(
    models: Any, reader: Any, log: PredictionLog, settings: Settings, clock: Clock, workspace: Workspace, calling: Any
) -> Any:
    return calling(create_app(models, reader, log, settings, clock=clock, workspace=workspace))


def change(client: Any, customer_id: str, since: datetime) -> CustomerChange:
    response = client.get(f"/v1/customers/{customer_id}/change", params={"since": since.isoformat()})
    assert response.status_code == 200, response.text
    return CustomerChange.model_validate_json(response.content)


def pass_days(reader: Any, clock: Clock, days: float, **came: float) -> None:
    """Let time pass for everybody, and perhaps something come."""
    clock.now += timedelta(days=days)
    reader.frame["as_of"] += pd.Timedelta(days=days)
    for name in ("days_since_last_order", "tenure_days"):
        reader.frame[name] += days
    for name, value in came.items():
        reader.frame[name] = value


@pytest.fixture
def active(customers: pd.DataFrame) -> list[str]:
    """Some who are customers now and stay so for a while."""
    return customers.loc[customers["days_since_last_order"] < 40, "customer_id"].head(8).tolist()


def test_the_shares_sum_to_the_difference_of_both_answers_in_all_and_by_feature(
    client: Any, models: Any, reader: Any, clock: Clock, active: list[str], customers: pd.DataFrame
) -> None:
    first = {i: client.post("/v1/predictions", json={"customer_id": i}).json() for i in active}
    since = clock.now
    pass_days(reader, clock, 12.0, days_since_last_order=1.0, spend_90d=500.0, spend_total=900.0)
    models.champions = Champions(LoadedModel.from_bundle(train("churn", customers, seed=7), "9"), models.champions.clv)
    models.champions = replace(models.champions, churn=replace(models.champions.churn, hash="h9"))
    for customer in active:
        found = change(client, customer, since)
        assert found.before.prediction_id == first[customer]["prediction_id"]
        assert (found.before.churn_model, found.after.churn_model) == ("churn/3", "churn/9")
        for part, number in (("churn", "probability"), ("clv", "expected")):
            forecast = getattr(found, part)
            assert forecast.before == first[customer][part][number]
            assert abs(forecast.after - forecast.before - forecast.difference) < 1e-12
            total = forecast.by_data + forecast.by_time + forecast.by_model
            assert abs(total - forecast.difference) < 1e-9
        assert found.clv is not None and found.clv.by_model == found.clv.by_model_base == 0.0
        for name in ("by_data", "by_time"):
            of_features = sum(getattr(effect, name) for effect in found.clv.effects)
            assert abs(of_features - getattr(found.clv, name)) < 1e-9


def test_the_model_before_is_gone_and_the_difference_is_split_all_the_same(
    client: Any, models: Any, reader: Any, clock: Clock, active: list[str], customers: pd.DataFrame
) -> None:
    client.post("/v1/predictions", json={"customer_id": active[0]})
    since = clock.now
    pass_days(reader, clock, 12.0)
    models.champions = Champions(LoadedModel.from_bundle(train("churn", customers, seed=7), "9"), None)
    churn = change(client, active[0], since).churn
    assert churn is not None and churn.by_model is not None and churn.by_model_base is None
    assert abs((churn.by_data or 0) + (churn.by_time or 0) + churn.by_model - (churn.difference or 0)) < 1e-9
    assert "from 1 of the 3 orders" in churn.text and "churn/3, cannot be loaded" in churn.text
    assert churn.effects and all(effect.by_model is None for effect in churn.effects)


def test_the_answer_before_may_be_of_a_canary_that_runs(
    client: Any, models: Any, reader: Any, clock: Clock, active: list[str], running: Callable[..., Champions]
) -> None:
    models.champions = running(100.0)
    client.post("/v1/predictions", json={"customer_id": active[0]})
    since = clock.now
    pass_days(reader, clock, 5.0)
    models.champions = running(0.0)
    found = change(client, active[0], since)
    assert (found.before.churn_model, found.after.churn_model) == ("churn/9", "churn/3")
    assert found.churn is not None and found.churn.by_model not in (None, 0.0) and "Told from" not in found.churn.text


def test_time_alone_is_told_as_time(client: Any, reader: Any, clock: Clock, active: list[str]) -> None:
    client.post("/v1/predictions", json={"customer_ids": active})
    since = clock.now
    pass_days(reader, clock, 20.0)
    found = [change(client, customer, since) for customer in active]
    assert all(each.churn is not None and each.churn.by_data == each.churn.by_model == 0.0 for each in found)
    assert any(abs(each.churn.by_time or 0) > 0.01 for each in found if each.churn)
    effect = next(e for each in found if each.churn for e in each.churn.effects if e.feature == "days_since_last_order")
    assert isinstance(effect.value_after, float) and isinstance(effect.value_before, float)
    assert effect.value_after - effect.value_before == pytest.approx(20.0)
    assert effect.text.startswith("Last order")


def test_the_answer_before_is_the_last_one_up_to_the_moment_and_both_readings_are_on_record(
    client: Any, clock: Clock, log: PredictionLog, active: list[str]
) -> None:
    made = []
    for _ in range(3):
        made.append(client.post("/v1/predictions", json={"customer_id": active[0]}).json()["prediction_id"])
        clock.now += timedelta(days=1)
    start = clock.now - timedelta(days=3)
    assert change(client, active[0], start + timedelta(days=1)).before.prediction_id == made[1]
    assert change(client, active[0], start + timedelta(days=1, seconds=-1)).before.prediction_id == made[0]
    newest = change(client, active[0], start + timedelta(days=900))
    assert newest.after.prediction_id in log.read(customer_id=active[0], newest=3)["prediction_id"].to_list()
    assert newest.before.prediction_id != newest.after.prediction_id
    reads = [entry for entry in log.store.entries() if entry.kind == "read"]
    told = orjson.loads(log._own.open(reads[0].summary, b"read  summary"))
    assert len(reads) == 3 and (told["what"], told["prediction_id"]) == ("change", made[1])


def test_what_cannot_be_told_is_said_to_be_so(
    client: Any, reader: Any, clock: Clock, log: PredictionLog, active: list[str], customers: pd.DataFrame
) -> None:
    one, other, lapsing = active[:3]
    client.post("/v1/predictions", json={"customer_id": one, "targets": ["churn"]})
    answer = client.post("/v1/predictions", json={"customer_id": other}).json()
    log.append([{**answer, "prediction_id": "01HQWDV2Z0W8Y2J1V0V0V0V0V0"}])  # by a version that kept no features
    client.post("/v1/predictions", json={"customer_id": lapsing})
    since = clock.now
    clv = change(client, one, since).clv
    assert clv is not None and clv.before is None and clv.difference is None and "not asked" in clv.text
    before = change(client, other, since)
    assert before.before.prediction_id == "01HQWDV2Z0W8Y2J1V0V0V0V0V0" and before.churn is not None
    assert before.churn.text == CANNOT_TELL.format(NOT_KEPT) and before.churn.by_time is None
    assert before.churn.difference == 0.0
    pass_days(reader, clock, 300.0)
    churn = change(client, lapsing, since).churn
    assert churn is not None and churn.after is None and churn.before is not None and "no customer" in churn.text


def test_nobody_is_told_of_who_is_not_known_new_or_erased(
    client: Any, clock: Clock, active: list[str], workspace: Workspace, reader: Any
) -> None:
    def problem(customer: str, **query: Any) -> tuple[int, str]:
        response = client.get(f"/v1/customers/{customer}/change", params=query)
        return response.status_code, response.json()["type"].rpartition(":")[2]

    since = clock.now.isoformat()
    assert problem("nobody", since=since) == (404, "unknown-customer")
    assert problem(active[0], since=since) == (404, "no-earlier-answer")
    assert problem(active[0]) == (422, "invalid-request") == problem(active[0], since="yesterday")
    reader.frame = reader.frame.drop(active[0])
    suppress(workspace, [active[0]])
    assert problem(active[0], since=since) == (410, "erased-customer")


def test_the_example_is_what_the_model_says() -> None:
    for example in CustomerChange.model_json_schema()["examples"]:
        CustomerChange.model_validate(example)
