from __future__ import annotations

import asyncio
import gzip
import logging
import re
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pandas as pd
import pytest
from starlette.applications import Starlette

import serving.api.endpoints
import serving.api.predictor
from configs.errors import NotReadyError
from configs.settings import Settings
from serving.access.roles import OPERATIONS, PUBLIC
from serving.answer.champion import Champions
from serving.api.app import create_app
from serving.api.endpoints import NOT_LOGGED
from serving.api.guards import MAX_BODY_BYTES
from serving.api.schema.answers import Answer, Answers, Problem
from serving.api.schema.releases import Models
from serving.records.prediction_log import PredictionLog
from serving.records.store import RecordUnavailableError

Calling = Callable[[Starlette], Any]
SECRET = "a-customer-nobody-may-see"


@pytest.fixture
def client(app: Starlette, calling: Calling) -> Any:
    return calling(app)


def problem(response: httpx.Response, status: int) -> Problem:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    fault = Problem.model_validate(response.json())
    assert fault.status == status
    assert fault.type.startswith("urn:staycast:problem:")
    return fault


def without_id(answer: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in answer.items() if k != "prediction_id"}


def test_one_id_gets_its_answer(client: Any) -> None:
    response = client.post("/v1/predictions", json={"customer_id": "c1"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert Answer.model_validate_json(response.content).customer_id == "c1"


def test_several_ids_get_answers_in_the_order_asked_and_the_unknown_are_named(client: Any) -> None:
    response = client.post("/v1/predictions", json={"customer_ids": ["c3", "nobody", "c1", "noone", "c2"]})
    answers = Answers.model_validate_json(response.content)
    assert [a.customer_id for a in answers.predictions] == ["c3", "c1", "c2"]
    assert answers.not_found == ["nobody", "noone"]


def test_an_answer_in_a_list_is_the_answer_alone(client: Any) -> None:
    several = client.post("/v1/predictions", json={"customer_ids": [f"c{i}" for i in range(20)]}).json()
    for answer in several["predictions"]:
        alone = client.post("/v1/predictions", json={"customer_id": answer["customer_id"]}).json()
        assert without_id(alone) == without_id(answer)


def test_all_reasons_and_the_base_sum_to_the_answer_over_http(client: Any) -> None:
    models = Models.model_validate_json(client.get("/v1/models").content)
    ids = [f"c{i}" for i in range(100)]
    for answer in client.post("/v1/predictions", json={"customer_ids": ids, "top_reasons": 0}).json()["predictions"]:
        value = models.clv.base + sum(r["effect"] for r in answer["clv_reasons"])
        assert value == pytest.approx(answer["clv"]["expected"], rel=1e-12)
        if answer["churn"]:
            risk = models.churn.base + sum(r["effect"] for r in answer["reasons"])
            assert risk == pytest.approx(answer["churn"]["probability"], abs=1e-12)


def test_the_number_of_reasons_can_be_asked(client: Any, settings: Settings) -> None:
    def count(**asked: int | str) -> int:
        return len(client.post("/v1/predictions", json={"customer_id": "c1", **asked}).json()["clv_reasons"])

    assert count() == 4 < settings.serving.top_reasons  # six columns are of four topics
    assert count(top_reasons=2) == 2
    assert count(top_reasons=0) == count(explain="full") == 6
    assert count(explain="none") == 0 and count(explain="top") == 4 and count(explain="top", top_reasons=2) == 2


def test_every_answer_is_in_the_log_once(client: Any, log: PredictionLog) -> None:
    one = client.post("/v1/predictions", json={"customer_id": "c1"}).json()
    several = client.post("/v1/predictions", json={"customer_ids": ["c1", "nobody", "c2"]}).json()
    client.post("/v1/predictions", json={"customer_id": "nobody"})
    served = [one, *several["predictions"]]
    assert sorted(log.read()["prediction_id"]) == sorted(a["prediction_id"] for a in served)


def test_an_unknown_customer_is_404_with_only_the_id_asked(client: Any) -> None:
    fault = problem(client.post("/v1/predictions", json={"customer_id": "nobody"}), 404)
    assert fault.type == "urn:staycast:problem:unknown-customer"
    assert "'nobody'" in fault.detail


def test_who_is_known_to_have_left_is_said_to_have_left_and_not_to_be_unknown(
    models: Any, reader: Any, log: PredictionLog, settings: Settings, calling: Calling
) -> None:
    client = calling(create_app(models, reader, log, settings, left=lambda ids: {"gone"} & {*ids}))
    fault = problem(client.post("/v1/predictions", json={"customer_id": "gone"}), 404)
    assert fault.type == "urn:staycast:problem:left-customer" and "'gone' has left" in fault.detail
    several = client.post("/v1/predictions", json={"customer_ids": ["gone", "nobody", "c1"]}).json()
    assert (several["left"], several["not_found"], len(several["predictions"])) == (["gone"], ["nobody"], 1)
    assert client.post("/v1/predictions", json={"customer_ids": ["gone"]}).json()["left"] == ["gone"]


def test_a_list_of_leavers_alone_leaves_nothing_to_log_and_later_ones_are_answered(
    calling: Calling, models: Any, reader: Any, log: PredictionLog, settings: Settings
) -> None:
    client = calling(create_app(models, reader, log, settings, left=lambda ids: {"gone"} & {*ids}))
    for ids in (["gone"], ["c1"], ["c2", "c3"]):
        assert client.post("/v1/predictions", json={"customer_ids": ids}).status_code == 200
    assert sorted(log.read()["customer_id"]) == ["c1", "c2", "c3"]
    assert problem(client.post("/v1/predictions", json={"customer_id": "nobody"}), 404).title == "Unknown customer"


def test_a_list_of_unknown_customers_is_404_and_quotes_none(client: Any) -> None:
    fault = problem(client.post("/v1/predictions", json={"customer_ids": ["nobody", "noone"]}), 404)
    assert "nobody" not in fault.detail
    assert "2 customers" in fault.detail


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"customer_id": NaN}',
        b'{"customer_id": 1038}',
        b'{"customer_id": "c1", "x": 1}',
        b'{"customer_ids": []}',
        b'["c1"]',
    ],
)
def test_what_is_not_a_valid_request_is_422_and_never_scored(client: Any, reader: Any, body: bytes) -> None:
    problem(client.post("/v1/predictions", content=body, headers={"content-type": "application/json"}), 422)
    assert reader.asked == []


def test_a_fault_is_told_with_a_pointer(client: Any) -> None:
    fault = problem(client.post("/v1/predictions", json={"customer_ids": ["c1", 2]}), 422)
    assert [(e.pointer, e.detail) for e in fault.errors] == [
        ("/customer_ids/1", 'must be a string in quotes, such as "1038"')
    ]


def test_more_ids_than_allowed_are_refused_and_as_many_as_allowed_are_not(
    calling: Calling, models: Any, reader: Any, log: PredictionLog, settings: Settings
) -> None:
    few = settings.model_copy(update={"serving": settings.serving.model_copy(update={"max_customers_per_request": 3})})
    client = calling(create_app(models, reader, log, few))
    assert client.post("/v1/predictions", json={"customer_ids": ["c1", "c2", "c3"]}).status_code == 200
    problem(client.post("/v1/predictions", json={"customer_ids": ["c1", "c2", "c3", "c4"]}), 422)


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_longer_than_any_valid_one_is_413(client: Any, settings: Settings, declared: bool) -> None:
    body = b" " * (MAX_BODY_BYTES + 1)

    async def parts() -> AsyncIterator[bytes]:
        yield body

    content = body if declared else parts()
    response = client.post("/v1/predictions", content=content, headers={"content-type": "application/json"})
    assert ("content-length" in response.request.headers) == declared
    problem(response, 413)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/vnd.bentoml+pickle"},
        {"content-type": "application/json", "content-encoding": "br"},
    ],
)
def test_another_media_type_is_415(client: Any, headers: dict[str, str]) -> None:
    problem(client.post("/v1/predictions", content=b'{"customer_id": "c1"}', headers=headers), 415)


GZIPPED = {"content-type": "application/json", "content-encoding": "gzip"}


def test_a_gzip_is_unpacked_as_far_as_a_body_may_be_long(client: Any) -> None:
    body = gzip.compress(b'{"customer_id": "c1"}')
    assert client.post("/v1/predictions", content=body, headers=GZIPPED).json()["customer_id"] == "c1"
    problem(client.post("/v1/predictions", content=gzip.compress(b" " * (MAX_BODY_BYTES + 1)), headers=GZIPPED), 413)
    parts = [gzip.compress(part) for part in (b'{"customer_id": ', b"", b'"c1"}')]
    assert client.post("/v1/predictions", content=b"".join(parts), headers=GZIPPED).json()["customer_id"] == "c1"
    halves = gzip.compress(b" " * (MAX_BODY_BYTES // 2)) * 2
    problem(client.post("/v1/predictions", content=halves + body, headers=GZIPPED), 413)
    bomb = gzip.compress(b" " * 200_000_000, compresslevel=1)
    assert len(bomb) < MAX_BODY_BYTES
    problem(client.post("/v1/predictions", content=bomb, headers=GZIPPED), 413)


ONE = gzip.compress(b'{"customer_id": "c1"}')
NO_GZIP = {
    "plain": b'{"customer_id": "c1"}',
    "cut short": ONE[:-4],
    "empty": b"",
    "of nothing": gzip.compress(b""),
    "text behind": ONE + b"and more",
    "a byte behind": ONE + b"x",
    "zeros behind": ONE + b"\0" * 8,
    "half a member behind": ONE + ONE[:-9],
    "very many members": gzip.compress(b"") * 40_000 + ONE,
}


@pytest.mark.parametrize("body", NO_GZIP.values(), ids=NO_GZIP)
def test_what_is_no_whole_gzip_of_a_question_and_nothing_else_is_422(client: Any, body: bytes) -> None:
    detail = problem(client.post("/v1/predictions", content=body, headers=GZIPPED), 422).detail
    assert "gzip" in detail or "not valid JSON" in detail


def test_a_slash_behind_a_path_changes_nothing(client: Any) -> None:
    assert client.post("/v1/predictions/", json={"customer_id": "c1"}).status_code == 200
    assert client.get("/healthz/").status_code == 200 and client.get("/").status_code == 404


def test_who_is_asked_for_twice_is_answered_once_and_named(client: Any) -> None:
    body = client.post("/v1/predictions", json={"customer_ids": ["c2", "c1", "c2", "nobody"]}).content
    answers = Answers.model_validate_json(body)
    assert [a.customer_id for a in answers.predictions] == ["c2", "c1"]
    assert (answers.repeated, answers.not_found) == (["c2"], ["nobody"])


def test_a_charset_beside_the_media_type_is_fine(client: Any) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert client.post("/v1/predictions", content=b'{"customer_id": "c1"}', headers=headers).status_code == 200


def test_another_method_is_405_and_says_which_is_right(client: Any) -> None:
    response = client.get("/v1/predictions")
    problem(response, 405)
    assert response.headers["allow"] == "POST"
    problem(client.post("/v1/models"), 405)


def test_another_path_is_404(client: Any) -> None:
    problem(client.get(f"/v1/predictions/{SECRET}"), 404)


def test_models_names_versions_and_horizons(client: Any, champions: Champions) -> None:
    models = Models.model_validate_json(client.get("/v1/models").content)
    assert (models.churn.model, models.churn.version) == ("churn/3", "3")
    assert models.clv.horizon_days == 90
    assert models.clv.features == list(champions.clv.bundle.features)
    assert models.unserved == {}


def test_the_openapi_document_is_served(client: Any) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {path for _, path in {*OPERATIONS, *PUBLIC}} == set(paths)


def test_it_is_ready_when_models_and_features_are_there(client: Any, models: Any) -> None:
    assert client.get("/healthz").json() == client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    told = "churn/3 is served from the local copy since 2024-03-01T12:00:00Z"
    models.champions = replace(models.champions, notices={"churn": f"{told}: no registry at '/a/path'"})
    assert client.get("/readyz").json() == {"status": "ready", "notices": [told]}
    assert Models.model_validate_json(client.get("/v1/models").content).notices["churn"].startswith(told)


def test_without_champions_it_lives_but_is_not_ready(
    calling: Calling, reader: Any, log: PredictionLog, settings: Settings
) -> None:
    class Empty:
        def current(self) -> Champions:
            raise NotReadyError("no registry at '/somewhere/inside': train first")

    client = calling(create_app(Empty(), reader, log, settings))
    assert client.get("/healthz").status_code == 200
    answers = [
        client.get("/readyz"),
        client.get("/v1/models"),
        client.post("/v1/predictions", json={"customer_id": "c1"}),
    ]
    for response in answers:
        fault = problem(response, 503)
        assert response.headers["retry-after"] == "5"
        assert "/somewhere" not in fault.detail


class Broken:
    """A store, or a log, whose errors quote the customer."""

    def read(self, customer_ids: list[str]) -> pd.DataFrame:
        raise ConnectionError(f"no connection while reading {customer_ids} {SECRET}")

    def append(self, answers: list[dict[str, Any]], askers: list[Any]) -> None:
        raise sqlite3.OperationalError(f"disk full at {answers} {SECRET}")


def test_a_feature_store_that_fails_is_503(
    calling: Calling, models: Any, log: PredictionLog, settings: Settings
) -> None:
    client = calling(create_app(models, Broken(), log, settings))
    problem(client.get("/readyz"), 503)
    fault = problem(client.post("/v1/predictions", json={"customer_id": SECRET}), 503)
    assert SECRET not in fault.detail


def test_an_answer_that_cannot_be_logged_is_not_given(
    calling: Calling, models: Any, reader: Any, settings: Settings
) -> None:
    client = calling(create_app(models, reader, Broken(), settings))
    problem(client.post("/v1/predictions", json={"customer_id": "c1"}), 503)


def test_a_record_whose_database_is_away_makes_it_unready_and_nobody_waits_for_it_twice(
    calling: Calling, models: Any, reader: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Away:
        def append(self, answers: list[dict[str, Any]], askers: list[Any]) -> None:
            asked.append(len(answers))
            raise RecordUnavailableError("records.database cannot be reached")

        def require_writable(self) -> None:
            raise RecordUnavailableError("records.database cannot be reached")

    monkeypatch.setattr(serving.api.endpoints, "LOG_REST_SECONDS", 60.0)
    client = calling(create_app(models, reader, Away(), settings))
    for _ in range(3):
        assert problem(client.post("/v1/predictions", json={"customer_id": "c1"}), 503).detail == NOT_LOGGED
    assert asked == [1]
    assert "answers cannot be kept" in problem(client.get("/readyz"), 503).detail


def test_an_answer_that_the_log_does_not_take_fails_alone_among_those_that_are_written_with_it(
    models: Any, reader: Any, log: PredictionLog, settings: Settings
) -> None:
    freed = threading.Event()

    class Picky:
        def append(self, answers: list[dict[str, Any]], askers: list[Any]) -> None:
            freed.wait(10)
            log.append([{**a, "customer_id": None} if a["customer_id"] == "c2" else a for a in answers])

    app = create_app(models, reader, Picky(), settings)

    async def run() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            ids = ("c0", "c1", "c2", "c3")
            asking = [asyncio.ensure_future(client.post("/v1/predictions", json={"customer_id": i})) for i in ids]
            await asyncio.sleep(0.3)
            freed.set()
            return await asyncio.gather(*asking)

    assert [answer.status_code for answer in asyncio.run(run())] == [200, 200, 503, 200]
    assert sorted(log.read()["customer_id"]) == ["c0", "c1", "c3"]


def test_a_store_that_lacks_a_column_of_the_model_is_not_ready(
    calling: Calling, models: Any, reader: Any, log: PredictionLog, settings: Settings
) -> None:
    reader.frame = reader.frame.drop(columns="median_gap_days")
    client = calling(create_app(models, reader, log, settings))
    assert "'median_gap_days'" in problem(client.get("/readyz"), 503).detail
    problem(client.post("/v1/predictions", json={"customer_id": "c1"}), 503)


def test_a_store_that_hangs_makes_it_unready_but_not_dead(
    calling: Calling, models: Any, log: PredictionLog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed = threading.Event()

    class Hanging:
        def read(self, customer_ids: list[str]) -> pd.DataFrame:
            freed.wait(10)
            raise ConnectionError

    monkeypatch.setattr(serving.api.endpoints, "READINESS_TIMEOUT_SECONDS", 0.05)
    client = calling(create_app(models, Hanging(), log, settings))
    assert "did not answer" in problem(client.get("/readyz"), 503).detail
    assert client.get("/healthz").status_code == 200
    freed.set()


def test_once_told_to_stop_it_is_not_ready_but_answers(client: Any, app: Starlette) -> None:
    ready = client.get("/readyz")
    assert ready.status_code == 200 and "connection" not in ready.headers
    app.state.draining = True
    assert problem(client.get("/readyz"), 503).detail == "the server is stopping"
    assert client.get("/healthz").status_code == 200
    answer = client.post("/v1/predictions", json={"customer_id": "c1"})
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")


def test_the_end_of_the_lifespan_makes_it_unready(
    app: Starlette, client: Any, living: Callable[[Starlette], Any]
) -> None:
    with living(app):
        assert client.get("/readyz").status_code == 200
    problem(client.get("/readyz"), 503)


def test_a_bug_is_a_plain_500_and_neither_answer_nor_log_quotes_anything(
    app: Starlette, client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(*arguments: Any) -> None:
        raise KeyError(SECRET)

    monkeypatch.setattr(serving.api.predictor, "score_targets", bug)
    with caplog.at_level(logging.DEBUG):
        response = client.post("/v1/predictions", json={"customer_id": "c1"})
    assert SECRET not in problem(response, 500).detail
    assert "KeyError in bug" in caplog.text
    assert SECRET not in caplog.text


def test_the_log_never_holds_an_id_or_a_body(
    calling: Calling,
    client: Any,
    models: Any,
    log: PredictionLog,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = calling(create_app(models, Broken(), log, settings))
    with caplog.at_level(logging.DEBUG):
        for one in (client, broken):
            one.post("/v1/predictions", json={"customer_id": SECRET})
            one.post("/v1/predictions", json={"customer_ids": [SECRET, SECRET]})
            one.post("/v1/predictions", json={"customer_id": SECRET, SECRET: SECRET})
            one.post("/v1/predictions", content=SECRET.encode(), headers={"content-type": "application/json"})
            one.get(f"/v1/predictions/{SECRET}?id={SECRET}")
            one.get(f"/v1/elsewhere/{SECRET}?id={SECRET}")
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("serving")]
    assert not [m for m in ours if SECRET in m]
    assert [
        m for m in ours if re.fullmatch(r"POST /v1/predictions 404 \d+\.\d ms customers=0 caller=- request=\w{26}", m)
    ]
    assert [m for m in ours if m.startswith("GET other 404")]
    assert [m for m in ours if m.startswith("GET /v1/predictions/{prediction_id} 404")]


def counted(client: Any) -> dict[str, float]:
    """What ``/metrics`` says, by series; the counts may outlive an app."""
    lines = [line for line in client.get("/metrics").text.splitlines() if line and not line.startswith("#")]
    return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines)}


def test_metrics_count_requests_and_customers(client: Any) -> None:
    def bring() -> dict[str, float]:
        client.post("/v1/predictions", json={"customer_ids": ["c1", "c2", "nobody"]})
        client.get(f"/{SECRET}")
        return counted(client)

    before, after = bring(), bring()
    for series, more in (
        ('staycast_requests_total{route="/v1/predictions",status="200"}', 1),
        ('staycast_requests_total{route="other",status="404"}', 1),
        ('staycast_customers_total{outcome="scored"}', 2),
        ('staycast_customers_total{outcome="not_found"}', 1),
    ):
        assert after[series] - before[series] == more
    assert SECRET not in client.get("/metrics").text


def test_requests_at_once_get_the_answers_of_requests_alone(client: Any) -> None:
    def ask(customer_id: str) -> dict[str, Any]:
        return without_id(client.post("/v1/predictions", json={"customer_id": customer_id, "top_reasons": 0}).json())

    ids = [f"c{i}" for i in range(40)] * 2
    alone = {customer_id: ask(customer_id) for customer_id in set(ids)}
    with ThreadPoolExecutor(8) as pool:
        for customer_id, answer in zip(ids, pool.map(ask, ids), strict=True):
            assert answer == alone[customer_id]


def test_a_request_that_finds_too_many_waiting_is_told_when_to_come_again(
    models: Any, reader: Any, log: PredictionLog, settings: Settings
) -> None:
    freed = threading.Event()

    class Slow:
        def read(self, customer_ids: list[str]) -> pd.DataFrame:
            freed.wait(10)
            return reader.read(customer_ids)

    hasty = settings.model_copy(update={"serving": settings.serving.model_copy(update={"max_wait_ms": 1})})
    app = create_app(models, Slow(), log, hasty)

    async def run() -> tuple[httpx.Response, list[httpx.Response]]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:

            def ask() -> Awaitable[httpx.Response]:
                return client.post("/v1/predictions", json={"customer_id": "c1"})

            first = asyncio.ensure_future(ask())
            await asyncio.sleep(0.1)
            rest = [await ask() for _ in range(5)]
            freed.set()
            return await first, rest

    first, rest = asyncio.run(run())
    assert first.status_code == 200
    for answer in rest:
        assert problem(answer, 429).type == "urn:staycast:problem:overloaded"
        assert answer.headers["retry-after"] == "1"


def test_an_answer_ends_with_the_models_it_began_with(
    calling: Calling,
    champions: Champions,
    models: Any,
    reader: Any,
    log: PredictionLog,
    settings: Settings,
) -> None:
    newer = replace(champions, churn=replace(champions.churn, version="9"))

    class Swapping:
        def read(self, customer_ids: list[str]) -> pd.DataFrame:
            models.champions = newer
            return reader.read(customer_ids)

    client = calling(create_app(models, Swapping(), log, settings))
    ask = {"customer_ids": [f"c{i}" for i in range(150)]}
    for version in ("churn/3", "churn/9"):
        answers = client.post("/v1/predictions", json=ask).json()["predictions"]
        assert [a["model"]["churn"] for a in answers] == [version] * 150


def test_a_long_list_is_answered_as_often_as_it_is_asked(
    calling: Calling, models: Any, reader: Any, log: PredictionLog, settings: Settings
) -> None:
    hasty = settings.model_copy(update={"serving": settings.serving.model_copy(update={"max_wait_ms": 1})})
    client = calling(create_app(models, reader, log, hasty))
    ids = [f"c{i}" for i in range(200)]
    for _ in range(4):
        answers = client.post("/v1/predictions", json={"customer_ids": ids}).json()
        assert [a["customer_id"] for a in answers["predictions"]] == ids


def test_the_answer_is_json_that_a_strict_reader_takes(client: Any) -> None:
    body = client.post("/v1/predictions", json={"customer_ids": [f"c{i}" for i in range(200)]}).content
    assert len(orjson.loads(body)["predictions"]) == 200
