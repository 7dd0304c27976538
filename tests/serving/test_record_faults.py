"""A record that is locked, or a disk that is full: an answer or a 503 at once, not ready, and well again after."""

from __future__ import annotations

import os
import resource
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from starlette.applications import Starlette

import serving.api.endpoints
from configs.settings import Settings
from configs.workspace import Workspace
from serving.api.app import create_app
from serving.records import audit
from serving.records.prediction_log import PredictionLog
from serving.service import BUSY_SECONDS

AT_MOST_SECONDS = 0.2
Calling = Callable[[Starlette], Any]


def test_while_the_record_is_locked_each_of_many_is_refused_at_once_and_answered_after(
    calling: Calling,
    models: Any,
    reader: Any,
    workspace: Workspace,
    settings: Settings,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving.api.endpoints, "READINESS_CACHE_SECONDS", 0.0)
    with PredictionLog.of(workspace, settings.records, BUSY_SECONDS) as log:
        client = calling(create_app(models, reader, log, settings, clock=lambda: now))

        def ask(i: int) -> tuple[int, float, str]:
            started = time.monotonic()
            answer = client.post("/v1/predictions", json={"customer_id": f"c{i}"})
            return answer.status_code, time.monotonic() - started, answer.headers.get("retry-after", "")

        assert ask(0)[0] == client.get("/readyz").status_code == 200
        other = sqlite3.connect(workspace.prediction_log, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        single = [ask(i) for i in range(5)]
        assert {status for status, _, _ in single} == {503}
        assert {retry for _, _, retry in single} == {"5"}
        assert min(seconds for _, seconds, _ in single) < AT_MOST_SECONDS
        with ThreadPoolExecutor(8) as pool:
            assert {status for status, _, _ in pool.map(ask, range(16))} == {503}
        assert client.get("/readyz").status_code == 503
        assert len(log.read()) == 1
        other.execute("ROLLBACK")
        other.close()
        assert ask(1)[0] == client.get("/readyz").status_code == 200
        assert len(log.read()) == 2
        assert audit.verify(log, log.checkpoints.folder).faults == []


def test_one_write_of_another_makes_a_service_unready_no_more_than_it_makes_it_silent(
    calling: Calling,
    models: Any,
    reader: Any,
    workspace: Workspace,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[int] = []
    require = PredictionLog.require_writable

    def busy_once(self: PredictionLog) -> None:
        tried.append(1)
        if len(tried) == 1:
            raise sqlite3.OperationalError("database is locked")
        require(self)

    monkeypatch.setattr(PredictionLog, "require_writable", busy_once)
    with PredictionLog.of(workspace, settings.records, BUSY_SECONDS) as log:
        assert calling(create_app(models, reader, log, settings)).get("/readyz").status_code == 200
    assert len(tried) == 2


def test_while_the_disk_is_full_nothing_is_answered_that_is_not_kept(
    calling: Calling, models: Any, reader: Any, workspace: Workspace, settings: Settings, now: datetime
) -> None:
    """A child whose files may not grow stands for a full disk: SQLite is told so by the same call."""
    with PredictionLog.of(workspace, settings.records, BUSY_SECONDS) as log:
        ask = calling(create_app(models, reader, log, settings, clock=lambda: now)).post
        answer = ask("/v1/predictions", json={"customer_id": "c1"}).json()
    child = os.fork()
    if not child:
        log = PredictionLog.of(workspace, settings.records, BUSY_SECONDS)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        refused = 0
        for write in (log.require_writable, lambda: log.append([{**answer, "prediction_id": "another"}])):
            try:
                write()
            except sqlite3.OperationalError:
                refused += 1
        os._exit(0 if refused == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
    with PredictionLog(workspace.prediction_log) as log:
        log.require_writable()
        assert len(log.read()) == 1
        assert audit.verify(log, log.checkpoints.folder).faults == []


def test_a_clock_that_was_set_back_neither_loses_an_answer_nor_breaks_the_chain(
    calling: Calling, models: Any, reader: Any, log: PredictionLog, settings: Settings, now: datetime
) -> None:
    times = iter([now, now.replace(year=2020), now.replace(year=2023)])
    client = calling(create_app(models, reader, log, settings, clock=lambda: next(times)))
    answers = [client.post("/v1/predictions", json={"customer_id": "c1"}).json() for _ in range(3)]
    assert [a["features"]["stale"] for a in answers] == [False, True, True]
    assert set(log.read()["prediction_id"]) == {a["prediction_id"] for a in answers}
    assert audit.verify(log, log.checkpoints.folder).faults == []
