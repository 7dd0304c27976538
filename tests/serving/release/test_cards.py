"""Cards from what registry and ledger hold: versions as the catalog gives them, decisions in a real ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from serving.answer.champion import Champions
from serving.api.app import create_app
from serving.api.schema.releases import ModelCard, Models
from serving.release.cards import cards
from training.model import catalog
from training.model.catalog import Version
from training.model.proof import ledger

AT = datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)
CHECKS = (
    {
        "name": "min_auc",
        "value": 0.86,
        "limit": 0.6,
        "passed": True,
        "verdict": "passed",
        "text": "AUC is at least 0.6",
    },
    {"name": "recent", "value": None, "limit": None, "passed": False, "text": "nothing to judge it by"},
)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """churn/3 answers though churn/4 was made champion by hand, churn/5 is the challenger; clv/4 is the champion."""

    def version(model: str, number: str, *aliases: str) -> Version:
        tags = {"data_fingerprint": f"data{number}", "gates": "passed", "manifest": "m"}
        return Version(model, number, "run", aliases, tags, f"AUC of {number}.", int(AT.timestamp() * 1000), "/a/path")

    known = {
        "churn": [version("churn", "5", "challenger"), version("churn", "4", "champion"), version("churn", "3")],
        "clv": [version("clv", "4", "champion"), version("clv", "1")],
    }
    monkeypatch.setattr(catalog, "versions", lambda workspace, model: known[model])


def decide(workspace: Workspace, action: str, model: str, version: str, **more: Any) -> None:
    words = {"previous": None, "by": "ada", "reason": f"{action} {version}", "at": AT, **more}
    ledger.append(workspace.ledger, ledger.Entry(action=action, model=model, version=version, **words))


@pytest.mark.usefixtures("registered")
def test_champions_challengers_and_what_answers_have_a_card_each(
    workspace: Workspace, settings: Settings, champions: Champions
) -> None:
    decide(workspace, "promote", "churn", "3", checks=CHECKS)
    decide(workspace, "rollback", "churn", "3")
    decide(workspace, "reject", "churn", "5", checks=CHECKS[:1])
    decide(workspace, "accept_leaks", "churn", "4")
    told = [ModelCard.model_validate(card) for card in cards(workspace, settings, champions)]
    assert [(card.model, card.role, card.answers) for card in told] == [
        ("churn/4", "champion", False),
        ("churn/3", None, True),
        ("churn/5", "challenger", False),
        ("clv/4", "champion", True),
    ]
    _, answering, challenger, clv = told
    assert (answering.summary, answering.registered_at) == ("AUC of 3.", "2024-02-03T04:05:06Z")
    assert (answering.data_fingerprint, answering.gates) == ("data3", "passed")
    assert [(c.name, c.value, c.verdict) for c in answering.checks] == [
        ("min_auc", 0.86, "passed"),
        ("recent", None, "failed"),
    ]
    assert answering.decision is not None and answering.decision.action == "rollback"
    assert challenger.decision is not None and challenger.decision.reason == "reject 5"
    assert clv.decision is None and clv.checks == [] and told[0].decision is None
    assert "ada" not in str(told) and "/a/path" not in str(told)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("percent", "answering"), [(10.0, {"churn/3", "churn/5", "clv/4"}), (None, {"churn/3", "clv/4"})]
)
def test_a_canary_answers_and_a_shadow_does_not(
    percent: float | None,
    answering: set[str],
    running: Callable[..., Champions],
    workspace: Workspace,
    settings: Settings,
    champions: Champions,
) -> None:
    beside = running(percent, model=replace(champions.by_task["churn"], version="5"))
    assert {card["model"] for card in cards(workspace, settings, beside) if card["answers"]} == answering


@pytest.mark.usefixtures("registered")
def test_they_stand_beside_the_models_and_are_null_where_they_cannot_be_read(
    calling: Callable[..., Any], models: Any, reader: Any, log: Any, settings: Settings, workspace: Workspace
) -> None:
    client = calling(create_app(models, reader, log, settings, workspace=workspace))
    told = Models.model_validate_json(client.get("/v1/models").content)
    assert told.cards is not None and {card.model for card in told.cards if card.answers} == {"churn/3", "clv/4"}
    models.champions = replace(models.champions, clv=None)
    alone = Models.model_validate_json(client.get("/v1/models").content)
    assert alone.cards is not None and [card.model for card in alone.cards if card.answers] == ["churn/3"]
    workspace.ledger.write_text("no line of a ledger\n")
    assert Models.model_validate_json(client.get("/v1/models").content).cards is None


def test_a_registry_that_is_damaged_takes_no_answer_away(
    calling: Callable[..., Any], models: Any, reader: Any, log: Any, settings: Settings, workspace: Workspace
) -> None:
    workspace.mlruns.mkdir()
    workspace.registry.write_bytes(b"no database")
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(workspace.registry).execute("SELECT * FROM sqlite_master")
    response = calling(create_app(models, reader, log, settings, workspace=workspace)).get("/v1/models")
    assert response.status_code == 200 and response.json()["cards"] is None
