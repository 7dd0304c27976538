"""Campaigns: whom they contacted or held out, which features reflect at once, and what came of it, which is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from configs.errors import StaycastError
from configs.settings import Settings
from configs.workspace import Workspace
from features.store.durable_file import LazyFile
from serving.api.gate import visible
from serving.api.guards import BoundedThreads, check_media_type, read_body, unavailable_if_it_fails
from serving.api.json_response import JsonResponse
from serving.api.predictor import Predictor
from serving.api.problems import EventConflictError, FieldError, UnavailableError
from serving.api.schema.campaigns import OutcomeBatch, OutcomeReport, parse_contacts, parse_outcomes
from serving.api.schema.events import EventBatch
from serving.api.schema.parsing import invalid_request
from serving.records.outcome_log import Outcome, OutcomeConflictError, OutcomeLog

MAX_WAITING = 64
BUSY_SECONDS = 0.15  # 503 is sooner than late, and the same outcome sent again counts once
OLDEST = datetime(1900, 1, 1, tzinfo=UTC)
NOT_KEPT = "the outcomes may not be kept yet: send them again, nothing counts twice"


class Campaigns:
    """The endpoints of contacts and outcomes.

    Parameters
    ----------
    take_events
        Takes contacts as events.
    predictor
        Knows who is a customer.
    settings, clock
        As for `serving.api.app.create_app`.
    workspace
        Where outcomes are kept; None: none are taken.
    """

    def __init__(
        self,
        take_events: Callable[[EventBatch, Request], Awaitable[dict[str, Any]]],
        predictor: Predictor,
        settings: Settings,
        clock: Callable[[], datetime],
        workspace: Workspace | None,
    ) -> None:
        self._take, self._predictor, self._settings, self._clock = take_events, predictor, settings, clock
        self._path = workspace.outcomes if workspace else None
        self._most = settings.serving.max_customers_per_request
        self._threads = BoundedThreads(1, MAX_WAITING)
        self._log = LazyFile(self._open)

    @property
    def routes(self) -> list[Route]:
        """Their routes."""
        return [
            Route("/v1/contacts", self.contacts, methods=["POST"]),
            Route("/v1/outcomes", self.outcomes, methods=["POST"]),
        ]

    async def contacts(self, request: Request) -> Response:
        """Take one contact, or several."""
        check_media_type(request.headers)
        batch = parse_contacts(await read_body(request), self._most)
        taken = await self._take(batch, request)
        ids = [event.contact_id for event in batch.events if event.type == "contact"]
        statuses = [{"contact_id": i, "status": event["status"]} for i, event in zip(ids, taken["events"], strict=True)]
        return JsonResponse({"contacts": statuses, "as_of": taken["as_of"]})

    async def outcomes(self, request: Request) -> Response:
        """Keep one outcome, or several."""
        check_media_type(request.headers)
        batch = parse_outcomes(await read_body(request), self._most)
        seen = await visible(request.scope, [report.customer_id for report in batch.outcomes])
        statuses = await self._threads.run(self._keep, batch, seen)
        ids = [report.outcome_id for report in batch.outcomes]
        return JsonResponse({"outcomes": [{"outcome_id": i, "status": s} for i, s in zip(ids, statuses, strict=True)]})

    def close(self) -> None:
        """Close the file of outcomes."""
        self._log.close()

    def _keep(self, batch: OutcomeBatch, seen: set[str]) -> list[str]:
        """Judge outcomes, of those customers whom the caller may see, then write them; runs in a thread."""
        now = self._clock()
        self._require_possible(batch, seen, now)
        kept = [_outcome(report) for report in batch.outcomes]
        try:
            with unavailable_if_it_fails("outcomes cannot be kept", NOT_KEPT, but=StaycastError):
                return list(self._log().append(kept, now))
        except OutcomeConflictError as error:
            pointer, detail = batch.pointer(error.place, "outcome_id"), "came before with other content"
            raise EventConflictError(f"The outcome {detail}", pointer, detail, "kept") from None

    def _require_possible(self, batch: OutcomeBatch, seen: set[str], now: datetime) -> None:
        """InvalidRequestError that names every outcome of nobody known, or of a time that cannot be."""
        latest = now + self._settings.quality.clock_skew
        known = self._predictor.known(sorted(seen)) if seen else set()
        faults = []
        for place, report in enumerate(batch.outcomes):
            if report.customer_id not in known:
                faults.append(FieldError(batch.pointer(place, "customer_id"), "is no customer that is known"))
            if not OLDEST <= datetime.fromisoformat(report.happened_at) <= latest:
                detail = "must be a time that has come, and not before 1900"
                faults.append(FieldError(batch.pointer(place, "happened_at"), detail))
        if faults:
            raise invalid_request(faults)

    def _open(self) -> OutcomeLog:
        if self._path is None:
            raise UnavailableError("this service keeps no outcomes")
        log = OutcomeLog(self._path)
        log.wait_at_most(BUSY_SECONDS)
        return log


def _outcome(report: OutcomeReport) -> Outcome:
    fields = report.model_dump(exclude={"happened_at"})
    return Outcome(**fields, happened_at=datetime.fromisoformat(report.happened_at).astimezone(UTC))
