"""The calls of a service, sync and async. What they send and how answers are read stands once, in `Call`."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast
from urllib.parse import quote

import httpx

from staycast_client.errors import ConnectionFailedError, ProblemError
from staycast_client.retry import Retry
from staycast_client.types import (
    AcceptedEvents,
    Answer,
    Answers,
    CustomerChange,
    Explain,
    JobFormat,
    Models,
    ScoreJob,
    ScoreJobs,
)

TIMEOUT = httpx.Timeout(10.0, connect=3.0)
Parameters = Mapping[str, str | int]


@dataclass(frozen=True)
class Call:
    """One call: what is sent with each of its attempts.

    A POST carries an ``Idempotency-Key``, the same with every attempt; `may_repeat` says whether it may be sent twice.
    """

    method: str
    path: str
    body: Any = None
    parameters: Parameters | None = None
    may_repeat: bool = True
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """The request of one attempt."""
        headers = {"X-Request-Id": self.request_id}
        if self.method == "POST":
            headers["Idempotency-Key"] = self.request_id
        return http.build_request(self.method, self.path, json=self.body, params=self.parameters, headers=headers)


def predicting(customers: str | Sequence[str], top_reasons: int | None, explain: Explain | None) -> Call:
    """The call for one customer, or for several. It changes nothing, so it may be repeated."""
    asked: dict[str, Any] = (
        {"customer_id": customers} if isinstance(customers, str) else {"customer_ids": list(customers)}
    )
    asked |= {} if top_reasons is None else {"top_reasons": top_reasons}
    return Call("POST", "/v1/predictions", asked | ({} if explain is None else {"explain": explain}))


def telling(events: Sequence[Mapping[str, Any]]) -> Call:
    """The call that brings events. Each carries its id and is taken once, so it may be repeated."""
    return Call("POST", "/v1/events", {"events": [dict(event) for event in events]})


def changing(customer_id: str, since: str) -> Call:
    """The call for the difference between the answer of now and the last one at or before a moment."""
    return Call("GET", f"/v1/customers/{quote(customer_id, safe='')}/change", parameters={"since": since})


def scoring(job_format: JobFormat) -> Call:
    """The call that asks for everybody. It carries a key and is taken once, so it may be repeated."""
    return Call("POST", "/v1/score-jobs", {"format": job_format})


def looking(job_id: str, part: str = "") -> Call:
    """The call for how far a job is, or with ``/result`` for its file."""
    return Call("GET", f"/v1/score-jobs/{quote(job_id, safe='')}{part}")


def _outcome(outcome: httpx.Response | httpx.HTTPError) -> Any:
    """The body of an answer; ProblemError or ConnectionFailedError where it failed."""
    if isinstance(outcome, httpx.HTTPError):
        raise ConnectionFailedError(f"no answer: {type(outcome).__name__}") from outcome
    if outcome.is_success:
        return outcome.json()
    raise ProblemError(outcome)


@contextmanager
def _failures() -> Iterator[None]:
    """ConnectionFailedError where an answer broke off."""
    try:
        yield
    except httpx.HTTPError as error:
        raise ConnectionFailedError(f"no whole answer: {type(error).__name__}") from error


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes its place at the path only if the body succeeds."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


class Client:
    """Calls a service.

    Parameters
    ----------
    base_url
        Where the service is.
    auth
        `ApiKey`, `ClientCredentials` or any of httpx; None: the service asks nobody who asks.
    retry
        When a call is tried again.
    timeout
        Of one attempt.
    transport
        How requests are sent; for tests and proxies.
    sleep
        Waits so many seconds.
    """

    def __init__(
        self,
        base_url: str,
        auth: httpx.Auth | None = None,
        retry: Retry | None = None,
        timeout: httpx.Timeout = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._http = httpx.Client(base_url=base_url, auth=auth, timeout=timeout, transport=transport)
        self._retry, self._sleep = retry or Retry(), sleep

    def predict(self, customer_id: str, top_reasons: int | None = None, explain: Explain | None = None) -> Answer:
        """The answer for one customer; ProblemError (404) if nothing is known of the customer."""
        return cast("Answer", self.call(predicting(customer_id, top_reasons, explain)))

    def predict_many(
        self, customer_ids: Sequence[str], top_reasons: int | None = None, explain: Explain | None = None
    ) -> Answers:
        """The answers for several, and who is not known or has left."""
        return cast("Answers", self.call(predicting(list(customer_ids), top_reasons, explain)))

    def send_events(self, events: Sequence[Mapping[str, Any]]) -> AcceptedEvents:
        """Bring events; all are taken, or none."""
        return cast("AcceptedEvents", self.call(telling(events)))

    def change(self, customer_id: str, since: str) -> CustomerChange:
        """Why the score changed since a moment (RFC 3339); ProblemError (404) if no answer is as old."""
        return cast("CustomerChange", self.call(changing(customer_id, since)))

    def ask_score_job(self, job_format: JobFormat = "parquet") -> ScoreJob:
        """Ask for the answers for all customers as a file; the job that makes it."""
        return cast("ScoreJob", self.call(scoring(job_format)))

    def score_job(self, job_id: str) -> ScoreJob:
        """How far a job is."""
        return cast("ScoreJob", self.call(looking(job_id)))

    def score_jobs(self) -> ScoreJobs:
        """The newest jobs, the newest first."""
        return cast("ScoreJobs", self.call(Call("GET", "/v1/score-jobs")))

    def download_scores(self, job_id: str, path: str | Path) -> None:
        """Write the result of a job to a file, a piece at a time; ProblemError (409) if it has none, or none yet.

        It is tried once. Where the connection breaks off, what was there before stays, and ConnectionFailedError says
        so.
        """
        request = looking(job_id, "/result").request(self._http)
        with _failures(), closing(self._http.send(request, stream=True)) as response, _whole(Path(path)) as file:
            if not response.is_success:
                response.read()
                raise ProblemError(response)
            for piece in response.iter_bytes():
                file.write(piece)

    def models(self) -> Models:
        """The champions that answer now."""
        return cast("Models", self.call(Call("GET", "/v1/models")))

    def each(self, path: str, items: str, **parameters: str | int) -> Iterator[dict[str, Any]]:
        """Every item of a list that comes in pages; `items` names the list, ``next`` leads to the next page."""
        cursor: str | None = ""
        while cursor is not None:
            page = self.call(Call("GET", path, parameters={**parameters, **({"cursor": cursor} if cursor else {})}))
            yield from page[items]
            cursor = page.get("next")

    def call(self, call: Call) -> Any:
        """Make a call, again as `Retry` says; the body of its answer."""
        for attempt in range(1, self._retry.attempts + 1):
            outcome: httpx.Response | httpx.HTTPError
            try:
                outcome = self._http.send(call.request(self._http))
            except httpx.HTTPError as error:
                outcome = error
            wait = self._retry.wait(attempt, outcome, call.may_repeat)
            if wait is None:
                break
            self._sleep(wait)
        return _outcome(outcome)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """Use it in a ``with``."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


class AsyncClient:
    """Calls a service from coroutines; for its parameters and calls see `Client`."""

    def __init__(
        self,
        base_url: str,
        auth: httpx.Auth | None = None,
        retry: Retry | None = None,
        timeout: httpx.Timeout = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._http = httpx.AsyncClient(base_url=base_url, auth=auth, timeout=timeout, transport=transport)
        self._retry, self._sleep = retry or Retry(), sleep

    async def predict(self, customer_id: str, top_reasons: int | None = None, explain: Explain | None = None) -> Answer:
        """As `Client.predict`."""
        return cast("Answer", await self.call(predicting(customer_id, top_reasons, explain)))

    async def predict_many(
        self, customer_ids: Sequence[str], top_reasons: int | None = None, explain: Explain | None = None
    ) -> Answers:
        """As `Client.predict_many`."""
        return cast("Answers", await self.call(predicting(list(customer_ids), top_reasons, explain)))

    async def send_events(self, events: Sequence[Mapping[str, Any]]) -> AcceptedEvents:
        """As `Client.send_events`."""
        return cast("AcceptedEvents", await self.call(telling(events)))

    async def change(self, customer_id: str, since: str) -> CustomerChange:
        """As `Client.change`."""
        return cast("CustomerChange", await self.call(changing(customer_id, since)))

    async def ask_score_job(self, job_format: JobFormat = "parquet") -> ScoreJob:
        """As `Client.ask_score_job`."""
        return cast("ScoreJob", await self.call(scoring(job_format)))

    async def score_job(self, job_id: str) -> ScoreJob:
        """As `Client.score_job`."""
        return cast("ScoreJob", await self.call(looking(job_id)))

    async def score_jobs(self) -> ScoreJobs:
        """As `Client.score_jobs`."""
        return cast("ScoreJobs", await self.call(Call("GET", "/v1/score-jobs")))

    async def download_scores(self, job_id: str, path: str | Path) -> None:
        """As `Client.download_scores`."""
        request = looking(job_id, "/result").request(self._http)
        with _failures(), _whole(Path(path)) as file:
            async with aclosing(await self._http.send(request, stream=True)) as response:
                if not response.is_success:
                    await response.aread()
                    raise ProblemError(response)
                async for piece in response.aiter_bytes():
                    await asyncio.to_thread(file.write, piece)

    async def models(self) -> Models:
        """As `Client.models`."""
        return cast("Models", await self.call(Call("GET", "/v1/models")))

    async def each(self, path: str, items: str, **parameters: str | int) -> AsyncIterator[dict[str, Any]]:
        """As `Client.each`."""
        cursor: str | None = ""
        while cursor is not None:
            asked = {**parameters, **({"cursor": cursor} if cursor else {})}
            page = await self.call(Call("GET", path, parameters=asked))
            for item in page[items]:
                yield item
            cursor = page.get("next")

    async def call(self, call: Call) -> Any:
        """As `Client.call`."""
        for attempt in range(1, self._retry.attempts + 1):
            outcome: httpx.Response | httpx.HTTPError
            try:
                outcome = await self._http.send(call.request(self._http))
            except httpx.HTTPError as error:
                outcome = error
            wait = self._retry.wait(attempt, outcome, call.may_repeat)
            if wait is None:
                break
            await self._sleep(wait)
        return _outcome(outcome)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Use it in an ``async with``."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()
