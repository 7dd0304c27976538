"""Holds the models that serve and those beside them, and looks every few seconds whether others are decided on.

What is found new is loaded task by task, so that what one lacks keeps no other's change from being picked up, and put
in place together, in one assignment: a request that began with one pair ends with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from configs.errors import NotReadyError, RegistryError, StaycastError
from configs.workspace import Workspace
from serving.answer.champion import TASKS, Champions, LoadedModel, beside, checked
from serving.release.local_copies import LocalCopies
from training.model import catalog
from training.model.bundle import Task
from training.model.catalog import Version
from training.model.proof import ledger, releases
from training.model.proof.decisions import Decided, Unledgered, decided
from training.model.proof.releases import Release

logger = logging.getLogger(__name__)
LOCAL = "served from the local copy since {}: {}"


class ChampionWatcher:
    """Gives the champions that serve now.

    Parameters
    ----------
    workspace
        Whose registry.
    schema_hash
        Gives the hash of the features that will be served; a model that learned from others is refused. None: not
        checked.
    poll_seconds
        Time between two looks.
    on_swap
        Called after every swap.
    tasks
        The models of the business (``Settings.tasks``).
    copies
        Keeps the models that serve beside; None: those of the workspace.
    clock
        The present, UTC.
    unledgered
        Whether a version serves that an alias names and the ledger does not.

    Notes
    -----
    What cannot be loaded, or is no longer named, leaves the model of its task in place; `Champions.notices` says why,
    and the log does, once for each reason. Where none is in place, as at a start, what served last does so again. A
    release whose model cannot be loaded, or does not fit, leaves its champion to answer alone.
    """

    def __init__(
        self,
        workspace: Workspace,
        schema_hash: Callable[[], str] | None = None,
        poll_seconds: float = 5.0,
        on_swap: Callable[[], None] = lambda: None,
        tasks: Sequence[Task] = TASKS,
        copies: LocalCopies | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        unledgered: Unledgered = "refuse",
    ) -> None:
        self._workspace, self._schema_hash, self._tasks = workspace, schema_hash, tasks
        self._poll_seconds, self._on_swap, self._clock = poll_seconds, on_swap, clock
        self._unledgered: Unledgered = unledgered
        self._copies = copies or LocalCopies(workspace)
        self._champions: Champions | None = None
        self._failure: str | None = None
        self._local_since: dict[str, str] = {}
        self._refreshing = threading.Lock()
        self._stopped, self._looked = threading.Event(), threading.Event()
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
            raise NotReadyError(self._failure or "the champion models are being loaded; try again in a few seconds")
        return champions

    def refresh(self) -> bool:
        """Look once; return whether a model was swapped."""
        with self._refreshing:
            try:
                return self._look()
            except Exception as error:
                reason = _reason(error)
                if reason != self._failure:
                    logger.warning("champions could not be loaded, %s", self._stay(reason))
                self._failure = reason
                return False

    def start(self) -> Self:
        """Begin to look, in a thread of its own; returns at once."""
        self._thread.start()
        return self

    def wait(self, seconds: float) -> bool:
        """Wait until the first look is over, whatever it found; whether it was within so long."""
        return self._looked.wait(seconds)

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
            self._looked.set()
            self._stopped.wait(self._poll_seconds)

    def _stay(self, reason: str) -> str:
        return f"{self._champions} stay: {reason}" if self._champions else f"nothing is served: {reason}"

    def _look(self) -> bool:
        found = self._decided()
        unserved, notices = dict(found.unserved), dict(found.notices)
        before = {model.bundle.task: model for model in self._champions.models} if self._champions else {}
        models: dict[str, LoadedModel] = {}
        for task in self._tasks:
            model, why = self._model(task, found.versions.get(task), unserved.get(task, ""), before.get(task))
            if model is not None:
                models[task] = model
                unserved.pop(task, None)
            elif why:
                unserved[task] = why
            if model is not None and why:
                notices[task] = why
        if not models:
            raise RegistryError("; ".join(dict.fromkeys(unserved.values())))
        running, notices = beside(replace(found, notices=notices), models, self._second)
        return self._put_in_place(Champions(models.get("churn"), models.get("clv"), unserved, notices, running))

    def _second(self, version: Version) -> LoadedModel:
        """The model of a release; loaded anew where it is not in place."""
        present = self._champions.releases.get(version.model) if self._champions else None
        same = present and (present.model.version, present.model.hash) == (
            version.version,
            catalog.manifest_of(version),
        )
        return present.model if present and same else self._taken(version)

    def _decided(self) -> Decided:
        """The versions that are to serve; where registry or ledger cannot be read, why there are none."""
        try:
            return decided(self._workspace, self._tasks, self._unledgered)
        except StaycastError as error:
            return Decided({}, dict.fromkeys(self._tasks, str(error)), {}, *self._still_running())

    def _still_running(self) -> tuple[dict[str, Release], dict[str, Version]]:
        """While the registry is away: the releases in memory, as far as the ledger, if it can be read, has them run."""
        in_memory = self._champions.releases if self._champions else {}
        known = {task: running.release for task, running in in_memory.items()}
        with suppress(StaycastError, OSError):
            told = releases.running(ledger.read(self._workspace.ledger))
            known = {task: told[task] for task in known if task in told and told[task].version == known[task].version}
        sealed = {task: {catalog.MANIFESTS["bundle"]: in_memory[task].model.hash} for task in known}
        return known, {task: Version(task, r.version, "", (), sealed[task]) for task, r in known.items()}

    def _model(
        self, task: Task, named: Version | None, missing: str, present: LoadedModel | None
    ) -> tuple[LoadedModel | None, str]:
        """The model that is to serve, and what is to be said of it."""
        why = missing
        if named is not None:
            try:
                same = present and (present.version, present.hash) == (named.version, catalog.manifest_of(named))
                model = present if same else self._taken(named)
                self._local_since.pop(task, None)
                return model, ""
            except Exception as error:
                why = _reason(error)
        if present is None:
            present = self._last(task)
        if present is None:
            return None, why
        since = self._local_since.setdefault(task, self._clock().isoformat(timespec="seconds").replace("+00:00", "Z"))
        return present, f"{present.label} is {LOCAL.format(since, why)}"

    def _taken(self, version: Version) -> LoadedModel:
        schema = self._schema_hash() if self._schema_hash else None
        return checked(self._workspace, version, self._copies.take(version), schema)

    def _last(self, task: Task) -> LoadedModel | None:
        """What served last, from its copy, if it fits the features of today."""
        found = self._copies.last(task)
        if found is None:
            return None
        served, bundle = found
        schema = self._schema_hash() if self._schema_hash else None
        if schema is not None and bundle.schema_hash != schema:
            return None
        return LoadedModel.from_bundle(bundle, served.version, served.manifest)

    def _put_in_place(self, champions: Champions) -> bool:
        before, self._failure = self._champions, None
        swapped = before is None or not _same(before, champions)
        if (
            before is not None
            and not swapped
            and (before.unserved, before.notices)
            == (
                champions.unserved,
                champions.notices,
            )
        ):
            return False
        self._champions = champions
        for reason in sorted(_said(champions) - _said(before)):
            logger.warning("%s", reason)
        if swapped:
            logger.info("serving %s", champions)
            self._copies.note(champions.models)
            self._on_swap()
        return swapped


def _same(one: Champions, other: Champions) -> bool:
    """Whether the very same models serve, and run beside."""
    beside = [{task: (r.release, id(r.model)) for task, r in each.releases.items()} for each in (one, other)]
    return one.churn is other.churn and one.clv is other.clv and beside[0] == beside[1]


def _said(champions: Champions | None) -> set[str]:
    return {*champions.unserved.values(), *champions.notices.values()} if champions else set()


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, StaycastError) else f"{type(error).__name__}: {error}"
