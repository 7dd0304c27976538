"""Watches releases beside the answering: counts what each arm took, and has shadows score what was answered.

Answers wait for none of it: what is noted goes into a queue that is bounded, and a thread of its own, of the lowest
priority and idle most of the time, does the rest. What finds the queue full is dropped, and counted.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pandas as pd

from serving.answer.champion import Champions, Running
from serving.release.observations import Key, Observations, ShadowScore, bucket

MAX_ROWS = 4096  # that wait for shadows
PAUSE_SECONDS = 0.25
SHARE_OF_TIME = 0.2  # of one core at most
FLUSH_SECONDS = 2.0
LOWEST_PRIORITY = 19
NUMBERS = {"churn": "probability", "clv": "expected"}
SHADOW, CHAMPION = "shadow", "champion"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Answered:
    running: Running
    frame: pd.DataFrame
    answers: Sequence[Mapping[str, Any]]


class Bystander:
    """Watches the releases of one process.

    Parameters
    ----------
    open_observations
        Opens where it is kept; called in the thread, at the first that is to be written.
    max_rows
        How many rows may wait for shadows.
    clock
        Seconds that only grow.
    """

    def __init__(
        self,
        open_observations: Callable[[], Observations],
        max_rows: int = MAX_ROWS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open, self._max_rows, self._clock = open_observations, max_rows, clock
        self._observations: Observations | None = None
        self._waiting: deque[_Answered] = deque()
        self._rows = 0
        self._counts: Counter[Key] = Counter()
        self._scores: list[ShadowScore] = []
        self._guard = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def took(self, releases: Mapping[str, Running], models: Champions, customers: int, seconds: float) -> None:
        """Note how long the models of an arm took for so many customers, while these releases run."""
        for task, running in releases.items():
            arm = models.arms[task]["arm"] if task in models.arms else CHAMPION
            self._note(running.release.id, arm, {bucket(seconds): 1, "calls": 1, "customers": customers})

    def failed(self, models: Champions) -> None:
        """Note that a customer could not be answered by the canaries among these models."""
        for arm in models.arms.values():
            if arm["arm"] != CHAMPION:
                self._note(arm["release"], arm["arm"], {"errors": 1})

    def saw(self, releases: Mapping[str, Running], frame: pd.DataFrame, answers: Sequence[Mapping[str, Any]]) -> None:
        """Have the shadows among the releases score the rows that were answered, if there is room."""
        for running in releases.values():
            if running.release.kind != SHADOW:
                continue
            with self._guard:
                has_room = self._rows + len(frame) <= self._max_rows
                if has_room:
                    self._waiting.append(_Answered(running, frame, answers))
                    self._rows += len(frame)
                else:
                    self._counts[running.release.id, SHADOW, "dropped"] += len(frame)
            self._start()

    def close(self) -> None:
        """Write what is noted, and end."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        if self._observations is not None:
            self._observations.close()

    def work(self) -> float:
        """Score what waits, and write what is noted; seconds that it took."""
        began = self._clock()
        while waiting := self._take():
            self._score(waiting)
            if self._clock() - began > FLUSH_SECONDS:
                break
        self._flush()
        return self._clock() - began

    def _note(self, release: str, arm: str, counts: Mapping[str, int]) -> None:
        with self._guard:
            for what, number in counts.items():
                self._counts[release, arm, what] += number
        self._start()

    def _start(self) -> None:
        """Begin the thread at the first that is noted: without releases there is none."""
        if self._thread is None and not self._stopped.is_set():
            with self._guard:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="bystander", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
        took = 0.0
        while not self._stopped.wait(max(PAUSE_SECONDS, took * (1 / SHARE_OF_TIME - 1))):
            took = self.work()
        self._flush()

    def _take(self) -> _Answered | None:
        with self._guard:
            if not self._waiting:
                return None
            waiting = self._waiting.popleft()
            self._rows -= len(waiting.frame)
            return waiting

    def _score(self, waiting: _Answered) -> None:
        """What a shadow says of rows that the champion gave a score."""
        release, bundle = waiting.running.release, waiting.running.model.bundle
        rows = [row for row, answer in enumerate(waiting.answers) if answer[release.model]]
        if not rows:
            return
        began = self._clock()
        try:
            said = bundle.predict(bundle.encode(waiting.frame.iloc[rows])).tolist()
        except Exception as error:
            logger.warning("%s failed beside %d answers: %s", release, len(rows), type(error).__name__)
            self._note(release.id, SHADOW, {"errors": len(rows)})
            return
        counts = {bucket(self._clock() - began): 1, "calls": 1, "customers": len(rows)}
        self._note(release.id, SHADOW, counts)
        for row, shadow in zip(rows, said, strict=True):
            answer = waiting.answers[row]
            champion = answer[release.model][NUMBERS[release.model]]
            self._scores.append(ShadowScore(release.id, answer["prediction_id"], champion, shadow))

    def _flush(self) -> None:
        """Write what is noted; what cannot be written now is kept for the next time, as far as there is room."""
        with self._guard:
            counts, self._counts = self._counts, Counter()
        scores, self._scores = self._scores, []
        if not counts and not scores:
            return
        try:
            if self._observations is None:
                self._observations = self._open()
            self._observations.add(counts, scores)
        except Exception as error:
            logger.warning("what releases showed cannot be written now: %s", type(error).__name__)
            with self._guard:
                self._counts.update(counts)
            self._scores = scores[-self._max_rows :]
