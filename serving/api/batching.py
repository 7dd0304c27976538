"""Requests that wait at the same time are answered in one call, and who would wait too long is refused at once.

A call costs much, one customer more in it little: answering ten requests together takes hardly longer than one. So
while a call runs, whatever comes waits and goes into the next one together. The queue is bounded by time, not by
places: from how long calls of their size took, it is told how long a new request would wait.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from configs.errors import NotReadyError
from serving.api.problems import OverloadedError, UnavailableError

Item = TypeVar("Item")
Result = TypeVar("Result")
MEMORY = 0.97  # of the weight of a call, what is left at the next: the newest thirty or so tell


class CallCost:
    """How long a call takes by its size, learned from the newest calls: a start and so much for each customer."""

    def __init__(self) -> None:
        self._sums = np.zeros(5)  # of weights, sizes, seconds, squared sizes, sizes times seconds

    def learn(self, size: int, seconds: float) -> None:
        """Take note of a call."""
        self._sums = MEMORY * self._sums + np.array([1.0, size, seconds, size * size, size * seconds])

    def seconds(self, size: float) -> float:
        """How long a call of this size will take; 0 before the first.

        Least squares, with a start and a slope that are not negative; where all calls were of one size, it is taken
        to be all start: what more customers cost is learned as soon as they come.

        >>> cost = CallCost()
        >>> for size, seconds in ((1, 0.011), (11, 0.021)):
        ...     cost.learn(size, seconds)
        >>> round(cost.seconds(31), 3)
        0.041
        """
        if not self._sums.any():
            return 0.0
        mean_size, mean, squares, products = (self._sums[1:] / self._sums[0]).tolist()
        spread = squares - mean_size**2
        slope = (products - mean_size * mean) / spread if spread > 1e-9 else 0.0
        slope = min(max(slope, 0.0), mean / mean_size)
        return mean + slope * (size - mean_size)


@dataclass(frozen=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    size: int
    answer: asyncio.Future[Result]


class Batcher(Generic[Item, Result]):
    """Does work on all items that wait, in one call at a time, in a thread of its own.

    Parameters
    ----------
    work
        Answers items: one result each, in their order; a result that is an exception is raised to who asked. An error
        that it raises meets all where it is of the service (`NotReadyError`, `UnavailableError`); after any other each
        item is tried alone: what one causes meets no other.
    max_size
        How much may go into one call, see `ask`.
    max_wait_seconds
        Who would wait longer before the call begins is refused; None: nobody is.
    name
        Of the thread.

    Notes
    -----
    All methods but `close` are for the event loop's thread.
    """

    def __init__(
        self,
        work: Callable[[list[Item]], Sequence[Result | Exception]],
        max_size: int,
        max_wait_seconds: float | None = None,
        name: str = "batcher",
    ) -> None:
        self._work, self._max_size, self._max_wait = work, max_size, max_wait_seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._alone: deque[_Waiting[Item, Result]] = deque()
        self._lists: deque[_Waiting[Item, Result]] = deque()
        self._cost, self._size = CallCost(), 0
        self._began = self._lasts = 0.0  # of the call that runs
        self._running: asyncio.Task[None] | None = None

    def require_room(self) -> None:
        """OverloadedError if whoever asks now would wait too long."""
        if self._max_wait is not None and self.expected_wait() > self._max_wait:
            raise OverloadedError("too many requests wait already: try again in a second")

    def expected_wait(self) -> float:
        """Seconds until a call begins that could take what is asked now.

        Of a call that lasts longer than it should, it is expected that it goes on for as long again: so behind one
        that hangs nobody queues up.
        """
        if self._running is None:
            return 0.0
        full, rest = divmod(self._size, self._max_size)
        calls = full * self._cost.seconds(self._max_size) + (self._cost.seconds(rest) if full and rest else 0.0)
        return abs(self._lasts - (time.monotonic() - self._began)) + calls

    async def ask(self, item: Item, size: int = 1, in_list: bool = False) -> Result:
        """Give the result of one item.

        Parameters
        ----------
        item
            What is asked.
        size
            How much of a call it takes, in the unit of `max_size`; a larger one than that goes alone.
        in_list
            A part of a long list: others go first, but each call takes one such part at least.

        Raises
        ------
        OverloadedError
            It would wait too long.
        """
        self.require_room()
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        (self._lists if in_list else self._alone).append(_Waiting(item, size, answer))
        self._size += size
        if self._running is None:
            self._began, self._lasts = time.monotonic(), 0.0
            self._running = asyncio.get_running_loop().create_task(self._run())
        return await answer

    def close(self) -> None:
        """End the thread when its call has ended."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        try:
            while batch := self._take():
                await self._call(batch)
        finally:
            self._running = None

    def _take(self) -> list[_Waiting[Item, Result]]:
        """What goes into the next call: one part of a list at least, then requests, then more parts."""
        batch: list[_Waiting[Item, Result]] = []
        room = self._max_size
        for queue, at_most in ((self._lists, 1), (self._alone, None), (self._lists, None)):
            taken = 0
            while queue and taken != at_most and (queue[0].size <= room or not batch):
                waiting = queue.popleft()
                self._size -= waiting.size
                if waiting.answer.done():  # who asked has gone
                    continue
                batch.append(waiting)
                room -= waiting.size
                taken += 1
        return batch

    async def _call(self, batch: list[_Waiting[Item, Result]]) -> None:
        size = sum(waiting.size for waiting in batch)
        self._began, self._lasts = time.monotonic(), self._cost.seconds(size)
        items = [waiting.item for waiting in batch]
        results: Sequence[Result | Exception]
        try:
            results = await asyncio.get_running_loop().run_in_executor(self._thread, self._results, items)
        except RuntimeError:  # the thread was ended
            results = [UnavailableError("the server is stopping") for _ in items]
        self._cost.learn(size, time.monotonic() - self._began)
        for waiting, result in zip(batch, results, strict=True):
            if waiting.answer.done():
                continue
            if isinstance(result, Exception):
                waiting.answer.set_exception(result)
            else:
                waiting.answer.set_result(result)

    def _results(self, items: list[Item]) -> Sequence[Result | Exception]:
        try:
            return self._work(items)
        except (NotReadyError, UnavailableError) as error:
            return [error] * len(items)
        except Exception as error:
            return [error] if len(items) == 1 else [self._results([item])[0] for item in items]
