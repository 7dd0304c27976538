"""A decision that is killed between the ledger and the aliases is finished by whoever comes next, or was none."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.session import open_session
from configs.lock import BusyError, exclusive
from configs.workspace import Workspace
from tests.kills import counted, in_child
from training.model import catalog
from training.model.proof import ledger
from training.registry import model_registry
from training.registry.runs import client


def state_of(place: Path) -> tuple[list[str], list[str]]:
    """The champion by the ledger, and the one by the registry with the challenger, if any."""
    workspace = Workspace(place)
    aliases = [f"{a}/{v.version}" for v in catalog.versions(workspace, "churn") for a in v.aliases]
    return [f"champion/{v}" for v in ledger.champions(workspace.ledger, "churn")[-1:]], sorted(aliases)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry of two versions; the first is the champion, the second was refused."""
    workspace = Workspace(tmp_path_factory.mktemp("registry"))
    workspace.claim("synthetic")
    connection = client(workspace)
    connection.create_registered_model("churn")
    for _ in range(2):
        connection.create_model_version("churn", workspace.artifacts_uri)
    model_registry.promote(workspace, "churn", "1", "ada", "the first", override=True)
    connection.set_registered_model_alias("churn", catalog.CHALLENGER, "2")
    return workspace.root


def promote(place: Path) -> None:
    model_registry.promote(Workspace(place), "churn", "2", "ada", "better", override=True)


@pytest.mark.slow
def test_a_promotion_killed_at_any_step_is_whole_or_none_once_somebody_comes(base: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    shutil.copytree(base, place)
    code, steps = in_child(lambda: counted(place, None, lambda: promote(place)))
    assert code == 0 and state_of(place) == (["champion/2"], ["champion/2"])
    seen = []
    for kill_at in range(steps):
        shutil.rmtree(place)
        shutil.copytree(base, place)
        assert in_child(lambda at=kill_at: counted(place, at, lambda: promote(place)))[0] == -9
        cut_short = Workspace(place).decision.is_file()
        if cut_short:
            assert in_child(lambda: bool(open_session(False, "test", place)))[0] == 0
        by_ledger, by_registry = state_of(place)
        assert by_registry == (["champion/2"] if by_ledger == ["champion/2"] else ["challenger/2", "champion/1"])
        assert not Workspace(place).decision.is_file()
        seen.append((cut_short, by_ledger[0]))
    assert (True, "champion/1") in seen and (True, "champion/2") in seen


def test_whoever_decides_is_alone(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(base, tmp_path / "place")
    workspace = Workspace(tmp_path / "place")
    monkeypatch.setattr("configs.workspace.exclusive", lambda state, verb: exclusive(state, verb, 0.1))

    def decide() -> list[str]:
        said = []
        for act in (lambda: promote(workspace.root), lambda: model_registry.rollback(workspace, "churn", "ada", "no")):
            try:
                act()
            except BusyError as error:
                said.append(str(error))
        return said

    with exclusive(workspace.state, "train churn"):
        code, said = in_child(decide)
    assert code == 0 and len(said) == 2 and all("`train churn`" in text for text in said)


def test_champions_of_a_year_are_those_that_served_within_it_and_are_still_there(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "place")
    workspace, now = Workspace(tmp_path / "place"), datetime.now(UTC)
    assert [v.version for v in model_registry.recent_champions(workspace, "churn", now)] == ["1"]
    for version in range(2, 31):
        (workspace.mlruns / "artifacts" / str(version)).mkdir(parents=True)
        address = f"{workspace.artifacts_uri}/{version}"
        if version > 2:
            client(workspace).create_model_version("churn", address)
        model_registry.promote(workspace, "churn", str(version), "ada", "newer", override=True)
    recent = [int(v.version) for v in model_registry.recent_champions(workspace, "churn", now)]
    assert recent[0] == 30 and 8 < len(recent) <= 12 and recent == sorted(recent, reverse=True)
    shutil.rmtree(workspace.mlruns / "artifacts" / "29")
    assert 29 not in [int(v.version) for v in model_registry.recent_champions(workspace, "churn", now)]
    later = model_registry.recent_champions(workspace, "churn", now + timedelta(days=400))
    assert [v.version for v in later] == ["30"]
    assert model_registry.recent_champions(workspace, "clv", now) == []
