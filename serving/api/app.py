"""The HTTP service as a plain Starlette app: all it rests on is an argument, so that it runs in any server.

    POST /v1/predictions    answers, see serving.api.schema
    POST /v1/events         takes new orders and interactions, see serving.api.intake
    GET  /v1/models         which versions answer
    GET  /openapi.json      this, for machines
    GET  /healthz           the process runs
    GET  /readyz            it can answer; 503 until models and features are there, and again once it shall stop
    GET  /metrics           counts for Prometheus

Logs and metrics never hold an id, a body or a message that may quote one.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import orjson
import pandas as pd
from anyio import CapacityLimiter, move_on_after, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from configs.errors import StaycastError
from configs.settings import Settings
from serving.answer import decide
from serving.answer.champion import Champions, Loaded
from serving.answer.score import iso, score
from serving.api import schema
from serving.api.metrics import MEDIA_TYPE, Metrics
from serving.api.problems import (
    AnswerError,
    MediaTypeError,
    OverloadedError,
    TooLargeError,
    UnavailableError,
    UnknownCustomerError,
    plain_problem_response,
    problem_response,
)

API_VERSION = "1"
MAX_WAITING = 64
READY_SECONDS = 2.0
READY_FOR_SECONDS = 1.0
PROBE_ID = "readyz"
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
logger = logging.getLogger(__name__)
access = logging.getLogger("serving.access")


class Holder(Protocol):
    """Gives the models that serve now."""

    def current(self) -> Champions:
        """The models; NotReadyError if there are none."""
        ...


class Reader(Protocol):
    """Reads the newest features of customers: one row an id, in the order asked; ``as_of`` NaT where it is unknown.

    The row of an alias carries the person's ``customer_id``.
    """

    def read(self, customer_ids: list[str]) -> pd.DataFrame:
        """Feature rows of these ids."""
        ...


class Log(Protocol):
    """Keeps every answer before it is sent."""

    def append(self, answers: list[dict[str, Any]]) -> None:
        """Keep answers, all or none; they are safe when this returns."""
        ...


class Taker(Protocol):
    """Takes events and makes the features reflect them."""

    def take(
        self, brought: schema.ReceivedEvents, clock: Callable[[], datetime]
    ) -> tuple[list[Literal["accepted", "known"]], datetime]:
        """What became of each event, and the moment of the new features; on disk and online when this returns."""
        ...


class Json(Response):
    """A JSON response, written by orjson."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes of the body."""
        return orjson.dumps(content)


def create_app(
    holder: Holder,
    reader: Reader,
    log: Log,
    settings: Settings,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    taker: Taker | None = None,
) -> Starlette:
    """Make the app.

    Parameters
    ----------
    holder, reader, log
        The models, the features, and the log of answers.
    settings
        Decisions, limits, currency.
    clock
        Tells the moment of scoring, UTC.
    taker
        Takes events; without one, ``/v1/events`` answers 503.

    Returns
    -------
    starlette.applications.Starlette
        Its ``state.draining`` may be set to True: ``/readyz`` then says 503, and answers go on.
    """
    api = _Api(holder, reader, log, settings, clock, taker)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        app.state.draining = True

    routes = [
        Route("/v1/predictions", api.predictions, methods=["POST"]),
        Route("/v1/events", api.events, methods=["POST"]),
        Route("/v1/models", api.models),
        Route("/openapi.json", api.openapi),
        Route("/healthz", api.healthz),
        Route("/readyz", api.readyz),
        Route("/metrics", api.render_metrics),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(_Watched, metrics=api.metrics, routes=frozenset(r.path for r in routes))],
        exception_handlers={StaycastError: api.told, HTTPException: _plainly},
        lifespan=lifespan,
    )
    app.state.draining = False
    return app


class _Api:
    """The endpoints and what they rest on."""

    def __init__(
        self,
        holder: Holder,
        reader: Reader,
        log: Log,
        settings: Settings,
        clock: Callable[[], datetime],
        taker: Taker | None,
    ) -> None:
        self.metrics = Metrics()
        self._holder, self._reader, self._log = holder, reader, log
        self._settings, self._clock, self._taker = settings, clock, taker
        self._most = settings.serving.max_customers_per_request
        self._openapi = orjson.dumps(schema.openapi(self._most, API_VERSION))
        self._scoring = CapacityLimiter(max(2, os.cpu_count() or 1))
        self._probing = CapacityLimiter(1)
        self._inside = 0
        self._logged = ""
        self._ready_until = 0.0

    async def predictions(self, request: Request) -> Response:
        """Answer for one customer, or for several."""
        _check_media_type(request.headers)
        asked = schema.parse(await _body(request, schema.max_body_bytes(self._most)), self._most)
        async with self._place():
            body, customers = await to_thread.run_sync(self._answer, asked, limiter=self._scoring)
        request.scope["staycast"]["customers"] = customers
        return Response(body, media_type="application/json")

    async def events(self, request: Request) -> Response:
        """Take one event, or several."""
        _check_media_type(request.headers)
        brought = schema.parse_events(await _body(request, schema.max_events_bytes(self._most)), self._most)
        async with self._place():
            body = await to_thread.run_sync(self._take, brought, limiter=self._scoring)
        return Json(body)

    async def models(self, request: Request) -> Response:
        """Say which versions answer now."""
        held = self._holder.current()
        return Json({"churn": _facts(held.churn), "clv": _facts(held.clv) if held.clv else None})

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document."""
        return Response(self._openapi, media_type="application/json")

    async def healthz(self, request: Request) -> Response:
        """The process runs."""
        return Json({"status": "alive"})

    async def readyz(self, request: Request) -> Response:
        """Models are loaded, features can be read, and nobody asked to stop."""
        if request.app.state.draining:
            raise UnavailableError("the server is stopping")
        if time.monotonic() >= self._ready_until:
            await self._probe()
        return Json({"status": "ready"})

    async def render_metrics(self, request: Request) -> Response:
        """Counts for Prometheus."""
        return Response(await to_thread.run_sync(self.metrics.render), media_type=MEDIA_TYPE)

    async def told(self, request: Request, error: Exception) -> Response:
        """The response of an error; one that is not about the request is logged, once until another comes."""
        if not isinstance(error, StaycastError):
            raise error
        if not isinstance(error, AnswerError) and str(error) != self._logged:
            self._logged = str(error)
            logger.warning("%s", error)
        return problem_response(error)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """A place among those who are answered or wait; the event loop alone counts them."""
        if self._inside >= self._scoring.total_tokens + MAX_WAITING:
            raise OverloadedError("too many requests wait already: try again in a second")
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def _probe(self) -> None:
        with move_on_after(READY_SECONDS):
            await to_thread.run_sync(self._try_to_read, abandon_on_cancel=True, limiter=self._probing)
            self._ready_until = time.monotonic() + READY_FOR_SECONDS
            return
        raise UnavailableError(f"the feature store did not answer within {READY_SECONDS:g} seconds")

    def _try_to_read(self) -> None:
        wanted = self._holder.current().columns | set(decide.columns(self._settings.churn))
        missing = sorted(wanted - set(self._read([PROBE_ID]).columns))
        if missing:
            raise UnavailableError(
                f"the feature store lacks {len(missing)} columns of the models, among them '{missing[0]}'"
            )

    def _answer(self, asked: schema.PredictionRequest) -> tuple[bytes, int]:
        """Read, score, log, and write the body; runs in a thread."""
        one = isinstance(asked, schema.OneCustomer)
        ids = [asked.customer_id] if isinstance(asked, schema.OneCustomer) else asked.customer_ids
        champions = self._holder.current()
        frame = self._read(ids)
        known = frame["as_of"].notna().to_numpy()
        unknown = [c for c, yes in zip(ids, known, strict=True) if not yes]
        self.metrics.customers(0, 0, len(unknown))
        if not known.any():
            raise _unknown(unknown)
        top = self._settings.serving.top_reasons if asked.top_reasons is None else asked.top_reasons
        answers = score(frame[known], champions, self._settings, self._clock(), top)
        self._keep(answers)
        asked_as = [c for c, yes in zip(ids, known, strict=True) if yes]
        answers = [a if a["customer_id"] == c else {**a, "alias": c} for a, c in zip(answers, asked_as, strict=True)]
        self.metrics.customers(len(answers), sum(a["features"]["stale"] for a in answers), 0)
        body = answers[0] if one else {"predictions": answers, "not_found": unknown}
        return orjson.dumps(body), len(ids)

    def _take(self, brought: schema.ReceivedEvents) -> dict[str, Any]:
        """Take events; runs in a thread."""
        if self._taker is None:
            raise UnavailableError("this service takes no events")
        try:
            statuses, as_of = self._taker.take(brought, self._clock)
        except StaycastError:
            raise
        except Exception as error:
            logger.error("events cannot be taken: %s", _safely(error))
            raise UnavailableError("the events may not be taken yet: send them again, nothing counts twice") from None
        taken = [{"event_id": e.event_id, "status": s} for e, s in zip(brought.events, statuses, strict=True)]
        return {"events": taken, "as_of": iso(as_of)}

    def _read(self, ids: list[str]) -> pd.DataFrame:
        try:
            return self._reader.read(ids)
        except Exception as error:
            logger.error("the feature store cannot be read: %s", _safely(error))
            raise UnavailableError("the feature store cannot be read now") from None

    def _keep(self, answers: list[dict[str, Any]]) -> None:
        try:
            self._log.append(answers)
        except Exception as error:
            logger.error("the prediction log cannot be written: %s", _safely(error))
            raise UnavailableError("the answer could not be logged, so it is not given") from None


class _Watched:
    """Times, counts and logs every request, and turns what nobody caught into a plain 500.

    Starlette's own last handler raises the error again, so that the server would log its message, and with it
    whatever customer data that quotes.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: frozenset[str]) -> None:
        self.app, self.metrics, self.routes = app, metrics, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        seen = scope["staycast"] = {"customers": 0}

        async def watch(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except ClientDisconnect:
            status = 499
        except Exception as error:
            logger.error("a request failed: %s", _safely(error))
            if not status:
                await plain_problem_response(500)(scope, receive, watch)
        route = scope["path"] if scope["path"] in self.routes else "other"
        seconds = time.perf_counter() - started
        self.metrics.request(route, status, seconds)
        level = logging.DEBUG if route in PROBES and status == 200 else logging.INFO
        access.log(
            level, "%s %s %d %.1f ms customers=%d", scope["method"], route, status, seconds * 1000, seen["customers"]
        )


def _plainly(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return plain_problem_response(error.status_code, error.headers)


def _check_media_type(headers: Mapping[str, str]) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise MediaTypeError("send the body with Content-Type: application/json")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise MediaTypeError("send the body without Content-Encoding")


async def _body(request: Request, most: int) -> bytes:
    """The body, read only as far as it may be long."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise _too_large(most)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise _too_large(most)
    return bytes(body)


def _too_large(most: int) -> TooLargeError:
    return TooLargeError(f"a body may hold at most {most} bytes: send less at a time")


def _unknown(ids: list[str]) -> UnknownCustomerError:
    who = f"customer '{ids[0]}'" if len(ids) == 1 else f"any of these {len(ids)} customers"
    return UnknownCustomerError(f"no features are known for {who}: check the id, or refresh the feature store")


def _facts(loaded: Loaded) -> dict[str, Any]:
    bundle = loaded.bundle
    return {
        "model": loaded.label,
        "version": loaded.version,
        "base": loaded.base,
        "horizon_days": bundle.horizon_days,
        "trained_through": bundle.trained_through,
        "schema_hash": bundle.schema_hash,
        "features": list(bundle.features),
    }


def _safely(error: Exception) -> str:
    """Kind and place of an error, without its message: that may quote a customer."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    code = trace.tb_frame.f_code
    return f"{type(error).__name__} in {code.co_name} ({os.path.basename(code.co_filename)}:{trace.tb_lineno})"
