from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import psycopg
import pytest
from cryptography.exceptions import InvalidTag

from configs.errors import ConfigError
from configs.settings import Settings
from serving.answer.champion import Champions
from serving.answer.score import score
from serving.records.chain import START, Link, faults_of
from serving.records.checkpoints import load_checkpoints
from serving.records.evidence import Asker
from serving.records.prediction_log import COLUMNS, PLAIN_COLUMNS, PredictionLog

OpenLog = Callable[..., PredictionLog]
both = pytest.mark.parametrize("place", ["file", "database"], indirect=True)


@pytest.fixture
def answers(champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame) -> list[dict[str, Any]]:
    return score(customers.head(40), champions, settings, now, 1)


def at(answer: dict[str, Any], scored_at: str, prediction_id: str) -> dict[str, Any]:
    return {**answer, "scored_at": scored_at, "prediction_id": prediction_id}


@both
def test_what_is_appended_is_read_back(tmp_path: Path, answers: list[dict[str, Any]], open_log: OpenLog) -> None:
    with open_log(tmp_path / "state" / "predictions.db") as log:
        log.append(answers)
        frame = log.read()
    assert list(frame.columns) == list(COLUMNS)
    assert str(frame["scored_at"].dtype) == str(frame["as_of"].dtype) == "datetime64[us, UTC]"
    by_id = {a["prediction_id"]: a for a in answers}
    assert set(frame["prediction_id"]) == set(by_id)
    for row in frame.to_dict("records"):
        answer = by_id[row["prediction_id"]]
        assert row["customer_id"] == answer["customer_id"]
        assert row["expected"] == answer["clv"]["expected"]
        assert row["tier"] == answer["clv"]["tier"]
        assert row["low"] == answer["clv"]["low"]
        assert row["high"] == answer["clv"]["high"]
        assert (row["stage"], row["action"]) == (answer["stage"], answer["action"]["code"])
        assert (row["churn_model"], row["clv_model"]) == ("churn/3", "clv/4")
        if answer["churn"]:
            assert (row["probability"], row["band"]) == (answer["churn"]["probability"], answer["churn"]["band"])
        else:
            assert np.isnan(row["probability"])
            assert row["band"] is None


@both
def test_it_is_still_there_when_the_file_is_opened_again(
    tmp_path: Path, answers: list[dict[str, Any]], open_log: OpenLog
) -> None:
    with open_log(tmp_path / "p.db") as log:
        log.append(answers[:3])
    with open_log(tmp_path / "p.db") as log:
        log.append(answers[3:5])
        assert len(log.read()) == 5


def test_an_answer_is_on_disk_when_append_returns(tmp_path: Path, answers: list[dict[str, Any]]) -> None:
    with PredictionLog(tmp_path / "p.db") as log:
        log.append(answers)
        other = sqlite3.connect(tmp_path / "p.db")
        assert other.execute("SELECT count(*) FROM entries").fetchone() == (len(answers),)
        other.close()


@both
def test_a_time_range_holds_its_start_and_not_its_end(
    tmp_path: Path, answers: list[dict[str, Any]], open_log: OpenLog
) -> None:
    times = ["2024-03-01T00:00:00Z", "2024-03-01T00:00:00.5Z", "2024-03-02T00:00:00Z"]
    day = datetime(2024, 3, 1, tzinfo=UTC)
    with open_log(tmp_path / "p.db") as log:
        log.append([at(answers[0], time, f"id{i}") for i, time in enumerate(times)])
        assert log.read(day, day + timedelta(days=1))["prediction_id"].tolist() == ["id0", "id1"]
        assert log.read(start=day + timedelta(days=1))["prediction_id"].tolist() == ["id2"]
        assert log.read(end=day).empty


def test_the_newest_can_be_read_alone_and_no_other_is_opened(tmp_path: Path, answers: list[dict[str, Any]]) -> None:
    with PredictionLog(tmp_path / "p.db") as log:
        log.append([at(answers[0], f"2024-03-0{day}T00:00:00Z", f"id{day}") for day in (2, 1, 4, 3)])
        log.append(answers[1:2])
        other = sqlite3.connect(tmp_path / "p.db")
        other.execute("UPDATE entries SET summary = randomblob(99) WHERE id IN ('id1', 'id2')")
        other.commit()
        other.close()
        customer = answers[0]["customer_id"]
        assert log.read(customer_id=customer, newest=2)["prediction_id"].tolist() == ["id3", "id4"]
        with pytest.raises(InvalidTag):
            log.read(customer_id=customer, newest=3)


def test_one_customer_can_be_read_alone(tmp_path: Path, answers: list[dict[str, Any]]) -> None:
    with PredictionLog(tmp_path / "p.db") as log:
        log.append(answers)
        assert log.read(customer_id="c7")["customer_id"].tolist() == ["c7"]
        assert log.read(customer_id="' OR 1=1 --").empty


def test_an_empty_log_reads_as_an_empty_frame_of_the_same_types(tmp_path: Path, answers: list[dict[str, Any]]) -> None:
    with PredictionLog(tmp_path / "p.db") as log:
        empty = log.read()
        log.append(answers)
        assert empty.dtypes.to_dict() == log.read().dtypes.to_dict()


def test_a_record_whose_file_was_removed_keeps_nothing_and_says_so(
    tmp_path: Path, answers: list[dict[str, Any]]
) -> None:
    with PredictionLog(tmp_path / "log.db") as log:
        log.append(answers)
        (tmp_path / "log.db").unlink()
        for use in (lambda: log.append(answers), log.require_writable):
            with pytest.raises(sqlite3.OperationalError, match="removed or replaced"):
                use()


@both
def test_threads_lose_nothing(tmp_path: Path, answers: list[dict[str, Any]], open_log: OpenLog) -> None:
    batches = [[at(a, a["scored_at"], f"{t}-{i}") for i, a in enumerate(answers[:5])] for t in range(40)]
    with open_log(tmp_path / "p.db") as log:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(log.append, batches))
        assert len(log.read()) == 200


@both
def test_two_processes_worth_of_connections_share_a_file(
    tmp_path: Path, answers: list[dict[str, Any]], open_log: OpenLog
) -> None:
    with open_log(tmp_path / "p.db") as one, open_log(tmp_path / "p.db") as two:
        one.append(answers[:2])
        two.append(answers[2:4])
        assert len(one.read()) == len(two.read()) == 4


@both
def test_a_batch_is_written_whole_or_not_at_all(
    tmp_path: Path, answers: list[dict[str, Any]], open_log: OpenLog
) -> None:
    with open_log(tmp_path / "p.db") as log:
        log.append(answers[:1])
        with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
            log.append([answers[1], answers[0]])
        log.append(answers[2:3])
        assert set(log.read()["customer_id"]) == {"c0", "c2"}


@pytest.mark.parametrize("first", ["bad", "good"])
def test_a_thread_fails_by_its_own_answers_only(tmp_path: Path, answers: list[dict[str, Any]], first: str) -> None:
    log = PredictionLog(tmp_path / "p.db")
    log.append([answers[9]])
    sent = {"good": answers[0], "bad": {**answers[1], "prediction_id": answers[9]["prediction_id"]}}
    outcomes: dict[str, str] = {}

    def append(name: str) -> None:
        try:
            log.append([sent[name]])
            outcomes[name] = "written"
        except sqlite3.Error:
            outcomes[name] = "failed"

    threads = [threading.Thread(target=append, args=(name,)) for name in sorted(sent, key=lambda n: n != first)]
    with log.store._writing:
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {"good": "written", "bad": "failed"}
    assert sorted(log.read()["customer_id"]) == ["c0", answers[9]["customer_id"]]
    log.close()


def test_an_answer_without_a_churn_model_is_logged(tmp_path: Path, answers: list[dict[str, Any]]) -> None:
    alone = {**answers[0], "churn": None, "model": {"churn": None, "clv": "clv/4"}}
    with PredictionLog(tmp_path / "log.db") as log:
        log.append([alone])
        [row] = log.read().to_dict("records")
    assert (row["churn_model"], row["clv_model"]) == ("", "clv/4")


OLD_TABLE = """
CREATE TABLE predictions (
    prediction_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, as_of INTEGER NOT NULL, scored_at INTEGER NOT NULL,
    probability REAL, expected REAL, low REAL, high REAL, tier TEXT, band TEXT, stage TEXT, action TEXT NOT NULL,
    churn_model TEXT NOT NULL, clv_model TEXT
) WITHOUT ROWID;
CREATE INDEX predictions_by_time ON predictions (scored_at);
"""


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_row_has_a_column_more_only_where_not_all_was_asked_for_so_that_the_version_before_reads_the_others(
    tmp_path: Path, answers: list[dict[str, Any]]
) -> None:
    with PredictionLog(tmp_path / "p.db") as log:
        log.append([answers[0], {**answers[1], "targets": "churn"}])
        keys = log.store.keys()
        opened = [
            log._cipher(keys[person] or b"").open(summary, f"answer {id_} summary".encode())
            for id_, person, summary in log.store.answers({})
        ]
        assert sorted(len(orjson.loads(row)) for row in opened) == [len(PLAIN_COLUMNS), len(COLUMNS)]
        assert sorted(log.read()["targets"].fillna("")) == ["", "churn"]


def test_nothing_of_a_customer_lies_in_the_files_in_the_clear(tmp_path: Path, answers: list[dict[str, Any]]) -> None:
    secret = {**answers[0], "customer_id": "ada.lovelace@example.com", "alias": "web-815-4711"}
    with PredictionLog(tmp_path / "p.db") as log:
        log.append([secret], [Asker("crm-of-the-shop", "crm", "retention")])
        written = all_bytes(tmp_path)
        assert log.find(secret["prediction_id"]).answer == orjson.dumps(secret)
    for word in (b"ada.lovelace", b"web-815", b"crm-of-the-shop", b"retention", secret["action"]["code"].encode()):
        assert word not in written
    assert secret["prediction_id"].encode() in written


def test_a_stranger_to_the_master_key_reads_nothing(tmp_path: Path, answers: list[dict[str, Any]]) -> None:
    with PredictionLog(tmp_path / "p.db") as log:
        log.append(answers[:1])
    (tmp_path / "records" / "master.key").unlink()
    with pytest.raises(ConfigError, match="restore it"):
        PredictionLog(tmp_path / "p.db")
    assert not (tmp_path / "records" / "master.key").exists()


def test_what_an_earlier_version_kept_in_the_clear_is_sealed_and_read_as_before(
    tmp_path: Path, answers: list[dict[str, Any]]
) -> None:
    with PredictionLog(tmp_path / "new.db") as log:
        log.append(answers)
        frame = log.read()
    old = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    old.executescript(OLD_TABLE)
    micros = {c: (frame[c].astype("int64")).tolist() for c in ("as_of", "scored_at")}
    plain = frame.assign(**micros).astype(object).where(frame.notna(), None)
    old.executemany(
        f"INSERT INTO predictions VALUES ({','.join('?' * len(PLAIN_COLUMNS))})",
        plain[list(PLAIN_COLUMNS)].values.tolist(),
    )
    old.close()
    assert b"c17" in (tmp_path / "old.db").read_bytes()
    with PredictionLog(tmp_path / "old.db") as log:
        pd.testing.assert_frame_equal(log.read(), frame)
        assert log.find(answers[0]["prediction_id"]).answer == b""
        log.append([at(answers[0], "2024-03-02T00:00:00Z", "later")])
    with PredictionLog(tmp_path / "old.db") as log:
        assert len(log.read()) == len(answers) + 1
    assert b"c17" not in b"".join(p.read_bytes() for p in tmp_path.glob("old.db*"))


@both
def test_who_is_erased_can_be_read_by_nobody_and_the_chain_stays_whole(
    tmp_path: Path, answers: list[dict[str, Any]], open_log: OpenLog
) -> None:
    with open_log(tmp_path / "p.db") as log:
        log.append([*answers[:3], at(answers[1], "2024-03-02T00:00:00Z", "again")])
        keys = log.store.keys()
        assert log.erase(["c1", "nobody"]) == 2
        assert log.erase(["c1"]) == 0
        assert log.find("again") is None
        assert log.read(customer_id="c1").empty
        assert sorted(log.read()["customer_id"]) == ["c0", "c2"]
        (destroyed,) = keys.keys() - log.store.keys().keys()
        faults, last = faults_of(log.store.entries(), Link(0, START), [])
        assert (faults, last.position) == ([], 5)
        log.append([at(answers[1], "2024-03-03T00:00:00Z", "anew")])
        assert log.read()["prediction_id"].tolist()[-1] == "anew"
    assert keys[destroyed] not in all_bytes(tmp_path)  # of the file; see `test_postgres_store` for the database


@both
def test_processes_that_write_at_once_make_one_whole_chain(
    tmp_path: Path, answers: list[dict[str, Any]], settings: Settings, open_log: OpenLog
) -> None:
    path = tmp_path / "p.db"
    open_log(path).close()
    children = []
    for child in range(3):
        pid = os.fork()
        if not pid:
            with open_log(path, busy_seconds=30) as log:
                for turn in range(20):
                    log.append([at(a, a["scored_at"], f"{child}-{turn}-{i}") for i, a in enumerate(answers[:4])])
            os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
    with open_log(path) as log:
        assert len(log.read()) == 240
        assert len(log.store.keys()) == 4
        known = [c.link for c in load_checkpoints(tmp_path / "records")]
        faults, last = faults_of(log.store.entries(), Link(0, START), known)
        assert (faults, last.position) == ([], 240)


@both
def test_no_answer_that_was_written_is_lost_by_a_kill(
    tmp_path: Path, answers: list[dict[str, Any]], open_log: OpenLog
) -> None:
    path, (reads, writes) = tmp_path / "p.db", os.pipe()
    open_log(path).close()
    pid = os.fork()
    if not pid:
        log = open_log(path)
        for turn in range(10_000):
            log.append([at(answers[turn % 40], answers[0]["scored_at"], f"{turn:05}")])
            os.write(writes, b"%05d" % turn)
    acknowledged = b""
    while len(acknowledged) < 5 * 25:
        acknowledged += os.read(reads, 4096)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(writes)
    while more := os.read(reads, 4096):
        acknowledged += more
    with open_log(path) as log:
        kept = set(log.read()["prediction_id"])
        known = [c.link for c in load_checkpoints(tmp_path / "records")]
        assert faults_of(log.store.entries(), Link(0, START), known)[0] == []
    assert {acknowledged[i : i + 5].decode() for i in range(0, len(acknowledged), 5)} <= kept


@both
def test_a_clock_that_is_set_back_loses_nothing(
    tmp_path: Path, answers: list[dict[str, Any]], open_log: OpenLog
) -> None:
    with open_log(tmp_path / "p.db") as log:
        for day in (5, 2, 4):
            log.append([at(answers[0], f"2024-03-0{day}T00:00:00Z", f"day{day}")])
        assert log.read()["prediction_id"].tolist() == ["day2", "day4", "day5"]
        assert faults_of(log.store.entries(), Link(0, START), [])[0] == []


def test_who_waits_for_another_who_writes_waits_as_long_as_it_is_told_and_reading_goes_on(
    tmp_path: Path, answers: list[dict[str, Any]]
) -> None:
    with PredictionLog(tmp_path / "p.db", busy_seconds=0.03) as log:
        log.append(answers[:1])
        other = sqlite3.connect(tmp_path / "p.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        started = time.monotonic()
        for write in (lambda: log.append(answers[1:2]), log.require_writable):
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                write()
        assert time.monotonic() - started < 1
        assert len(log.read()) == 1
        other.execute("ROLLBACK")
        other.close()
        log.require_writable()
        log.append(answers[1:2])
        assert len(log.read()) == 2
