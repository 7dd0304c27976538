"""The gate before all endpoints: who asks, whether they may, whether they ask too much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import pyarrow as pa
from anyio import to_thread
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.access.control import AccessControl
from serving.access.credential import AmbiguousCredentialError
from serving.access.roles import AccessUnavailableError, Caller, NotAuthenticatedError, is_public, may, tells_of_visible
from serving.api.problems import (
    AnswerError,
    BadCredentialError,
    FieldError,
    ForbiddenError,
    RateLimitError,
    UnauthorizedError,
    UnavailableError,
    problem_response,
)
from serving.api.schema.parsing import invalid_request

Told = TypeVar("Told")
READINESS = frozenset({"/readyz", "/v2/health/ready"})


class GateMiddleware:
    """Lets a request on if its caller may do what it asks; notes the caller in the scope, for the records.

    Parameters
    ----------
    app
        What comes next.
    access
        Who may.
    operations
        All there is to do, as method and name of the route: of anything else the app says to known callers that it is
        not there.
    """

    def __init__(self, app: ASGIApp, access: AccessControl, operations: frozenset[tuple[str, str]]) -> None:
        self.app, self._access, self._operations = app, access, operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await self._admit(scope)
        except AnswerError as error:
            await problem_response(error, scope["path"])(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _admit(self, scope: Scope) -> None:
        method, route = scope["method"], scope["staycast"]["route"]
        public = is_public(method, route)
        try:
            if scope["path"] in READINESS:
                self._access.require_readable()
            caller = await self._caller(scope, public)
        except AccessUnavailableError as error:
            raise UnavailableError(f"{error}; the server's log says why") from None
        scope["staycast"]["caller"], scope["staycast"]["role"] = caller.id, caller.role
        if standing := self._access.take(caller):
            scope["staycast"]["headers"] = {"RateLimit": standing.header, "RateLimit-Policy": self._access.limit.policy}
            if standing.wait_seconds:
                raise RateLimitError("this caller asks more than it may: slow down", standing.wait_seconds)
        if public:
            return
        is_there = (method, route) in self._operations
        if is_there and not may(caller.role, method, route):
            raise ForbiddenError(f"the role '{caller.role}' may not do this")
        if not self._access.rows.sees_all(caller):
            if is_there and not tells_of_visible(method, route):
                raise ForbiddenError("this tells of all customers together, and the caller sees some of them alone")
            scope["staycast"]["visible"] = partial(self._access.rows.visible, caller)
            scope["staycast"]["seen"] = partial(self._access.rows.seen, caller)

    async def _caller(self, scope: Scope, public: bool) -> Caller:
        """Who asks; what does not hold is counted by the address it comes from."""
        headers = Headers(scope=scope)
        authorization, api_key = headers.getlist("authorization"), headers.getlist("x-api-key")
        try:
            return await self._access.caller(authorization, api_key, public)
        except AmbiguousCredentialError as error:
            raise BadCredentialError(str(error)) from None
        except NotAuthenticatedError as error:
            address = (scope.get("client") or ("",))[0]
            if (authorization or api_key) and (wait := self._access.wait_after_failure(address)):
                raise RateLimitError("too many keys or tokens from this address do not hold", wait) from None
            raise UnauthorizedError(str(error)) from None


async def visible(scope: Scope, customer_ids: Sequence[str]) -> set[str]:
    """Of these customers, those whom the caller of a request may see; to it, all others are as if they were not there.

    Raises
    ------
    UnavailableError
        That cannot be told now.
    """
    of_caller = scope["staycast"].get("visible")
    return set(customer_ids) if of_caller is None else await _told(partial(of_caller, customer_ids))


async def require_visible(scope: Scope, customer_ids: Sequence[str], pointer: Callable[[int], str]) -> None:
    """InvalidRequestError that names every customer whom the caller of a request may not see.

    Parameters
    ----------
    scope
        Of the request.
    customer_ids
        Whom it tells of.
    pointer
        Gives the JSON pointer to the customer at a position.
    """
    known = await visible(scope, customer_ids)
    unseen = [position for position, customer in enumerate(customer_ids) if customer not in known]
    if unseen:
        raise invalid_request(FieldError(pointer(p), "is no customer whom this caller may see") for p in unseen)


async def seen(scope: Scope) -> pa.Table | None:
    """All customers whom the caller of a request may see, one column ``customer_id``; None: everybody.

    Raises
    ------
    UnavailableError
        That cannot be told now.
    """
    of_caller = scope["staycast"].get("seen")
    return None if of_caller is None else await _told(of_caller)


async def _told(of_caller: Callable[[], Told]) -> Told:
    try:
        return await to_thread.run_sync(of_caller)
    except AccessUnavailableError as error:
        raise UnavailableError(str(error)) from None
