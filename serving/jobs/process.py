"""The process that works through the jobs, one after the other, of the lowest priority, with a core left to others.

    python -m serving.jobs.process CONFIG WORKSPACE

It ends when none is left, and at once when its standard input does: then the one that began it is gone, or stops it.
What it was at goes on where it was with the next one, see `serving.bulk.run`.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from configs import settings as configs
from configs.errors import DataError, NotReadyError, RegistryError, StaycastError, StoreError
from configs.libraries import hide_deprecations
from configs.lock import BusyError, exclusive
from configs.settings import Settings
from configs.workspace import SCORE_CSV, SCORE_TABLE, Workspace
from serving.bulk.processes import end_with_input
from serving.jobs.job_queue import Job, JobQueue

LOWEST_PRIORITY = 19
WAIT_SECONDS = 600.0  # for others who change the workspace; the job waits all the while, and is asked for again
SECONDS_BETWEEN_NOTES = 1.0
REASONS: tuple[tuple[type[StaycastError], str], ...] = (
    (NotReadyError, "features or models are not there yet, or are of an earlier load"),
    (RegistryError, "the models cannot be used now, or changed meanwhile"),
    (StoreError, "the online store does not answer"),
    (DataError, "the newest load is refused, or there is nobody to answer for"),
)
UNKNOWN = "it cannot be told without looking"
Scoring = Callable[[Settings, Workspace, Callable[[int, int], None]], dict[str, Any]]
logger = logging.getLogger(__name__)


def work(settings: Settings, workspace: Workspace, queue: JobQueue, current: list[Job], scoring: Scoring) -> None:
    """Do all jobs that are there; `current` holds the one that is worked on.

    Raises
    ------
    BusyError
        Another changes the workspace, and is long about it.
    """
    while queue.has_work():
        with exclusive(workspace.state, "score job", WAIT_SECONDS):
            job = queue.take(datetime.now(UTC))
            if job is not None:
                current[:] = [job]
                _do(job, queue, settings, workspace, scoring)
                current.clear()


def scored(settings: Settings, workspace: Workspace, on_progress: Callable[[int, int], None]) -> dict[str, Any]:
    """What `staycast score` gives: the answers of before where nothing changed since, else new ones.

    For errors see `serving.bulk.run.score_newest`.
    """
    from features.quality import quality_verdict
    from serving.bulk.fingerprints import scoring_fingerprint
    from serving.bulk.run import score_newest

    quality_verdict.require(workspace)
    quality_verdict.require_newest_features(workspace)
    fingerprint = scoring_fingerprint(settings, workspace)
    earlier = workspace.done("score", fingerprint)
    if earlier is not None and (_folder(earlier, workspace) / SCORE_TABLE).is_file():
        return earlier
    result = score_newest(settings, workspace, on_progress, spared_cores=1)
    workspace.record("score", fingerprint, result)
    return result


def _do(job: Job, queue: JobQueue, settings: Settings, workspace: Workspace, scoring: Scoring) -> None:
    """Do one job: it is done once its result is there whole."""
    try:
        result = scoring(settings, workspace, _noting(job, queue))
        folder = _folder(result, workspace)
        if job.format == "csv" and not (folder / SCORE_CSV).is_file():
            from serving.bulk.csv_file import write_csv

            write_csv(folder / SCORE_TABLE, folder / SCORE_CSV)
        told = (folder.name, result["as_of"], result["scored_at"], result["customers"])
    except Exception as error:
        logger.error("job %s failed: %s", job.id, error if isinstance(error, StaycastError) else type(error).__name__)
        queue.fail(job.id, reason_of(error), datetime.now(UTC))
    else:
        queue.finish(job.id, *told, datetime.now(UTC))


def reason_of(error: Exception) -> str:
    """Why a job failed, by the kind of the error: its message may name paths and quote a customer."""
    told = next((text for kind, text in REASONS if isinstance(error, kind)), UNKNOWN)
    return f"{told}; the server's log says more"


def _folder(result: dict[str, Any], workspace: Workspace) -> Path:
    return workspace.scores / Path(result["folder"]).name


def _noting(job: Job, queue: JobQueue) -> Callable[[int, int], None]:
    """Keeps how far a job is, not more often than somebody would look."""
    noted = float("-inf")

    def note(done: int, of: int) -> None:
        nonlocal noted
        if done == of or time.monotonic() - noted >= SECONDS_BETWEEN_NOTES:
            queue.note_progress(job.id, done, of)
            noted = time.monotonic()

    return note


def main(config: str, root: str) -> int:
    """Do all jobs of a workspace; 0, also where another was so long about it that the jobs still wait."""
    os.nice(LOWEST_PRIORITY)
    hide_deprecations()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s [%(levelname)s] [%(name)s] %(message)s")
    workspace, current = Workspace(Path(root)), list[Job]()
    with JobQueue(workspace.score_jobs) as queue:

        def note_stop() -> None:
            for job in current:
                queue.note_stop(job.id)

        end_with_input(0, note_stop)
        try:
            work(configs.load(config), workspace, queue, current, scored)
        except BusyError as error:
            logger.warning("%s", error)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
