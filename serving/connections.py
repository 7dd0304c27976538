"""Ends connections over which nothing moves, answers what is no HTTP as any other fault, and floods unread.

uvicorn closes a connection that is idle between two requests. One over which a request never becomes whole, or whose
answer nobody reads, it keeps for ever, and every head however long. Here all that are open are looked at every few
seconds, which costs a request nothing.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar, NamedTuple

import orjson
from ulid import ULID
from uvicorn.config import HTTP_PROTOCOLS
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from serving.api.guards import SECURITY_HEADERS, Flood
from serving.api.problems import MEDIA_TYPE, problem

PATIENCE_SECONDS = {"its head": 10.0, "its body": 30.0, "somebody to read its answer": 60.0}
LOOK_SECONDS = 2.0
MOST_HEAD_BYTES = 64 * 1024
UPGRADE = re.compile(rb"(?i)(?<=\r\nupgrad)e(?=[ \t]*:)")
NO_HTTP = (400, "Bad Request", "what came is no HTTP/1.1")
LONG_HEAD = (431, "Request Header Fields Too Large", f"path and headers may hold {MOST_HEAD_BYTES} bytes together")
TOO_MANY_REQUESTS, CLOSE = b"HTTP/1.1 429 Too Many Requests", (b"connection", b"close")
Uvicorn: Any = AutoHTTPProtocol
logger = logging.getLogger(__name__)


class Waiting(NamedTuple):
    """What a connection waits for, and what changes as soon as it moves on."""

    what: str
    mark: tuple[int, int]


class WatchedConnection(Uvicorn):
    """One connection to a client, as uvicorn has it."""

    everyone: ClassVar[set[WatchedConnection]] = set()
    flood: ClassVar[Flood | None] = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.ws_protocol_class = None
        self._head_bytes, self._in_body = 0, False
        self._waits: Waiting | None = None
        self._since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Be known from here on."""
        super().connection_made(transport)
        self.everyone.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Be forgotten."""
        self.everyone.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; a head may not go on for ever."""
        cycle, in_body = self.cycle, self._in_body
        in_head = not in_body and (cycle is None or cycle.response_complete)
        if in_head and self._head_bytes + len(data) > MOST_HEAD_BYTES:
            end = data.find(b"\r\n\r\n")
            if end < 0 or self._head_bytes + end > MOST_HEAD_BYTES:
                self._refuse(*LONG_HEAD)
                return
        has_wish = not in_body and (b"pgrade" in data or b"PGRADE" in data)
        super().data_received(without_upgrade(data) if has_wish else data)
        self._head_bytes = self._head_bytes + len(data) if in_head and self.cycle is cycle else 0

    def on_headers_complete(self) -> None:
        """Take what comes for a body: it goes on though its answer was sent before it was whole."""
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Take what comes for the next head."""
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Say that it is no HTTP, as all problems are told."""
        self._refuse(*NO_HTTP)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Begin with a request, or refuse it unread: in a flood to begin with it takes most of what it costs."""
        while self.flood and cycle.scope["method"] == "POST" and self.flood.refuses(cycle.scope["path"]):
            self._refuse_unread(cycle, self.flood)
            if not self.pipeline or self.transport.is_closing():
                cycle.on_response()
                return
            self.server_state.total_requests += 1
            cycle, app = self.pipeline.pop()  # not as `on_response` does: any number may wait
        super()._start_asgi_task(cycle, app)

    def _refuse_unread(self, cycle: Any, flood: Flood) -> None:
        ends = flood.stops() or not cycle.keep_alive
        headers = [*self.server_state.default_headers, *flood.headers(cycle.scope), *([CLOSE] if ends else [])]
        lines = (TOO_MANY_REQUESTS, *(b"%b: %b" % header for header in headers), b"")
        self.transport.write(b"\r\n".join((*lines, flood.body)))
        cycle.response_started = cycle.response_complete = True
        if ends:
            self.transport.close()

    def end_if_stalled(self, now: float) -> str:
        """End it if it has waited too long for the same; for what, else "".

        `now`: seconds, of any monotonic clock.
        """
        waits = waiting(self)
        if waits is None or waits != self._waits:
            self._waits, self._since = waits, now
            return ""
        if now - self._since < PATIENCE_SECONDS[waits.what]:
            return ""
        self.transport.abort()
        return waits.what

    def _refuse(self, status: int, title: str, detail: str) -> None:
        body = orjson.dumps(problem(status, title.lower().replace(" ", "-"), title, detail))
        headers = {
            "Content-Type": MEDIA_TYPE,
            "Content-Length": str(len(body)),
            "Connection": "close",
            "X-Request-Id": str(ULID()),
            **SECURITY_HEADERS,
        }
        lines = [f"HTTP/1.1 {status} {title}", *(f"{name}: {value}" for name, value in headers.items()), "\r\n"]
        self.transport.write("\r\n".join(lines).encode() + body)
        self.transport.close()


def without_upgrade(head: bytes) -> bytes:
    r"""What begins with a head, its wish for another protocol under a name that nobody reads.

    It may be passed over (RFC 9110, section 7.8), and is: the parser would take the body for that protocol's, so that
    clients that ask for HTTP/2 with every request, as Java's does, would send empty bodies.

    >>> without_upgrade(b"POST / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n\r\nUpgrade: ")
    b'POST / HTTP/1.1\r\nUpgrad_: h2c\r\n\r\n\r\nUpgrade: '
    """
    lines, end, body = head.partition(b"\r\n\r\n")
    return UPGRADE.sub(b"_", lines) + end + body


def waiting(connection: Any) -> Waiting | None:
    """What a connection waits for from its client; None while it is the service's turn."""
    cycle, unread = connection.cycle, connection.transport.get_write_buffer_size()
    if unread:
        return Waiting("somebody to read its answer", (id(cycle), unread))
    if cycle is None or cycle.response_complete:
        return Waiting("its head", (id(cycle), 0))
    return Waiting("its body", (id(cycle), 0)) if cycle.more_body else None


def install() -> None:
    """Have uvicorn make such connections; before it starts."""
    HTTP_PROTOCOLS["auto"] = f"{__name__}:{WatchedConnection.__name__}"


@asynccontextmanager
async def watched(flood: Flood | None = None) -> AsyncIterator[None]:
    """Look at all connections of this process again and again, within the body; and refuse unread what a flood brings.

    `flood`: tells what is refused; None: nothing is.
    """
    task, WatchedConnection.flood = asyncio.create_task(_watch()), flood
    try:
        yield
    finally:
        WatchedConnection.flood = None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _watch() -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = asyncio.get_running_loop().time()
        ended = Counter(filter(None, [each.end_if_stalled(now) for each in list(WatchedConnection.everyone)]))
        for what, number in ended.items():
            logger.warning("%d connections were ended: each waited too long for %s", number, what)
