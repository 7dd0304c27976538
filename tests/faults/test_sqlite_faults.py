"""A real service of two workers, whose files, disk, registry, models, callers and workers fail one after another.

All share one start, and 150 connections over which nearly nothing comes stay open beside, until they are ended.
`bench/faults.py` brings the faults about, and measures; here no time is claimed, but that nobody waits for ever.
"""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from bench.faults import FAULTS, Fault, Scene, Seen, during, slow_callers, staged
from configs.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SECONDS, AT_MOST_SECONDS, RECOVERED_SECONDS = 0.5, 5.0, 20.0
SAYS = {  # statuses of forecasts, and of events where they are told; a full disk may have room in files there are
    "record locked": ({503}, set()),
    "events locked": ({200}, {503}),
    "online store locked": ({200}, {503}),
    "registry locked": ({200}, set()),
    "registry away": ({200}, set()),
    "model truncated": ({200}, set()),
    "model bit-flipped": ({200}, set()),
    "disk full": ({200, 503}, {200, 503}),
    "150 slow connections": ({200}, set()),
    "one worker killed": ({200}, set()),
}
BOMB = gzip.compress(b'{"a": "' + bytes(2**21) + b'"}')


@pytest.fixture(scope="module")
def scene(lived: Workspace) -> Iterator[Scene]:
    with staged("test", lived.root) as scene:
        yield scene


@pytest.fixture(scope="module")
def slow(scene: Scene) -> Iterator[list[socket.socket]]:
    with slow_callers(scene) as connections:
        yield connections


@pytest.fixture(scope="module")
def truth(scene: Scene, slow: object) -> dict[str, tuple[float, float]]:
    """What is said of some customers with forecasts, while nothing fails."""
    seen = [scene.ask(i) for i in scene.place.ids[:40]]
    return {each.body["customer_id"]: said(each) for each in seen if each.body["churn"] and each.body["clv"]}


def said(seen: Seen) -> tuple[float, float]:
    return seen.body["churn"]["probability"], seen.body["clv"]["expected"]


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.scene == "sqlite"], ids=lambda fault: fault.name)
def test_a_fault_makes_no_number_wrong_and_loses_no_record(
    scene: Scene, truth: dict[str, tuple[float, float]], fault: Fault
) -> None:
    seen, recovery = during(scene, fault, SECONDS, list(truth))
    forecasts, events = SAYS[fault.name]
    assert {each.status for each in seen["forecasts"]} <= forecasts
    assert {each.status for each in seen.get("events", [])} <= events
    for each in (*seen["forecasts"], *seen.get("events", [])):
        assert each.seconds < AT_MOST_SECONDS
        if each.status == 503:
            assert int(each.headers["retry-after"]) > 0 and each.body["type"].startswith("urn:staycast:problem:")
    answered = [each for each in seen["forecasts"] if each.status == 200]
    assert all(said(each) == pytest.approx(truth[each.body["customer_id"]], rel=1e-6) for each in answered)
    assert recovery < RECOVERED_SECONDS
    assert scene.whole() == []


def test_another_worker_takes_the_place_of_one_that_was_killed(scene: Scene) -> None:
    end = time.monotonic() + 60
    while len(scene.workers()) < 2:
        assert time.monotonic() < end, "none came"
        time.sleep(0.2)


def test_connections_over_which_nothing_moved_were_ended(scene: Scene, slow: list[socket.socket]) -> None:
    for connection in slow:
        connection.settimeout(60)
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def posts(scene: Scene) -> list[str]:
    paths = scene.send("GET", "/openapi.json").body["paths"]
    return [path.replace("{name}", "churn") for path, what in paths.items() if "post" in what]


def test_every_body_is_bounded_packed_or_not_and_names_nothing_twice(scene: Scene) -> None:
    found = posts(scene)
    assert {"/v1/predictions", "/v1/events", "/v2/models/churn/infer", "/v1/what-if"} <= set(found)
    for path in found:
        assert scene.send("POST", path, bytes(2**20 + 1)).status == 413, path
        assert scene.send("POST", path, BOMB, {"Content-Encoding": "gzip"}).status == 413, path
        assert scene.send("POST", path, b'{"customer_id": "a", "customer_id": "b"}').status == 422, path


@pytest.mark.parametrize(
    ("method", "path", "content", "headers", "status"),
    [
        ("GET", "/livez", None, {}, 200),
        ("GET", "/readyz", None, {}, 200),
        ("GET", "/metrics", None, {}, 200),
        ("GET", "/v1/models", None, {}, 200),
        ("GET", "/v1/models", None, {"X-API-Key": "none"}, 401),
        ("GET", "/nothing", None, {}, 404),
        ("PUT", "/v1/predictions", b"{}", {}, 405),
        ("POST", "/v1/predictions", b"{}", {"Content-Type": "text/plain"}, 415),
        ("POST", "/v1/predictions", b"{", {}, 422),
        ("POST", "/v1/predictions", json.dumps({"customer_id": "nobody"}).encode(), {}, 404),
        ("G T", "/v1/models", None, {}, 400),
    ],
)
def test_every_answer_carries_a_request_id_and_is_kept_and_guessed_by_nobody(
    scene: Scene, method: str, path: str, content: bytes | None, headers: dict[str, str], status: int
) -> None:
    seen = scene.send(method, path, content, headers)
    assert seen.status == status
    assert seen.headers["x-request-id"]
    assert seen.headers["cache-control"] == "no-store"
    assert seen.headers["x-content-type-options"] == "nosniff"
    assert seen.body is None or status == 200 or seen.body["status"] == status
