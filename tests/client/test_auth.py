"""A key is sent along; a token is fetched once, renewed before it ends, and once more where it is refused."""

from __future__ import annotations

import base64

import httpx
import pytest
from staycast_client import ApiKey, Client, ClientCredentials, ProblemError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Provider:
    """An identity provider and a service that takes its newest token alone."""

    def __init__(self) -> None:
        self.given = 0
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "id.example":
            self.asked.append(request)
            self.given += 1
            return httpx.Response(200, json={"access_token": f"t{self.given}", "expires_in": 300})
        valid = request.headers.get("authorization") == f"Bearer t{self.given}"
        return httpx.Response(200 if valid else 401, json={"title": "Who asks is not known"})


def calling(provider: Provider, clock: Clock) -> Client:
    auth = ClientCredentials("https://id.example/token", "crm", "s3cret", "staycast:crm", clock)
    return Client("https://churn.example", auth, transport=httpx.MockTransport(provider))


def test_a_token_is_fetched_once_and_renewed_before_it_ends() -> None:
    provider, clock = Provider(), Clock()
    with calling(provider, clock) as client:
        client.models(), client.models()
        assert provider.given == 1
        clock.now = 269.0
        client.models()
        assert provider.given == 1
        clock.now = 271.0
        client.models()
        assert provider.given == 2
    (first, _) = provider.asked
    assert first.content == b"grant_type=client_credentials&scope=staycast%3Acrm"
    assert first.headers["authorization"] == "Basic " + base64.b64encode(b"crm:s3cret").decode()


def test_a_token_that_is_refused_is_replaced_once_and_then_told() -> None:
    provider = Provider()
    with calling(provider, Clock()) as client:
        client.models()
        provider.given += 5  # the provider took it back
        client.models()
        assert len(provider.asked) == 2
    refusing = httpx.MockTransport(
        lambda r: httpx.Response(200 if r.url.host == "id.example" else 401, json={"access_token": "no"})
    )
    auth = ClientCredentials("https://id.example/token", "crm", "s3cret")
    with Client("https://churn.example", auth, transport=refusing) as client, pytest.raises(ProblemError) as error:
        client.models()
    assert error.value.status == 401


def test_a_key_is_sent_in_its_header() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    with Client("https://churn.example", ApiKey("staycast_a_b"), transport=httpx.MockTransport(answer)) as client:
        client.models()
    assert seen[0].headers["x-api-key"] == "staycast_a_b" and "authorization" not in seen[0].headers
