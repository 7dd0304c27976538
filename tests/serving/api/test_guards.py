from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.api.guards import AccessLogMiddleware, FloodMiddleware, RouteNames, id_in_path
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


def test_in_a_flood_predictions_are_refused_unread_until_there_is_room_and_everything_else_goes_on(
    calling: Callable[[Any], Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, has_room, now = list[str](), [False], [100.0]

    async def answer(request: Request) -> Response:
        read.append(request.url.path)
        return Response("", 200 if has_room[0] else 429)

    inner = Starlette(routes=[Route(p, answer, methods=["GET", "POST"]) for p in ("/v1/predictions", "/v1/models")])
    metrics, counted = Metrics(), list[tuple[str, int]]()
    monkeypatch.setattr(metrics, "request", lambda route, status, seconds: counted.append((route, status)))
    client = calling(FloodMiddleware(inner, lambda: has_room[0], metrics, most=3, clock=lambda: now[0]))

    def ask(count: int, path: str = "/v1/predictions") -> list[Any]:
        return [client.post(path, headers={"X-Request-Id": "request-1"}) for _ in range(count)]

    assert {a.status_code for a in ask(3)} == {429} and len(read) == 3  # so many are refused in the usual way
    unread = ask(4)
    assert len(read) == 3
    for refusal in unread:
        assert refusal.status_code == 429 and refusal.json()["type"] == "urn:staycast:problem:overloaded"
        assert refusal.headers["retry-after"] == "1" and refusal.headers["cache-control"] == "no-store"
        assert refusal.headers["x-content-type-options"] == "nosniff" and refusal.headers["x-request-id"] == "request-1"
        assert refusal.headers["content-type"] == "application/problem+json"
    assert counted == [("/v1/predictions", 429)] * 4
    ask(1, "/v1/models")
    assert read[-1] == "/v1/models"
    now[0] = 101.0
    ask(1)
    assert len(read) == 4  # the flood of the second before has not ended
    has_room[0] = True
    assert ask(1)[0].status_code == 200
    has_room[0], now[0] = False, 103.0
    with caplog.at_level("INFO", "serving.access"):
        ask(1)
    assert len(read) == 6 and "1 predictions were refused unread" in caplog.text
