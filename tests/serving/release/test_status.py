"""What releases showed is gathered from the ledger, the record of all workers, and what was counted beside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from configs.settings import Settings
from configs.workspace import Workspace
from serving.answer.champion import Champions, Running
from serving.api.predictor import Asked, Predictor
from serving.records.outcome_log import Outcome, OutcomeLog
from serving.records.prediction_log import PredictionLog
from serving.release.observations import Observations, ShadowScore
from serving.release.status import newest_releases, status
from training.model.proof import ledger
from training.model.proof.releases import Release
from training.model.proof.releases import running as that_run


def decide(workspace: Workspace, action: str, at: datetime, model: str = "churn", **more: Any) -> Release | None:
    words = {"version": "9", "previous": "3", "by": "ada", "reason": "r", "at": at}
    ledger.append(workspace.ledger, ledger.Entry(action=action, model=model, **(words | more)))
    return that_run(ledger.read(workspace.ledger)).get(model)


def ask(champions: Champions, reader: Any, settings: Settings, now: datetime, count: int) -> list[Any]:
    predictor = Predictor(reader, settings, lambda: now, lambda ids: set())
    return list(predictor([Asked([f"c{n}" for n in range(count)], 1, champions)])[0].answers)


def test_both_arms_are_told_from_what_all_workers_kept_and_after_the_end(
    workspace: Workspace, running: Callable[..., Champions], reader: Any, settings: Settings, now: datetime
) -> None:
    release = decide(workspace, "canary", now, percent=50.0)
    champions = running(50.0)
    beside = {"churn": Running(release, champions.releases["churn"].model)}
    champions = Champions(champions.churn, champions.clv, releases=beside)
    with PredictionLog(workspace.prediction_log) as one, PredictionLog(workspace.prediction_log) as other:
        early = ask(champions, reader, settings, now - timedelta(hours=1), 50)
        answers = ask(champions, reader, settings, now + timedelta(hours=1), 400)
        one.append([*early, *answers[:200]])
        other.append(answers[200:])
        with Observations(workspace.releases) as kept:
            kept.add({(release.id, "canary", "errors"): 2}, [])
        (told,) = status(workspace, one, {"churn": "look at this"})
        by_arm = {name: [a for a in answers if a["churn"] and a["arms"]["churn"] == name] for name in told["arms"]}
        assert {name: arm["answers"] for name, arm in told["arms"].items()} == {n: len(a) for n, a in by_arm.items()}
        assert told["arms"]["canary"]["errors"] == 2 and told["notice"] == "look at this" and told["ended_at"] is None
        (fewer,) = status(workspace, one, most=40)
        assert (fewer["of_newest"], told["of_newest"]) == (40, None)
        assert sum(arm["answers"] for arm in fewer["arms"].values()) <= 40
        gone = by_arm["canary"][0]["customer_id"]
        with OutcomeLog(workspace.outcomes) as outcomes:
            outcomes.append([Outcome("o1", gone, "left", now + timedelta(days=20))], now)
        decide(workspace, "stop", now + timedelta(days=1))
        (ended,) = status(workspace, one, {"churn": "of another"})
    assert (ended["ended"], ended["notice"]) == ("stop", "")
    assert ended["arms"]["canary"]["outcomes"]["known"] == 1
    assert ended["arms"]["champion"]["outcomes"]["text"] == "not known yet"


def test_a_shadow_is_told_from_what_it_said_beside(
    workspace: Workspace, champions: Champions, reader: Any, settings: Settings, now: datetime
) -> None:
    release = decide(workspace, "shadow", now)
    with PredictionLog(workspace.prediction_log) as log, Observations(workspace.releases) as kept:
        answers = ask(champions, reader, settings, now + timedelta(hours=1), 150)
        log.append(answers)
        told = [a for a in answers if a["churn"]]
        numbers = [(a["prediction_id"], a["churn"]["probability"]) for a in told]
        kept.add({}, [ShadowScore(release.id, i, p, p / 2) for i, p in numbers])
        (found,) = status(workspace, log)
    half = pd.Series([p for _, p in numbers]).mean() / 2
    assert found["arms"]["shadow"]["scores"]["mean"] - half < 1e-12 and found["difference"]["mean"] + half < 1e-12


def test_those_that_run_and_the_last_that_ended_are_told_the_newest_first(workspace: Workspace) -> None:
    assert newest_releases(workspace) == []
    at = datetime(2024, 3, 1, tzinfo=UTC)
    decide(workspace, "shadow", at, "clv")
    for day in range(1, 6):
        decide(workspace, "canary", at + timedelta(days=day), percent=1.0 * day)
        decide(workspace, "stop", at + timedelta(days=day, hours=1))
    assert [(r.model, r.percent) for r in newest_releases(workspace)] == [
        ("churn", 5),
        ("churn", 4),
        ("churn", 3),
        ("clv", 0),
    ]
