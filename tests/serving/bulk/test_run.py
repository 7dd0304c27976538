from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest

from configs.errors import NotReadyError
from configs.fingerprint import ROOT
from configs.settings import Settings, load
from configs.workspace import Workspace
from features import refresh
from features.people.identity import load_alias_map
from features.store.event_log import Event, EventLog
from features.store.online_rows import OnlineFeatures
from serving.answer.champion import Champions
from serving.answer.score import score
from serving.bulk import run
from serving.bulk.fingerprints import scoring_fingerprint
from serving.bulk.run import score_newest
from serving.records.objections import Objection, Objections

TO_BE_KILLED = """
import os
import signal
import sys
from pathlib import Path
from configs.settings import load
from configs.workspace import Workspace
from serving.bulk.run import score_newest

def end(done, of):
    if done > 100:
        os.kill(os.getpid(), signal.SIGKILL)

score_newest(load("test"), Workspace(Path(sys.argv[1])), end, 40, 1)
"""
ORDER = {"order_id": "new", "amount": 12.5}
OWN = ("prediction_id", "scored_at", "features")  # of each answer, and of the time at which it was given


@pytest.fixture
def test_settings() -> Settings:
    return load("test")


def told(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Answers as JSON has them, without what two of one customer do not share."""
    kept = [{name: part for name, part in answer.items() if name not in OWN} for answer in answers]
    return orjson.loads(orjson.dumps(kept))


def lines(result: dict[str, Any], workspace: Workspace) -> list[dict[str, Any]]:
    path = workspace.scores / Path(result["folder"]).name / "scores.jsonl"
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_without_features_nobody_is_scored(settings: Settings, workspace: Workspace) -> None:
    with pytest.raises(NotReadyError, match="run `staycast features` first"):
        score_newest(settings, workspace)


def test_all_answers_are_those_that_the_service_gives_before_and_after_an_order_came(
    copied: Workspace, test_settings: Settings
) -> None:
    champions = Champions.load(copied, tasks=test_settings.tasks)

    def both() -> tuple[list[dict[str, Any]], dict[str, Any]]:
        result = score_newest(test_settings, copied)
        bulk = lines(result, copied)
        frame = OnlineFeatures(copied).read([a["customer_id"] for a in bulk])
        online = score(frame, champions, test_settings, datetime.now(UTC), test_settings.serving.top_reasons)
        assert told(bulk) == told(online)
        return bulk, result

    before, first = both()
    customers = pd.read_parquet(copied.tables / "customers.parquet")["customer_id"]
    assert [a["customer_id"] for a in before] == sorted(load_alias_map(copied.tables).of(customers.tolist()))
    buyer = before[7]["customer_id"]
    fingerprint = scoring_fingerprint(test_settings, copied)
    at = datetime.fromisoformat(first["as_of"]) + timedelta(hours=5)
    send(copied, test_settings, Event("e1", "orders", {**ORDER, "customer_id": buyer, "ordered_at": at.isoformat()}))
    assert scoring_fingerprint(test_settings, copied) != fingerprint
    after, second = both()
    changed = [one["customer_id"] for one, other in zip(told(before), told(after), strict=True) if one != other]
    assert changed == [buyer]
    assert second["as_of"] == max(a["as_of"] for a in after) and first["folder"] != second["folder"]


def send(workspace: Workspace, settings: Settings, event: Event) -> None:
    with EventLog(workspace.events) as log:
        log.append([event], datetime.now(UTC))
    refresh.refresh(settings, workspace)


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_where_it_was_and_loses_and_doubles_nobody(
    copied: Workspace, test_settings: Settings
) -> None:
    whole = lines(score_newest(test_settings, copied), copied)
    shutil.rmtree(copied.scores)
    command = [sys.executable, "-c", TO_BE_KILLED, str(copied.root)]
    killed = subprocess.run(command, cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL and not copied.scores.exists()
    kept = {path.name: path.stat().st_mtime_ns for path in copied.scoring.glob("0*")}
    assert {"000000.parquet", "000001.jsonl"} <= set(kept)
    plan = json.loads((copied.scoring / "plan.json").read_text())
    assert len(plan["bounds"]) * 2 > len(kept)

    def unchanged(done: int, of: int) -> None:
        assert all((copied.scoring / name).stat().st_mtime_ns == at for name, at in kept.items())

    result = score_newest(test_settings, copied, unchanged, part_rows=40)
    resumed = lines(result, copied)
    assert told(resumed) == told(whole)
    assert len({a["prediction_id"] for a in resumed}) == len(whole) == result["customers"]
    assert {datetime.fromisoformat(a["scored_at"]) for a in resumed} == {datetime.fromisoformat(plan["scored_at"])}
    table = pd.read_parquet(copied.scores / Path(result["folder"]).name / "scores.parquet")
    assert table["prediction_id"].tolist() == [a["prediction_id"] for a in resumed]
    assert not copied.scoring.exists()


def test_parts_of_other_inputs_are_not_mixed_in(copied: Workspace, test_settings: Settings, monkeypatch) -> None:
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(run, "publish", stop)
        with pytest.raises(KeyboardInterrupt):
            score_newest(test_settings, copied, part_rows=150)
    assert len(list(copied.scoring.glob("*.parquet"))) > 1
    in_hryvnia = test_settings.model_copy(update={"currency": "UAH"})
    found = lines(score_newest(in_hryvnia, copied, part_rows=150), copied)
    assert {a["clv"]["currency"] for a in found if a["clv"]} == {"UAH"}


@pytest.mark.slow
def test_processes_write_the_same_answers_as_one(copied: Workspace, test_settings: Settings) -> None:
    calls: list[tuple[int, int]] = []
    alone = score_newest(test_settings, copied, part_rows=100, workers=1)
    one = lines(alone, copied)
    result = score_newest(test_settings, copied, lambda *done: calls.append(done), part_rows=100, workers=2)
    assert told(lines(result, copied)) == told(one)
    of_run = {"scored_at": "", "folder": ""}
    assert result | of_run == alone | of_run
    assert calls[-1] == (len(one), len(one)) and calls == sorted(calls)


def test_who_objects_gets_no_answer_is_counted_and_makes_the_answers_of_before_no_longer_those_of_now(
    copied: Workspace, test_settings: Settings
) -> None:
    before = scoring_fingerprint(test_settings, copied)
    customers = OnlineFeatures(copied)
    one, *others = customers.ids()
    customers.close()
    with closing(Objections(copied)) as objections:
        objections.take([Objection(one)], "the tests", datetime.now(UTC))
    assert scoring_fingerprint(test_settings, copied) != before
    result = score_newest(test_settings, copied)
    assert [answer["customer_id"] for answer in lines(result, copied)] == others
    assert result["opposed"] == 1


def test_who_is_known_to_have_left_is_counted(
    copied: Workspace, test_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "count_known_to_have_left", lambda features: 7)
    assert score_newest(test_settings, copied)["left"] == 7
