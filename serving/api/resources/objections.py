"""Objections: a customer objects to being forecast, or no longer does; heeded by every answer once acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from configs.errors import ConfigError
from configs.settings import Settings
from serving.api.gate import require_visible
from serving.api.guards import BoundedThreads, check_media_type, read_body, unavailable_if_it_fails
from serving.api.json_response import JsonResponse
from serving.api.problems import FieldError, UnavailableError
from serving.api.purpose import asker_of
from serving.api.schema.campaigns import ObjectionBatch, parse_objections
from serving.api.schema.parsing import invalid_request
from serving.records.evidence import Asker
from serving.records.objections import Objection, Objections

MAX_WAITING = 64
NOT_KEPT = "the objections may not be kept yet: send them again, nothing counts twice"


class ObjectionIntake:
    """``/v1/objections``.

    Parameters
    ----------
    objections
        Where they are kept; None: nowhere, and none are taken.
    settings, clock
        As for `serving.api.app.create_app`.
    """

    def __init__(self, objections: Objections | None, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._objections, self._settings, self._clock = objections, settings, clock
        self._most = settings.serving.max_customers_per_request
        self._threads = BoundedThreads(1, MAX_WAITING)

    @property
    def routes(self) -> list[Route]:
        """Its route."""
        return [Route("/v1/objections", self.take, methods=["POST"])]

    async def take(self, request: Request) -> Response:
        """Take one objection, or several."""
        check_media_type(request.headers)
        asker = asker_of(request, self._settings.records.purposes)
        batch = parse_objections(await read_body(request), self._most)
        ids = [told.customer_id for told in batch.objections]
        await require_visible(request.scope, ids, batch.pointer)
        statuses = await self._threads.run(self._keep, batch, asker)
        told = [{"customer_id": i, "status": status} for i, status in zip(ids, statuses, strict=True)]
        return JsonResponse({"objections": told})

    def _keep(self, batch: ObjectionBatch, asker: Asker) -> list[str]:
        """Write them; runs in a thread."""
        if self._objections is None:
            raise UnavailableError("this service takes no objections")
        kept = [Objection(told.customer_id, told.objects) for told in batch.objections]
        try:
            with unavailable_if_it_fails("objections cannot be kept", NOT_KEPT, but=ConfigError):
                return list(self._objections.take(kept, asker.caller, self._clock()))
        except ConfigError as error:
            raise invalid_request([FieldError(batch.pointer(0) if len(kept) == 1 else "", str(error))]) from None
