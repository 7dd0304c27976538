from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.api.guards import AccessLogMiddleware, RouteNames, id_in_path
from serving.api.metrics import Metrics


def test_a_route_with_an_id_is_named_without_it_and_a_slash_in_an_id_parts_nothing(
    calling: Callable[[Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    async def echo(request: Request) -> Response:
        seen.append(id_in_path(request, "customer_id"))
        return Response("")

    inner = Starlette(routes=(routes := [Route("/v1/customers/{customer_id}", echo)]))
    client = calling(AccessLogMiddleware(inner, Metrics(), RouteNames(routes)))
    with caplog.at_level("INFO", "serving.access"):
        for path in ("a%2Fb%252F", "a%20b/", "%C3%A4"):
            assert client.get(f"/v1/customers/{path}").status_code == 200
        assert client.get("/v1/customers/a/b").status_code == 404
    assert seen == ["a/b%2F", "a b", "ä"]
    assert caplog.text.count("GET /v1/customers/{customer_id} 200") == 3 and "a b" not in caplog.text
