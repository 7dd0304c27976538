"""A stage's result is kept under what it rests on; another setting is another result."""

from __future__ import annotations

import pytest

from cli import stages
from cli.session import Session
from configs.settings import Settings
from configs.workspace import Workspace


@pytest.mark.parametrize("stage", [stages.ingest, stages.features, stages.score, stages.monitor])
def test_what_was_done_is_not_done_again(lived: Workspace, settings: Settings, stage, capsys) -> None:
    session = Session("test", settings, lived)
    assert stage(session) == lived.last(stage.__name__)
    assert f"{stage.__name__}: nothing changed since the last time, reused" in capsys.readouterr().err


def test_each_model_is_a_stage_of_its_own(lived: Workspace, settings: Settings) -> None:
    session = Session("test", settings, lived)
    for task in settings.tasks:
        assert stages.train(session, task) == lived.last(f"train {task}")


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
