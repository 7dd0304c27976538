"""Jobs for all customers over HTTP, through the real app; the process that works on them is called in this one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import orjson
import pandas as pd
import pytest

from configs.errors import DataError
from configs.settings import Access, Settings
from configs.workspace import Workspace
from serving.access.control import access_control
from serving.access.keys import ApiKeys
from serving.access.roles import Role
from serving.answer.champion import Champions
from serving.api.problems import ResultGoneError
from serving.api.resources import score_jobs
from serving.api.schema.answers import ScoreJob, ScoreJobs
from serving.jobs import job_queue
from serving.jobs.job_queue import JobQueue
from serving.jobs.process import work
from serving.records.prediction_log import PredictionLog
from tests.serving.bulk.scored import score_all

CALLERS: dict[str, Role] = {"crm": "crm", "other": "analyst", "ops": "admin"}
Make = Callable[..., Any]
Work = Callable[..., None]


@pytest.fixture
def work_on(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame, workspace: Workspace
) -> Work:
    """Do all jobs that are there, for 40 customers; or fail with an error."""

    def scoring(workspace: Workspace, on_progress: Any) -> dict[str, Any]:
        return score_all(customers.head(40), champions, settings, workspace, now, on_progress, 15)

    def do(error: Exception | None = None) -> None:
        def fail(*arguments: Any) -> Any:
            raise error or AssertionError

        with JobQueue(workspace.score_jobs) as queue:
            work(workspace, queue, [], fail if error else scoring)

    return do


def ask(client: Any, body: Any, **headers: str) -> Any:
    return client.post("/v1/score-jobs", json=body, headers=headers)


def reads(log: PredictionLog) -> list[tuple[str, str]]:
    """Who read what, as the record has it."""
    entries = [entry for entry in log.store.entries() if entry.kind == "read"]
    told = [orjson.loads(log._own.open(entry.summary, b"read  summary")) for entry in entries]
    return [(one["caller"], one["what"]) for one in told]


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("parquet", "application/vnd.apache.parquet"), ("csv", "text/csv; charset=utf-8; header=present")],
)
def test_a_job_is_taken_at_once_and_its_result_is_the_file_of_the_answers_to_the_byte(
    name: str, media_type: str, make: Make, work_on: Work, workspace: Workspace, log: PredictionLog, monkeypatch: Any
) -> None:
    monkeypatch.setattr(score_jobs, "CHUNK_BYTES", 1000)
    client = make()
    taken = ask(client, {"format": name}, **{"X-Purpose": "campaign"})
    assert taken.status_code == 202 and taken.headers["cache-control"] == "no-store"
    job = ScoreJob.model_validate_json(taken.content)
    place = taken.headers["location"]
    assert place == f"/v1/score-jobs/{job.job_id}" and client.get(place).content == taken.content
    assert (job.state, job.format, job.purpose, job.customers, job.result) == ("queued", name, "campaign", None, None)
    early = client.get(f"{place}/result")
    assert early.status_code == 409 and early.json()["type"] == "urn:staycast:problem:unfinished-job"
    work_on()
    done = ScoreJob.model_validate_json(client.get(place).content)
    assert (done.state, done.customers_done, done.customers) == ("done", 40, 40)
    assert done.as_of == "2024-03-01T00:00:00Z" and done.result == f"{place}/result"
    got = client.get(done.result)
    (file,) = workspace.scores.glob(f"*/scores.{name}")
    assert got.status_code == 200 and got.content == file.read_bytes()
    assert (got.headers["content-type"], got.headers["cache-control"]) == (media_type, "no-store")
    assert got.headers["content-disposition"] == f'attachment; filename="scores-{job.job_id}.{name}"'
    told = [f"score job {job.job_id}", f"result of score job {job.job_id}"]
    assert [what for _, what in reads(log)] == told


def test_the_same_request_under_the_same_key_is_one_job_from_whichever_worker(make: Make, log: PredictionLog) -> None:
    clients = [make(), make()]
    key = {"Idempotency-Key": "a-1"}
    first = ask(clients[0], {"format": "csv"}, **key)
    assert {ask(client, {"format": "csv"}, **key).content for client in clients} == {first.content}
    refused = ask(clients[1], {"format": "parquet"}, **key)
    assert refused.status_code == 422 and refused.json()["type"] == "urn:staycast:problem:reused-key"
    assert ask(clients[0], {}, **{"Idempotency-Key": ""}).status_code == 422
    other = ask(clients[0], {}, **{"Idempotency-Key": "a-2"})
    jobs = ScoreJobs.model_validate_json(clients[0].get("/v1/score-jobs").content).jobs
    assert [job.job_id for job in jobs] == [other.json()["job_id"], first.json()["job_id"]]
    assert len(reads(log)) == 2


def test_no_more_jobs_wait_than_may_and_one_that_was_refused_is_not_on_record(make: Make, log: PredictionLog) -> None:
    client = make()
    for _ in range(job_queue.MOST_WAITING_OF_ONE):
        assert ask(client, {}).status_code == 202
    refused = ask(client, {})
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 30
    assert refused.json()["type"] == "urn:staycast:problem:many-jobs"
    assert len(reads(log)) == job_queue.MOST_WAITING_OF_ONE


def test_who_asked_and_what_for_is_told_to_that_caller_and_to_admins(make: Make, workspace: Workspace) -> None:
    with ApiKeys(workspace.access_keys) as store:
        keys = {name: store.create(name, role)[1] for name, role in CALLERS.items()}
    rates = {"requests_per_minute": 6000, "failures_per_minute": 6000}
    client = make(access=access_control(Access(required=None, tokens=None, **rates), workspace))
    as_who = {name: {"authorization": f"Bearer {key}"} for name, key in keys.items()}
    place = ask(client, {}, **as_who["crm"], **{"X-Purpose": "campaign"}).headers["location"]
    told = {name: ScoreJob.model_validate_json(client.get(place, headers=of).content) for name, of in as_who.items()}
    seen = {name: (job.caller, job.purpose) for name, job in told.items()}
    assert seen == {"crm": ("key:crm", "campaign"), "ops": ("key:crm", "campaign"), "other": ("", "")}
    (listed,) = client.get("/v1/score-jobs", headers=as_who["other"]).json()["jobs"]
    assert (listed["caller"], listed["purpose"], listed["state"]) == ("", "", "queued")


def test_a_key_of_a_job_that_failed_or_whose_result_is_gone_is_taken_anew(
    make: Make, work_on: Work, workspace: Workspace
) -> None:
    client, key = make(), {"Idempotency-Key": "a-1"}
    first = ask(client, {}, **key).json()["job_id"]
    work_on(DataError("no"))
    second = ask(client, {}, **key).json()["job_id"]
    work_on()
    assert ask(client, {}, **key).json()["job_id"] == second != first
    next(workspace.scores.glob("*/scores.parquet")).unlink()
    third = ask(client, {}, **key).json()
    assert third["job_id"] not in (first, second) and third["state"] == "queued"


def test_a_look_at_the_heading_of_a_result_is_no_taking_of_it(
    make: Make, work_on: Work, log: PredictionLog, workspace: Workspace
) -> None:
    client = make()
    place = ask(client, {}).headers["location"]
    work_on()
    before = reads(log)
    head = client.head(f"{place}/result")
    (file,) = workspace.scores.glob("*/scores.parquet")
    assert head.status_code == 200 and int(head.headers["content-length"]) == file.stat().st_size and not head.content
    assert reads(log) == before


def test_a_download_breaks_off_where_the_file_is_replaced_meanwhile(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(score_jobs, "CHUNK_BYTES", 4)
    (tmp_path / "scores.csv").write_bytes(b"ann,bob,")

    async def take() -> bytes:
        pieces = score_jobs._pieces((tmp_path / "scores.csv").open("rb"), tmp_path / "scores.csv")
        got = await anext(pieces)
        (tmp_path / "new").write_bytes(b"bob,")
        (tmp_path / "new").replace(tmp_path / "scores.csv")
        with pytest.raises(ResultGoneError):
            await anext(pieces)
        return got

    assert anyio.run(take) == b"ann,"


def test_a_result_that_cannot_be_opened_is_unavailable(make: Make, work_on: Work, workspace: Workspace) -> None:
    client = make()
    place = ask(client, {}).headers["location"]
    work_on()
    (file,) = workspace.scores.glob("*/scores.parquet")
    file.unlink()
    file.symlink_to(file)
    assert client.get(f"{place}/result").status_code == 503


def test_a_job_that_failed_says_why_and_tells_nothing_of_a_customer(make: Make, work_on: Work) -> None:
    client = make()
    place = ask(client, {}).headers["location"]
    work_on(DataError("c17 of /some/place"))
    job = ScoreJob.model_validate_json(client.get(place).content)
    assert job.state == "failed" and job.reason and job.ended_at and job.result is None
    refused = client.get(f"{place}/result")
    assert refused.status_code == 409 and job.reason in refused.json()["detail"]
    assert not {"c17", "place"} & {*client.get(place).text.split(), *refused.text.split()}


def test_a_result_that_was_removed_is_gone_and_another_job_makes_it_anew(
    make: Make, work_on: Work, workspace: Workspace
) -> None:
    client = make()
    place = ask(client, {"format": "csv"}).headers["location"]
    work_on()
    next(workspace.scores.glob("*/scores.csv")).unlink()
    assert client.get(f"{place}/result").status_code == 410
    again = ask(client, {"format": "csv"}).headers["location"]
    work_on()
    assert client.get(f"{again}/result").status_code == 200


def test_what_is_no_request_for_a_job_is_refused_and_an_unknown_job_is_not_found(make: Make) -> None:
    client = make()
    for body in ([], {"format": "xlsx"}, {"format": None}, {"customer_ids": ["c1"]}):
        assert ask(client, body).status_code == 422
    assert client.post("/v1/score-jobs", content=b"{}").status_code == 415
    for job_id in ("01M8DS094M6HZRVW1SAX75E8NK", "x", "..%2F..%2Fledger"):
        for path in (f"/v1/score-jobs/{job_id}", f"/v1/score-jobs/{job_id}/result"):
            assert client.get(path).status_code == 404
    assert client.get("/v1/score-jobs").json() == {"jobs": []}


def test_without_a_workspace_or_a_record_or_while_the_file_is_locked_no_job_is_taken(
    make: Make, workspace: Workspace, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(make(workspace=None), {}).status_code == 503
    client = make()

    def full(*arguments: object) -> None:
        raise sqlite3.OperationalError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(log, "note_read", full)
        assert ask(client, {}).status_code == 503
    assert client.get("/v1/score-jobs").json() == {"jobs": []}
    other = sqlite3.connect(workspace.score_jobs, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert ask(client, {}).status_code == 503
    other.execute("ROLLBACK")
    other.close()
    assert ask(client, {}).status_code == 202


def test_a_result_is_given_to_nobody_where_it_cannot_be_kept_who_takes_it(
    make: Make, work_on: Work, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make()
    place = ask(client, {}).headers["location"]
    work_on()

    def full(*arguments: object) -> None:
        raise sqlite3.OperationalError("disk full")

    monkeypatch.setattr(log, "note_read", full)
    assert client.get(f"{place}/result").status_code == 503
