"""Releases: what runs beside the champions, and what both arms showed."""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from configs.errors import NotReadyError, StaycastError
from configs.workspace import Workspace
from serving.api.guards import BoundedThreads, unavailable_if_it_fails
from serving.api.interfaces import AnswerLog, ModelProvider
from serving.api.json_response import JsonResponse
from serving.release.status import status

MAX_WAITING = 16
KEPT_SECONDS = 30.0  # whoever looks again within gets the same
UNREADABLE = "what releases showed cannot be read"


class ReleaseReports:
    """``/v1/releases``; parameters as of `serving.api.app.create_app`."""

    def __init__(self, log: AnswerLog, models: ModelProvider, workspace: Workspace | None) -> None:
        self._log, self._models, self._workspace = log, models, workspace
        self._threads = BoundedThreads(1, MAX_WAITING)
        self._kept: list[dict[str, Any]] = []
        self._until = 0.0

    @property
    def routes(self) -> list[Route]:
        """The route of the resource."""
        return [Route("/v1/releases", self.all)]

    async def all(self, request: Request) -> Response:
        """All that run, and the last that ended."""
        return JsonResponse({"releases": await self._threads.run(self._all)})

    def _all(self) -> list[dict[str, Any]]:
        if self._workspace is None:
            return []
        if time.monotonic() >= self._until:
            self._kept = self._gathered(self._workspace)
            self._until = time.monotonic() + KEPT_SECONDS
        return self._kept

    def _gathered(self, workspace: Workspace) -> list[dict[str, Any]]:
        try:
            notices = self._models.current().notices
        except NotReadyError:
            notices = {}
        with unavailable_if_it_fails(UNREADABLE, f"{UNREADABLE} now", but=StaycastError):
            return status(workspace, self._log, notices)
