from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from configs.workspace import Workspace
from serving.jobs import keeper
from serving.jobs.job_queue import JobQueue
from serving.jobs.keeper import JobKeeper, WorkSeen
from serving.records.evidence import Asker

STANDS_IN = """
import os, sys
from pathlib import Path
Path(sys.argv[1], str(os.getpid())).touch()
os.read(0, 1)
Path(sys.argv[1], f"{os.getpid()}.stopped").touch()
"""


@pytest.fixture
def make(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], JobKeeper]:
    """Keepers whose process writes its id into ``pids`` and waits for the end of its input."""
    monkeypatch.setattr(keeper, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(keeper, "AFTER_A_CRASH_SECONDS", 0.02)
    (tmp_path / "pids").mkdir()

    def made() -> JobKeeper:
        one = JobKeeper("test", workspace)
        assert one._arguments[1:4] == ["-m", "serving.jobs.process", "test"]
        one._arguments = [sys.executable, "-c", STANDS_IN, str(tmp_path / "pids")]
        return one

    return made


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    ends = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < ends, "it never came true"
        time.sleep(0.01)
    return found


def test_of_two_workers_one_begins_a_process_and_the_other_when_it_is_gone(
    make: Any, workspace: Workspace, tmp_path: Path, now: datetime
) -> None:
    pids = tmp_path / "pids"
    with make() as one:
        assert not workspace.score_jobs.exists()
        with JobQueue(workspace.score_jobs) as queue:
            queue.add("a", "parquet", Asker("key:crm", "crm", ""), now)
        (first,) = until(lambda: list(pids.iterdir()))
        with make() as other:
            time.sleep(0.1)
            assert list(pids.iterdir()) == [first]
            one.__exit__(None, None, None)
            assert (pids / f"{first.name}.stopped").exists()
            second = until(lambda: {p for p in pids.iterdir() if not p.suffix} - {first})
            assert other._thread.is_alive() and len(second) == 1


def test_a_process_that_was_killed_is_begun_anew_until_nothing_is_left(
    make: Any, workspace: Workspace, tmp_path: Path, now: datetime
) -> None:
    pids = tmp_path / "pids"
    with JobQueue(workspace.score_jobs) as queue, make():
        queue.add("a", "parquet", Asker("key:crm", "crm", ""), now)
        (first,) = until(lambda: list(pids.iterdir()))
        os.kill(int(first.name), signal.SIGKILL)
        (second,) = until(lambda: set(pids.iterdir()) - {first})
        queue.take(now)
        queue.finish(["a"], "folder", "", "", 1, now)
        os.kill(int(second.name), signal.SIGKILL)
        time.sleep(0.15)
        assert set(pids.iterdir()) == {first, second}


def test_work_is_seen_in_a_file_that_comes_goes_and_is_another(workspace: Workspace, now: datetime) -> None:
    has_work = WorkSeen(workspace.score_jobs)
    assert not has_work() and not workspace.score_jobs.exists()
    for _ in range(2):
        with JobQueue(workspace.score_jobs) as queue:
            assert not has_work()
            queue.add("a", "parquet", Asker("key:crm", "crm", ""), now)
            assert has_work()
        for path in workspace.state.glob("score-jobs.db*"):
            path.unlink()
        assert not has_work()
    has_work.close()
