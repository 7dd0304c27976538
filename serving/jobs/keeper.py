"""Sees to it that a process works on the jobs while there are any: one for all workers of a service."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from configs.fingerprint import ROOT
from configs.workspace import Workspace
from features.store.durable_file import BUSY_SECONDS, identity
from serving.jobs.job_queue import JobQueue

POLL_SECONDS = 1.0
AFTER_A_CRASH_SECONDS = 5.0
STOP_SECONDS = BUSY_SECONDS + 3.0  # it may have to wait for another who writes before it can note that it is stopped
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
logger = logging.getLogger(__name__)


class JobKeeper:
    """Looks for jobs in a thread, and begins a process where there are any and no other worker has done so.

    The process ends with this worker, however that ends; another worker, or the next start, then begins another.

    Parameters
    ----------
    config
        As for `configs.settings.load`.
    workspace
        Of the business.
    """

    def __init__(self, config: str, workspace: Workspace) -> None:
        self._arguments = [sys.executable, "-m", "serving.jobs.process", config, str(workspace.root.resolve())]
        self._has_work, self._lock = WorkSeen(workspace.score_jobs), workspace.state / "score-jobs.lock"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="score-jobs", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the process, which goes on where it was when there is another."""
        self._ended.set()
        self._thread.join()
        self._has_work.close()

    def _watch(self) -> None:
        wait = POLL_SECONDS
        while not self._ended.wait(wait):
            wait = POLL_SECONDS
            try:
                if self._has_work():
                    with FileLock(self._lock, timeout=0):
                        wait = POLL_SECONDS if self._run() == 0 else AFTER_A_CRASH_SECONDS
            except Timeout:  # another worker sees to it
                continue
            except Exception as error:
                logger.error("jobs cannot be worked on: %s", type(error).__name__)
                self._has_work.close()
                wait = AFTER_A_CRASH_SECONDS

    def _run(self) -> int:
        """Work on the jobs in a process; how it ended."""
        process = subprocess.Popen(  # noqa: S603 - this interpreter, a module of ours, no shell
            self._arguments,
            cwd=ROOT,
            env={**os.environ, **ONE_THREAD},
            stdin=subprocess.PIPE,
            start_new_session=True,  # so that an interrupt from the keyboard stops it by its input, too
        )
        try:
            while process.poll() is None and not self._ended.wait(POLL_SECONDS / 5):
                continue
        finally:
            _stop(process)
        if process.returncode:
            logger.error("the process of the jobs ended with %d before they were done", process.returncode)
        return process.returncode


class WorkSeen:
    """Tells whether a file of jobs holds any to be done; it stays open, so that to look costs next to nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: JobQueue | None = None
        self._opened: tuple[int, int] | None = None

    def __call__(self) -> bool:
        """Whether there is a file, and any job in it that is neither done nor failed."""
        there = identity(self._path)
        if there != self._opened:
            self.close()
        if there is None:
            return False
        if self._queue is None:
            self._queue, self._opened = JobQueue(self._path), there
        return self._queue.has_work()

    def close(self) -> None:
        """Close the file."""
        queue, self._queue, self._opened = self._queue, None, None
        if queue is not None:
            queue.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
