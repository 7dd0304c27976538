"""The process that works through the jobs, of the lowest priority, with a core left to others.

    python -m serving.jobs.process CONFIG WORKSPACE

One scoring does all jobs that wait; those that come meanwhile are done by the next one. After each the workspace is
left to others for longer than a verb waits for it. The process ends when no job is left, and at once when SIGTERM comes
or its standard input ends: then the one that began it is gone, or stops it. What it was at goes on where it was with
the next one, see `serving.bulk.run`.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from configs import settings as configs
from configs.errors import (
    ConfigError,
    DataError,
    NotReadyError,
    RegistryError,
    StaycastError,
    StoreError,
    safe_summary,
)
from configs.libraries import hide_deprecations
from configs.lock import WAIT_SECONDS as VERB_WAIT_SECONDS
from configs.lock import BusyError, exclusive
from configs.workspace import SCORE_CSV, SCORE_TABLE, Workspace
from serving.bulk.processes import end_when_told
from serving.jobs.job_queue import Job, JobQueue

LOWEST_PRIORITY = 19
WAIT_SECONDS = 600.0  # for others who change the workspace; the job waits all the while, and is asked for again
PAUSE_SECONDS = VERB_WAIT_SECONDS + 1  # after each scoring: who waits for the workspace has a turn
SECONDS_BETWEEN_NOTES = 1.0
REASONS: tuple[tuple[type[StaycastError], str], ...] = (
    (ConfigError, "the configuration cannot be used"),
    (NotReadyError, "features or models are not there yet, or are of an earlier load"),
    (RegistryError, "the models cannot be used now, or changed meanwhile"),
    (StoreError, "the online store does not answer"),
    (DataError, "the newest load is refused, or there is nobody to answer for"),
)
UNKNOWN = "it cannot be told without looking"
CUT_SHORT = (BrokenExecutor, MemoryError, sqlite3.Error)  # the next process may do better; `attempts` bounds it
Scoring = Callable[[Workspace, Callable[[int, int], None]], dict[str, Any]]
logger = logging.getLogger(__name__)


def work(workspace: Workspace, queue: JobQueue, current: list[str], scoring: Scoring) -> None:
    """Do all jobs that wait by one scoring; `current` holds their ids meanwhile.

    Raises
    ------
    BusyError
        Another changes the workspace, and is long about it.
    BrokenExecutor, MemoryError, sqlite3.Error
        It was cut short: the jobs go on with the next process, if that was not so too often.
    """
    with exclusive(workspace.state, "score job", WAIT_SECONDS):
        jobs = queue.take(datetime.now(UTC))
        current[:] = [job.id for job in jobs]
        if jobs:
            _do(jobs, queue, workspace, scoring)
        current.clear()


def scored(config: str, workspace: Workspace, on_progress: Callable[[int, int], None]) -> dict[str, Any]:
    """What `staycast score` gives: the answers of before where nothing changed since, else new ones.

    For errors see `configs.settings.load` and `serving.bulk.run.score_newest`.
    """
    from features.quality import quality_verdict
    from serving.bulk.fingerprints import scoring_fingerprint
    from serving.bulk.run import score_newest

    settings = configs.load(config)
    quality_verdict.require(workspace)
    quality_verdict.require_newest_features(workspace)
    fingerprint = scoring_fingerprint(settings, workspace)
    earlier = workspace.done("score", fingerprint)
    if earlier is not None and (workspace.scored(earlier) / SCORE_TABLE).is_file():
        return earlier
    result = score_newest(settings, workspace, on_progress, spared_cores=1)
    workspace.record("score", fingerprint, result)
    return result


def _do(jobs: Sequence[Job], queue: JobQueue, workspace: Workspace, scoring: Scoring) -> None:
    """Do jobs by one scoring: each is done once its result is there whole; one that cannot be done keeps no other."""
    try:
        result = scoring(workspace, _noting(jobs, queue, workspace))
        folder = workspace.scored(result)
        told = (folder.name, result["as_of"], result["scored_at"], result["customers"])
        queue.finish([job.id for job in jobs if job.format == "parquet"], *told, datetime.now(UTC))
        of_csv = [job.id for job in jobs if job.format == "csv"]
        if of_csv and not (folder / SCORE_CSV).is_file():
            from serving.bulk.csv_file import write_csv

            write_csv(folder / SCORE_TABLE, folder / SCORE_CSV)
        queue.finish(of_csv, *told, datetime.now(UTC))
    except CUT_SHORT:
        raise
    except Exception as error:
        ids = [job.id for job in jobs]
        logger.error("jobs %s failed: %s", ", ".join(ids), safe_summary(error))
        queue.fail(ids, reason_of(error), datetime.now(UTC))


def reason_of(error: Exception) -> str:
    """Why a job failed, by the kind of the error: its message may name paths and quote a customer."""
    told = next((text for kind, text in REASONS if isinstance(error, kind)), UNKNOWN)
    return f"{told}; the server's log says more"


def _noting(jobs: Sequence[Job], queue: JobQueue, workspace: Workspace) -> Callable[[int, int], None]:
    """Keeps how far jobs are, not more often than somebody would look; what cannot be kept stops nothing."""
    ids, noted, parts = [job.id for job in jobs], float("-inf"), _parts(workspace)

    def note(done: int, of: int) -> None:
        nonlocal noted
        if done == of or time.monotonic() - noted >= SECONDS_BETWEEN_NOTES:
            with suppress(sqlite3.Error):
                queue.note_progress(ids, done, of, further=_parts(workspace) > parts)
            noted = time.monotonic()

    return note


def _parts(workspace: Workspace) -> int:
    """How many parts of the answers are whole."""
    return sum(1 for _ in workspace.scoring.glob("*.parquet"))


def main(config: str, root: str) -> int:
    """Do all jobs of a workspace; 0, also where another was so long about it that the jobs still wait."""
    os.nice(LOWEST_PRIORITY)
    hide_deprecations()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s [%(levelname)s] [%(name)s] %(message)s")
    workspace, current = Workspace(Path(root)), list[str]()
    with JobQueue(workspace.score_jobs) as queue:
        end_when_told(0, lambda: queue.note_stop(current))
        try:
            while queue.has_work():
                work(workspace, queue, current, partial(scored, config))
                time.sleep(PAUSE_SECONDS)
        except BusyError as error:
            logger.warning("%s", error)
        except CUT_SHORT as error:
            logger.error("the jobs were cut short: %s", safe_summary(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
