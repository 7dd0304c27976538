"""The models that serve, read from the registry.

All champions are swapped together, in one assignment: an answer never mixes an old with a new load, and a
request that began with one pair ends with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np

from configs.errors import NotReadyError, RegistryError, StaycastError
from configs.workspace import Workspace
from features.schema import load_schema
from training.model import bundle as bundles
from training.model import catalog
from training.model.bundle import Bundle, Task
from training.model.catalog import Version, champion_versions, require_champion

TASKS: tuple[Task, ...] = ("churn", "clv")
logger = logging.getLogger(__name__)


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
    """

    bundle: Bundle
    version: str
    base: float

    @property
    def label(self) -> str:
        """Name and version: ``churn/3``."""
        return f"{self.bundle.task}/{self.version}"

    @classmethod
    def from_bundle(cls, bundle: Bundle, version: str) -> LoadedModel:
        """A bundle under a version, with its base computed by the bundle itself."""
        unknown = np.full((1, len(bundle.features)), np.nan)
        return cls(bundle, version, bundle.explain(unknown).base)


@dataclass(frozen=True)
class Champions:
    """The models that serve, one at least.

    Attributes
    ----------
    churn, clv
        None where no version serves, or the business has no value model.
    unserved
        Why a model of the business does not serve, by its name.
    """

    churn: LoadedModel | None
    clv: LoadedModel | None
    unserved: Mapping[str, str] = field(default_factory=dict)

    @property
    def models(self) -> tuple[LoadedModel, ...]:
        """The models there are."""
        return tuple(model for model in (self.churn, self.clv) if model is not None)

    @property
    def versions(self) -> dict[str, str]:
        """Version of each model."""
        return {model.bundle.task: model.version for model in self.models}

    @property
    def labels(self) -> dict[str, str | None]:
        """Name and version of each model, as answers name them."""
        return {"churn": self.churn.label if self.churn else None, "clv": self.clv.label if self.clv else None}

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

        Raises
        ------
        RegistryError
            No model has a champion, its files are missing or altered, or it does not fit the features.
        """
        served_hash = schema_hash() if schema_hash else None
        versions, unserved = catalog.champions(workspace, tasks)
        models = {task: _load(workspace, version, served_hash) for task, version in versions.items()}
        return cls(models.get("churn"), models.get("clv"), unserved)


def _load(workspace: Workspace, version: Version, served_hash: str | None) -> LoadedModel:
    folder = catalog.files(workspace, version) / "bundle"
    try:
        bundle = bundles.load(folder)
    except RegistryError as error:
        raise RegistryError(str(error).replace(str(folder.parents[1]), version.label)) from None
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
    return LoadedModel.from_bundle(bundle, version.version)


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


class ChampionWatcher:
    """Holds the champions, and looks every few seconds whether the registry names others.

    Parameters
    ----------
    workspace, schema_hash, tasks
        As for `Champions.load`.
    poll_seconds
        Time between two looks.
    on_swap
        Called after every swap.

    Notes
    -----
    A look that fails, or that no longer finds one that serves, leaves the champions as they are and logs why, once for
    each reason.
    """

    def __init__(
        self,
        workspace: Workspace,
        schema_hash: Callable[[], str] | None = None,
        poll_seconds: float = 5.0,
        on_swap: Callable[[], None] = lambda: None,
        tasks: Sequence[Task] = TASKS,
    ) -> None:
        self._tasks = tasks
        self._workspace = workspace
        self._schema_hash = schema_hash
        self._poll_seconds = poll_seconds
        self._on_swap = on_swap
        self._champions: Champions | None = None
        self._last_failure: str | None = None
        self._refreshing = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="champions", daemon=True)

    def current(self) -> Champions:
        """The champions that serve now.

        Raises
        ------
        NotReadyError
            None could be loaded yet.
        """
        champions = self._champions
        if champions is None:
            raise NotReadyError(
                self._last_failure or "the champion models are being loaded; try again in a few seconds"
            )
        return champions

    def refresh(self) -> bool:
        """Look once; return whether the champions were swapped."""
        with self._refreshing:
            try:
                return self._reload_if_changed()
            except Exception as error:
                reason = str(error) if isinstance(error, StaycastError) else f"{type(error).__name__}: {error}"
                self._log_failure(reason)
                return False

    def start(self) -> Self:
        """Begin to look, in a thread of its own; returns at once."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop looking; the champions stay."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _poll(self) -> None:
        while not self._stopped.is_set():
            self.refresh()
            self._stopped.wait(self._poll_seconds)

    def _reload_if_changed(self) -> bool:
        current = self._champions
        if current is not None:
            found = champion_versions(self._workspace, self._tasks)
            for task in current.versions.keys() - found.keys():
                require_champion(self._workspace, task)
            if found == current.versions:
                self._last_failure = None
                return False
        self._champions = Champions.load(self._workspace, self._schema_hash, self._tasks)
        self._last_failure = None
        logger.info("serving %s", self._champions)
        for reason in self._champions.unserved.values():
            logger.warning("%s", reason)
        self._on_swap()
        return True

    def _log_failure(self, reason: str) -> None:
        if reason != self._last_failure:
            state = f"{self._champions} stay" if self._champions else "nothing is served"
            logger.warning("champions could not be loaded, %s: %s", state, reason)
        self._last_failure = reason
