"""What stands between a request and its answer: size and kind of the body, overload, counts and the access log."""

from __future__ import annotations

import logging
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import unquote

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from configs.errors import StaycastError, safe_summary
from serving.access.roles import PROBES
from serving.api.metrics import Metrics
from serving.api.problems import (
    TOO_MANY,
    AnswerError,
    InvalidRequestError,
    MediaTypeError,
    OverloadedError,
    TooLargeError,
    UnavailableError,
    problem_response,
    status_problem_response,
)

Result = TypeVar("Result")
PROBE_ROUTES = frozenset({*PROBES, "/metrics"})
MAX_BODY_BYTES = 2**20
MAX_GZIP_MEMBERS = 16  # what is left of the body is copied with each
SECURITY_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
SLASH_IN_ID = "\0"  # stands in a path for a slash that was sent as %2F: it parts nothing
NO_CHARACTER = "\ufffd"  # stands there for one that no id has
FLOODED = "/v1/predictions"
FLOOD_REFUSALS = 200  # of one second
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
logger = logging.getLogger(__name__)
access = logging.getLogger("serving.access")


def check_media_type(headers: Mapping[str, str]) -> None:
    """MediaTypeError unless the body is plain JSON."""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise MediaTypeError("send the body with Content-Type: application/json")
    if headers.get("content-encoding", "identity").lower() not in ("identity", "gzip"):
        raise MediaTypeError("send the body without Content-Encoding, or with gzip")


async def read_body(request: Request, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """The body, read, and unpacked if it is gzip, only as far as it may be long.

    Raises
    ------
    TooLargeError
        It is longer than `max_bytes`, as sent or unpacked.
    InvalidRequestError
        It is no whole gzip, or more than gzip.
    """
    too_large = TooLargeError(f"a body may hold at most {max_bytes} bytes: send less at a time")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise too_large
    if request.headers.get("content-encoding", "").lower() != "gzip":
        return bytes(body)
    unpacked = _unpacked(bytes(body), max_bytes + 1)
    if len(unpacked) > max_bytes:
        raise too_large
    return unpacked


def _unpacked(body: bytes, most: int) -> bytes:
    """What a gzip holds, `most` bytes of it at most: its members one after the other, as RFC 1952 has it."""
    content, rest = bytearray(), body
    for member in range(MAX_GZIP_MEMBERS):
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            content += unpacker.decompress(rest, most - len(content))
        except zlib.error:
            what = "holds bytes behind its gzip that are none" if member else "is no gzip"
            raise InvalidRequestError(f"the body {what}, although Content-Encoding says so") from None
        if len(content) < most and not unpacker.eof:
            raise InvalidRequestError("the body is a gzip that was cut short, or holds more than a gzip")
        rest = unpacker.unused_data
        if not rest or len(content) >= most:
            return bytes(content)
    raise InvalidRequestError(f"the body is a gzip of more than {MAX_GZIP_MEMBERS} members: send it as one")


@contextmanager
def unavailable_if_it_fails(logged: str, told: str, but: type[StaycastError] = AnswerError) -> Iterator[None]:
    """What fails within and is no error of that type is told as 503, and the log says why.

    Parameters
    ----------
    logged, told
        What could not be done: in the log, before the cause, and to who asked.
    but
        Errors that go on as they are.
    """
    try:
        yield
    except but:
        raise
    except Exception as error:
        logger.error("%s: %s", logged, safe_summary(error))
        raise UnavailableError(told) from None


class BoundedThreads:
    """Runs work in a few threads, and refuses at once what finds too much before it. Only the event loop calls it.

    Parameters
    ----------
    threads
        How much runs side by side.
    most
        How much may run or wait.
    """

    def __init__(self, threads: int, most: int) -> None:
        self._limiter, self._most, self._admitted = CapacityLimiter(threads), most, 0

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """What the work gives.

        Raises
        ------
        OverloadedError
            Too much runs or waits.
        """
        if self._admitted >= self._most:
            raise OverloadedError(TOO_MANY)
        self._admitted += 1
        try:
            return await to_thread.run_sync(work, *arguments, limiter=self._limiter)
        finally:
            self._admitted -= 1


class RouteNames:
    """Gives the name of the route that a path leads to: the path, with the names of ids in their places.

    >>> names = RouteNames([Route("/v1/customers/{customer_id}", print), Route("/v1/models", print)])
    >>> names("/v1/customers/1349"), names("/v1/models"), names("/v1/none")
    ('/v1/customers/{customer_id}', '/v1/models', '')
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        known = list(routes)
        self._plain = frozenset(route.path for route in known if not route.param_convertors)
        self._with_ids = [(route.path_regex, route.path_format) for route in known if route.param_convertors]

    def __call__(self, path: str) -> str:
        """The name; empty where there is no such route."""
        if path in self._plain:
            return path
        return next((name for pattern, name in self._with_ids if pattern.match(path)), "")


def id_in_path(request: Request, name: str) -> str:
    """An id that stands in the path of a request."""
    return str(request.path_params[name]).replace(SLASH_IN_ID, "/")


def _path_of(scope: Scope) -> str:
    """The path without a slash behind it; a slash within an id is `SLASH_IN_ID`."""
    path, raw = str(scope["path"]).replace(SLASH_IN_ID, NO_CHARACTER), scope.get("raw_path") or b""
    if b"%2" in raw and b"%2f" in raw.lower():
        parts = raw.decode("ascii", "replace").partition("?")[0].split("/")
        path = "/".join(unquote(part).replace(SLASH_IN_ID, NO_CHARACTER).replace("/", SLASH_IN_ID) for part in parts)
    return path.rstrip("/") or "/"


class Flood:
    """Has predictions refused unread while a flood lasts, so that what is refused takes no time from what is answered.

    A flood: more than `most` a second found too many waiting. Then, while that holds, nothing is read of such a
    request, not who asks either; each counts in the metrics, and the log tells once a second of how many. Who takes
    requests asks this before anything is begun, see `serving.connections`.

    Parameters
    ----------
    has_room
        Whether a prediction asked for now would be taken.
    stops
        Whether the service is about to stop, so that connections end with their answer.
    metrics
        Counts what is refused.
    most
        Refusals a second that are no flood.
    clock
        Seconds that only rise.
    """

    def __init__(
        self,
        has_room: Callable[[], bool],
        stops: Callable[[], bool],
        metrics: Metrics,
        most: int = FLOOD_REFUSALS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._has_room, self.stops, self._metrics, self._most, self._clock = has_room, stops, metrics, most, clock
        self._second, self._now, self._before, self._unread = 0, 0, 0, 0
        refusal = problem_response(OverloadedError(TOO_MANY), FLOODED)
        self.body = bytes(refusal.body)
        self._headers = [*refusal.raw_headers, *((k.lower().encode(), v.encode()) for k, v in SECURITY_HEADERS.items())]

    def refuses(self, path: str) -> bool:
        """Whether a request for a path is refused unread; each that finds no room counts."""
        if self._unread:
            self._turn()
        if path != FLOODED or self._has_room():
            return False
        self._turn()
        self._now += 1
        if max(self._before, self._now) <= self._most:
            return False
        self._unread += 1
        self._metrics.request(FLOODED, OverloadedError.status, None)
        return True

    def headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """The headers of a refusal, whose status is 429."""
        request_id = _request_id(Headers(scope=scope).get("x-request-id", "")).encode()
        return [*self._headers, (b"x-request-id", request_id)]

    def _turn(self) -> None:
        """Begin with a new second, and tell of the one before."""
        second = int(self._clock())
        if second == self._second:
            return
        if self._unread:
            access.info("%d predictions were refused unread: more come than can be answered", self._unread)
        self._before = self._now if second == self._second + 1 else 0
        self._second, self._now, self._unread = second, 0, 0


class AccessLogMiddleware:
    """Times, counts and logs every request, and turns what nobody caught into a plain 500.

    Starlette's own last handler raises the error again, so that the server would log its message, and with it
    whatever customer data that quotes.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: RouteNames) -> None:
        self.app, self.metrics, self.routes = app, metrics, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and watch its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = _path_of(scope)
        scope = {**scope, "path": path}
        started, status = time.perf_counter(), 0
        request_id = _request_id(Headers(scope=scope).get("x-request-id", ""))
        noted = {"customers": 0, "caller": "", "role": "", "request_id": request_id}
        scope["staycast"] = {**noted, "route": self.routes(path)}

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers.update({**SECURITY_HEADERS, "X-Request-Id": request_id, **scope["staycast"].get("headers", {})})
                for name, value in _closing(scope):
                    headers[name.decode()] = value.decode()
            await send(message)

        try:
            await self.app(scope, receive, send_and_note_status)
        except ClientDisconnect:
            status = 499
        except Exception as error:
            logger.error("a request failed: %s", safe_summary(error))
            if not status:
                await status_problem_response(500, path=path)(scope, receive, send_and_note_status)
        self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        noted = scope["staycast"]
        route = noted["route"] or "other"
        self.metrics.request(route, status, seconds)
        level = logging.DEBUG if route in PROBE_ROUTES and status == 200 else logging.INFO
        text = "%s %s %d %.1f ms customers=%d caller=%s request=%s"
        told = (noted["customers"], noted["caller"] or "-", noted["request_id"])
        access.log(level, text, scope["method"], route, status, seconds * 1000, *told)


def _closing(scope: Scope) -> list[tuple[bytes, bytes]]:
    """That the connection ends with this answer, once the service is about to stop: the next might get nothing."""
    stops = "app" in scope and getattr(scope["app"].state, "draining", False)
    return [(b"connection", b"close")] if stops else []


def _request_id(given: str) -> str:
    """The id that a request came with, if it can be one; else a new one."""
    return given if REQUEST_ID.fullmatch(given) else str(ULID())
