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
from statistics import median
from typing import Generic, TypeVar

from configs.errors import NotReadyError
from serving.api.problems import TOO_MANY, OverloadedError, UnavailableError

Item = TypeVar("Item")
Result = TypeVar("Result")
MEMORY = 33  # newest calls that tell how long one takes


class CallCost:
    """How long a call takes by its size, learned from the newest calls: a start and so much for each customer.

    A line through the medians of the smaller and of the larger calls, with a start and a slope that are not negative
    (Tukey, Exploratory Data Analysis, 1977, chapter 5): a single call that hung, or the first of all, tells nothing of
    the next. Where all calls were of one size, it is taken to be all start: what more customers cost is learned as
    soon as they come.
    """

    def __init__(self) -> None:
        self._calls: deque[tuple[int, float]] = deque(maxlen=MEMORY)
        self._start = self._slope = 0.0

    def learn(self, size: int, seconds: float) -> None:
        """Take note of a call."""
        self._calls.append((size, seconds))
        calls = sorted(self._calls)
        smaller, larger = calls[: (len(calls) + 1) // 2], calls[len(calls) // 2 :]
        (low, quick), (high, slow) = _medians(smaller), _medians(larger)
        typical, seconds = _medians(calls)
        slope = (slow - quick) / (high - low) if high > low else 0.0
        self._slope = min(max(slope, 0.0), seconds / typical) if typical > 0 else 0.0
        self._start = max(median(lasted - self._slope * of for of, lasted in calls), 0.0)

    def seconds(self, size: float) -> float:
        """How long a call of this size will take; 0 before the first.

        >>> cost = CallCost()
        >>> for size, seconds in ((1, 0.011), (11, 0.021)):
        ...     cost.learn(size, seconds)
        >>> round(cost.seconds(31), 3)
        0.041
        """
        return self._start + self._slope * size


def _medians(calls: Sequence[tuple[int, float]]) -> tuple[float, float]:
    return median(size for size, _ in calls), median(seconds for _, seconds in calls)


@dataclass(frozen=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    size: int
    answer: asyncio.Future[Result]


class _Queue(Generic[Item, Result]):
    """What waits, in the order it came, and how much of calls it takes."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting[Item, Result]] = deque()
        self.size = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def next_size(self) -> int:
        """Of what comes next; 0 where nothing waits."""
        return self._waiting[0].size if self._waiting else 0

    def put(self, waiting: _Waiting[Item, Result]) -> None:
        self._waiting.append(waiting)
        self.size += waiting.size

    def get(self) -> _Waiting[Item, Result]:
        waiting = self._waiting.popleft()
        self.size -= waiting.size
        return waiting


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
        self._alone = _Queue[Item, Result]()
        self._parts = _Queue[Item, Result]()
        self._cost = CallCost()
        self._began = self._lasts = 0.0  # of the call that runs
        self._running: asyncio.Task[None] | None = None

    def has_room(self) -> bool:
        """Whether a single item asked for now would be taken."""
        beside = self._parts.next_size  # of each call, while there are lists
        return self._is_soon(self._wait_behind(self._alone.size, self._max_size - beside))

    def require_room(self) -> None:
        """OverloadedError if a single item asked for now would wait too long."""
        if not self.has_room():
            raise OverloadedError(TOO_MANY)

    def _require_room_for_parts(self, size: int) -> None:
        """OverloadedError if a list of this size would wait too long: longer than its own answer takes, too."""
        waits = self._wait_behind(self._alone.size + self._parts.size, self._max_size)
        if not self._is_soon(waits - self._cost.seconds(self._max_size) * size / self._max_size):
            raise OverloadedError(TOO_MANY)

    def _is_soon(self, waits: float) -> bool:
        return self._max_wait is None or waits <= self._max_wait

    def _wait_behind(self, size: int, of_call: int) -> float:
        """Seconds until a call begins that could take what is asked now, behind so much in calls of such a size.

        Of a call that lasts longer than it should, it is expected that it goes on for as long again: so behind one
        that hangs nobody queues up.
        """
        if self._running is None:
            return 0.0
        full, rest = divmod(size, max(of_call, 1))
        calls = full * self._cost.seconds(self._max_size) + (self._cost.seconds(rest) if full and rest else 0.0)
        return abs(self._lasts - (time.monotonic() - self._began)) + calls

    async def ask(self, item: Item, size: int = 1) -> Result:
        """Give the result of one item.

        Parameters
        ----------
        item
            What is asked.
        size
            How much of a call it takes, in the unit of `max_size`; a larger one than that goes alone.

        Raises
        ------
        OverloadedError
            It would wait too long.
        """
        self.require_room()
        return await self._enqueue(self._alone, item, size)

    async def ask_in_parts(self, parts: Sequence[tuple[Item, int]]) -> list[Result]:
        """Give the results of a long list, part by part: single items go first, beside one part in each call.

        Parameters
        ----------
        parts
            Items with their sizes; at most half a call each, so that others find room in the same.

        Raises
        ------
        OverloadedError
            It would wait too long; asked once for the whole list, which is not stopped halfway.
        """
        self._require_room_for_parts(sum(size for _, size in parts))
        answers = [self._enqueue(self._parts, item, size) for item, size in parts]
        try:
            return await asyncio.gather(*answers)
        finally:
            for answer in answers:
                answer.cancel()

    def close(self) -> None:
        """End the thread when its call has ended."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _enqueue(self, queue: _Queue[Item, Result], item: Item, size: int) -> asyncio.Future[Result]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        queue.put(_Waiting(item, size, answer))
        if self._running is None:
            self._began, self._lasts = time.monotonic(), 0.0
            self._running = loop.create_task(self._run())
        return answer

    async def _run(self) -> None:
        try:
            while batch := self._take():
                await self._call(batch)
        finally:
            self._running = None

    def _take(self) -> list[_Waiting[Item, Result]]:
        """What goes into the next call: one part of a list at least, then single items, then more parts."""
        batch: list[_Waiting[Item, Result]] = []
        room = self._max_size
        for queue, at_most in ((self._parts, 1), (self._alone, None), (self._parts, None)):
            taken = 0
            while taken != at_most and queue and (queue.next_size <= room or not batch):
                waiting = queue.get()
                if waiting.answer.done():  # who asked has gone
                    continue
                batch.append(waiting)
                room -= waiting.size
                taken += 1
        return batch

    async def _call(self, batch: list[_Waiting[Item, Result]]) -> None:
        size = sum(waiting.size for waiting in batch)
        self._began, self._lasts = time.monotonic(), self._cost.seconds(size)
        results = await self._results_in_thread([waiting.item for waiting in batch])
        self._cost.learn(size, time.monotonic() - self._began)
        for waiting, result in zip(batch, results, strict=True):
            if waiting.answer.done():
                continue
            if isinstance(result, Exception):
                waiting.answer.set_exception(result)
            else:
                waiting.answer.set_result(result)

    async def _results_in_thread(self, items: list[Item]) -> Sequence[Result | Exception]:
        """One result or error for each item, whatever happens: nobody waits for ever."""
        try:
            working = asyncio.get_running_loop().run_in_executor(self._thread, self._results, items)
        except RuntimeError:  # the thread was ended
            return [UnavailableError("the server is stopping")] * len(items)
        await asyncio.wait([working])
        if working.cancelled():
            return [UnavailableError("the server is stopping")] * len(items)
        results = working.result()
        if len(results) != len(items):
            return [RuntimeError(f"{len(results)} results for {len(items)} items")] * len(items)
        return results

    def _results(self, items: list[Item]) -> Sequence[Result | Exception]:
        try:
            return self._work(items)
        except (NotReadyError, UnavailableError) as error:
            return [error] * len(items)
        except Exception as error:
            return [error] if len(items) == 1 else [self._results([item])[0] for item in items]
