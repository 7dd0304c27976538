from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from configs.workspace import Workspace
from serving.jobs import job_queue
from serving.jobs.job_queue import ENDED_TOO_OFTEN, MOST_ATTEMPTS, FullQueueError, Job, JobQueue, OtherBodyError
from serving.records.evidence import Asker
from serving.records.repeats import KEEP, Key

CRM = Asker("key:crm", "crm", "campaign")


@pytest.fixture
def queue(workspace: Workspace) -> Iterator[JobQueue]:
    with JobQueue(workspace.score_jobs) as opened:
        yield opened


def finish(queue: JobQueue, now: datetime) -> None:
    ids = [job.id for job in queue.take(now)]
    assert ids
    queue.finish(ids, "folder", "2024-03-01T00:00:00Z", "2024-03-01T01:30:00Z", 7, now)


def asker(name: str) -> Asker:
    return Asker(f"key:{name}", "crm", "")


def test_a_job_goes_from_queued_to_done_and_says_who_when_and_how_far(
    queue: JobQueue, workspace: Workspace, now: datetime
) -> None:
    asked = queue.add("a", "csv", CRM, now)
    assert asked == Job("a", "csv", "queued", "key:crm", "campaign", now) and queue.has_work()
    (begun,) = queue.take(now + timedelta(seconds=3))
    assert (begun.state, begun.started_at) == ("running", now + timedelta(seconds=3))
    queue.note_progress(["a"], 3, 7)
    with JobQueue(workspace.score_jobs) as other:
        seen = other.find("a")
        assert seen is not None and (seen.customers_done, seen.customers) == (3, 7)
    queue.finish(["a"], "folder", "2024-03-01T00:00:00Z", "2024-03-01T01:30:00Z", 7, now + timedelta(seconds=9))
    done = queue.find("a")
    assert done is not None and (done.state, done.folder, done.customers_done) == ("done", "folder", 7)
    assert done.ended_at == now + timedelta(seconds=9) and not queue.has_work() and queue.take(now) == []


def test_all_that_was_begun_and_all_that_waits_is_taken_at_once_and_ends_at_once(
    queue: JobQueue, now: datetime
) -> None:
    for name in "ca":
        queue.add(name, "parquet", asker(name), now)
    assert [job.id for job in queue.take(now)] == ["c", "a"]
    queue.add("b", "csv", CRM, now)
    again = queue.take(now + timedelta(hours=1))
    assert [(job.id, job.started_at) for job in again] == [("c", now), ("a", now), ("b", now + timedelta(hours=1))]
    queue.finish(["c", "b"], "folder", "x", "y", 7, now)
    queue.fail(["c", "a"], "why", now)
    assert [(job.id, job.state) for job in queue.newest(9)] == [("b", "done"), ("a", "failed"), ("c", "done")]


def test_a_job_whose_process_always_ends_fails_but_not_one_that_was_stopped(queue: JobQueue, now: datetime) -> None:
    queue.add("a", "parquet", CRM, now)
    for _ in range(3 * MOST_ATTEMPTS):
        assert queue.take(now)
        queue.note_stop(["a"])
    for _ in range(3 * MOST_ATTEMPTS):
        assert queue.take(now)
        queue.note_progress(["a"], 1, 9, further=True)
    for _ in range(MOST_ATTEMPTS - 1):
        assert queue.take(now)
        queue.note_progress(["a"], 1, 9)
    assert queue.take(now) == []
    failed = queue.find("a")
    assert failed is not None and (failed.state, failed.reason) == ("failed", ENDED_TOO_OFTEN)


def test_nothing_changes_a_job_that_has_ended(queue: JobQueue, now: datetime) -> None:
    queue.add("a", "parquet", CRM, now)
    finish(queue, now)
    done = queue.find("a")
    queue.note_stop(["a"]), queue.note_progress(["a"], 1, 9), queue.fail(["a"], "late", now)
    assert queue.find("a") == done


def test_the_same_key_is_the_same_job_for_a_day_with_another_body_none(queue: JobQueue, now: datetime) -> None:
    key, other = (Key.of("k", "key:crm", body) for body in (b"{}", b'{"format": "csv"}'))
    assert key is not None and other is not None and queue.under(key, now) is None
    first = queue.add("a", "parquet", CRM, now, key)
    assert queue.add("b", "parquet", CRM, now, key) == first == queue.under(key, now)
    with pytest.raises(OtherBodyError):
        queue.add("b", "csv", CRM, now, other)
    assert queue.add("b", "parquet", CRM, now + KEEP + timedelta(seconds=1), key).id == "b"


def test_the_key_of_a_job_that_failed_or_is_forgotten_is_free_for_another(queue: JobQueue, now: datetime) -> None:
    key = Key.of("k", "key:crm", b"{}")
    assert key is not None
    queue.add("a", "parquet", CRM, now, key), queue.take(now)
    queue.fail(["a"], "why", now)
    assert queue.under(key, now) is None and queue.add("b", "csv", CRM, now, key).id == "b"
    finish(queue, now)
    assert queue.add("c", "csv", CRM, now, key).id == "b"
    queue.forget_key("b")
    assert queue.under(key, now) is None and queue.add("c", "csv", CRM, now, key).id == "c"


def test_no_more_wait_than_may_and_of_those_that_ended_the_newest_are_kept(
    queue: JobQueue, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_queue, "MOST_WAITING", 3)
    monkeypatch.setattr(job_queue, "_TOO_OLD", job_queue._TOO_OLD.replace("OFFSET 1000", "OFFSET 3"))
    for number in range(8):
        queue.add(f"{number}", "parquet", CRM, now)
        finish(queue, now)
    queue.add("x", "parquet", CRM, now), queue.add("y", "parquet", CRM, now)
    with pytest.raises(FullQueueError, match="2 jobs of this caller"):
        queue.add("z", "parquet", CRM, now)
    queue.require_room("key:other")
    queue.add("z", "parquet", asker("other"), now)
    with pytest.raises(FullQueueError, match="3 jobs wait"):
        queue.require_room("key:third")
    assert [job.id for job in queue.newest(100)] == ["z", "y", "x", "7", "6", "5"]
