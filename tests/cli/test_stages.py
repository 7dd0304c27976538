"""A stage's result is kept under what it rests on; another setting is another result."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from cli import stages
from cli.session import Session
from configs.errors import ConfigError, DataError, NotEnoughDataError, NotReadyError
from configs.settings import Settings
from configs.workspace import Workspace
from features.quality.quality_verdict import QualityError
from monitoring.run import monitor
from serving.bulk.run import score_newest
from training import run


@pytest.mark.parametrize("stage", [stages.ingest, stages.features, stages.score, stages.monitor])
def test_what_was_done_is_not_done_again(lived: Workspace, settings: Settings, stage, capsys) -> None:
    session = Session("test", settings, lived)
    assert stage(session) == lived.last(stage.__name__)
    assert f"{stage.__name__}: nothing changed since the last time, reused" in capsys.readouterr().err


def test_where_the_csv_cannot_be_written_that_is_said_before_anything_is_done(
    workspace: Workspace, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session("test", settings, workspace)
    os.mkfifo(tmp_path / "pipe")
    for csv in (tmp_path, tmp_path / "mistyped" / "a.csv", tmp_path / "pipe", tmp_path / "pipe" / "a.csv"):
        with pytest.raises(ConfigError, match="--csv"):
            stages.score(session, csv)
    monkeypatch.setattr("os.access", lambda folder, how: False)
    with pytest.raises(ConfigError, match="may write nothing"):
        stages.score(session, tmp_path / "a.csv")
    assert not workspace.state.exists() and not (tmp_path / "mistyped").exists()


def test_the_csv_is_written_while_nobody_else_changes_the_workspace(
    lived: Workspace, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []

    def write(table: Path, csv: Path, replace: object) -> None:
        held.append((lived.state / "lock.json").is_file())

    monkeypatch.setattr("serving.bulk.csv_file.write_csv", write)
    stages.score(Session("test", settings, lived), tmp_path / "a.csv")
    assert held == [True]


def test_each_model_is_a_stage_of_its_own(lived: Workspace, settings: Settings) -> None:
    session = Session("test", settings, lived)
    for task in settings.tasks:
        assert stages.train(session, task) == lived.last(f"train {task}")


@pytest.mark.slow
def test_other_settings_are_another_result(fresh: Workspace, few: Settings) -> None:
    session = Session("test", few, fresh)
    before = stages.features(session)
    assert stages.features(session) == before
    shorter = few.model_copy(update={"as_of": few.as_of.model_copy(update={"every_months": 2})})
    assert len(stages.features(Session("test", shorter, fresh))["as_ofs"]) < len(before["as_ofs"])


def test_a_model_that_is_no_longer_registered_is_trained_again(
    copied: Workspace, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied.mlruns.rename(copied.root / "moved away")

    class TrainedError(Exception):
        pass

    def train(*arguments: object) -> None:
        raise TrainedError

    monkeypatch.setattr("training.run.train", train)
    for task in settings.tasks:
        with pytest.raises(TrainedError):
            stages.train(Session("test", settings, copied), task)


def test_features_of_a_load_before_stop_what_is_made_from_them_until_they_are_built_anew(
    copied: Workspace, settings: Settings, capsys
) -> None:
    session, before = Session("test", settings, copied), copied.tables.parent
    with copied.loads.staged() as load:  # the same export again: a load of its own
        shutil.copytree(before, load, dirs_exist_ok=True)
        copied.loads.publish(load, True, "another")
    ways = {
        "score": lambda: stages.score(session),
        "train": lambda: stages.train(session, "churn"),
        "monitor": lambda: stages.monitor(session),
        "score anew": lambda: score_newest(settings, copied),
        "train anew": lambda: run.train(settings, copied, "churn", "ada"),
        "tune": lambda: run.join_search(settings, copied, "churn", lambda *done: None),
        "monitor anew": lambda: monitor(settings, copied),
    }
    for way in ways.values():
        with pytest.raises(NotReadyError, match=f"of load {before.name}, and load .* is current: run `staycast feat"):
            way()
    assert "reused" not in capsys.readouterr().err
    stages.features(session)
    assert "reused" in capsys.readouterr().err
    assert f"-{copied.tables.parent.name}-" in stages.score(session)["folder"]


def test_what_one_model_lacks_keeps_no_other_from_being_trained(
    workspace: Workspace, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, lacking = Session("test", settings, workspace), {"churn": NotEnoughDataError("19 customers")}

    def train(s: Session, task: str) -> dict[str, object]:
        if task in lacking:
            raise lacking[task]
        return {"promote": True}

    monkeypatch.setattr(stages, "train", train)
    assert stages.train_each(session, ("churn", "clv")) == {
        "churn": {"untrained": "19 customers"},
        "clv": {"promote": True},
    }
    with pytest.raises(NotEnoughDataError, match="19 customers"):
        stages.train_each(session, ("churn",))
    lacking["clv"] = DataError("brought nothing")
    with pytest.raises(DataError, match="19 customers; brought nothing"):
        stages.train_each(session, ("churn", "clv"))
    lacking["churn"] = QualityError("of the load")
    with pytest.raises(QualityError):
        stages.train_each(session, ("churn", "clv"))


def test_a_release_is_told_to_have_ended_by_the_training_that_ended_it_and_not_where_its_result_is_reused(
    workspace: Workspace, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, release = Session("test", settings, workspace), "canary churn/2 at 5 %"
    trained = MagicMock(stand_in=None, examination=None)
    trained.decision.to_dict.return_value = {}
    monkeypatch.setattr("training.run.train", lambda *_: trained)
    monkeypatch.setattr("training.registry.releases.ended_by", lambda *_: release)
    monkeypatch.setattr(Session, "gated_stage", lambda self, name, fingerprint, body, is_there: body(print))
    first = stages.train(session, "churn")
    assert first["ended_release"] == release
    monkeypatch.setattr(Session, "gated_stage", lambda *_: first)
    assert stages.train(session, "churn") == {**first, "ended_release": None}
