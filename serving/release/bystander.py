"""Watches releases beside the answering: counts what each arm took, and has shadows score what was answered.

Answers wait for none of it: what is noted goes into a queue that is bounded, a thread of its own takes it from there,
and a process of its own scores. What finds the queue full is dropped, and counted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.answer.arms import CHAMPION
from serving.answer.champion import NUMBERS, Champions, LoadedModel, Running
from serving.records.evidence import EvidentAnswer
from serving.release.observations import Key, Observations, ShadowScore, bucket
from serving.release.shadow_process import ShadowProcess

MAX_ROWS = 4096  # that wait for shadows
ROWS_AT_ONCE = 64  # of one call of a shadow: to pass on more would keep others of this process waiting
PAUSE_SECONDS = 0.25
FLUSH_SECONDS = 2.0
SHADOW = "shadow"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Answered:
    """Rows and their answers, for the shadow of a release."""

    running: Running
    answers: Sequence[EvidentAnswer]

    def is_beside(self, other: _Answered) -> bool:
        """Whether both are for the same model of the same release."""
        own, its = self.running, other.running
        return own.model is its.model and own.release.id == its.release.id


class Bystander:
    """Watches the releases of one process.

    Parameters
    ----------
    open_observations
        Opens where it is kept; called in the thread, at the first that is to be written.
    folder_of
        Where the files of a model lie.
    process
        Scores.
    max_rows
        How many rows may wait for shadows.
    clock
        Seconds that only grow.
    """

    def __init__(
        self,
        open_observations: Callable[[], Observations],
        folder_of: Callable[[LoadedModel], Path],
        process: ShadowProcess | None = None,
        max_rows: int = MAX_ROWS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open, self._folder_of, self._process = open_observations, folder_of, process or ShadowProcess()
        self._max_rows, self._clock = max_rows, clock
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

    def saw(self, releases: Mapping[str, Running], answers: Sequence[EvidentAnswer]) -> None:
        """Have the shadows among the releases score what was answered, if there is room."""
        for running in releases.values():
            if running.release.kind != SHADOW:
                continue
            with self._guard:
                has_room = self._rows + len(answers) <= self._max_rows
                if has_room:
                    self._waiting.append(_Answered(running, answers))
                    self._rows += len(answers)
                else:
                    self._counts[running.release.id, SHADOW, "dropped"] += len(answers)
            self._start()

    def close(self) -> None:
        """Write what is noted, and end."""
        self._stopped.set()
        self._process.close()
        if self._thread is not None:
            self._thread.join(timeout=5)
        if self._observations is not None:
            self._observations.close()

    def work(self) -> float:
        """Score what waits, and write what is noted; seconds that it took."""
        began = self._clock()
        while batch := self._take():
            self._score(batch)
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
        while not self._stopped.wait(PAUSE_SECONDS):
            self.work()
        self._flush()

    def _take(self) -> list[_Answered]:
        """What waits for one shadow and goes into one call."""
        batch: list[_Answered] = []
        rows = 0
        with self._guard:
            while self._waiting and rows < ROWS_AT_ONCE and (not batch or self._waiting[0].is_beside(batch[0])):
                batch.append(self._waiting.popleft())
                rows += len(batch[-1].answers)
            self._rows -= rows
        return batch

    def _score(self, batch: Sequence[_Answered]) -> None:
        """What a shadow says beside answers with a score of the champion; what fails together is tried one by one."""
        running = batch[0].running
        release, task = running.release, running.release.model
        answers = [answer for each in batch for answer in each.answers if answer[task]]
        if not answers or self._stopped.is_set():
            return
        began = self._clock()
        try:
            said = self._said(running.model, answers)
        except Exception as error:
            if len(batch) > 1:
                for each in batch:
                    self._score([each])
                return
            logger.warning("%s failed beside %d answers: %s", release, len(answers), error)
            self._note(release.id, SHADOW, {"errors": len(answers)})
            return
        self._note(release.id, SHADOW, {bucket(self._clock() - began): 1, "calls": 1, "customers": len(answers)})
        self._scores += [
            ShadowScore(release.id, answer["prediction_id"], answer[task][NUMBERS[task]], shadow)
            for answer, shadow in zip(answers, said, strict=True)
        ]

    def _said(self, model: LoadedModel, answers: Sequence[EvidentAnswer]) -> list[float]:
        """What a model says of the rows that answers were made from."""
        columns = answers[0].evidence.context.columns
        if any(answer.evidence.context.columns != columns for answer in answers):
            raise ValueError("these rows have other types")
        names = list(columns)
        places = [names.index(name) for name in model.bundle.features]
        rows = [[answer.evidence.values[place] for place in places] for answer in answers]
        dtypes = {name: columns[name] for name in model.bundle.features}
        return self._process.predict(self._folder_of(model), model.hash, dtypes, rows)

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
