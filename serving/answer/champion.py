"""The models that serve and run beside, read from the registry; a service follows them (`serving.release.watcher`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from configs.errors import NotReadyError, RegistryError, StaycastError
from configs.settings import Settings
from configs.workspace import Workspace
from features.schema import load_schema
from training.model import catalog
from training.model.bundle import Bundle, Task, registered_bundle
from training.model.catalog import Version
from training.model.proof.decisions import Decided, Unledgered, decided, joined, same_files
from training.model.proof.releases import Release

TASKS: tuple[Task, ...] = ("churn", "clv")
NUMBERS: Mapping[str, str] = {"churn": "probability", "clv": "expected"}  # the forecast of each, as answers name it
CLASSES: Mapping[str, str] = {"churn": "band", "clv": "tier"}  # and what it is counted among
UNFIT = "the release of {} does not answer: {}"


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
        """A bundle under a version, with its base computed by the bundle itself; its first forecast takes long."""
        unknown = np.full((1, len(bundle.features)), np.nan)
        bundle.predict(unknown)
        return cls(bundle, version, bundle.explain(unknown).base, manifest)


@dataclass(frozen=True)
class Running:
    """A release that runs, with its model in memory."""

    release: Release
    model: LoadedModel

    @classmethod
    def beside(cls, release: Release, model: LoadedModel, champion: LoadedModel) -> Running:
        """RegistryError if the model forecasts something else than the champion, so that the two cannot be compared."""
        days, of_champion = model.bundle.horizon_days, champion.bundle.horizon_days
        if days != of_champion:
            raise RegistryError(f"it forecasts {days} days, {champion.label} {of_champion}: they cannot be compared")
        return cls(release, model)


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
    releases
        What runs beside them, by its name, see `serving.answer.arms`.
    arms
        Of models that answer one arm of a canary alone, by the name of the model: ``release``, its id, and ``arm``,
        ``champion`` or ``canary``.
    """

    churn: LoadedModel | None
    clv: LoadedModel | None
    unserved: Mapping[str, str] = field(default_factory=dict)
    notices: Mapping[str, str] = field(default_factory=dict)
    releases: Mapping[str, Running] = field(default_factory=dict)
    arms: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

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
        releases = {task: running for task, running in self.releases.items() if task in tasks}
        arms = {task: arm for task, arm in self.arms.items() if task in tasks}
        return Champions(churn, clv, unserved, releases=releases, arms=arms)

    @property
    def has_canary(self) -> bool:
        """Whether not everybody is answered by the champions."""
        return any(running.release.kind == "canary" for running in self.releases.values())

    @property
    def identity(self) -> tuple[tuple[str, str | None, str | None], ...]:
        """Which models answer whom, as plain values: two that are the same give the same answers."""
        beside = {task: str(running.release) + running.release.id for task, running in self.releases.items()}
        return tuple((task, label, beside.get(task)) for task, label in self.labels.items())

    def __str__(self) -> str:
        beside = "".join(f", {running.release} beside" for running in self.releases.values())
        return " and ".join(model.label for model in self.models) + beside

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

        def take(version: Version) -> LoadedModel:
            return checked(workspace, version, registered_bundle(workspace, version), served_hash)

        models = {task: take(version) for task, version in found.versions.items()}
        releases, notices = beside(found, models, take)
        return cls(models.get("churn"), models.get("clv"), found.unserved, notices, releases)

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


def beside(
    found: Decided, models: Mapping[str, LoadedModel], take: Callable[[Version], LoadedModel]
) -> tuple[dict[str, Running], dict[str, str]]:
    """The releases that can run beside the models that serve, and the notices, with why another cannot.

    Parameters
    ----------
    found
        What was decided.
    models
        That serve, by task: beside none, nothing runs.
    take
        Gives the model of a version; raises where it may not answer.
    """
    running, notices = {}, dict(found.notices)
    for task, release in found.releases.items():
        if task not in models:
            continue
        try:
            if task not in found.beside:
                raise RegistryError("it is not in the registry any more")
            running[task] = Running.beside(release, take(same_files(found.beside[task], release)), models[task])
        except Exception as error:
            why = str(error) if isinstance(error, StaycastError) else f"{type(error).__name__}: {error}"
            notices[task] = joined(notices.get(task), UNFIT.format(release.label, why))
    return running, notices


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
