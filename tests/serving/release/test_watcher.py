"""The models that serve follow the registry task by task, and go on when it is away."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from configs.errors import NotReadyError, RegistryError
from configs.workspace import Workspace
from serving.answer.champion import Champions
from serving.release.local_copies import LocalCopies
from serving.release.watcher import ChampionWatcher
from training.model import catalog
from training.model.proof import ledger

# MLflow's own use of SQLAlchemy, and its advice about models without a signature
pytestmark = [
    pytest.mark.usefixtures("elsewhere"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
]
GOOD, NEWER, ALTERED, MISNAMED = "1", "2", "3", "4"
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
Point = Callable[[str, str | None], None]


def untried(folder: Path, sealed: str) -> None:
    """Trying costs seconds, and has tests of its own."""


@pytest.fixture
def watcher(registry: Workspace) -> Iterator[ChampionWatcher]:
    shutil.rmtree(registry.state / "serving", ignore_errors=True)
    watcher = ChampionWatcher(registry, lambda: "made-up", 0.05, copies=LocalCopies(registry, untried))
    yield watcher
    watcher.stop()


@pytest.mark.slow
def test_a_watcher_has_nothing_before_it_looked(watcher: ChampionWatcher) -> None:
    with pytest.raises(NotReadyError, match="being loaded"):
        watcher.current()


def test_who_waits_for_the_first_look_finds_the_models_or_why_there_are_none(
    watcher: ChampionWatcher, workspace: Workspace
) -> None:
    assert not watcher.wait(0)
    with watcher:
        assert watcher.wait(60) and watcher.current().models
    with ChampionWatcher(workspace) as other:
        assert other.wait(60)
        with pytest.raises(NotReadyError, match="no model registry"):
            other.current()


def test_a_watcher_says_why_it_has_nothing(workspace: Workspace) -> None:
    watcher = ChampionWatcher(workspace)
    assert not watcher.refresh()
    with pytest.raises(NotReadyError, match="no model registry"):
        watcher.current()


def test_a_model_without_a_champion_leaves_the_other_and_comes_when_there_is_one(
    watcher: ChampionWatcher, point: Point
) -> None:
    point("churn", None)
    assert watcher.refresh() and watcher.current().versions == {"clv": "1"} and not watcher.refresh()
    point("churn", NEWER)
    assert watcher.refresh() and watcher.current().versions == {"churn": NEWER, "clv": "1"}


def test_a_watcher_swaps_when_the_alias_moves_and_only_then(watcher: ChampionWatcher, point: Point) -> None:
    assert watcher.refresh()
    first = watcher.current()
    assert not watcher.refresh()
    assert watcher.current() is first
    point("churn", NEWER)
    assert watcher.refresh()
    assert watcher.current().churn.label == "churn/2"
    assert first.churn.label == "churn/1"


@pytest.mark.parametrize("version", [ALTERED, MISNAMED, None])
def test_a_watcher_keeps_what_it_has_when_a_load_fails_and_logs_it_once(
    watcher: ChampionWatcher, point: Point, version: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    watcher.refresh()
    first = watcher.current()
    point("churn", version)
    with caplog.at_level(logging.WARNING, "serving"):
        assert not watcher.refresh()
        assert not watcher.refresh()
    now = watcher.current()
    assert now.churn is first.churn and now.clv is first.clv and set(now.notices) == {"churn"}
    messages = [r.getMessage() for r in caplog.records if r.name == "serving.release.watcher"]
    assert messages == [now.notices["churn"]]
    assert messages[0].startswith("churn/1 is served from the local copy since 20")
    point("churn", NEWER)
    assert watcher.refresh() and watcher.current().notices == {}


def test_a_damaged_file_of_one_model_keeps_no_other_from_being_picked_up(
    registry: Workspace, watcher: ChampionWatcher, point: Point, register: Callable[..., str], champions: Champions
) -> None:
    point("churn", NEWER)
    assert watcher.refresh()
    newer_value = register(registry, replace(champions.clv.bundle, info={"why": "rolled back to"}))
    point("churn", ALTERED)
    point("clv", newer_value)
    assert watcher.refresh()
    assert watcher.current().labels == {"churn": "churn/2", "clv": f"clv/{newer_value}"}
    assert "leave.txt was altered" in watcher.current().notices["churn"]


def test_at_a_start_a_damaged_model_leaves_the_other_to_serve_and_is_said(
    registry: Workspace, watcher: ChampionWatcher, point: Point
) -> None:
    point("churn", ALTERED)
    assert watcher.refresh() and watcher.current().labels == {"churn": None, "clv": "clv/1"}
    assert "churn/3" in watcher.current().unserved["churn"] and "was altered" in watcher.current().unserved["churn"]


def test_a_model_that_crashes_where_it_is_tried_does_not_serve_and_the_old_one_goes_on(
    registry: Workspace, point: Point, tmp_path: Path
) -> None:
    crashing: set[str] = set()

    def try_out(folder: Path, sealed: str) -> None:
        if sealed in crashing:
            raise RegistryError(f"{folder} crashed (SIGSEGV)")

    watcher = ChampionWatcher(registry, copies=LocalCopies(registry, try_out))
    assert watcher.refresh()
    crashing.add(next(v for v in catalog.versions(registry, "churn") if v.version == NEWER).tags["manifest"])
    shutil.rmtree(registry.state / "serving" / "churn")
    point("churn", NEWER)
    assert not watcher.refresh() and watcher.current().churn.version == GOOD
    assert "churn/2: its bundle crashed (SIGSEGV)" in watcher.current().notices["churn"]


@pytest.mark.parametrize("away", ["database", "damaged database", "artifacts", "damaged artifacts"])
def test_what_served_last_serves_from_its_copy_also_at_a_start_and_it_is_said(
    registry: Workspace, watcher: ChampionWatcher, point: Point, tmp_path: Path, away: str
) -> None:
    assert watcher.refresh()
    place = Workspace(tmp_path / "place")
    shutil.copytree(registry.state, place.state)
    shutil.copytree(registry.mlruns, place.mlruns)
    break_(place, away)
    started = ChampionWatcher(place, lambda: "made-up", copies=LocalCopies(place, untried), clock=lambda: NOON)
    assert started.refresh() and not started.refresh()
    now = started.current()
    assert now.versions == watcher.current().versions and now.unserved == {}
    assert now.churn.hash == watcher.current().churn.hash
    if "database" in away:
        assert all("served from the local copy since 2024-03-01T12:00:00Z: " in text for text in now.notices.values())
        assert set(now.notices) == {"churn", "clv"}
    restored = ChampionWatcher(place, lambda: "other features", copies=LocalCopies(place, untried))
    assert not restored.refresh()


def break_(place: Workspace, what: str) -> None:
    if what == "database":
        place.registry.unlink()
    elif what == "damaged database":
        place.registry.write_bytes(b"no database" * 500)
    elif what == "artifacts":
        shutil.rmtree(place.mlruns / "artifacts")
    else:
        for path in (place.mlruns / "artifacts").rglob("leave.txt"):
            path.write_text("tree\n", "utf-8")


def test_a_copy_that_was_changed_does_not_serve(registry: Workspace, watcher: ChampionWatcher, point: Point) -> None:
    assert watcher.refresh()
    for path in (registry.state / "serving" / "churn").rglob("bundle.json"):
        path.write_text(path.read_text("utf-8").replace('"slope": 0.8', '"slope": 0.2'), "utf-8")
    assert LocalCopies(registry, untried).last("churn") is None
    again = ChampionWatcher(registry, copies=LocalCopies(registry, untried))
    assert again.refresh() and again.current().churn.bundle.scores[0].affine.slope == 0.8


def test_a_running_watcher_follows_the_alias_by_itself(watcher: ChampionWatcher, point: Point) -> None:
    swapped = threading.Event()
    look = watcher.refresh

    def tell() -> bool:
        moved = look()
        if moved:
            swapped.set()
        return moved

    watcher.refresh = tell  # type: ignore[method-assign]
    with watcher:
        assert swapped.wait(20)
        swapped.clear()
        point("churn", NEWER)
        assert swapped.wait(20)
        assert watcher.current().churn.version == NEWER


def test_an_alias_moved_by_hand_does_not_serve_and_is_told_at_the_next_look(
    registry: Workspace, watcher: ChampionWatcher, point: Point, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow import MlflowClient

    assert watcher.refresh()
    first = watcher.current()
    client = MlflowClient(tracking_uri=registry.tracking_uri, registry_uri=registry.tracking_uri)
    client.set_registered_model_alias("churn", "champion", NEWER)
    with caplog.at_level(logging.WARNING, "serving"):
        assert not watcher.refresh() and not watcher.refresh()
    now = watcher.current()
    assert now.churn is first.churn and "churn/2 outside the ledger: churn/1 serves" in now.notices["churn"]
    assert [r.getMessage() for r in caplog.records if r.name == "serving.release.watcher"] == [now.notices["churn"]]
    told = ChampionWatcher(registry, copies=LocalCopies(registry, untried), unledgered="serve")
    assert told.refresh() and told.current().churn.version == NEWER and "it serves" in told.current().notices["churn"]


def test_a_broken_ledger_changes_nothing_and_is_told(
    registry: Workspace, watcher: ChampionWatcher, point: Point
) -> None:
    assert watcher.refresh()
    first, kept = watcher.current(), registry.ledger.read_bytes()
    registry.ledger.write_bytes(b"{}\n" + kept)
    try:
        assert not watcher.refresh() and watcher.current().versions == first.versions
        assert "is broken at line 1" in watcher.current().notices["churn"]
    finally:
        registry.ledger.write_bytes(kept)
    assert not watcher.refresh() and watcher.current().notices == {}


@pytest.fixture
def second(registry: Workspace, point: Point, register: Callable[..., str], champions: Champions) -> str:
    """Another version of churn that fits, while the first serves."""
    again = replace(champions.churn.bundle, info={"why": "another"})
    known = [v for v in catalog.versions(registry, "churn") if v.version not in (GOOD, NEWER, ALTERED, MISNAMED)]
    version = known[0].version if known else register(registry, again)
    point("churn", GOOD)
    return version


def decide(place: Workspace, action: str, version: str, percent: float | None = None) -> None:
    """Put it on record and set the alias, as `training.registry.releases` does."""
    sealed = next(v for v in catalog.versions(place, "churn") if v.version == version).tags.get("manifest", "")
    entry = ledger.Entry(
        action=action, model="churn", version=version, previous=GOOD, by="ada", reason="r", manifest=sealed,
        percent=percent,
    )  # fmt: skip
    ledger.append(place.ledger, entry)
    set_beside(place, None if action == "stop" else (action, version))


def set_beside(place: Workspace, named: tuple[str, str] | None) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=place.tracking_uri, registry_uri=place.tracking_uri)
    for alias in catalog.BESIDE:
        client.delete_registered_model_alias("churn", alias)
    if named:
        client.set_registered_model_alias("churn", *named)


def told(watcher: ChampionWatcher) -> list[tuple[str, float, str]]:
    return [(r.release.kind, r.release.percent, r.model.label) for r in watcher.current().releases.values()]


def test_a_release_is_followed_from_its_start_over_its_growth_to_its_stop(
    registry: Workspace, watcher: ChampionWatcher, second: str
) -> None:
    assert watcher.refresh() and told(watcher) == []
    decide(registry, "shadow", second)
    assert watcher.refresh() and not watcher.refresh() and told(watcher) == [("shadow", 0.0, f"churn/{second}")]
    decide(registry, "canary", second, 10.0)
    model = watcher.current().releases["churn"].model
    assert watcher.refresh() and told(watcher) == [("canary", 10.0, f"churn/{second}")]
    assert watcher.current().releases["churn"].model is model and watcher.current().churn.version == GOOD
    assert watcher.current().notices == {}
    decide(registry, "stop", second)
    assert watcher.refresh() and told(watcher) == []


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (NEWER, "it forecasts 60 days, churn/1 30: they cannot be compared"),
        (ALTERED, "leave.txt was altered"),
        (MISNAMED, "holds a model for 'clv'"),
    ],
)
def test_a_release_that_does_not_fit_is_refused_with_a_notice_and_the_champion_goes_on_alone(
    registry: Workspace, watcher: ChampionWatcher, second: str, version: str, said: str
) -> None:
    assert watcher.refresh()
    decide(registry, "canary", version, 10.0)
    assert not watcher.refresh() and told(watcher) == [] and watcher.current().labels["churn"] == "churn/1"
    notice = watcher.current().notices["churn"]
    assert notice.startswith(f"the release of churn/{version} does not answer: ") and said in notice
    decide(registry, "stop", version)
    assert not watcher.refresh() and watcher.current().notices == {}


def test_a_release_that_learned_from_other_features_or_crashes_when_tried_is_refused(
    registry: Workspace, second: str, watcher: ChampionWatcher
) -> None:
    schema = ["made-up"]
    own = ChampionWatcher(registry, lambda: schema[0], copies=LocalCopies(registry, untried))
    assert own.refresh()
    decide(registry, "canary", second, 10.0)
    schema[0] = "other"
    assert not own.refresh() and "learned from features made-up" in own.current().notices["churn"]
    assert own.current().releases == {} and own.current().churn.version == GOOD
    shutil.rmtree(registry.state / "serving")

    def crashes(folder: Path, sealed: str) -> None:
        if sealed == catalog.manifest_of(next(v for v in catalog.versions(registry, "churn") if v.version == second)):
            raise RegistryError("tried in a process of its own, it crashed")

    careful = ChampionWatcher(registry, copies=LocalCopies(registry, crashes))
    assert careful.refresh() and "it crashed" in careful.current().notices["churn"]
    assert careful.current().releases == {} and careful.current().churn.version == GOOD


def test_an_alias_of_a_release_that_was_moved_by_hand_is_told_and_not_followed(
    registry: Workspace, watcher: ChampionWatcher, second: str
) -> None:
    assert watcher.refresh()
    set_beside(registry, ("canary", NEWER))
    assert not watcher.refresh() and told(watcher) == []
    assert "the alias 'canary' was set on churn/2 outside the ledger" in watcher.current().notices["churn"]
    decide(registry, "canary", second, 10.0)
    set_beside(registry, ("canary", NEWER))
    assert watcher.refresh() and told(watcher) == [("canary", 10.0, f"churn/{second}")]
    assert "moved to churn/2 outside the ledger: the release goes on" in watcher.current().notices["churn"]
    set_beside(registry, None)


def test_while_the_registry_is_away_a_release_goes_on_and_can_be_stopped(
    registry: Workspace, watcher: ChampionWatcher, second: str, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "place")
    decide(registry, "canary", second, 10.0)
    shutil.copytree(registry.state, place.state)
    shutil.copytree(registry.mlruns, place.mlruns)
    own = ChampionWatcher(place, lambda: "made-up", copies=LocalCopies(place, untried))
    assert watcher.refresh() and own.refresh()
    before = own.current().releases["churn"].model
    place.registry.unlink()
    own.refresh()
    assert own.current().releases["churn"].model is before and "local copy" in own.current().notices["churn"]
    words = {"model": "churn", "version": second, "previous": GOOD, "by": "ada", "reason": "no"}
    ledger.append(place.ledger, ledger.Entry(action="stop", **words))
    assert own.refresh() and own.current().releases == {}
