"""What if a feature were another: over HTTP, on real models."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from starlette.applications import Starlette

from configs.settings import Settings
from serving.api.app import create_app
from serving.api.schema.what_if import WhatIfAnswer, WhatIfQuestion
from serving.records.prediction_log import PredictionLog

CHANGES = {"days_since_last_order": 3.5, "spend_90d": 900.0, "region": "south", "median_gap_days": None}


@pytest.fixture
def client(app: Starlette, calling: Any) -> Any:
    return calling(app)


def ask(client: Any, customer_id: str, changes: Any) -> Any:
    return client.post("/v1/what-if", json={"customer_id": customer_id, "changes": changes})


def test_the_difference_is_that_of_two_answers_and_its_effects_sum_to_it(
    client: Any, customers: pd.DataFrame, reader: Any
) -> None:
    ids = customers.loc[customers["days_since_last_order"] < 60, "customer_id"].head(12)
    found = {i: WhatIfAnswer.model_validate_json(ask(client, i, CHANGES).content) for i in ids}
    known = {i: client.post("/v1/predictions", json={"customer_id": i}).json() for i in ids}
    for name, value in CHANGES.items():
        reader.frame[name] = np.nan if value is None else value
    for i in ids:
        changed = client.post("/v1/predictions", json={"customer_id": i}).json()
        for part, number, word in (("churn", "probability", "band"), ("clv", "expected", "tier")):
            forecast = getattr(found[i], part)
            assert (forecast.before, forecast.after) == (known[i][part][number], changed[part][number])
            assert (forecast.class_before, forecast.class_after) == (known[i][part][word], changed[part][word])
            total = sum(effect.difference for effect in forecast.effects)
            assert abs(total - forecast.difference) < 1e-9 and abs(forecast.after - forecast.before - total) < 1e-9
    assert any(found[i].churn.difference for i in ids)


def test_what_is_not_changed_at_all_makes_no_difference(client: Any, customers: pd.DataFrame) -> None:
    row = customers.set_index("customer_id").loc["c1"]
    answer = WhatIfAnswer.model_validate_json(ask(client, "c1", {"spend_90d": row["spend_90d"]}).content)
    assert answer.clv is not None and answer.clv.difference == 0 and answer.clv.effects == []


def test_who_would_be_no_customer_has_no_risk_then_and_no_difference(client: Any, customers: pd.DataFrame) -> None:
    active = customers.loc[customers["days_since_last_order"] < 60, "customer_id"].iloc[0]
    answer = WhatIfAnswer.model_validate_json(ask(client, active, {"days_since_last_order": 400.0}).content)
    assert answer.churn is not None and answer.stage_after == "lapsed"
    assert answer.churn.before is not None and answer.churn.after is answer.churn.difference is None
    assert answer.churn.effects == []


def test_nothing_of_it_is_on_record_and_no_action_is_advised(client: Any, log: PredictionLog) -> None:
    response = ask(client, "c1", CHANGES)
    assert response.status_code == 200 and log.read().empty
    assert "action" not in response.text and "prediction_id" not in response.text


FAULTS = [
    ({"hair": 1.0}, "/changes/hair", "no feature"),
    ({"customer_id": "c2"}, "/changes/customer_id", "no feature"),
    ({"as_of": 1.0}, "/changes/as_of", "no feature"),
    ({"days_since_last_order": -1.0}, "/changes/days_since_last_order", "not be negative"),
    ({"days_since_last_order": "soon"}, "/changes/days_since_last_order", "must be a number"),
    ({"spend_90d": 1e155}, "/changes/spend_90d", "not be larger"),
    ({"region": "moon"}, "/changes/region", "north, south"),
    ({"region": 1.0}, "/changes/region", "north, south"),
    ({"a/b": 1.0}, "/changes/a~1b", "no feature"),
    ({}, "/changes", "at least 1"),
    ({"spend_90d": True}, "/changes/spend_90d", "a number, a text or null"),
]


@pytest.mark.parametrize(("changes", "pointer", "why"), FAULTS)
def test_only_features_that_are_read_may_be_changed_to_values_they_can_have(
    client: Any, changes: Any, pointer: str, why: str
) -> None:
    response = ask(client, "c1", changes)
    assert response.status_code == 422
    faults = {fault["pointer"]: fault["detail"] for fault in response.json()["errors"]}
    assert why in faults[pointer]
    assert "moon" not in response.text and "soon" not in response.text


def test_who_is_not_known_gets_no_answer(client: Any) -> None:
    assert ask(client, "nobody", CHANGES).status_code == 404


def test_the_examples_are_what_the_models_say() -> None:
    for model in (WhatIfQuestion, WhatIfAnswer):
        for example in model.model_json_schema()["examples"]:
            model.model_validate(example)


def test_while_a_canary_runs_a_customer_is_told_of_the_arm_that_answers_it(
    running: Any, reader: Any, log: PredictionLog, settings: Settings, now: datetime, calling: Any
) -> None:
    champions = running(50.0)
    client = calling(create_app(FixedModels(champions), reader, log, settings, clock=lambda: now))
    for i in (f"c{n}" for n in range(8)):
        answer = client.post("/v1/predictions", json={"customer_id": i, "targets": ["churn", "clv"]}).json()
        told = ask(client, i, {"spend_90d": 900.0}).json()
        assert told["churn_model"] == answer["model"]["churn"]
        if answer["churn"]:
            assert told["churn"]["before"] == answer["churn"]["probability"]


class FixedModels:
    def __init__(self, champions: Any) -> None:
        self.champions = champions

    def current(self) -> Any:
        return self.champions
