"""The client against the running service, over a real port; and against one that fails as services do."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from staycast_client import ApiKey, AsyncClient, Client, ConnectionFailedError, ProblemError, Retry
from staycast_client.client import Call

from configs.settings import Access, Settings
from configs.workspace import Workspace
from serving.access.control import access_control
from serving.access.keys import ApiKeys
from serving.answer.champion import Champions
from serving.api.app import create_app
from serving.jobs.job_queue import JobQueue
from serving.jobs.process import work
from serving.records.prediction_log import PredictionLog
from tests.serving.conftest import NOW, FixedModels, MemoryReader, made_up_customers, train


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def served(place: Workspace, settings: Settings) -> Iterator[tuple[str, str]]:
    """Address and key of the service, which takes no events."""
    from serving.answer.champion import LoadedModel

    customers = made_up_customers(60, seed=1)
    loaded = (LoadedModel.from_bundle(train(task, customers), "1") for task in ("churn", "clv"))
    with ApiKeys(place.access_keys) as keys:
        key = keys.create("the crm", "crm")[1]
    control = access_control(Access(required=True, requests_per_minute=6000, tokens=None), place)
    with PredictionLog(place.prediction_log) as log:
        models, reader = FixedModels(Champions(*loaded)), MemoryReader(customers)
        app = create_app(models, reader, log, settings, lambda: NOW, access=control, workspace=place)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", key
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def settings() -> Settings:
    from configs import settings as configs

    default = configs.load("default")
    return default.model_copy(update={"serving": default.serving.model_copy(update={"max_wait_ms": 60_000})})


def test_one_and_several_are_answered_by_the_running_service(served: tuple[str, str]) -> None:
    with Client(served[0], ApiKey(served[1])) as client:
        one = client.predict("c1", top_reasons=2)
        assert one["customer_id"] == "c1" and one["clv"] and len(one["clv_reasons"]) <= 2
        several = client.predict_many(["c2", "nobody", "c3"], explain="none")
        assert [a["customer_id"] for a in several["predictions"]] == ["c2", "c3"]
        assert several["not_found"] == ["nobody"]
        models = client.models()
        assert models["churn"] and models["churn"]["model"] == "churn/1"


def test_coroutines_are_answered_alike_and_at_once(served: tuple[str, str]) -> None:
    async def ask() -> list[Any]:
        async with AsyncClient(served[0], ApiKey(served[1])) as client:
            asked = [client.predict(f"c{n}") for n in range(10)]
            return [*await asyncio.gather(*asked), await client.models(), await client.predict_many(["c1"])]

    *answers, models, several = asyncio.run(ask())
    assert [a["customer_id"] for a in answers] == [f"c{n}" for n in range(10)]
    assert models["clv"]["model"] == "clv/1" and several["predictions"][0]["customer_id"] == "c1"


def test_why_a_score_changed_is_asked_of_any_id(served: tuple[str, str]) -> None:
    with Client(served[0], ApiKey(served[1])) as client:
        made = client.predict("c7")
        found = client.change("c7", "2024-04-01T00:00:00Z")
        assert found["before"]["stage"] == made["stage"] and found["clv"] and found["clv"]["difference"] == 0.0
        with pytest.raises(ProblemError) as error:
            client.change("c/7", "2024-04-01T00:00:00Z")
        assert error.value.type == "urn:staycast:problem:unknown-customer"

    async def ask() -> Any:
        async with AsyncClient(served[0], ApiKey(served[1])) as client:
            return await client.change("c7", "2024-04-01T00:00:00Z")

    assert asyncio.run(ask())["customer_id"] == "c7"


def test_everybody_is_asked_for_and_taken_as_a_file_by_both_clients(
    served: tuple[str, str], place: Workspace, tmp_path: Path
) -> None:
    content, out = b"PAR1" * 100_000, tmp_path / "scores.parquet"

    def scoring(*arguments: Any) -> dict[str, Any]:
        (place.scores / "made").mkdir(parents=True, exist_ok=True)
        (place.scores / "made" / "scores.parquet").write_bytes(content)
        return {"folder": "made", "as_of": "2024-03-01T00:00:00Z", "scored_at": "2024-03-01T01:30:00Z", "customers": 60}

    def do() -> None:
        with JobQueue(place.score_jobs) as queue:
            work(place, queue, [], scoring)

    with Client(served[0], ApiKey(served[1])) as client:
        job = client.ask_score_job()
        with pytest.raises(ProblemError, match="409"):
            client.download_scores(job["job_id"], out)
        assert job["state"] == "queued" and list(tmp_path.iterdir()) == []
        do()
        assert client.score_job(job["job_id"])["state"] == "done"
        client.download_scores(job["job_id"], out)
        assert out.read_bytes() == content and client.score_jobs()["jobs"][0]["customers"] == 60

    async def ask() -> None:
        async with AsyncClient(served[0], ApiKey(served[1])) as client:
            other = await client.ask_score_job("parquet")
            with pytest.raises(ProblemError, match="409"):
                await client.download_scores(other["job_id"], out)
            do()
            assert (await client.score_job(other["job_id"]))["result"]
            await client.download_scores(other["job_id"], tmp_path / "other")
            assert [job["job_id"] for job in (await client.score_jobs())["jobs"]] == [other["job_id"], job["job_id"]]

    asyncio.run(ask())
    assert (tmp_path / "other").read_bytes() == content and len(list(tmp_path.iterdir())) == 2


def test_a_download_that_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    out.write_text("before")

    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise httpx.ReadError("reset")

    flaky = Flaky(httpx.Response(200, content=pieces()))
    client = Client("https://churn.example", transport=httpx.MockTransport(flaky))
    with client, pytest.raises(ConnectionFailedError, match="ReadError"):
        client.download_scores("j", out)
    assert out.read_text() == "before" and list(tmp_path.iterdir()) == [out]


def test_a_download_does_not_write_in_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    class Noting(io.BytesIO):
        def write(self, piece: Any) -> int:
            threads.append(threading.get_ident())
            return super().write(piece)

    async def take() -> None:
        transport = httpx.MockTransport(lambda request: httpx.Response(200, content=b"PAR1"))
        async with AsyncClient("https://churn.example", transport=transport) as client:
            await client.download_scores("j", tmp_path / "out")

    monkeypatch.setattr("staycast_client.client._whole", lambda path: nullcontext(Noting()))
    asyncio.run(take())
    assert threads and threading.get_ident() not in threads


def test_what_the_service_refuses_is_told_with_its_fields(served: tuple[str, str]) -> None:
    with Client(served[0], ApiKey(served[1])) as client:
        for ask, status, kind in (
            (lambda: client.predict("nobody"), 404, "unknown-customer"),
            (lambda: client.predict_many([]), 422, "invalid-request"),
            (lambda: client.call(Call("GET", "/metrics")), 403, "forbidden"),
        ):
            with pytest.raises(ProblemError) as error:
                ask()
            assert (error.value.status, error.value.type) == (status, f"urn:staycast:problem:{kind}")
            assert error.value.request_id and len(error.value.request_id) == 32
    with Client(served[0], ApiKey("staycast_a_b")) as client, pytest.raises(ProblemError, match="401"):
        client.models()


def test_events_that_cannot_be_taken_now_are_sent_again_and_then_told(served: tuple[str, str]) -> None:
    waits: list[float] = []
    event = {"event_id": "e1", "type": "customer", "customer_id": "c1", "signed_up_at": "2024-02-01T00:00:00Z"}
    client = Client(served[0], ApiKey(served[1]), Retry(attempts=3), sleep=waits.append)
    with client, pytest.raises(ProblemError) as error:
        client.send_events([event])
    assert error.value.status == 503 and error.value.retry_after == 5.0
    assert len(waits) == 2 and all(5.0 <= wait <= 5.4 for wait in waits)


class Flaky:
    """A service that fails some times before it answers."""

    def __init__(self, *outcomes: httpx.Response | Exception) -> None:
        self.outcomes, self.seen = list(outcomes), list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def test_each_attempt_of_a_call_is_the_same_call() -> None:
    flaky = Flaky(httpx.ConnectError("refused"), httpx.Response(503), httpx.Response(200, json={"events": []}))
    with Client("https://churn.example", transport=httpx.MockTransport(flaky), sleep=lambda _: None) as client:
        assert client.send_events([{"event_id": "e1"}]) == {"events": []}
    assert len({(r.headers["idempotency-key"], r.headers["x-request-id"], r.content) for r in flaky.seen}) == 1
    assert len(flaky.seen) == 3


def test_no_answer_is_told_as_that_by_both_clients() -> None:
    def dead() -> Flaky:
        return Flaky(*[httpx.ReadTimeout("slow")] * 2)

    client = Client(
        "https://churn.example", None, Retry(attempts=2, base_seconds=0), transport=httpx.MockTransport(dead())
    )
    with pytest.raises(ConnectionFailedError, match="ReadTimeout"):
        client.models()

    async def ask() -> None:
        retry = Retry(attempts=2, base_seconds=0)
        async with AsyncClient("https://a.example", None, retry, transport=httpx.MockTransport(dead())) as other:
            await other.models()

    with pytest.raises(ConnectionFailedError, match="ReadTimeout"):
        asyncio.run(ask())


def test_what_may_not_be_repeated_is_sent_once() -> None:
    flaky = Flaky(httpx.ReadTimeout("slow"))
    client = Client("https://churn.example", transport=httpx.MockTransport(flaky))
    with client, pytest.raises(ConnectionFailedError):
        client.call(Call("POST", "/v1/score-jobs", {}, may_repeat=False))
    assert len(flaky.seen) == 1


def test_every_item_of_a_list_comes_from_page_after_page() -> None:
    def pages() -> Flaky:
        first, second = {"customers": [{"n": 1}, {"n": 2}], "next": "abc"}, {"customers": [{"n": 3}], "next": None}
        return Flaky(httpx.Response(200, json=first), httpx.Response(200, json=second))

    flaky = pages()
    with Client("https://churn.example", transport=httpx.MockTransport(flaky)) as client:
        assert [c["n"] for c in client.each("/v1/customers", "customers", band="high")] == [1, 2, 3]
    assert [dict(r.url.params) for r in flaky.seen] == [{"band": "high"}, {"band": "high", "cursor": "abc"}]

    async def ask() -> list[int]:
        async with AsyncClient("https://churn.example", transport=httpx.MockTransport(pages())) as other:
            return [c["n"] async for c in other.each("/v1/customers", "customers")]

    assert asyncio.run(ask()) == [1, 2, 3]
