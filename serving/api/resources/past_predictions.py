"""Past answers: as they were sent, and whether they can be made again. Who read which is on record before."""

from __future__ import annotations

import re
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from configs.errors import NotReadyError
from configs.settings import Settings
from configs.workspace import Workspace
from serving.answer.champion import Champions
from serving.api.gate import visible
from serving.api.guards import BoundedThreads, unavailable_if_it_fails
from serving.api.interfaces import AnswerLog, Leavers, ModelProvider
from serving.api.json_response import JsonResponse
from serving.api.problems import UnknownPredictionError, opposed_customer
from serving.api.purpose import asker_of
from serving.records.evidence import Asker, Record
from serving.replay import Replay, replay

ID = re.compile(r"[0-9A-Z]{26}")
MAX_WAITING = 16
UNREADABLE = "the record of answers cannot be read"
WITHOUT_REPLAY = "crm"  # the role that is told the answer alone


class PastPredictions:
    """``/v1/predictions/{prediction_id}``; parameters as of `serving.api.app.create_app`.

    Of who objects to being forecast (`opposed`) a CRM is told nothing, who examines answers all.
    """

    def __init__(
        self,
        log: AnswerLog,
        models: ModelProvider,
        settings: Settings,
        workspace: Workspace | None,
        opposed: Leavers = lambda ids: set(),
    ) -> None:
        self._opposed = opposed
        self._log, self._models, self._settings, self._workspace = log, models, settings, workspace
        self._threads = BoundedThreads(1, MAX_WAITING)

    @property
    def routes(self) -> list[Route]:
        """The routes of the resource."""
        return [Route("/v1/predictions/{prediction_id}", self.one)]

    async def one(self, request: Request) -> Response:
        """One past answer."""
        asker = asker_of(request, self._settings.records.purposes)
        prediction_id = request.path_params["prediction_id"]
        record = await self._threads.run(self._find, prediction_id) if ID.fullmatch(prediction_id) else None
        if record is None or not await visible(request.scope, [record.summary["customer_id"]]):
            raise UnknownPredictionError("no such answer is on record: check the id, or its customer was erased")
        return JsonResponse(await self._threads.run(self._told, record, asker))

    def _find(self, prediction_id: str) -> Record | None:
        with unavailable_if_it_fails(UNREADABLE, f"{UNREADABLE} now"):
            return self._log.find(prediction_id)

    def _told(self, record: Record, asker: Asker) -> dict[str, Any]:
        """What is told of an answer, once it is kept that it was read."""
        if asker.role == WITHOUT_REPLAY and self._opposed([record.summary["customer_id"]]):
            raise opposed_customer()
        with unavailable_if_it_fails(UNREADABLE, f"{UNREADABLE} now"):
            self._log.note_read(asker, "prediction", record.prediction_id)
        body: dict[str, Any] = {"prediction": orjson.Fragment(record.answer or b"null")}
        if asker.role == WITHOUT_REPLAY:
            return body
        made, asked = self._replay(record), record.asker
        asking = {"caller": asked.caller, "role": asked.role, "purpose": asked.purpose}
        return {**body, "asked": asking, "replay": {"same": made.same, "why": made.why}}

    def _replay(self, record: Record) -> Replay:
        try:
            serving: Champions | None = self._models.current()
        except NotReadyError:
            serving = None
        return replay(record, self._workspace, self._settings, serving)
