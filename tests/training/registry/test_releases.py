"""A release is begun, changed, promoted and stopped by name, on record, and shown by MLflow's aliases."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from configs.errors import ConfigError, RegistryError
from configs.workspace import Workspace
from training.model import catalog
from training.model.proof import ledger
from training.registry import model_registry, releases
from training.registry.runs import client


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three versions of churn: 1 is the champion, 2 passed its gates, 3 failed them; and one of clv that serves."""
    workspace = Workspace(tmp_path_factory.mktemp("registry"))
    workspace.claim("synthetic")
    connection = client(workspace)
    for model, gates in (("churn", ("passed", "passed", "failed")), ("clv", ("passed", "passed"))):
        connection.create_registered_model(model)
        for number, verdict in enumerate(gates, 1):
            connection.create_model_version(
                model, f"{workspace.artifacts_uri}/{model}-{number}", tags={"gates": verdict}
            )
        model_registry.promote(workspace, model, "1", "ada", "the first")
    return workspace.root


@pytest.fixture
def place(base: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(base, tmp_path / "place")
    return Workspace(tmp_path / "place")


def aliases(place: Workspace, model: str = "churn") -> dict[str, str]:
    return {alias: v.version for v in catalog.versions(place, model) for alias in v.aliases}


def test_a_shadow_becomes_a_canary_that_grows_and_then_the_champion(place: Workspace) -> None:
    shadow = releases.start(place, "churn/2", None, "ada", "look at it")
    assert aliases(place) == {"champion": "1", "shadow": "2"}
    canary = releases.start(place, "churn/2", 5, "ben", "it looks well")
    assert aliases(place) == {"champion": "1", "canary": "2"}
    grown = releases.start(place, "churn/2", 20, "ben", "still well")
    assert shadow.id == canary.id == grown.id and (grown.kind, grown.percent) == ("canary", 20)
    assert releases.running(place) == {"churn": grown}
    assert releases.promote(place, "churn", "ada", "better in both arms").version == "2"
    assert aliases(place) == {"champion": "2"} and releases.running(place) == {}
    last = ledger.read(place.ledger)[-4:]
    assert [(r.action, r.version, r.previous, r.by, r.percent) for r in last] == [
        ("shadow", "2", "1", "ada", None),
        ("canary", "2", "1", "ben", 5),
        ("canary", "2", "1", "ben", 20),
        ("promote", "2", "1", "ada", None),
    ]


def test_a_release_is_stopped_with_its_reason_and_the_champion_stays(place: Workspace) -> None:
    begun = releases.start(place, "churn/2", 10, "ada", "try")
    with pytest.raises(ConfigError, match="say why"):
        releases.stop(place, "", "ben", " ")
    assert releases.stop(place, "churn/2", "ben", "too many calls") == begun
    assert aliases(place) == {"champion": "1"} and releases.running(place) == {}
    record = ledger.read(place.ledger)[-1]
    assert (record.action, record.version, record.by, record.reason) == ("stop", "2", "ben", "too many calls")
    with pytest.raises(RegistryError, match="no release runs of churn; begin one"):
        releases.stop(place, "churn", "ben", "again")


def test_a_version_that_failed_its_gates_runs_only_with_an_override_that_goes_on_record(place: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"churn/3 did not pass the gates.*to release it all the same, give --overr"):
        releases.start(place, "churn/3", 10, "ada", "try")
    with pytest.raises(ConfigError, match="say why"):
        releases.start(place, "churn/3", 10, "ada", "", override=True)
    assert releases.running(place) == {}
    begun = releases.start(place, "churn/3", 10, "ada", "an experiment", override=True)
    assert begun.reason == "gates overridden: an experiment"
    with pytest.raises(ConfigError, match="to promote it all the same, give --override"):
        releases.promote(place, "", "ada", "well")
    assert releases.promote(place, "", "ada", "well", override=True).version == "3"


def test_at_most_one_release_runs_of_a_model_and_each_of_its_own(place: Workspace) -> None:
    releases.start(place, "churn/2", 10, "ada", "try")
    with pytest.raises(RegistryError, match=r"canary churn/2 at 10 % runs: at most one release a model"):
        releases.start(place, "churn/3", 10, "ada", "try", override=True)
    releases.start(place, "clv/2", None, "ada", "try")
    assert set(releases.running(place)) == {"churn", "clv"}
    with pytest.raises(ConfigError, match="canary churn/2 at 10 % and shadow clv/2 run: say which"):
        releases.stop(place, "", "ada", "enough")
    model_registry.promote(place, "churn", "3", "ada", "another way", override=True)
    assert set(releases.running(place)) == {"clv"} and aliases(place) == {"champion": "3"}
    assert aliases(place, "clv") == {"champion": "1", "shadow": "2"}


@pytest.mark.parametrize("percent", [0, -1, 100, 250])
def test_a_share_is_of_some_and_not_of_all(place: Workspace, percent: float) -> None:
    with pytest.raises(ConfigError, match="above 0 and below 100"):
        releases.start(place, "churn/2", percent, "ada", "try")


def test_the_champion_cannot_run_beside_itself(place: Workspace) -> None:
    with pytest.raises(RegistryError, match="churn/1 is the champion"):
        releases.start(place, "churn/1", 10, "ada", "try")


def test_a_start_that_was_cut_short_is_finished_and_the_alias_follows(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(model_registry, "_set_aliases", killed)
        with pytest.raises(KeyboardInterrupt):
            releases.start(place, "churn/2", 10, "ada", "try")
    assert aliases(place) == {"champion": "1"}
    model_registry.settle(place)
    assert aliases(place) == {"champion": "1", "canary": "2"} and not place.decision.exists()


def test_a_decision_on_the_champion_that_ends_a_release_of_another_version_says_so(place: Workspace) -> None:
    releases.start(place, "churn/2", 5, "ada", "try")
    releases.start(place, "clv/2", None, "ada", "look")
    new = model_registry.promote(place, "churn", "3", "the training", "it is better", override=True)
    assert ledger.read(place.ledger)[-1].reason.endswith(
        "it is better; the release canary churn/2 at 5 % ended with it"
    )
    assert str(releases.ended_by(place, new)) == "canary churn/2 at 5 %" and set(releases.running(place)) == {"clv"}
    back = model_registry.rollback(place, "churn", "ben", "no")
    assert ledger.read(place.ledger)[-1].reason == "no"
    assert releases.ended_by(place, back) is None and releases.ended_by(place, new) is None
    promoted = releases.promote(place, "clv", "ada", "it looks well")
    assert ledger.read(place.ledger)[-1].reason == "it looks well" and releases.ended_by(place, promoted) is None
