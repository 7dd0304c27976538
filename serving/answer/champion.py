"""The models that serve, read from the registry.

Both champions are swapped together, in one assignment: an answer never mixes an old with a new load, and a
request that began with one pair ends with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from configs.errors import NotReadyError, RegistryError, StaycastError
from configs.workspace import Workspace
from training.model import bundle as bundles
from training.model import catalog
from training.model.bundle import Bundle, Task
from training.model.catalog import Version

TASKS: tuple[Task, ...] = ("churn", "clv")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
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
    def of(cls, bundle: Bundle, version: str) -> Loaded:
        """A bundle under a version, with its base told by the bundle itself."""
        nothing_known = np.full((1, len(bundle.features)), np.nan)
        return cls(bundle, version, bundle.explain(nothing_known).base)


@dataclass(frozen=True)
class Champions:
    """The models that serve; ``clv`` is None for a business without a value model."""

    churn: Loaded
    clv: Loaded | None

    @property
    def held(self) -> tuple[Loaded, ...]:
        """The models there are."""
        return (self.churn,) if self.clv is None else (self.churn, self.clv)

    @property
    def versions(self) -> dict[str, str]:
        """Version of each model."""
        return {loaded.bundle.task: loaded.version for loaded in self.held}

    @property
    def labels(self) -> dict[str, str | None]:
        """Name and version of each model, as answers tell them."""
        return {"churn": self.churn.label, "clv": self.clv.label if self.clv else None}

    @property
    def columns(self) -> set[str]:
        """All feature columns that the models learned from."""
        return {name for loaded in self.held for name in loaded.bundle.features}

    def __str__(self) -> str:
        return " and ".join(loaded.label for loaded in self.held)

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
            No version carries the alias, its files are missing or altered, or it does not fit the features.
        """
        served = schema_hash() if schema_hash else None
        found = {task: _load(workspace, task, served) for task in tasks}
        return cls(found["churn"], found.get("clv"))


def registered_versions(workspace: Workspace, tasks: Sequence[Task] = TASKS) -> dict[str, str]:
    """The version of each model that carries the alias ``champion`` now.

    Raises
    ------
    RegistryError
        There is no registry, or a model has no champion.
    """
    return {task: _champion(workspace, task).version for task in tasks}


def _champion(workspace: Workspace, task: Task) -> Version:
    if not (workspace.mlruns / "mlflow.db").is_file():
        raise RegistryError(
            f"no model registry at '{workspace.mlruns}': run `staycast train` first, or give --workspace"
        )
    version = catalog.champion(workspace, task)
    if version is None:
        raise RegistryError(
            f"no version of the model '{task}' carries the alias '{catalog.CHAMPION}' in '{workspace.mlruns}': "
            "train a model that passes the gates, or promote a version"
        )
    return version


def _load(workspace: Workspace, task: Task, served: str | None) -> Loaded:
    version = _champion(workspace, task)
    folder = catalog.files(workspace, version) / "bundle"
    try:
        bundle = bundles.load(folder)
    except RegistryError as error:
        raise RegistryError(str(error).replace(str(folder.parents[1]), version.label)) from None
    if bundle.task != task:
        raise RegistryError(f"{version.label} holds a model for '{bundle.task}': register it under that name")
    if task == "clv" and bundle.interval is None:
        raise RegistryError(f"{version.label} holds no interval: train it again")
    if served is not None and bundle.schema_hash != served:
        raise RegistryError(
            f"{version.label} learned from features {bundle.schema_hash}, the features to serve are {served}: "
            "rebuild the features with the settings it was trained with, or train again"
        )
    return Loaded.of(bundle, version.version)


class ChampionHolder:
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
    A look that fails keeps what is held and logs why, once for each reason.
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
        self._fault: str | None = None
        self._looking = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="champions", daemon=True)

    def current(self) -> Champions:
        """The champions that serve now.

        Raises
        ------
        NotReadyError
            None could be loaded yet.
        """
        held = self._champions
        if held is None:
            raise NotReadyError(self._fault or "the champion models are being loaded; try again in a few seconds")
        return held

    def refresh(self) -> bool:
        """Look once; return whether the champions were swapped."""
        with self._looking:
            try:
                return self._swap()
            except Exception as error:
                self._keep(str(error) if isinstance(error, StaycastError) else f"{type(error).__name__}: {error}")
                return False

    def start(self) -> Self:
        """Begin to look, in a thread of its own; returns at once."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop looking; what is held stays."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _watch(self) -> None:
        while not self._ended.is_set():
            self.refresh()
            self._ended.wait(self._poll_seconds)

    def _swap(self) -> bool:
        held = self._champions
        if held is not None and held.versions == registered_versions(self._workspace, self._tasks):
            self._fault = None
            return False
        self._champions = loaded = Champions.load(self._workspace, self._schema_hash, self._tasks)
        self._fault = None
        logger.info("serving %s", loaded)
        self._on_swap()
        return True

    def _keep(self, fault: str) -> None:
        if fault != self._fault:
            held = self._champions
            kept = f"{held} stay" if held else "nothing is served"
            logger.warning("champions could not be loaded, %s: %s", kept, fault)
        self._fault = fault
