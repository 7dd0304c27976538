"""A load generator over raw sockets: HTTP/1.1 with keep-alive, closed or open loop, bounded in time and connections.

Closed loop: each connection asks again as soon as it has its answer. Open loop: requests fall due at a fixed rate
whatever becomes of the ones before, and latency counts from when one was due, not from when a connection was free for
it: a server that stalls cannot slow down its own examination (Schroeder et al., NSDI 2006).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import uvloop

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
HEAD_END = b"\r\n\r\n"
NO_ANSWER = 0
TICK_SECONDS = 0.001
PATIENCE_SECONDS = 5.0  # how long answers are waited for once nothing is sent any more


@dataclass(frozen=True)
class Outcome:
    """What became of one request; times in seconds, status `NO_ANSWER` where none came."""

    due: float
    sent: float
    done: float
    status: int


@dataclass(frozen=True)
class Figures:
    """What the outcomes of a run say.

    Attributes
    ----------
    offered_per_second, answered_per_second
        Requests that fell due, and those answered with 200, per second from the first due to the last done.
    p50_ms, p99_ms
        From when those answered with 200 were due; NaN without any.
    p99_sent_ms
        The same from when they were sent: without what the generator itself was late.
    shares
        Share of all requests by status.
    """

    offered_per_second: float
    answered_per_second: float
    p50_ms: float
    p99_ms: float
    p99_sent_ms: float
    shares: dict[int, float]


def request(method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    r"""A request as it goes over the wire.

    >>> request("GET", "/livez").split(b"\r\n")[:2]
    [b'GET /livez HTTP/1.1', b'Host: 127.0.0.1']
    """
    shown = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in shown.items())]
    return "\r\n".join(lines).encode() + HEAD_END + body


class ResponseReader:
    """Cuts what comes over one connection into responses, however the bytes were split on their way."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._ends = self._head_ends = 0  # of the response that is coming; 0: its head is not whole yet

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The responses that are whole now, each as status and body.

        Raises
        ------
        ValueError
            A response does not say its length.
        """
        self._data += data
        found = []
        while self._whole():
            found.append((int(self._data[9:12]), bytes(self._data[self._head_ends : self._ends])))
            del self._data[: self._ends]
            self._ends = 0
        return found

    def _whole(self) -> bool:
        if not self._ends:
            at = self._data.find(HEAD_END)
            if at < 0:
                return False
            head = bytes(self._data[:at])
            length = LENGTH.search(head)
            if length is None:
                raise ValueError(f"a response without its length cannot be read: {head[:200]!r}")
            self._head_ends = at + len(HEAD_END)
            self._ends = self._head_ends + int(length[1])
        return len(self._data) >= self._ends


class _Connection(asyncio.Protocol):
    """One connection: asks for one thing at a time, and says to its run what became of it."""

    def __init__(self, run: _Run) -> None:
        self._run, self._reader = run, ResponseReader()
        self.transport: asyncio.Transport | None = None
        self.asked: tuple[float, float] | None = None  # due and sent

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def ask(self, due: float, payload: bytes) -> None:
        assert self.transport is not None
        self.asked = (due, time.perf_counter())
        self.transport.write(payload)

    def data_received(self, data: bytes) -> None:
        for status, _ in self._reader.feed(data):
            self._done(status)

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self._run.lost(self)
        self._done(NO_ANSWER)

    def _done(self, status: int) -> None:
        asked, self.asked = self.asked, None
        if asked is not None:
            self._run.note(self, Outcome(*asked, time.perf_counter(), status))


class _Run:
    """What is due, who is free to ask for it, and what became of what was asked."""

    def __init__(self, port: int, payloads: Iterator[bytes], again: bool) -> None:
        self._port, self._payloads, self._again = port, payloads, again
        self._free: deque[_Connection] = deque()
        self._due: deque[float] = deque()
        self._asking: set[_Connection] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self.outcomes: list[Outcome] = []
        self.open = True

    async def connect(self, number: int) -> None:
        await asyncio.gather(*(self._connect() for _ in range(number)))

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while self.open:
            try:
                _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            self._free.append(connection)
            self._ask()
            return

    def add_due(self, times: Sequence[float]) -> None:
        self._due.extend(times)
        self._ask()

    def _ask(self) -> None:
        while self._due and self._free:
            connection = self._free.popleft()
            if connection.transport is None or connection.transport.is_closing():
                continue
            self._asking.add(connection)
            connection.ask(self._due.popleft(), next(self._payloads))

    def note(self, connection: _Connection, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._asking.discard(connection)
        if connection.transport is not None:
            self._free.append(connection)
        if self._again and self.open:
            self._due.append(time.perf_counter())
        self._ask()

    def lost(self, connection: _Connection) -> None:
        """Connect again in place of a connection that the server closed."""
        if self.open:
            task = asyncio.get_running_loop().create_task(self._connect())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def finish(self) -> list[Outcome]:
        """Wait for what was asked; what is not answered by then, or was never sent, counts as no answer."""
        end = time.perf_counter() + PATIENCE_SECONDS
        while (self._asking or self._due) and time.perf_counter() < end:
            await asyncio.sleep(TICK_SECONDS)
        self.open, now = False, time.perf_counter()
        unsent = [Outcome(due, now, now, NO_ANSWER) for due in self._due]
        unanswered = [Outcome(*c.asked, now, NO_ANSWER) for c in self._asking if c.asked is not None]
        outcomes = [*self.outcomes, *unanswered, *unsent]
        for connection in (*self._asking, *self._free):
            connection.asked = None
            if connection.transport is not None:
                connection.transport.abort()
        return outcomes


async def _closed(port: int, payloads: Iterator[bytes], connections: int, seconds: float) -> list[Outcome]:
    run = _Run(port, payloads, again=True)
    await run.connect(connections)
    run.add_due([time.perf_counter()] * connections)
    await asyncio.sleep(seconds)
    run._again = False
    return await run.finish()


async def _open(port: int, payloads: Iterator[bytes], connections: int, seconds: float, rate: float) -> list[Outcome]:
    run = _Run(port, payloads, again=False)
    await run.connect(connections)
    begin, sent, number = time.perf_counter(), 0, round(rate * seconds)
    while sent < number:
        due = min(number, int((time.perf_counter() - begin) * rate) + 1)
        run.add_due([begin + i / rate for i in range(sent, due)])
        sent = due
        await asyncio.sleep(TICK_SECONDS)
    return await run.finish()


def closed_loop(port: int, payloads: Iterator[bytes], connections: int, seconds: float) -> list[Outcome]:
    """Ask a server on this machine over some connections, each again as soon as it is answered."""
    return uvloop.run(_closed(port, payloads, connections, seconds))


def open_loop(port: int, payloads: Iterator[bytes], connections: int, seconds: float, rate: float) -> list[Outcome]:
    """Ask a server on this machine at a fixed rate per second, whatever becomes of it, over so many connections."""
    return uvloop.run(_open(port, payloads, connections, seconds, rate))


def figures(outcomes: Sequence[Outcome]) -> Figures:
    """What the outcomes of a run, one at least, say."""
    begin, last_due = min(o.due for o in outcomes), max(o.due for o in outcomes)
    answered = [o for o in outcomes if o.status == 200]
    lasted = max(max((o.done for o in answered), default=last_due) - begin, 1e-9)
    p50, p99 = np.percentile([1000 * (o.done - o.due) for o in answered], [50, 99]) if answered else (np.nan, np.nan)
    p99_sent = np.percentile([1000 * (o.done - o.sent) for o in answered], 99) if answered else np.nan
    counts = Counter(o.status for o in outcomes)
    return Figures(
        offered_per_second=len(outcomes) / max(last_due - begin, 1e-9),
        answered_per_second=len(answered) / lasted,
        p50_ms=float(p50),
        p99_ms=float(p99),
        p99_sent_ms=float(p99_sent),
        shares={status: number / len(outcomes) for status, number in sorted(counts.items())},
    )
