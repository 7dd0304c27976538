"""How a caller says who asks: by a key, or by tokens that are fetched and renewed. Both serve sync and async calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

import httpx

from staycast_client.errors import ProblemError

EARLY_SECONDS = 30.0  # a token is renewed before it ends
USUAL_SECONDS = 300.0  # a token lasts, where the provider does not say


class ApiKey(httpx.Auth):
    """A key of the service."""

    def __init__(self, key: str) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the key along."""
        request.headers["X-API-Key"] = self._key
        yield request


class ClientCredentials(httpx.Auth):
    """Tokens of an identity provider, by OAuth2 client credentials (RFC 6749, 4.4).

    A token is asked for when the first is needed, shortly before one ends, and once where the service refuses one.

    Parameters
    ----------
    token_url
        Where tokens are given; https.
    client_id, client_secret
        The caller's credentials.
    scope
        What to ask for, such as ``staycast:crm``.
    clock
        Seconds that only rise.
    """

    requires_response_body = True

    def __init__(
        self,
        token_url: str,
        client_id: str,
        client_secret: str,
        scope: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._credentials, self._scope, self._clock = token_url, (client_id, client_secret), scope, clock
        self._token, self._until = "", -1.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send a token along, and another if the first is refused."""
        used = self._token if self._clock() < self._until else ""
        if not used:
            self._keep((yield self._asked()))
        request.headers["Authorization"] = f"Bearer {self._token}"
        response = yield request
        if response.status_code == 401 and used:
            self._keep((yield self._asked()))
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _asked(self) -> httpx.Request:
        form = {"grant_type": "client_credentials", **({"scope": self._scope} if self._scope else {})}
        request = httpx.Request("POST", self._url, data=form)
        basic = httpx.BasicAuth(*self._credentials)
        return next(basic.auth_flow(request))

    def _keep(self, response: httpx.Response) -> None:
        if response.status_code != 200:
            raise ProblemError(response)
        told = response.json()
        self._token = str(told["access_token"])
        self._until = self._clock() + float(told.get("expires_in", USUAL_SECONDS)) - EARLY_SECONDS
