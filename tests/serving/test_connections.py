"""A connection over which nothing moves is ended, and no other; each over a real server on this machine."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from serving import connections
from serving.api.guards import Flood
from serving.api.metrics import Metrics

PATIENCE = 0.3
GET = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"


async def _quick(request: Request) -> Response:
    return PlainTextResponse("here")


async def _late(request: Request) -> Response:
    await asyncio.sleep(3 * PATIENCE)
    return PlainTextResponse("late")


async def _body(request: Request) -> Response:
    return PlainTextResponse(await request.body())


async def _long(request: Request) -> Response:
    return PlainTextResponse("x" * 50_000_000)


async def _unread(request: Request) -> Response:
    return PlainTextResponse("refused unread", 429)


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    async with connections.watched():
        yield


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "PATIENCE_SECONDS", dict.fromkeys(connections.PATIENCE_SECONDS, PATIENCE))
        patch.setattr(connections, "LOOK_SECONDS", PATIENCE / 6)
        patch.setattr(uvicorn.config, "HTTP_PROTOCOLS", dict(uvicorn.config.HTTP_PROTOCOLS))
        patch.setattr(connections, "HTTP_PROTOCOLS", uvicorn.config.HTTP_PROTOCOLS)
        connections.install()
        routes = [Route("/late", _late), Route("/long", _long), Route("/body", _body, methods=["POST"])]
        routes.append(Route("/unread", _unread, methods=["POST"]))
        app = Starlette(routes=[Route("/quick", _quick), *routes], lifespan=_lifespan)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_keep_alive=60))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=server.run, args=([listening],))
            thread.start()
            yield listening.getsockname()[1]
            server.should_exit = True
            thread.join(10)


@pytest.fixture
def connection(port: int) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as opened:
        yield opened


def ended_after(connection: socket.socket) -> float:
    """Seconds until the other side ended it."""
    began = time.monotonic()
    try:
        while connection.recv(1):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - began


@pytest.mark.parametrize("sent", [b"", b"GET /quick HT", GET[:-2] % b"quick", POST + b"123"])
def test_a_request_that_never_becomes_whole_ends_its_connection(connection: socket.socket, sent: bytes) -> None:
    connection.sendall(sent)
    assert ended_after(connection) > PATIENCE / 2


def test_one_byte_now_and_then_keeps_no_connection_open(connection: socket.socket) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe
        for byte in GET % (b"x" * 1000):
            connection.sendall(bytes([byte]))
            time.sleep(PATIENCE / 20)


def test_who_asks_again_and_again_is_kept(connection: socket.socket) -> None:
    end = time.monotonic() + 3 * PATIENCE
    while time.monotonic() < end:
        connection.sendall(GET % b"quick")
        assert b"here" in connection.recv(4096)
        time.sleep(PATIENCE / 10)


def test_a_long_body_that_was_refused_unread_takes_nothing_from_the_next_request(connection: socket.socket) -> None:
    connection.sendall(b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n")
    assert b" 429 " in connection.recv(4096)
    for _ in range(9):
        connection.sendall(b"x" * 100_000)
    connection.sendall(GET % b"quick")
    assert b"here" in connection.recv(4096)


def test_an_answer_may_take_longer_than_a_head(connection: socket.socket) -> None:
    connection.sendall(GET % b"late")
    assert b"late" in connection.recv(4096)


def test_who_does_not_read_its_answer_is_ended(connection: socket.socket) -> None:
    before = len(connections.WatchedConnection.everyone)
    connection.sendall(GET % b"long")
    end = time.monotonic() + 10
    while len(connections.WatchedConnection.everyone) >= max(before, 1):
        assert time.monotonic() < end, "it stays open"
        time.sleep(PATIENCE / 10)


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
def test_a_wish_for_another_protocol_is_passed_over(connection: socket.socket, protocol: bytes) -> None:
    wish = b"Connection: Upgrade\r\nupgrade: %b\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a2V5\r\n"
    for _ in range(2):
        connection.sendall(POST.replace(b"Host: x\r\n", wish % protocol) + b"upgrade: ")
        assert connection.recv(4096).endswith(b"\r\n\r\nupgrade: ")
    assert ended_after(connection) > PATIENCE / 2
    assert connection.getsockname()[1] not in {each.client[1] for each in connections.WatchedConnection.everyone}


@pytest.mark.parametrize(
    ("sent", "status", "slug"),
    [
        (b"\x16\x03\x01 what is this\r\n\r\n", 400, "bad-request"),
        (b"GET /" + b"x" * (connections.MOST_HEAD_BYTES + 1), 431, "request-header-fields-too-large"),
        (GET[:-2] % b"quick" + b"a: " + b"x" * 100_000 + b"\r\n\r\n", 431, "request-header-fields-too-large"),
    ],
)
def test_what_is_no_request_is_told_as_a_problem(
    connection: socket.socket, sent: bytes, status: int, slug: str
) -> None:
    connection.sendall(sent)
    answer = b""
    while some := connection.recv(65_536):
        answer += some
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    for header in (b"x-request-id: ", b"cache-control: no-store", b"x-content-type-options: nosniff"):
        assert header in head.lower()
    assert b"content-type: application/problem+json" in head.lower()
    assert json.loads(body)["type"] == f"urn:staycast:problem:{slug}"


PREDICTION = b"POST /v1/predictions HTTP/1.1\r\nHost: x\r\nX-Request-Id: request-%d\r\nContent-Length: 9\r\n\r\n%b"


def answers(connection: socket.socket, number: int) -> list[bytes]:
    """So many answers, each with its head and body."""
    found, came = list[bytes](), b""
    while len(found) < number:
        head, end, rest = came.partition(b"\r\n\r\n")
        length = next(
            (int(v) for n, _, v in (h.partition(b": ") for h in head.split(b"\r\n")) if n == b"content-length"), 0
        )
        if end and len(rest) >= length:
            found, came = [*found, head + end + rest[:length]], rest[length:]
        else:
            more = connection.recv(65_536)
            assert more, came
            came += more
    return found


def flood(monkeypatch: pytest.MonkeyPatch, stops: bool = False) -> None:
    refusing = Flood(lambda: False, lambda: stops, Metrics(), most=0)
    monkeypatch.setattr(connections.WatchedConnection, "flood", refusing)


def test_a_flood_is_refused_unread_in_its_order_and_its_bodies_are_no_requests(
    connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    flood(monkeypatch)
    for _ in range(2):  # the connection goes on
        connection.sendall(PREDICTION % (1, b"123456789") + GET % b"quick" + PREDICTION % (2, b"GET / HT\r"))
        first, between, last = answers(connection, 3)
        for number, refusal in ((1, first), (2, last)):
            head, _, body = refusal.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 429 ") and b"x-request-id: request-%d" % number in head
            assert head.lower().count(b"date: ") == 1 and b"connection: close" not in head
            assert json.loads(body)["status"] == 429
        assert between.startswith(b"HTTP/1.1 200 ") and between.endswith(b"here")
    monkeypatch.undo()
    connection.sendall(PREDICTION % (3, b"123456789"))
    assert answers(connection, 1)[0].startswith(b"HTTP/1.1 404 ")  # this app has none


def test_a_body_that_comes_after_its_refusal_is_passed_over(
    connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    flood(monkeypatch)
    connection.sendall(PREDICTION % (1, b""))
    assert answers(connection, 1)[0].startswith(b"HTTP/1.1 429 ")
    connection.sendall(b"123456789" + GET % b"quick")
    assert answers(connection, 1)[0].endswith(b"here")


@pytest.mark.parametrize(("version", "stops"), [(b"1.1", True), (b"1.0", False)])
def test_a_refusal_ends_the_connection_where_the_service_stops_or_the_client_wants_no_more(
    connection: socket.socket, monkeypatch: pytest.MonkeyPatch, version: bytes, stops: bool
) -> None:
    flood(monkeypatch, stops)
    connection.sendall((PREDICTION % (1, b"123456789")).replace(b"HTTP/1.1", b"HTTP/" + version))
    assert b"connection: close" in answers(connection, 1)[0]
    assert connection.recv(1) == b""


def test_however_many_requests_of_a_flood_come_at_once_each_is_refused(
    connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    flood(monkeypatch)
    connection.sendall(GET % b"quick" + PREDICTION % (1, b"123456789") * 1200 + GET % b"quick")
    found = answers(connection, 1202)
    assert found[0].endswith(b"here") and found[-1].endswith(b"here")
    assert all(answer.startswith(b"HTTP/1.1 429 ") for answer in found[1:-1])


def test_what_asks_for_no_body_gets_none_in_a_flood_either(
    connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    flood(monkeypatch)
    connection.sendall((GET % b"v1/predictions").replace(b"GET", b"HEAD"))
    assert connection.recv(65_536).endswith(b"\r\n\r\n")
