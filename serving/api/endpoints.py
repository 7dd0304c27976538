"""The endpoints of the service, as methods of what they rest on."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
import pandas as pd
from anyio import CapacityLimiter, move_on_after, to_thread
from starlette.requests import Request
from starlette.responses import Response

from configs.errors import StaycastError
from configs.settings import Settings
from serving.answer import decide
from serving.answer.champion import LoadedModel
from serving.answer.score import iso, score
from serving.api.guards import AdmissionControl, check_media_type, read_body, safe_summary
from serving.api.interfaces import AnswerLog, EventSink, FeatureReader, Leavers, ModelProvider
from serving.api.metrics import MEDIA_TYPE, Metrics
from serving.api.problems import (
    AnswerError,
    LeftCustomerError,
    UnavailableError,
    UnknownCustomerError,
    problem_response,
)
from serving.api.schema.events import EventBatch, max_events_bytes, parse_events
from serving.api.schema.openapi import openapi_document
from serving.api.schema.requests import OneCustomer, PredictionRequest, max_prediction_bytes, parse_prediction

API_VERSION = "1"
MAX_QUEUED_REQUESTS = 64
READINESS_TIMEOUT_SECONDS = 2.0
READINESS_CACHE_SECONDS = 1.0
PROBE_CUSTOMER_ID = "readyz"
logger = logging.getLogger(__name__)


class JsonResponse(Response):
    """A JSON response, written by orjson."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes of the body."""
        return orjson.dumps(content)


class Endpoints:
    """One method a route, see `serving.api.app.create_app` for the parameters."""

    def __init__(
        self,
        models: ModelProvider,
        reader: FeatureReader,
        log: AnswerLog,
        settings: Settings,
        clock: Callable[[], datetime],
        events: EventSink | None,
        left: Leavers,
    ) -> None:
        self.metrics = Metrics()
        self._models, self._reader, self._log = models, reader, log
        self._settings, self._clock, self._events, self._left = settings, clock, events, left
        self._max_customers = settings.serving.max_customers_per_request
        self._openapi = orjson.dumps(openapi_document(self._max_customers, API_VERSION))
        workers = max(2, os.cpu_count() or 1)
        self._scoring, self._probing = CapacityLimiter(workers), CapacityLimiter(1)
        self._admission = AdmissionControl(workers + MAX_QUEUED_REQUESTS)
        self._last_logged = ""
        self._ready_until = 0.0

    async def predictions(self, request: Request) -> Response:
        """Answer for one customer, or for several."""
        check_media_type(request.headers)
        body = await read_body(request, max_prediction_bytes(self._max_customers))
        asked = parse_prediction(body, self._max_customers)
        async with self._admission.admit():
            answer = await to_thread.run_sync(self._predict, asked, limiter=self._scoring)
        request.scope["staycast"]["customers"] = len(asked.ids)
        return Response(answer, media_type="application/json")

    async def events(self, request: Request) -> Response:
        """Take one event, or several."""
        check_media_type(request.headers)
        batch = parse_events(await read_body(request, max_events_bytes(self._max_customers)), self._max_customers)
        async with self._admission.admit():
            body = await to_thread.run_sync(self._accept, batch, limiter=self._scoring)
        return JsonResponse(body)

    async def models(self, request: Request) -> Response:
        """Say which versions answer now."""
        champions = self._models.current()
        clv = _model_facts(champions.clv) if champions.clv else None
        return JsonResponse({"churn": _model_facts(champions.churn), "clv": clv})

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document."""
        return Response(self._openapi, media_type="application/json")

    async def healthz(self, request: Request) -> Response:
        """The process runs."""
        return JsonResponse({"status": "alive"})

    async def readyz(self, request: Request) -> Response:
        """Models are loaded, features can be read, and nobody asked to stop."""
        if request.app.state.draining:
            raise UnavailableError("the server is stopping")
        if time.monotonic() >= self._ready_until:
            await self._probe()
        return JsonResponse({"status": "ready"})

    async def render_metrics(self, request: Request) -> Response:
        """Counts for Prometheus."""
        return Response(await to_thread.run_sync(self.metrics.render), media_type=MEDIA_TYPE)

    async def handle_error(self, request: Request, error: Exception) -> Response:
        """The response of an error; one that is not about the request is logged, once until another comes."""
        if not isinstance(error, StaycastError):
            raise error
        if not isinstance(error, AnswerError) and str(error) != self._last_logged:
            self._last_logged = str(error)
            logger.warning("%s", error)
        return problem_response(error)

    async def _probe(self) -> None:
        """Check once that the service can answer; what holds is believed for `READINESS_CACHE_SECONDS`."""
        with move_on_after(READINESS_TIMEOUT_SECONDS):
            await to_thread.run_sync(self._check_columns, abandon_on_cancel=True, limiter=self._probing)
            self._ready_until = time.monotonic() + READINESS_CACHE_SECONDS
            return
        raise UnavailableError(f"the feature store did not answer within {READINESS_TIMEOUT_SECONDS:g} seconds")

    def _check_columns(self) -> None:
        """Read the features of nobody: all columns that the models and the decisions need must come."""
        needed = self._models.current().columns | set(decide.stage_columns(self._settings.churn))
        missing = sorted(needed - set(self._read([PROBE_CUSTOMER_ID]).columns))
        if missing:
            raise UnavailableError(
                f"the feature store lacks {len(missing)} columns of the models, among them '{missing[0]}'"
            )

    def _predict(self, request: PredictionRequest) -> bytes:
        """Read, score, log, and write the body; runs in a thread."""
        champions = self._models.current()
        frame = self._read(request.ids)
        known = frame["as_of"].notna().to_numpy()
        known_ids = [i for i, is_known in zip(request.ids, known, strict=True) if is_known]
        unknown = [i for i, is_known in zip(request.ids, known, strict=True) if not is_known]
        left = self._known_to_have_left(unknown)
        not_found, is_one = [i for i in unknown if i not in left], isinstance(request, OneCustomer)
        self.metrics.customers(0, 0, len(not_found))
        if is_one and left:
            raise LeftCustomerError(f"customer '{unknown[0]}' has left, as the label of the last load says")
        if not known_ids and not left:
            who = f"customer '{not_found[0]}'" if len(not_found) == 1 else f"any of these {len(not_found)} customers"
            raise UnknownCustomerError(f"no features are known for {who}: check the id, or refresh the feature store")
        top = self._settings.serving.top_reasons if request.top_reasons is None else request.top_reasons
        answers = score(frame[known], champions, self._settings, self._clock(), top)
        self._append(answers)
        answers = [a if a["customer_id"] == i else {**a, "alias": i} for a, i in zip(answers, known_ids, strict=True)]
        self.metrics.customers(len(answers), sum(a["features"]["stale"] for a in answers), 0)
        lists = {"predictions": answers, "not_found": not_found, "left": [i for i in unknown if i in left]}
        return orjson.dumps(answers[0] if is_one else lists)

    def _accept(self, batch: EventBatch) -> dict[str, Any]:
        """Accept events; runs in a thread."""
        if self._events is None:
            raise UnavailableError("this service takes no events")
        try:
            statuses, as_of = self._events.accept(batch, self._clock)
        except StaycastError:
            raise
        except Exception as error:
            logger.error("events cannot be taken: %s", safe_summary(error))
            raise UnavailableError("the events may not be taken yet: send them again, nothing counts twice") from None
        accepted = [{"event_id": e.event_id, "status": s} for e, s in zip(batch.events, statuses, strict=True)]
        return {"events": accepted, "as_of": iso(as_of)}

    def _read(self, ids: list[str]) -> pd.DataFrame:
        try:
            return self._reader.read(ids)
        except Exception as error:
            logger.error("the feature store cannot be read: %s", safe_summary(error))
            raise UnavailableError("the feature store cannot be read now") from None

    def _known_to_have_left(self, ids: list[str]) -> set[str]:
        """Of customers who are not online, those who have left."""
        try:
            return self._left(ids) if ids else set()
        except Exception as error:
            logger.error("who has left cannot be read: %s", safe_summary(error))
            raise UnavailableError("the label of the last load cannot be read now") from None

    def _append(self, answers: list[dict[str, Any]]) -> None:
        try:
            self._log.append(answers)
        except Exception as error:
            logger.error("the prediction log cannot be written: %s", safe_summary(error))
            raise UnavailableError("the answer could not be logged, so it is not given") from None


def _model_facts(model: LoadedModel) -> dict[str, Any]:
    bundle = model.bundle
    return {
        "model": model.label,
        "version": model.version,
        "base": model.base,
        "horizon_days": bundle.horizon_days,
        "trained_through": bundle.trained_through,
        "schema_hash": bundle.schema_hash,
        "features": list(bundle.features),
    }
