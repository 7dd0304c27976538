"""The models that serve, read from the registry; a running service follows them, see `serving.release.watcher`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from configs.errors import NotReadyError, RegistryError
from configs.settings import Settings
from configs.workspace import Workspace
from features.schema import load_schema
from training.model import catalog
from training.model.bundle import Bundle, Task, registered_bundle
from training.model.catalog import Version
from training.model.proof.decisions import Unledgered, decided

TASKS: tuple[Task, ...] = ("churn", "clv")


@dataclass(frozen=True)
class LoadedModel:
    """One registered version, in memory.

    Attributes
    ----------
    bundle
        The model.
    version
        Its version in the registry.
    base
        The prediction at the mean score: what the effects of all features add to.
    hash
        Of the manifest of its files, which names the hash of each; empty where it was loaded from nowhere.
    """

    bundle: Bundle
    version: str
    base: float
    hash: str = ""

    @property
    def label(self) -> str:
        """Name and version: ``churn/3``."""
        return f"{self.bundle.task}/{self.version}"

    @classmethod
    def from_bundle(cls, bundle: Bundle, version: str, manifest: str = "") -> LoadedModel:
        """A bundle under a version, with its base computed by the bundle itself."""
        unknown = np.full((1, len(bundle.features)), np.nan)
        return cls(bundle, version, bundle.explain(unknown).base, manifest)


@dataclass(frozen=True)
class Champions:
    """The models that serve, one at least.

    Attributes
    ----------
    churn, clv
        None where no version serves, or the business has no value model.
    unserved
        Why a model of the business does not serve, by its name.
    notices
        What else is to be known of what serves, by its name: that it is not what the registry names, and why.
    """

    churn: LoadedModel | None
    clv: LoadedModel | None
    unserved: Mapping[str, str] = field(default_factory=dict)
    notices: Mapping[str, str] = field(default_factory=dict)

    @property
    def models(self) -> tuple[LoadedModel, ...]:
        """The models there are."""
        return tuple(model for model in (self.churn, self.clv) if model is not None)

    @property
    def by_task(self) -> dict[str, LoadedModel | None]:
        """The model of each task; None where there is none."""
        return {"churn": self.churn, "clv": self.clv}

    @property
    def versions(self) -> dict[str, str]:
        """Version of each model."""
        return {model.bundle.task: model.version for model in self.models}

    @property
    def labels(self) -> dict[str, str | None]:
        """Name and version of each model, as answers name them."""
        return {task: model.label if model else None for task, model in self.by_task.items()}

    @property
    def level_sd(self) -> float:
        """How far the level of the probability of leaving missed at later moments, in log-odds; 0: not known."""
        return self.churn.bundle.level_sd if self.churn else 0.0

    @property
    def columns(self) -> set[str]:
        """All feature columns that the models learned from."""
        return {name for model in self.models for name in model.bundle.features}

    def only(self, tasks: Collection[str]) -> Champions:
        """Of these tasks alone.

        Raises
        ------
        RegistryError
            None of them is served.
        """
        unserved = {task: why for task, why in self.unserved.items() if task in tasks}
        churn, clv = (self.churn if "churn" in tasks else None), (self.clv if "clv" in tasks else None)
        if churn is None and clv is None:
            raise RegistryError(f"no model of what is asked serves: {'; '.join(unserved.values())}")
        return Champions(churn, clv, unserved)

    def __str__(self) -> str:
        return " and ".join(model.label for model in self.models)

    @classmethod
    def load(
        cls,
        workspace: Workspace,
        schema_hash: Callable[[], str] | None = None,
        tasks: Sequence[Task] = TASKS,
        unledgered: Unledgered = "refuse",
    ) -> Champions:
        """Read the champions from the registry.

        Parameters
        ----------
        workspace
            Whose registry.
        schema_hash
            Gives the hash of the features that will be served; a model that learned from others is refused.
            None: not checked.
        tasks
            The models of the business (``Settings.tasks``).
        unledgered
            Whether a version serves that an alias names and the ledger does not.

        Raises
        ------
        RegistryError
            No model has a champion, its files are missing or altered, or it does not fit the features.
        """
        served_hash = schema_hash() if schema_hash else None
        found = decided(workspace, tasks, unledgered)
        if not found.versions:
            raise RegistryError("; ".join(dict.fromkeys(found.unserved.values())))
        models = {
            task: checked(workspace, version, registered_bundle(workspace, version), served_hash)
            for task, version in found.versions.items()
        }
        return cls(models.get("churn"), models.get("clv"), found.unserved, found.notices)

    @classmethod
    def serving(cls, workspace: Workspace, settings: Settings) -> Champions:
        """Those of a business that fit the features of its workspace; errors as of `load`."""
        schema_hash = load_schema(workspace.features).hash
        return cls.load(workspace, lambda: schema_hash, settings.tasks, settings.serving.unledgered)

    @classmethod
    def of_versions(
        cls, workspace: Workspace, versions: Mapping[Task, str], unserved: Mapping[str, str] | None = None
    ) -> Champions:
        """These versions, whether or not they serve; errors as of `load`.

        Parameters
        ----------
        workspace
            Whose registry.
        versions
            The number of the version, by each model there shall be.
        unserved
            As the attribute.
        """
        models: dict[Task, LoadedModel] = {}
        for task, number in versions.items():
            known = next((v for v in catalog.versions(workspace, task) if v.version == number), None)
            if known is None:
                raise RegistryError(f"{task}/{number} is not in the registry any more")
            models[task] = checked(workspace, known, registered_bundle(workspace, known), None)
        return cls(models.get("churn"), models.get("clv"), unserved or {})


def checked(workspace: Workspace, version: Version, bundle: Bundle, served_hash: str | None) -> LoadedModel:
    """The model of a version, if it can answer from the features to serve.

    Raises
    ------
    RegistryError
        It is of another task, holds no interval, or learned from other features.
    """
    if bundle.task != version.model:
        raise RegistryError(f"{version.label} holds a model for '{bundle.task}': register it under that name")
    if version.model == "clv" and bundle.interval is None:
        raise RegistryError(f"{version.label} holds no interval: train it again")
    if served_hash is not None and bundle.schema_hash != served_hash:
        raise RegistryError(
            f"{version.label} learned from features {bundle.schema_hash}, the features to serve are {served_hash}"
            f"{_difference(workspace, bundle)}: rebuild the features with the settings it was trained with, or train "
            "again"
        )
    return LoadedModel.from_bundle(bundle, version.version, catalog.manifest_of(version))


def _difference(workspace: Workspace, bundle: Bundle) -> str:
    """The columns in which a model's features and those of the workspace differ, as part of a sentence."""
    try:
        served = load_schema(workspace.features)
    except NotReadyError:
        return ""
    apart = {
        "it misses": [name for name in bundle.features if name not in served.names],
        "it never saw": [name for name in served.names if name not in bundle.features],
        "of another type are": [
            name
            for name in served.names
            if name in bundle.features and (name in served.categories) != (name in bundle.categories)
        ],
    }
    return "".join(f"; {what} {', '.join(names[:8])}" for what, names in apart.items() if names)
