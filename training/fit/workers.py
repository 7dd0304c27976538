"""Several processes, on one machine or many, at one search: all take their trials from one Optuna storage.

A trial has a *place*: how many trials that did not fail come before it. Places from the number of trials on are never
run, so that a search of 24 trials ends with 24, whoever ran them, and every process finds the same result in the
storage. By Optuna's heartbeat the trial of a process that has been silent for a minute counts as failed, and its place
is given to another.

Optuna's `MaxTrialsCallback` stops after a trial, so several processes overshoot; its `RetryFailedTrialCallback` would
try the parameters of a dead trial again, and not give its place to a new one. So places are counted here.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from configs.errors import ConfigError, StaycastError
from configs.settings import Tuning
from configs.variables import expand
from configs.workspace import Workspace

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
ALIVE_SECONDS = 10
SILENT_SECONDS = 60
WAIT_SECONDS = 0.5
LOCK_SECONDS = 60
MAX_ATTEMPTS = 5
Objective = Callable[[optuna.Trial], float]
OnProgress = Callable[[int, int], None]


class NoPlaceError(StaycastError):
    """A trial was begun although the others take up all places already; it is given back."""


def is_shared(settings: Tuning) -> bool:
    """Whether other processes may take trials of the same search."""
    return settings.storage is not None or settings.workers > 1


def open_storage(settings: Tuning, workspace: Workspace) -> RDBStorage:
    """Open Optuna's storage: the one of ``tuning.storage``, or the workspace's own SQLite file.

    Raises
    ------
    ConfigError
        The address is none, names a variable that is not set, needs a driver that is not installed, or cannot be
        reached. The message does not repeat a password.
    """
    if settings.storage is None:
        workspace.tuning.parent.mkdir(parents=True, exist_ok=True)
        return _storage(f"sqlite:///{workspace.tuning}")
    text = expand(settings.storage, "tuning.storage")
    try:
        url = make_url(text)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise ConfigError(
            "tuning.storage is no database address; write for example postgresql+psycopg://user:${PASSWORD}@host/name"
        ) from None
    try:
        return _storage(text)
    except ImportError as error:
        raise ConfigError(f"tuning.storage needs a driver that is not installed: {error.__cause__ or error}") from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        address = url.set(query={}).render_as_string(hide_password=True)
        reason = str(getattr(error, "orig", None) or error).strip()
        reason = reason.replace(str(url.password), "***") if url.password else reason
        raise ConfigError(f"tuning.storage: cannot use the database {address}: {reason}") from None


def _storage(url: str) -> RDBStorage:
    """Open a storage; if another process makes the same tables at this moment, try again."""
    options: dict[str, Any] = {"poolclass": NullPool}  # no connection outlives its question
    if url.startswith("sqlite"):
        options = {"connect_args": {"timeout": LOCK_SECONDS}}
    attempts = MAX_ATTEMPTS
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return RDBStorage(url, options, heartbeat_interval=ALIVE_SECONDS, grace_period=SILENT_SECONDS)
        except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError):
            attempts -= 1
            if not attempts:
                raise
            time.sleep(WAIT_SECONDS)


def count_ended(study: optuna.Study) -> int:
    """How many trials have ended, whoever ran them."""
    return sum(t.state in ENDED for t in study.trials)


def run_trials(
    study: optuna.Study, objective: Objective, of: int, until: float, shared: bool, on_progress: OnProgress
) -> None:
    """Take trials of a search until it has its number of them, or time is up.

    Parameters
    ----------
    study
        The search, in a storage that others may use, too.
    objective
        From a trial to its loss.
    of
        The number of trials of the whole search, over all processes.
    until
        No trial begins after this time, seconds since 1970; the one that runs is finished.
    shared
        Whether others may be at it: waits for places that they may give back. If not, only what has ended counts.
    on_progress
        Called with how many trials have ended, of how many.
    """
    on_progress(count_ended(study), of)
    while count_ended(study) < of and time.time() < until:
        if shared and not _free_places(study, of):
            time.sleep(WAIT_SECONDS)
        else:
            _run_one(study, objective, of, shared)
        on_progress(count_ended(study), of)


def _free_places(study: optuna.Study, of: int) -> int:
    """Places that nobody has run or is running, after those of the silent were taken from them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    return of - sum(t.state in (*ENDED, TrialState.RUNNING) for t in study.trials)


def _run_one(study: optuna.Study, objective: Objective, of: int, shared: bool) -> None:
    """Run one trial, if it gets a place; one whose process was thought dead meanwhile has lost its place to another."""

    def in_its_place(trial: optuna.Trial) -> float:
        before = (t for t in study.trials if t.number < trial.number and t.state != TrialState.FAIL)
        if shared and sum(1 for _ in before) >= of:
            raise NoPlaceError(f"the search has its {of} trials")
        return objective(trial)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            study.optimize(in_its_place, n_trials=1, catch=(NoPlaceError,))
        except UpdateFinishedTrialError:
            pass
        except ValueError as error:
            if not str(error).startswith("Cannot tell a FAIL trial"):
                raise


@contextmanager
def helper_processes(count: int, body: Callable[..., None], arguments: tuple[Any, ...]) -> Iterator[Callable[[], bool]]:
    """Run a function in several processes beside this one; gives a function that tells whether one of them still runs.

    The processors are shared out among their threads. They end with the context at the latest.

    Parameters
    ----------
    count
        How many processes.
    body, arguments
        What each runs; must be what pickle can carry.
    """
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=body, args=arguments, daemon=True) for _ in range(count)]
    with _threads(max(1, (os.cpu_count() or 1) // max(1, count))):
        for process in processes:
            process.start()
    try:
        yield lambda: any(process.is_alive() for process in processes)
    finally:
        for process in processes:
            process.terminate()
            process.join()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let processes that are started here use so many threads each, unless the environment says already."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = before or str(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
