from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.api.guards import AccessLogMiddleware, Flood, RouteNames, id_in_path
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
        for path in ("a%2Fb%252F", "a%20b/", "%C3%A4", "a%00b%2Fc", "a%00b"):
            assert client.get(f"/v1/customers/{path}").status_code == 200
        assert client.get("/v1/customers/a/b").status_code == 404
    assert seen == ["a/b%2F", "a b", "ä", "a\ufffdb/c", "a\ufffdb"]
    assert caplog.text.count("GET /v1/customers/{customer_id} 200") == 5 and "a b" not in caplog.text


def test_in_a_flood_predictions_are_refused_unread_until_there_is_room_and_everything_else_goes_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_room, now = [False], [100.0]
    metrics, counted = Metrics(), list[tuple[str, int, float | None]]()
    monkeypatch.setattr(metrics, "request", lambda *request: counted.append(request))
    flood = Flood(lambda: has_room[0], lambda: False, metrics, most=3, clock=lambda: now[0])

    def ask(count: int, path: str = "/v1/predictions") -> list[bool]:
        return [flood.refuses(path) for _ in range(count)]

    assert ask(3) == [False] * 3 and not counted  # so many are refused in the usual way
    assert ask(4) == [True] * 4 and counted == [("/v1/predictions", 429, None)] * 4
    assert ask(1, "/v1/models") == [False]
    now[0] = 101.0
    assert ask(1) == [True]  # the flood of the second before has not ended
    has_room[0] = True
    assert ask(1) == [False]
    has_room[0], now[0] = False, 103.0
    with caplog.at_level("INFO", "serving.access"):
        assert ask(1) == [False]
    assert "1 predictions were refused unread" in caplog.text


def test_a_refusal_of_a_flood_is_a_problem_as_any_other() -> None:
    flood = Flood(lambda: False, lambda: False, Metrics())
    scope = {"type": "http", "headers": [(b"x-request-id", b"request-1")]}
    headers = dict(flood.headers(scope))
    assert headers[b"retry-after"] == b"1" and headers[b"cache-control"] == b"no-store"
    assert headers[b"x-content-type-options"] == b"nosniff" and headers[b"x-request-id"] == b"request-1"
    assert headers[b"content-type"] == b"application/problem+json"
    assert int(headers[b"content-length"]) == len(flood.body)
    assert orjson.loads(flood.body)["type"] == "urn:staycast:problem:overloaded"


def test_what_is_refused_unread_tells_of_no_time_to_answer() -> None:
    metrics = Metrics()

    def told(name: str) -> float:
        """What is counted of a name, by all tests of this process."""
        found = [line for line in metrics.render().decode().splitlines() if line.startswith(name)]
        return float(found[0].rsplit(" ", 1)[1]) if found else 0.0

    refused, timed = 'staycast_requests_total{route="/v1/predictions",status="429"}', "staycast_request_seconds_count"
    timed += '{route="/v1/predictions"}'
    before = told(refused), told(timed)
    assert Flood(lambda: False, lambda: False, metrics, most=0).refuses("/v1/predictions")
    assert (told(refused), told(timed)) == (before[0] + 1, before[1])  # 0 seconds would hide how long answers take
