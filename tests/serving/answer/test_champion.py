from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from configs.errors import RegistryError
from configs.workspace import Workspace
from features.schema import Feature, FeatureSchema
from serving.answer.champion import Champions, LoadedModel
from training.model import catalog
from training.model.bundle import registered_bundle
from training.model.catalog import champion_versions
from training.model.proof import ledger, manifest

# MLflow's own use of SQLAlchemy, and its advice about models without a signature
pytestmark = [
    pytest.mark.usefixtures("elsewhere"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
]
GOOD, NEWER, ALTERED, MISNAMED = "1", "2", "3", "4"
Point = Callable[[str, str | None], None]


@pytest.mark.slow
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


def test_an_edited_calibration_is_refused_even_with_a_manifest_of_its_own(
    registry: Workspace, point: Point, folder_of: Callable[[Workspace, str], Path]
) -> None:
    folder = folder_of(registry, NEWER)
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


def test_the_columns_in_which_the_features_differ_are_named(registry: Workspace) -> None:
    learned = Champions.load(registry).churn.bundle.features
    kept = tuple(Feature(name, "orders", "float64", "") for name in learned[1:])
    registry.features.mkdir(parents=True, exist_ok=True)
    FeatureSchema((*kept, Feature("basket_size", "orders", "float64", ""))).save(registry.features)
    with pytest.raises(RegistryError, match=f"; it misses {learned[0]}; it never saw basket_size.*: rebuild"):
        Champions.load(registry, lambda: "other")


def test_a_release_is_loaded_beside_its_champion_and_one_that_does_not_fit_is_not(
    registry: Workspace, point: Point, register: Callable[..., str], champions: Champions
) -> None:
    second = register(registry, replace(champions.churn.bundle, info={"why": "another"}))
    point("churn", GOOD)
    alone = Champions.load(registry)
    for version, percent in ((second, 10.0), (NEWER, 20.0)):
        words = {"model": "churn", "version": version, "previous": GOOD, "by": "ada", "reason": "r"}
        ledger.append(registry.ledger, ledger.Entry(action="canary", percent=percent, **words))
        loaded = Champions.load(registry, lambda: "made-up")
        assert loaded.labels == {"churn": "churn/1", "clv": "clv/1"} and loaded.has_canary == (version == second)
        assert (loaded.identity == alone.identity) == (version == NEWER)
    assert "the release of churn/2 does not answer: it forecasts 60 days" in loaded.notices["churn"]
    assert loaded.releases == {}


def test_two_sets_of_models_are_the_same_if_they_answer_everybody_alike(running: Callable[..., Champions]) -> None:
    one = running(10.0).identity
    assert one == running(10.0).identity
    others = (running(20.0), running(None), running(10.0, "f" * 16), replace(running(10.0), releases={}))
    assert one not in [other.identity for other in others]
