"""What stands between a request and its answer: size and kind of the body, overload, counts and the access log."""

from __future__ import annotations

import logging
import os
import re
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from serving.api.metrics import Metrics
from serving.api.problems import (
    InvalidRequestError,
    MediaTypeError,
    OverloadedError,
    TooLargeError,
    status_problem_response,
)

PROBE_ROUTES = frozenset({"/healthz", "/readyz", "/metrics"})
MAX_BODY_BYTES = 2**20
SECURITY_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
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
        It is no whole gzip.
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
    """What a gzip holds, `most` bytes of it at most."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        content = unpacker.decompress(body, most)
    except zlib.error:
        raise InvalidRequestError("the body is no gzip, although Content-Encoding says so") from None
    if len(content) < most and not unpacker.eof:
        raise InvalidRequestError("the body is a gzip that was cut short")
    return content


class AdmissionControl:
    """Sheds load: a request that finds too many before it is refused at once. The event loop alone counts them.

    Parameters
    ----------
    max_requests
        How many may be answered or wait at the same time.
    """

    def __init__(self, max_requests: int) -> None:
        self._max_requests, self._admitted = max_requests, 0

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Count one request while it is answered.

        Raises
        ------
        OverloadedError
            Too many are being answered or wait.
        """
        if self._admitted >= self._max_requests:
            raise OverloadedError("too many requests wait already: try again in a second")
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1


class AccessLogMiddleware:
    """Times, counts and logs every request, and turns what nobody caught into a plain 500.

    Starlette's own last handler raises the error again, so that the server would log its message, and with it
    whatever customer data that quotes.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: frozenset[str]) -> None:
        self.app, self.metrics, self.routes = app, metrics, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and watch its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope = {**scope, "path": scope["path"].rstrip("/") or "/"}  # a slash behind a path changes nothing
        started, status = time.perf_counter(), 0
        request_id = _request_id(Headers(scope=scope).get("x-request-id", ""))
        scope["staycast"] = {"customers": 0, "caller": "", "role": "", "request_id": request_id}

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers.update({**SECURITY_HEADERS, "X-Request-Id": request_id, **scope["staycast"].get("headers", {})})
            await send(message)

        try:
            await self.app(scope, receive, send_and_note_status)
        except ClientDisconnect:
            status = 499
        except Exception as error:
            logger.error("a request failed: %s", safe_summary(error))
            if not status:
                await status_problem_response(500)(scope, receive, send_and_note_status)
        self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope["path"] if scope["path"] in self.routes else "other"
        self.metrics.request(route, status, seconds)
        level = logging.DEBUG if route in PROBE_ROUTES and status == 200 else logging.INFO
        noted = scope["staycast"]
        text = "%s %s %d %.1f ms customers=%d caller=%s request=%s"
        told = (noted["customers"], noted["caller"] or "-", noted["request_id"])
        access.log(level, text, scope["method"], route, status, seconds * 1000, *told)


def _request_id(given: str) -> str:
    """The id that a request came with, if it can be one; else a new one."""
    return given if REQUEST_ID.fullmatch(given) else str(ULID())


def safe_summary(error: Exception) -> str:
    """Kind and place of an error, without its message: that may quote a customer."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    code = trace.tb_frame.f_code
    return f"{type(error).__name__} in {code.co_name} ({os.path.basename(code.co_filename)}:{trace.tb_lineno})"
