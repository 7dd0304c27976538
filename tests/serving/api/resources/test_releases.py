"""``GET /v1/releases``: both arms of each release, in the form of the contract."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pandas as pd
from starlette.applications import Starlette

from configs.settings import Settings
from configs.workspace import Workspace
from serving.answer.champion import Champions, Running
from serving.api.app import create_app
from serving.api.schema.releases import Releases
from serving.records.prediction_log import PredictionLog
from training.model.proof import ledger
from training.model.proof.releases import running as that_run

Calling = Callable[[Starlette], Any]


class Fixed:
    def __init__(self, champions: Champions) -> None:
        self.champions = champions

    def current(self) -> Champions:
        return self.champions


def test_both_arms_are_told_in_the_form_of_the_contract(
    calling: Calling,
    running: Callable[..., Champions],
    reader: Any,
    log: PredictionLog,
    settings: Settings,
    now: datetime,
    workspace: Workspace,
) -> None:
    words = {"model": "churn", "version": "9", "previous": "3", "by": "ada", "reason": "r", "at": now}
    ledger.append(workspace.ledger, ledger.Entry(action="canary", percent=40.0, **words))
    release = that_run(ledger.read(workspace.ledger))["churn"]
    base = running(40.0)
    champions = Champions(base.churn, base.clv, releases={"churn": Running(release, base.releases["churn"].model)})
    client = calling(create_app(Fixed(champions), reader, log, settings, lambda: now, workspace=workspace))
    answers = client.post("/v1/predictions", json={"customer_ids": [f"c{n}" for n in range(30)]}).json()["predictions"]
    response = client.get("/v1/releases")
    (told,) = Releases.model_validate_json(response.content).releases
    canary = [a for a in answers if a["churn"] and a["arms"]["churn"] == "canary"]
    assert (told.version, told.percent, told.arms["canary"].answers) == ("9", 40.0, len(canary))
    assert told.verdict.startswith("too few answers to tell") and told.arms["canary"].outcomes.text == "not known yet"
    assert not any(a["customer_id"] in response.text.split('"') for a in answers)
    client.post("/v1/predictions", json={"customer_id": "c1"})
    assert client.get("/v1/releases").content == response.content
    beside = client.get("/v1/models").json()["beside"]
    assert beside["churn"]["model"] == "churn/9"


def test_where_none_runs_and_none_ended_there_is_none(app: Starlette, calling: Calling) -> None:
    assert calling(app).get("/v1/releases").json() == {"releases": []}


def test_what_cannot_be_read_is_503_without_a_word_of_why(
    calling: Calling, models: Any, reader: Any, log: PredictionLog, settings: Settings, workspace: Workspace
) -> None:
    words = {"model": "churn", "version": "9", "previous": "3", "by": "ada", "reason": "r"}
    ledger.append(workspace.ledger, ledger.Entry(action="shadow", **words))

    class Broken:
        def read(self, **_: Any) -> pd.DataFrame:
            raise OSError("the disk of c1 is gone")

    response = calling(create_app(models, reader, Broken(), settings, workspace=workspace)).get("/v1/releases")
    assert response.status_code == 503 and "c1" not in response.text
