"""The load generator reads what servers answer and counts as it says; a server in this process tells it the truth."""

from __future__ import annotations

import asyncio
import itertools
import json
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

from bench import serving
from bench.http_load import NO_ANSWER, Outcome, ResponseReader, closed_loop, figures, open_loop, request
from bench.servers.boosters import Boosters

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx: y\r\n\r\nok"
BUSY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length:0\r\n\r\n"


@pytest.mark.parametrize("step", [1, 7, len(OK + BUSY + OK)])
def test_responses_are_cut_apart_however_their_bytes_were_split(step: int) -> None:
    data, reader = OK + BUSY + OK, ResponseReader()
    found = [each for at in range(0, len(data), step) for each in reader.feed(data[at : at + step])]
    assert found == [(200, b"ok"), (429, b""), (200, b"ok")]


def test_a_body_that_looks_like_a_head_is_a_body() -> None:
    body = b"\r\n\r\nHTTP/1.1 500\r\ncontent-length: 9\r\n\r\n"
    data = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    assert ResponseReader().feed(data) == [(200, body)]


def test_a_response_that_does_not_say_its_length_is_refused() -> None:
    with pytest.raises(ValueError, match="without its length"):
        ResponseReader().feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n")


def test_figures_count_from_when_a_request_was_due_and_tell_answers_from_refusals() -> None:
    answered = [Outcome(due=i, sent=i + 0.5, done=i + 1.0, status=200) for i in range(10)]
    refused = [Outcome(due=9.0, sent=9.0, done=9.001, status=429)] * 9
    found = figures([*answered, *refused, Outcome(9.0, 9.0, 9.0, NO_ANSWER)])
    assert (found.p50_ms, found.p99_ms, found.p99_sent_ms) == (1000.0, 1000.0, 500.0)
    assert found.answered_per_second == 1.0  # ten from the first due, at 0, to the last answer, at 10
    assert found.offered_per_second == pytest.approx(20 / 9)
    assert found.shares == {NO_ANSWER: 0.05, 200: 0.5, 429: 0.45}


def test_figures_without_an_answer_say_none() -> None:
    found = figures([Outcome(0.0, 0.0, 1.0, NO_ANSWER)])
    assert found.answered_per_second == 0.0
    assert np.isnan(found.p99_ms)


@contextmanager
def server(seconds: float, every_other: bytes = OK) -> Iterator[tuple[int, list[int]]]:
    """A server that answers one request at a time, each after some seconds; and how many it took."""
    taken, opened = [0], queue.Queue[tuple[int, Callable[[], None]]]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                taken[0] += 1
                response = OK if taken[0] % 2 else every_other
                async with one_at_a_time:
                    await asyncio.sleep(seconds)
                writer.write(response)
        writer.close()

    async def serve() -> None:
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            opened.put((port, lambda: loop.call_soon_threadsafe(stopped.set)))
            await stopped.wait()

    one_at_a_time = asyncio.Lock()
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    port, stop = opened.get(timeout=5)
    try:
        yield port, taken
    finally:
        stop()
        thread.join(5)


ASK = itertools.repeat(request("GET", "/"))


def test_a_closed_loop_keeps_so_many_requests_on_their_way_and_no_more() -> None:
    with server(0.01) as (port, taken):
        found = figures(outcomes := closed_loop(port, ASK, 4, 0.3))
    assert len(outcomes) == taken[0]
    assert found.shares == {200: 1.0}
    assert found.answered_per_second < 101  # one at a time, 10 ms each
    assert found.p50_ms >= 39  # behind three others


def test_an_open_loop_sends_all_that_falls_due_and_counts_the_wait_before_a_connection_was_free() -> None:
    with server(0.01, BUSY) as (port, taken):
        found = figures(outcomes := open_loop(port, ASK, 2, 0.3, 200))
    assert len(outcomes) == taken[0] == 60
    assert found.shares == {200: 0.5, 429: 0.5}
    assert found.p99_ms > 200  # due within .3 s, answered over .6 s
    assert found.p99_sent_ms < found.p99_ms


def record(name: str, per_second: float, p99: float, customers: float) -> dict[str, object]:
    closed = {"answered_per_second": per_second}
    return {"contestant": name, "closed": closed, "open": {"p99_ms": p99}, "customers_per_second": customers}


def test_goals_are_judged_against_who_is_there() -> None:
    rows = [record("ours", 300, 30.0, 4999), record("bentoml", 100, 1, 1), record("fastapi", 301, 1, 1)]
    assert [goal.met for goal in serving.goals(rows, None)] == [True, False, True, False]
    assert serving.goals(rows[1:], None) == []


@pytest.mark.parametrize(("status", "met"), [(503, True), (500, False), (NO_ANSWER, False)])
def test_a_flood_may_be_answered_by_200_429_and_503_alone(status: int, met: bool) -> None:
    run = {"answered_per_second": 800.0, "p99_ms": 200.0, "shares": {200: 0.2, status: 0.8}}
    own = {"events": run, "flood": run, "capacity": {"answered_per_second": 1000.0}}
    found = serving.goals([], {**own, "before_mib": 100.0, "after_mib": 104.0, "recovery_seconds": 5.0})
    assert [goal.met for goal in found] == [True, met, True, True, True, True]


def test_recovery_is_never_where_nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "RECOVERY_SECONDS", 0.05)
    monkeypatch.setattr(serving, "status", lambda port, payload: 503)
    assert serving.seconds_to_recovery(1, ASK) == float("inf")


def test_recovery_begins_with_the_first_of_a_row_of_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([503, 200, 429, *[200] * serving.RECOVERED_IN_A_ROW])
    monkeypatch.setattr(serving, "status", lambda port, payload: next(answers))
    assert 0 < serving.seconds_to_recovery(1, ASK) < 1
    assert list(answers) == []


def test_the_boosters_alone_give_their_raw_score_and_the_columns_that_did_most(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 2))
    booster = lgb.train({"verbose": -1, "num_threads": 1}, lgb.Dataset(x, x[:, 0] * 3), 10)
    booster.save_model(tmp_path / "only.txt")
    content = {"features": ["much", "little"], "categories": {}, "scores": [{"name": "only", "trees": True}]}
    (tmp_path / "bundle.json").write_text(json.dumps(content), "utf-8")
    with closing(sqlite3.connect(tmp_path / "online.db")) as rows, rows:
        rows.execute("CREATE TABLE one (customer_id TEXT PRIMARY KEY, event_ts INTEGER, little)")
        rows.execute("CREATE TABLE two (customer_id TEXT PRIMARY KEY, event_ts INTEGER, much)")
        rows.execute("INSERT INTO one VALUES ('a', 0, NULL)")
        rows.execute("INSERT INTO two VALUES ('a', 0, 1.5)")
    (answer,) = Boosters([tmp_path], tmp_path / "online.db").answers(["a"], 1)
    score = answer["score_1"]
    assert score["raw"] == pytest.approx(booster.predict(np.array([[1.5, np.nan]]))[0])
    assert [(r["feature"], r["value"]) for r in score["reasons"]] == [("much", 1.5)]
