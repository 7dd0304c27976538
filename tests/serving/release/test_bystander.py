"""A shadow scores what was answered, beside it; what it cannot keep up with is dropped and counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings
from serving.answer.champion import Champions, LoadedModel
from serving.api.predictor import Asked, Predictor
from serving.release.bystander import Bystander
from serving.release.observations import Observations
from serving.release.shadow_process import ShadowProcess

ID = "0123456789abcdef"


class InThisProcess(ShadowProcess):
    """Scores at once, by the model that is given for its folder."""

    def __init__(self, bundle: Any) -> None:
        super().__init__()
        self.bundle = bundle

    def predict(self, folder: Path, manifest: str, dtypes: Any, rows: Any) -> list[float]:
        frame = pd.DataFrame(rows, columns=list(dtypes)).astype(dict(dtypes))
        return list(self.bundle.predict(self.bundle.encode(frame)))


class Watched:
    def __init__(self, path: Path, bundle: Any, opening: Callable[[], Observations] | None = None, **more: Any) -> None:
        self.kept = Observations(path)
        self.process = InThisProcess(bundle)
        opens = opening or (lambda: Observations(path))
        self.bystander = Bystander(opens, lambda model: path.parent, self.process, **more)

    def until(self, there: Callable[[], bool]) -> None:
        for _ in range(400):
            if there():
                return
            time.sleep(0.05)
        raise AssertionError(f"not within 20 s: {self.kept.counts(ID)}")

    def close(self) -> None:
        self.bystander.close()
        self.kept.close()


@pytest.fixture
def bundle(running: Callable[..., Champions]) -> Any:
    """That of the release."""
    return running(None).releases["churn"].model.bundle


@pytest.fixture
def watched(tmp_path: Path, bundle: Any) -> Iterator[Watched]:
    watched = Watched(tmp_path / "releases.db", bundle)
    yield watched
    watched.close()


@pytest.fixture
def ask(reader: Any, settings: Settings, now: datetime) -> Callable[..., Any]:
    def ask(watched: Watched, champions: Champions, ids: list[str], **more: Any) -> Any:
        predictor = Predictor(reader, settings, lambda: now, lambda i: set(), watched.bystander)
        return predictor([Asked(ids, 2, champions, **more)])[0].answers

    return ask


IDS = [f"c{n}" for n in range(40)]


def test_a_shadow_says_beside_each_answer_what_it_would_have_said_and_changes_none(
    watched: Watched, ask: Callable[..., Any], running: Callable[..., Champions], customers: pd.DataFrame, bundle: Any
) -> None:
    champions = running(None)
    answers = ask(watched, champions, IDS)
    told = [a for a in answers if a["churn"]]
    watched.until(lambda: len(watched.kept.scores(ID)) == len(told))
    kept = watched.kept.scores(ID).set_index("prediction_id")
    frame = customers.set_index("customer_id", drop=False)
    for answer in told:
        row = kept.loc[answer["prediction_id"]]
        assert row["champion"] == answer["churn"]["probability"]
        assert row["shadow"] == bundle.predict(bundle.encode(frame.loc[[answer["customer_id"]]]))[0]
    assert not np.array_equal(kept["champion"], kept["shadow"])
    assert not any("arms" in a or a["model"]["churn"] != "churn/3" for a in answers)
    counts = watched.kept.counts(ID)
    assert counts["champion"]["customers"] == 40 and counts["shadow"]["customers"] == len(told)


def test_what_waits_for_a_shadow_goes_into_one_call_and_one_bad_row_costs_no_other(
    tmp_path: Path, ask: Callable[..., Any], running: Callable[..., Champions], bundle: Any, customers: pd.DataFrame
) -> None:
    bad = customers.set_index("customer_id").loc["c3", "spend_total"]
    calls: list[int] = []

    class Picky:
        def encode(self, frame: pd.DataFrame) -> Any:
            calls.append(len(frame))
            if bad in set(frame["spend_total"]):
                raise ValueError("no such row")
            return bundle.encode(frame)

        def predict(self, matrix: Any) -> Any:
            return bundle.predict(matrix)

    watched = Watched(tmp_path / "r.db", Picky())
    watched.bystander._start = lambda: None  # type: ignore[method-assign]
    told = [a for i in range(12) for a in ask(watched, running(None), [f"c{i}"]) if a["churn"]]
    assert any(a["customer_id"] == "c3" for a in told)
    watched.bystander.work()
    counts = watched.kept.counts(ID)["shadow"]
    assert calls == [len(told)] + [1] * len(told)
    assert (counts["errors"], counts["customers"], counts["calls"]) == (1, len(told) - 1, len(told) - 1)
    assert len(watched.kept.scores(ID)) == len(told) - 1
    watched.close()


def test_the_times_and_customers_of_both_arms_of_a_canary_are_counted(
    watched: Watched, ask: Callable[..., Any], running: Callable[..., Champions]
) -> None:
    answers = ask(watched, running(40.0), IDS)
    watched.until(lambda: len(watched.kept.counts(ID)) == 2)
    taken = sum(a["arms"]["churn"] == "canary" for a in answers)
    counts = watched.kept.counts(ID)
    assert (counts["canary"]["customers"], counts["champion"]["customers"]) == (taken, 40 - taken)
    assert all(arm["calls"] == sum(n for what, n in arm.items() if what.startswith("call ")) for arm in counts.values())
    assert watched.kept.scores(ID).empty


def test_whom_a_canary_fails_on_is_counted_as_its_error(
    watched: Watched, ask: Callable[..., Any], running: Callable[..., Champions], champions: Champions
) -> None:
    broken = LoadedModel(replace(champions.churn.bundle, features=("not there",)), "9", 0.0)
    answers = ask(watched, running(40.0, model=broken), IDS)
    watched.until(lambda: "canary" in watched.kept.counts(ID))
    assert {a["model"]["churn"] for a in answers} == {"churn/3"} and len(answers) == 40
    errors = watched.kept.counts(ID)["canary"]["errors"]
    assert 5 < errors < 30


def test_a_shadow_that_hangs_and_fails_touches_no_answer_and_the_queue_is_bounded(
    tmp_path: Path, ask: Callable[..., Any], running: Callable[..., Champions], champions: Champions
) -> None:
    go_on = threading.Event()

    class Hangs:
        def encode(self, frame: pd.DataFrame) -> Any:
            go_on.wait(20)
            raise ValueError("broken")

        def predict(self, matrix: Any) -> Any:
            return matrix

    watched = Watched(tmp_path / "r.db", Hangs(), max_rows=100)
    plain = ask(watched, champions, IDS)
    for _ in range(12):
        answers = ask(watched, running(None), IDS)
        assert [a["churn"] for a in answers] == [a["churn"] for a in plain]
    go_on.set()
    watched.until(lambda: watched.kept.counts(ID).get("shadow", {}).get("errors", 0) > 0)
    watched.bystander.close()
    counts = watched.kept.counts(ID)["shadow"]
    assert counts["dropped"] % 40 == 0 and 8 * 40 <= counts["dropped"] <= 10 * 40
    watched.kept.close()


def test_what_was_not_asked_for_is_not_scored_and_without_a_release_no_thread_runs(
    watched: Watched, ask: Callable[..., Any], running: Callable[..., Champions], champions: Champions
) -> None:
    ask(watched, champions, IDS)
    ask(watched, running(None), IDS, targets=frozenset({"clv"}))
    assert watched.bystander._thread is None


def test_what_cannot_be_written_now_is_written_later(
    tmp_path: Path, ask: Callable[..., Any], running: Callable[..., Champions], bundle: Any
) -> None:
    tries: list[int] = []

    def open_later() -> Observations:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("the disk is full")
        return Observations(tmp_path / "r.db")

    watched = Watched(tmp_path / "r.db", bundle, open_later)
    told = sum(a["churn"] is not None for a in ask(watched, running(None), IDS))
    watched.until(lambda: len(watched.kept.scores(ID)) == told)
    assert watched.kept.counts(ID)["champion"]["customers"] == 40 and len(tries) == 3
    watched.close()
