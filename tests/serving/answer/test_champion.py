from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import numpy as np
import pytest

from configs.errors import NotReadyError, RegistryError
from configs.workspace import Workspace
from features.schema import Feature, FeatureSchema
from serving.answer.champion import Champions, ChampionWatcher, LoadedModel
from training.model import catalog
from training.model.bundle import registered_bundle
from training.model.catalog import champion_versions
from training.model.proof import manifest

# MLflow's own use of SQLAlchemy, and its advice about models without a signature
pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
]
GOOD, NEWER, ALTERED, MISNAMED = "1", "2", "3", "4"
Point = Callable[[str, str | None], None]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, champions: Champions, register: Callable[..., str]) -> Workspace:
    """A real registry: four versions of churn, of which two can be used, and one of clv."""
    workspace = Workspace(tmp_path_factory.mktemp("registry"))
    bundle = champions.churn.bundle
    register(workspace, champions.clv.bundle)
    made = [
        register(workspace, bundle),
        register(workspace, replace(bundle, horizon_days=60)),
        register(workspace, bundle),
        register(workspace, champions.clv.bundle, "churn"),
    ]
    assert made == [GOOD, NEWER, ALTERED, MISNAMED]
    (alter(workspace) / "leave.txt").write_text("tree\n", "utf-8")
    return workspace


def alter(workspace: Workspace, version: str = ALTERED) -> Path:
    """The folder of the bundle of a version of churn."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=workspace.tracking_uri, registry_uri=workspace.tracking_uri)
    source = client.get_model_version_download_uri("churn", version)
    return Path(url2pathname(urlparse(source).path)) / "artifacts" / "bundle"


@pytest.fixture(autouse=True)
def elsewhere(registry: Workspace, tmp_path: Path) -> Iterator[None]:
    """MLflow's global address names nothing: only the workspace may be asked."""
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'none' / 'mlflow.db'}")
    yield
    mlflow.set_tracking_uri(before)


@pytest.fixture
def point(registry: Workspace) -> Iterator[Point]:
    """Move the alias of a model, or take it away; it goes back afterwards."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=registry.tracking_uri, registry_uri=registry.tracking_uri)

    def move(task: str, version: str | None) -> None:
        if version is None:
            client.delete_registered_model_alias(task, "champion")
        else:
            client.set_registered_model_alias(task, "champion", version)

    move("churn", GOOD)
    yield move
    move("churn", GOOD)
    move("clv", "1")


@pytest.fixture
def watcher(registry: Workspace) -> Iterator[ChampionWatcher]:
    watcher = ChampionWatcher(registry, lambda: "made-up", poll_seconds=0.05)
    yield watcher
    watcher.stop()


def test_the_versions_that_carry_the_alias_are_loaded(registry: Workspace, point: Point, champions: Champions) -> None:
    loaded = Champions.load(registry, lambda: "made-up")
    assert loaded.versions == champion_versions(registry, ("churn", "clv")) == {"churn": "1", "clv": "1"}
    assert (loaded.churn.label, loaded.clv.label) == ("churn/1", "clv/1")
    assert loaded.columns == set(champions.churn.bundle.features)


def test_a_loaded_model_predicts_as_the_one_that_was_registered(
    registry: Workspace, point: Point, champions: Champions
) -> None:
    loaded = Champions.load(registry)
    matrix = champions.churn.bundle.encode(champions.churn.bundle.reference)
    for old, new in ((champions.churn, loaded.churn), (champions.clv, loaded.clv)):
        assert np.array_equal(new.bundle.predict(matrix), old.bundle.predict(matrix))
        assert new.base == old.base


def test_the_base_is_that_of_every_explanation(champions: Champions) -> None:
    for model in (champions.churn, champions.clv):
        explained = model.bundle.explain(model.bundle.encode(model.bundle.reference.head(7)))
        assert LoadedModel.from_bundle(model.bundle, "1").base == explained.base


def test_without_a_registry_one_is_told_to_train_and_none_is_made(workspace: Workspace) -> None:
    with pytest.raises(RegistryError, match="run `staycast train` first"):
        Champions.load(workspace)
    assert not workspace.mlruns.exists()


def test_without_a_champion_one_is_told_to_promote(registry: Workspace, point: Point) -> None:
    point("clv", None)
    with pytest.raises(RegistryError, match=r"no version of the model 'clv' carries the alias 'champion'.*promote"):
        Champions.load(registry, tasks=("clv",))


def test_a_model_without_a_champion_leaves_the_other_to_serve(registry: Workspace, point: Point) -> None:
    point("churn", None)
    alone = Champions.load(registry)
    assert alone.churn is None and alone.labels == {"churn": None, "clv": "clv/1"} and str(alone) == "clv/1"
    assert alone.unserved["churn"].startswith("no version of the model 'churn' carries the alias 'champion'")
    watcher = ChampionWatcher(registry)
    assert watcher.refresh() and watcher.current().versions == {"clv": "1"} and not watcher.refresh()
    point("churn", NEWER)
    assert watcher.refresh() and watcher.current().versions == {"churn": NEWER, "clv": "1"}


def test_a_model_that_learned_from_other_features_is_refused(registry: Workspace, point: Point) -> None:
    with pytest.raises(RegistryError, match="churn/1 learned from features made-up, the features to serve are other"):
        Champions.load(registry, lambda: "other")


def test_a_model_under_the_name_of_another_is_refused(registry: Workspace, point: Point) -> None:
    point("churn", MISNAMED)
    with pytest.raises(RegistryError, match="churn/4 holds a model for 'clv'"):
        Champions.load(registry)


def test_a_model_whose_file_was_altered_is_refused(registry: Workspace, point: Point) -> None:
    point("churn", ALTERED)
    with pytest.raises(RegistryError, match=r"model file churn/3/.*leave\.txt was altered"):
        Champions.load(registry)


def test_an_edited_calibration_is_refused_even_with_a_manifest_of_its_own(registry: Workspace, point: Point) -> None:
    folder = alter(registry, NEWER)
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    calibration = (folder / "bundle.json").read_text("utf-8")
    (folder / "bundle.json").write_text(calibration.replace('"slope": 0.8', '"slope": 0.1'), "utf-8")
    assert (folder / "bundle.json").read_text("utf-8") != calibration
    point("churn", NEWER)
    with pytest.raises(RegistryError, match=r"model file churn/2/.*bundle\.json was altered"):
        Champions.load(registry)
    manifest.seal(folder)
    with pytest.raises(RegistryError, match=r"model file churn/2/.*manifest\.json was altered"):
        Champions.load(registry)
    for path, content in kept.items():
        path.write_bytes(content)
    assert Champions.load(registry).churn.hash == manifest.verify(folder)


def test_a_version_without_a_registered_hash_is_refused(registry: Workspace, point: Point) -> None:
    version = replace(next(v for v in catalog.versions(registry, "churn") if v.version == GOOD), tags={})
    with pytest.raises(RegistryError, match="churn/1: the registry notes no hash of its files"):
        registered_bundle(registry, version)


def test_a_watcher_has_nothing_before_it_looked(watcher: ChampionWatcher) -> None:
    with pytest.raises(NotReadyError, match="being loaded"):
        watcher.current()


def test_a_watcher_says_why_it_has_nothing(workspace: Workspace) -> None:
    watcher = ChampionWatcher(workspace)
    assert not watcher.refresh()
    with pytest.raises(NotReadyError, match="no model registry"):
        watcher.current()


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
    assert watcher.current() is first
    messages = [r.getMessage() for r in caplog.records if r.name == "serving.answer.champion"]
    assert len(messages) == 1
    assert "churn/1 and clv/1 stay" in messages[0]
    point("churn", NEWER)
    assert watcher.refresh()


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


def test_the_columns_in_which_the_features_differ_are_named(registry: Workspace) -> None:
    learned = Champions.load(registry).churn.bundle.features
    kept = tuple(Feature(name, "orders", "float64", "") for name in learned[1:])
    registry.features.mkdir(parents=True, exist_ok=True)
    FeatureSchema((*kept, Feature("basket_size", "orders", "float64", ""))).save(registry.features)
    with pytest.raises(RegistryError, match=f"; it misses {learned[0]}; it never saw basket_size.*: rebuild"):
        Champions.load(registry, lambda: "other")
