"""The contract itself, in the versions of OpenAPI that tools read. Each is written when it is first asked for."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from configs.settings import Settings
from serving.api.contract.openapi30 import openapi_30
from serving.api.contract.swagger import swagger
from serving.api.schema.openapi import openapi_document

API_VERSION = "1"


class Contract:
    """The documents of a service with these settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/openapi.json", self.newest),
            Route("/openapi-3.0.json", self.older),
            Route("/swagger.json", self.oldest),
        ]

    async def newest(self, request: Request) -> Response:
        """OpenAPI 3.1."""
        return _json(self._newest)

    async def older(self, request: Request) -> Response:
        """OpenAPI 3.0.3."""
        return _json(self._older)

    async def oldest(self, request: Request) -> Response:
        """Swagger 2.0."""
        return _json(self._oldest)

    @cached_property
    def _document(self) -> dict[str, Any]:
        serving, tokens = self._settings.serving, self._settings.access.tokens
        token_url = tokens.token_url if tokens else None
        return openapi_document(serving.max_customers_per_request, API_VERSION, serving.public_url, token_url)

    @cached_property
    def _newest(self) -> bytes:
        return orjson.dumps(self._document)

    @cached_property
    def _document_30(self) -> dict[str, Any]:
        return openapi_30(self._document)

    @cached_property
    def _older(self) -> bytes:
        return orjson.dumps(self._document_30)

    @cached_property
    def _oldest(self) -> bytes:
        return orjson.dumps(swagger(self._document_30))


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")
