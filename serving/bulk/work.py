"""The parts of the answers for many customers, written by this process or by several."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from typing import Any, Protocol

import pandas as pd

from configs.errors import RegistryError
from configs.settings import Settings
from configs.workspace import Workspace
from features.people.identity import load_alias_map
from features.store.online_rows import OnlineFeatures
from serving.answer.arms import answers_by_arm
from serving.answer.champion import Champions
from serving.answer.score import score
from serving.bulk.batch import write_answers
from serving.bulk.parts import Parts
from serving.bulk.processes import end_with_parent

CHUNK_ROWS = 2000
SMALL_PARTS = 4  # so few are sooner done than other processes have begun
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SELDOM = (200_000, 20, 100)  # thresholds of the garbage collector
OnProgress = Callable[[int, int], None]


class Customers(Protocol):
    """All customers and their newest feature rows, see `features.store.online_rows.OnlineFeatures`."""

    def ids(self) -> Iterator[str]:
        """Everybody, in the order of their ids."""
        ...

    def of_persons(self, persons: Sequence[str]) -> pd.DataFrame:
        """One row for each of these customers; ``as_of`` NaT where one went offline meanwhile."""
        ...


class Willing:
    """The customers without those who object to being forecast; ``opposed`` is how many the latter are.

    Parameters
    ----------
    customers
        Everybody.
    objecting
        Persons who object.
    """

    def __init__(self, customers: Customers, objecting: Collection[str]) -> None:
        self._customers, self._objecting, self.opposed = customers, objecting, 0

    def ids(self) -> Iterator[str]:
        """The others, in the order of their ids."""
        self.opposed = 0
        for customer_id in self._customers.ids():
            if customer_id in self._objecting:
                self.opposed += 1
            else:
                yield customer_id

    def of_persons(self, persons: Sequence[str]) -> pd.DataFrame:
        """As of `Customers`."""
        return self._customers.of_persons(persons)


@dataclass(frozen=True)
class PartWriter:
    """Answers for the customers of a part, and writes them.

    Attributes
    ----------
    customers, champions, settings
        As for `serving.answer.score.score`.
    aliases
        Of each customer who has any.
    parts
        Where they belong.
    top_reasons
        How many reasons of each model.
    chunk_rows
        Rows scored at a time: bounds the memory.
    """

    customers: Customers
    champions: Champions
    settings: Settings
    aliases: Mapping[str, list[str]]
    parts: Parts
    top_reasons: int | None
    chunk_rows: int = CHUNK_ROWS

    def __call__(self, number: int, ids: Sequence[str]) -> Iterator[int]:
        """Write a part; tells after each chunk how many customers it held."""
        now = datetime.fromisoformat(self.parts.plan.scored_at)
        chunks = (ids[at : at + self.chunk_rows] for at in range(0, len(ids), self.chunk_rows))
        frames = (frame[frame["as_of"].notna()] for frame in map(self.customers.of_persons, chunks))
        answers = (self._answers(frame, now) for frame in frames)
        return write_answers(self.parts.stem(number), answers, self.aliases)

    def _answers(self, frame: pd.DataFrame, now: datetime) -> list[dict[str, Any]]:
        """The answers of a chunk, each customer's by the arm that answers online, too."""

        def answer(models: Champions, rows: list[int] | None) -> list[dict[str, Any]]:
            of_arm = frame if rows is None else frame.iloc[rows]
            return score(of_arm, models, self.settings, now, self.top_reasons)

        return answers_by_arm(frame, self.champions, answer)


def write_all(writer: PartWriter, on_progress: OnProgress | None = None) -> None:
    """Write all parts that are missing, in this process."""
    tell = _Progress(writer.parts, on_progress)
    with _seldom_collecting():
        for number, ids in writer.parts.slices(writer.customers.ids()):
            if not writer.parts.is_done(number):
                for done in writer(number, ids):
                    tell(done)
            else:
                tell(len(ids))


def write_all_in_processes(
    writer: PartWriter, workspace: Workspace, workers: int, on_progress: OnProgress | None = None
) -> None:
    """As `write_all`, in processes of their own, each on one core; no more parts wait in memory than are computed.

    Raises
    ------
    RegistryError
        The champions, or what runs beside them, have changed meanwhile.
    """
    tell, waiting = _Progress(writer.parts, on_progress), set[Future[int]]()
    own = (writer.settings, workspace, writer.parts, writer.champions.identity, writer.top_reasons, writer.chunk_rows)
    with _one_thread(), ProcessPoolExecutor(workers, get_context("spawn"), _open_writer, own) as pool:
        try:
            for number, ids in writer.parts.slices(writer.customers.ids()):
                if writer.parts.is_done(number):
                    tell(len(ids))
                    continue
                waiting.add(pool.submit(_write_part, number, ids))
                while len(waiting) > 2 * workers:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    tell(sum(each.result() for each in done))
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                tell(sum(each.result() for each in done))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _Progress:
    def __init__(self, parts: Parts, on_progress: OnProgress | None) -> None:
        self._done, self._of, self._tell = 0, parts.plan.customers, on_progress

    def __call__(self, more: int) -> None:
        self._done += more
        if self._tell:
            self._tell(self._done, max(self._done, self._of))


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Search for garbage seldom: answers are many small parts without a cycle, which are freed without."""
    before = gc.get_threshold()
    gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes that begin within use one thread each."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


_writers: list[PartWriter] = []  # the one of this process


def _open_writer(
    settings: Settings,
    workspace: Workspace,
    parts: Parts,
    identity: tuple[Any, ...],
    top_reasons: int | None,
    chunk_rows: int,
) -> None:
    end_with_parent()
    champions = Champions.serving(workspace, settings)
    if champions.identity != identity:
        raise RegistryError("the models have changed since the scoring began: begin again")
    aliases = load_alias_map(workspace.tables).aliases()
    customers = OnlineFeatures(workspace)
    _writers[:] = [PartWriter(customers, champions, settings, aliases, parts, top_reasons, chunk_rows)]
    gc.freeze()
    gc.set_threshold(*SELDOM)


def _write_part(number: int, ids: list[str]) -> int:
    return sum(_writers[0](number, ids))
