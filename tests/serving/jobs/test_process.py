from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from configs import lock
from configs.errors import DataError, RegistryError
from configs.files import write_text
from configs.settings import load
from configs.workspace import Workspace
from serving.bulk.run import score_newest
from serving.jobs import job_queue, process
from serving.jobs.job_queue import JobQueue
from serving.jobs.keeper import JobKeeper
from serving.jobs.process import reason_of, scored, work
from serving.records.evidence import Asker

CRM = Asker("key:crm", "crm", "")
NOW = datetime(2024, 3, 1, tzinfo=UTC)


@pytest.fixture
def queue(workspace: Workspace) -> Iterator[JobQueue]:
    with JobQueue(workspace.score_jobs) as opened:
        yield opened


def rows(workspace: Workspace, folder: str) -> list[dict[str, Any]]:
    """The rows of a score file without what two of one customer do not share."""
    table = pq.read_table(workspace.scores / folder / "scores.parquet")
    return table.drop_columns(["prediction_id", "scored_at"]).to_pylist()


def rows_of_the_verb(workspace: Workspace) -> list[dict[str, Any]]:
    before = workspace.last("score")
    assert before is not None
    return rows(workspace, Path(before["folder"]).name)


def test_a_job_that_was_cut_short_goes_on_where_it_was_and_gives_the_rows_of_the_verb(copied: Workspace) -> None:
    settings, verb = load("test"), rows_of_the_verb(copied)
    shutil.rmtree(copied.scores)

    def cut_short(workspace: Workspace, on_progress: Any) -> dict[str, Any]:
        def end(done: int, of: int) -> None:
            on_progress(done, of)
            if done > 100:
                raise KeyboardInterrupt

        return score_newest(settings, workspace, end, part_rows=40, workers=1)

    def scoring(workspace: Workspace, on_progress: Any) -> dict[str, Any]:
        assert kept and {path.name: path.stat().st_mtime_ns for path in copied.scoring.glob("0*")} == kept
        return score_newest(settings, workspace, on_progress, part_rows=40, workers=1)

    with JobQueue(copied.score_jobs) as queue:
        queue.add("a", "parquet", CRM, NOW)
        with pytest.raises(KeyboardInterrupt):
            work(copied, queue, [], cut_short)
        seen = queue.find("a")
        assert seen is not None and seen.state == "running" and seen.customers == len(verb)
        assert not copied.scores.exists()
        kept = {path.name: path.stat().st_mtime_ns for path in copied.scoring.glob("0*")}
        work(copied, queue, [], scoring)
        done = queue.find("a")
    assert done is not None and done.state == "done" and done.folder
    assert rows(copied, done.folder) == verb and done.customers_done == done.customers == len(verb)


@pytest.mark.slow
def test_a_process_that_is_killed_is_begun_anew_and_the_job_is_done_once(copied: Workspace) -> None:
    verb = rows_of_the_verb(copied)
    shutil.rmtree(copied.scores)
    with JobQueue(copied.score_jobs) as queue, JobKeeper("test", copied):
        queue.add("a", "csv", CRM, NOW)
        ends = time.monotonic() + 120
        while queue.find("a").state == "queued" and time.monotonic() < ends:  # type: ignore[union-attr]
            time.sleep(0.01)
        holder = json.loads((copied.state / "lock.json").read_text("utf-8"))
        os.kill(holder["pid"], signal.SIGKILL)
        while (job := queue.find("a")).state == "running" and time.monotonic() < ends:  # type: ignore[union-attr]
            time.sleep(0.05)
    assert job is not None and job.state == "done" and job.folder
    assert rows(copied, job.folder) == verb and (copied.scores / job.folder / "scores.csv").is_file()


def test_where_nothing_changed_jobs_point_to_the_answers_that_are_there(copied: Workspace) -> None:
    with JobQueue(copied.score_jobs) as queue:
        for name in ("a", "b"):
            queue.add(name, "parquet" if name == "a" else "csv", CRM, NOW)
        work(copied, queue, [], partial(scored, "test"))
        one, other = queue.find("a"), queue.find("b")
    assert one is not None and other is not None and one.folder == other.folder
    assert (one.state, other.state, other.as_of) == ("done", "done", one.as_of)
    (folder,) = {one.folder}
    lines = (copied.scores / str(folder) / "scores.csv").read_text("utf-8").splitlines()
    assert len(lines) >= len(rows(copied, str(folder))) + 1


RESULT = {"folder": "f", "as_of": "x", "scored_at": "y", "customers": 2}


def made_up(result: dict[str, Any] | Exception) -> Any:
    def scoring(workspace: Workspace, on_progress: Any) -> dict[str, Any]:
        on_progress(1, 2), on_progress(2, 2)
        if isinstance(result, Exception):
            raise result
        return result

    return scoring


@pytest.mark.parametrize("error", [RegistryError("of c17"), DataError("c17 in /place"), ZeroDivisionError("c17")])
def test_a_job_that_fails_says_why_without_what_the_error_says_and_the_next_is_done(
    error: Exception, queue: JobQueue, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    queue.add("a", "parquet", CRM, NOW)
    current: list[str] = []
    with caplog.at_level(logging.ERROR):
        work(workspace, queue, current, made_up(error))
    assert f"{type(error).__name__} in scoring (test_process.py:" in caplog.text and "c17" not in caplog.text
    failed = queue.find("a")
    assert failed is not None and failed.state == "failed" and failed.ended_at is not None and current == []
    assert failed.reason == reason_of(error) and "c17" not in failed.reason and "/place" not in failed.reason
    queue.add("b", "parquet", CRM, NOW)
    work(workspace, queue, current, made_up(RESULT))
    done = queue.find("b")
    assert done is not None and (done.state, done.folder, done.customers) == ("done", "f", 2)


def test_a_job_whose_csv_cannot_be_written_is_not_done_and_keeps_no_other(
    queue: JobQueue, workspace: Workspace
) -> None:
    queue.add("a", "csv", CRM, NOW), queue.add("b", "parquet", CRM, NOW)
    work(workspace, queue, [], made_up(RESULT))
    failed, done = queue.find("a"), queue.find("b")
    assert failed is not None and failed.state == "failed" and failed.folder is None
    assert done is not None and done.state == "done" and done.folder == "f"


def test_one_scoring_is_for_all_jobs_that_wait_and_a_verb_has_its_turn_between_two(
    queue: JobQueue, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorings, turns = list[int](), list[float]()

    def scoring(config: str, place: Workspace, on_progress: Any) -> dict[str, Any]:
        scorings.append(len([job for job in queue.newest(9) if job.state == "running"]))
        if len(scorings) == 1:
            queue.add("late", "parquet", CRM, NOW)
        return RESULT

    def pause(seconds: float) -> None:
        turns.append(seconds)
        with ThreadPoolExecutor(1) as verb:
            verb.submit(in_turn).result()

    def in_turn() -> None:
        with workspace.exclusive("erase"):
            assert (workspace.state / "lock.json").is_file()

    monkeypatch.setattr(process, "scored", scoring)
    monkeypatch.setattr(process, "end_when_told", lambda *how: None)
    monkeypatch.setattr(process, "hide_deprecations", lambda: None)
    monkeypatch.setattr("os.nice", lambda by: None)
    monkeypatch.setattr("time.sleep", pause)
    for name in "ab":
        queue.add(name, "parquet", CRM, NOW)
    assert process.main("test", str(workspace.root)) == 0
    assert scorings == [2, 1] and {job.state for job in queue.newest(9)} == {"done"}
    assert len(turns) == 2 and min(turns) > lock.WAIT_SECONDS


def test_a_configuration_that_cannot_be_used_is_told_to_the_job(
    queue: JobQueue, workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "shop.yaml").write_text("name: shop\nhorizon_dais: 30\n")
    queue.add("a", "parquet", CRM, NOW)
    work(workspace, queue, [], partial(scored, str(tmp_path / "shop.yaml")))
    failed = queue.find("a")
    assert failed is not None and failed.state == "failed" and "configuration" in str(failed.reason)


@pytest.mark.parametrize("error", [BrokenProcessPool("killed"), MemoryError(), sqlite3.OperationalError("locked")])
def test_what_another_process_may_do_better_ends_this_one_and_counts_as_an_attempt(
    error: Exception, queue: JobQueue, workspace: Workspace
) -> None:
    queue.add("a", "parquet", CRM, NOW)
    for _ in range(job_queue.MOST_ATTEMPTS):
        with pytest.raises(type(error)):
            work(workspace, queue, [], made_up(error))
    work(workspace, queue, [], made_up(RESULT))
    failed = queue.find("a")
    assert failed is not None and failed.reason == job_queue.ENDED_TOO_OFTEN


def test_who_gets_further_each_time_may_be_cut_short_more_often(queue: JobQueue, workspace: Workspace) -> None:
    queue.add("a", "parquet", CRM, NOW)

    def scoring(place: Workspace, on_progress: Any) -> dict[str, Any]:
        parts = len(list(place.scoring.glob("*"))) if place.scoring.exists() else 0
        write_text(place.scoring / f"{parts:06d}.parquet", "")
        on_progress(parts, parts)
        raise MemoryError

    for _ in range(2 * job_queue.MOST_ATTEMPTS):
        with pytest.raises(MemoryError):
            work(workspace, queue, [], scoring)
    work(workspace, queue, [], made_up(RESULT))
    done = queue.find("a")
    assert done is not None and done.state == "done"


def test_progress_that_cannot_be_kept_stops_no_scoring(
    queue: JobQueue, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*progress: Any, **more: Any) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(queue, "note_progress", locked)
    queue.add("a", "parquet", CRM, NOW)
    work(workspace, queue, [], made_up(RESULT))
    done = queue.find("a")
    assert done is not None and done.state == "done"
