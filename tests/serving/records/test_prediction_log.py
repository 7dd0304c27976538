from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings
from serving.answer.champion import Champions
from serving.answer.score import score
from serving.records.prediction_log import COLUMNS, PredictionLog


@pytest.fixture
def answers(champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame) -> list[dict[str, Any]]:
    return score(customers.head(40), champions, settings, now, 1)


def at(answer: dict[str, Any], scored_at: str, prediction_id: str) -> dict[str, Any]:
    return {**answer, "scored_at": scored_at, "prediction_id": prediction_id}


def test_what_is_appended_is_read_back(tmp_path: Path, answers: list[dict[str, Any]]) -> None:
    with PredictionLog(tmp_path / "state" / "predictions.db") as log:
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


def test_it_is_still_there_when_the_file_is_opened_again(tmp_path: Path, answers: list[dict[str, Any]]) -> None:
    with PredictionLog(tmp_path / "p.db") as log:
        log.append(answers[:3])
    with PredictionLog(tmp_path / "p.db") as log:
        log.append(answers[3:5])
        assert len(log.read()) == 5


def test_an_answer_is_on_disk_when_append_returns(tmp_path: Path, answers: list[dict[str, Any]]) -> None:
    with PredictionLog(tmp_path / "p.db") as log:
        log.append(answers)
        other = sqlite3.connect(tmp_path / "p.db")
        assert other.execute("SELECT count(*) FROM predictions").fetchone() == (len(answers),)
        other.close()


def test_a_time_range_holds_its_start_and_not_its_end(tmp_path: Path, answers: list[dict[str, Any]]) -> None:
    times = ["2024-03-01T00:00:00Z", "2024-03-01T00:00:00.5Z", "2024-03-02T00:00:00Z"]
    day = datetime(2024, 3, 1, tzinfo=UTC)
    with PredictionLog(tmp_path / "p.db") as log:
        log.append([at(answers[0], time, f"id{i}") for i, time in enumerate(times)])
        assert log.read(day, day + timedelta(days=1))["prediction_id"].tolist() == ["id0", "id1"]
        assert log.read(start=day + timedelta(days=1))["prediction_id"].tolist() == ["id2"]
        assert log.read(end=day).empty


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


def test_threads_lose_nothing(tmp_path: Path, answers: list[dict[str, Any]]) -> None:
    batches = [[at(a, a["scored_at"], f"{t}-{i}") for i, a in enumerate(answers[:5])] for t in range(40)]
    with PredictionLog(tmp_path / "p.db") as log:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(log.append, batches))
        assert len(log.read()) == 200


def test_two_processes_worth_of_connections_share_a_file(tmp_path: Path, answers: list[dict[str, Any]]) -> None:
    with PredictionLog(tmp_path / "p.db") as one, PredictionLog(tmp_path / "p.db") as two:
        one.append(answers[:2])
        two.append(answers[2:4])
        assert len(one.read()) == len(two.read()) == 4


def test_a_batch_is_written_whole_or_not_at_all(tmp_path: Path, answers: list[dict[str, Any]]) -> None:
    with PredictionLog(tmp_path / "p.db") as log:
        log.append(answers[:1])
        with pytest.raises(sqlite3.IntegrityError):
            log.append([answers[1], answers[0]])
        log.append(answers[2:3])
        assert set(log.read()["customer_id"]) == {"c0", "c2"}


@pytest.mark.parametrize("first", ["bad", "good"])
def test_a_thread_fails_by_its_own_answers_only(tmp_path: Path, answers: list[dict[str, Any]], first: str) -> None:
    log = PredictionLog(tmp_path / "p.db")
    sent = {"good": answers[0], "bad": {**answers[1], "customer_id": None}}
    outcomes: dict[str, str] = {}

    def append(name: str) -> None:
        try:
            log.append([sent[name]])
            outcomes[name] = "written"
        except sqlite3.Error:
            outcomes[name] = "failed"

    threads = [threading.Thread(target=append, args=(name,)) for name in sorted(sent, key=lambda n: n != first)]
    with log._writing:
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {"good": "written", "bad": "failed"}
    assert log.read()["customer_id"].tolist() == ["c0"]
    log.close()


def test_an_answer_without_a_churn_model_is_logged(tmp_path: Path, answers: list[dict[str, Any]]) -> None:
    alone = {**answers[0], "churn": None, "model": {"churn": None, "clv": "clv/4"}}
    with PredictionLog(tmp_path / "log.db") as log:
        log.append([alone])
        [row] = log.read().to_dict("records")
    assert (row["churn_model"], row["clv_model"]) == ("", "clv/4")
