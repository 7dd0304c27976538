"""The endpoints of the service, as methods of what they rest on."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from anyio import CapacityLimiter, move_on_after, to_thread
from starlette.requests import Request
from starlette.responses import Response

from configs.errors import NotReadyError, StaycastError, StoreError, safe_summary
from configs.settings import Settings
from configs.workspace import Workspace
from features.people.suppression_list import erased_among
from serving.answer import decide
from serving.answer.champion import Champions, LoadedModel
from serving.answer.score import iso
from serving.api.batching import Batcher
from serving.api.gate import require_visible, visible
from serving.api.guards import BoundedThreads, check_media_type, read_body, unavailable_if_it_fails
from serving.api.interfaces import (
    Accepted,
    AnswerLog,
    EventSink,
    FeatureReader,
    Leavers,
    ModelProvider,
    ReleaseObserver,
)
from serving.api.json_response import JsonResponse
from serving.api.metrics import MEDIA_TYPE, Metrics
from serving.api.predictor import Asked, Found, Predictor
from serving.api.problems import (
    AnswerError,
    UnavailableError,
    left_customer,
    problem_response,
    unknown_customers,
)
from serving.api.purpose import asker_of
from serving.api.resources.repeats import HEADER as REPEATABLE
from serving.api.resources.repeats import Repeats
from serving.api.schema.events import EventBatch, parse_events
from serving.api.schema.requests import OneCustomer, PredictionRequest, parse_prediction, reasons_asked, targets_asked
from serving.records.evidence import Asker
from serving.records.objections import Objections
from serving.release.cards import cards

CUSTOMERS_AT_ONCE = 128  # of one call of the models
CUSTOMERS_IN_PART = 64  # longer lists are answered in such parts, beside other requests
ANSWERS_AT_ONCE = 1024  # of one write
EVENTS_AT_ONCE = 512  # of one look at their customers
READING_AT_MOST = 16  # requests for what is known of models
EVENTS_WAIT_SECONDS = 2.0  # nobody waits on the phone for them
READINESS_TIMEOUT_SECONDS = 2.0
READINESS_CACHE_SECONDS = 1.0
PROBE_CUSTOMER_ID = "readyz"
LOG_REST_SECONDS = 0.02
OBJECTIONS_BUSY_SECONDS = 0.15  # 503 is sooner than late, and the same objection sent again counts once
NOT_LOGGED = "the answer could not be logged, so it is not given"
Kept = tuple[Sequence[dict[str, Any]], Asker]  # the answers to a request, and whose it was
logger = logging.getLogger(__name__)


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
        workspace: Workspace | None = None,
        observer: ReleaseObserver | None = None,
    ) -> None:
        self.metrics = Metrics()
        self._models, self._log = models, log
        self._settings, self._clock, self._events = settings, clock, events
        self._max_customers = settings.serving.max_customers_per_request
        self._probing = CapacityLimiter(1)
        erased = partial(erased_among, workspace) if workspace else lambda ids: set[str]()
        self.objections = Objections(workspace, OBJECTIONS_BUSY_SECONDS) if workspace else None
        objecting = self.objections.among if self.objections else lambda ids: set[str]()
        self.predictor = Predictor(reader, settings, clock, left, observer, erased, objecting)
        wait = settings.serving.max_wait_ms / 1000
        self._scoring = Batcher[Asked, Found](self.predictor, CUSTOMERS_AT_ONCE, wait, "scoring")
        self._logging = Batcher[Kept, None](self._append, ANSWERS_AT_ONCE, name="logging")
        self._taking = Batcher[EventBatch, Accepted](self._accept, EVENTS_AT_ONCE, EVENTS_WAIT_SECONDS, "events")
        self._workspace, self._reading = workspace, BoundedThreads(1, READING_AT_MOST)
        self._repeats = Repeats(self.answer, log, clock, workspace, self.predictor.opposed)
        self._last_logged = ""
        self._ready_until = self._unlogged_until = 0.0

    def has_room(self) -> bool:
        """Whether a single prediction asked for now would be taken."""
        return self._scoring.has_room()

    async def predictions(self, request: Request) -> Response:
        """Answer for one customer, or for several."""
        self._scoring.require_room()
        check_media_type(request.headers)
        asker = asker_of(request, self._settings.records.purposes)
        sent = await read_body(request)
        asked = parse_prediction(sent, self._max_customers)
        if keys := request.headers.getlist(REPEATABLE):
            found = await self._repeats.answer(keys, sent, asked, asker, request)
        else:
            found = await self.answer(asked, asker, request)
        self._require_somebody(asked, found)
        request.scope["staycast"]["customers"] = len(asked.ids)
        if isinstance(asked, OneCustomer):
            return JsonResponse(found.answers[0])
        body = {"predictions": found.answers, "not_found": found.not_found, "left": found.left}
        beside = {"repeated": asked.repeated, "erased": found.erased, "opposed": found.opposed}
        return JsonResponse(body | {name: ids for name, ids in beside.items() if ids})

    async def answer(self, asked: PredictionRequest, asker: Asker, request: Request) -> Found:
        """The answers for those whom the caller may see, each on record before it is given."""
        seen = await visible(request.scope, asked.ids)
        found = await self._find(asked, [i for i in asked.ids if i in seen])
        found = found if len(seen) == len(asked.ids) else found.as_seen(asked.ids, seen)
        if found.answers:
            await self._logging.ask((found.answers, asker), len(found.answers))
        stale = sum(a["features"]["stale"] for a in found.answers)
        self.metrics.customers(len(found.answers), stale, len(found.not_found))
        return found

    async def answer_one(self, asked: OneCustomer, request: Request) -> Found:
        """The answer for one customer, as `answer`, to who sends a request."""
        return await self.answer(asked, asker_of(request, self._settings.records.purposes), request)

    async def events(self, request: Request) -> Response:
        """Take one event, or several."""
        self._taking.require_room()
        check_media_type(request.headers)
        batch = parse_events(await read_body(request), self._max_customers)
        return JsonResponse(await self.take(batch, request))

    async def take(self, batch: EventBatch, request: Request) -> dict[str, Any]:
        """Take events of customers whom the caller may see; what became of each."""
        await self._require_visible(request, batch)
        statuses, as_of = await self._taking.ask(batch, len(batch.events))
        accepted = [{"event_id": e.event_id, "status": s} for e, s in zip(batch.events, statuses, strict=True)]
        return {"events": accepted, "as_of": iso(as_of)}

    async def models(self, request: Request) -> Response:
        """Say which versions answer now, and what is known of champions and challengers."""
        champions = self._models.current()
        facts = {task: _model_facts(model) if model else None for task, model in champions.by_task.items()}
        beside = {task: _model_facts(running.model) for task, running in champions.releases.items()}
        said = {"unserved": dict(champions.unserved), "notices": dict(champions.notices)}
        known = await self._reading.run(self._cards, champions)
        return JsonResponse({**facts, **said, "beside": beside, "cards": known})

    def _cards(self, champions: Champions) -> list[dict[str, Any]] | None:
        """What is known of champions and challengers; None where it cannot be read now."""
        if self._workspace is None:
            return None
        try:
            return cards(self._workspace, self._settings, champions)
        except Exception as error:
            logger.warning("the cards of the models cannot be read: %s", safe_summary(error))
            return None

    async def healthz(self, request: Request) -> Response:
        """The process runs."""
        return JsonResponse({"status": "alive"})

    async def readyz(self, request: Request) -> Response:
        """Models are loaded, features can be read, and nobody asked to stop."""
        if request.app.state.draining:
            raise UnavailableError("the server is stopping")
        if time.monotonic() >= self._ready_until:
            await self._probe()
        notices = self._models.current().notices.values()
        told = [text.partition(": ")[0] for text in notices]  # who asks here need not say who asks: no reason, no path
        return JsonResponse({"status": "ready", "notices": told} if told else {"status": "ready"})

    async def render_metrics(self, request: Request) -> Response:
        """Counts for Prometheus."""
        with suppress(NotReadyError):
            champions = self._models.current()
            told = champions.notices.keys() | champions.unserved.keys()
            self.metrics.notices({task: task in told for task in champions.versions.keys() | told})
        return Response(await to_thread.run_sync(self.metrics.render), media_type=MEDIA_TYPE)

    async def handle_error(self, request: Request, error: Exception) -> Response:
        """The response of an error; one that is not about the request is logged, once until another comes."""
        if not isinstance(error, StaycastError):
            raise error
        if not isinstance(error, AnswerError) and str(error) != self._last_logged:
            self._last_logged = str(error)
            logger.warning("%s", error)
        return problem_response(error, request.scope["path"])

    def close(self) -> None:
        """End the threads once what they do is done."""
        self._scoring.close()
        self._logging.close()
        self._taking.close()
        self._repeats.close()
        if self.objections:
            self.objections.close()

    async def _probe(self) -> None:
        """Check once that the service can answer; what holds is believed for `READINESS_CACHE_SECONDS`."""
        with move_on_after(READINESS_TIMEOUT_SECONDS):
            await to_thread.run_sync(self._check_all, abandon_on_cancel=True, limiter=self._probing)
            self._ready_until = time.monotonic() + READINESS_CACHE_SECONDS
            return
        raise UnavailableError(f"the feature store did not answer within {READINESS_TIMEOUT_SECONDS:g} seconds")

    def _check_all(self) -> None:
        """Answers can be kept, and made."""
        with unavailable_if_it_fails(
            "the prediction log cannot be written", "answers cannot be kept now, so none is given"
        ):
            try:
                self._log.require_writable()
            except (sqlite3.OperationalError, StoreError):
                self._log.require_writable()  # another wrote just then: it is not ready only where that goes on
        self._check_columns()

    def _check_columns(self) -> None:
        """Read the features of nobody: all columns that the models and the decisions need must come."""
        needed = self._models.current().columns | set(decide.stage_columns(self._settings.churn))
        missing = sorted(needed - set(self.predictor.read([PROBE_CUSTOMER_ID]).columns))
        if missing:
            raise UnavailableError(
                f"the feature store lacks {len(missing)} columns of the models, among them '{missing[0]}'"
            )

    async def _find(self, request: PredictionRequest, ids: list[str]) -> Found:
        """The answers for some ids of a request, of the models that answer now; a long list is answered in parts."""
        if not ids:
            return Found([], [], [])
        top = reasons_asked(request, self._settings.serving.top_reasons)
        targets = targets_asked(request, self._settings.tasks)
        models = self._models.current()
        if targets is not None and targets.isdisjoint(models.versions):
            raise UnavailableError("no model of what is asked serves now: leave `targets` out for what does")
        if len(ids) <= CUSTOMERS_IN_PART:
            return await self._scoring.ask(Asked(ids, top, models, targets), len(ids))
        starts = range(0, len(ids), CUSTOMERS_IN_PART)
        parts = [Asked(ids[at : at + CUSTOMERS_IN_PART], top, models, targets) for at in starts]
        return Found.together(await self._scoring.ask_in_parts([(part, len(part.ids)) for part in parts]))

    @staticmethod
    def _require_somebody(request: PredictionRequest, found: Found) -> None:
        """UnknownCustomerError where nobody of a request is known."""
        if isinstance(request, OneCustomer) and found.left:
            raise left_customer(found.left[0])
        if not found.answers and not found.left:
            raise unknown_customers(found.not_found, found.erased, found.opposed)

    async def _require_visible(self, request: Request, batch: EventBatch) -> None:
        """InvalidRequestError if an event is of a customer whom the caller may not see, or who is not known to it."""
        ids = [event.customer_id for event in batch.events]
        await require_visible(request.scope, ids, lambda position: batch.pointer(position, "customer_id"))

    def _accept(self, batches: list[EventBatch]) -> Sequence[Accepted | Exception]:
        """Accept the events of several requests; runs in a thread."""
        if self._events is None:
            raise UnavailableError("this service takes no events")
        return self._events.accept_together(batches, self._clock)

    def _append(self, kept: list[Kept]) -> list[None]:
        """Log the answers of several requests together; one that the log does not take fails by itself alone."""
        if time.monotonic() < self._unlogged_until:
            raise UnavailableError(NOT_LOGGED)
        askers = [asker for answers, asker in kept for _ in answers]
        try:
            self._log.append([answer for answers, _ in kept for answer in answers], askers)
        except Exception as error:
            of_file = isinstance(error, sqlite3.OperationalError | OSError | StoreError)
            if len(kept) > 1 and not of_file:
                raise  # but of an answer: each is tried alone, see `Batcher`
            self._ready_until = 0.0
            if of_file:  # who waited meanwhile waits no second time
                self._unlogged_until = time.monotonic() + LOG_REST_SECONDS
            told = error if isinstance(error, StoreError) else safe_summary(error)
            logger.error("the prediction log cannot be written: %s", told)
            raise UnavailableError(NOT_LOGGED) from None
        return [None] * len(kept)


def _model_facts(model: LoadedModel) -> dict[str, Any]:
    bundle = model.bundle
    return {
        "model": model.label,
        "version": model.version,
        "base": model.base,
        "horizon_days": bundle.horizon_days,
        "trained_through": bundle.trained_through,
        "schema_hash": bundle.schema_hash,
        "hash": model.hash,
        "features": list(bundle.features),
    }
