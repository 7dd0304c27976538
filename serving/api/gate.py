"""The gate before all endpoints: who asks, whether they may, whether they ask too much."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.access.control import AccessControl
from serving.access.roles import NotAuthenticatedError, is_public, may
from serving.api.problems import (
    ForbiddenError,
    RateLimitError,
    UnauthorizedError,
    problem_response,
)


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
        if scope["type"] != "http" or is_public(scope["method"], scope["staycast"]["route"]):
            await self.app(scope, receive, send)
            return
        try:
            await self._admit(scope)
        except (UnauthorizedError, ForbiddenError, RateLimitError) as error:
            await problem_response(error)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _admit(self, scope: Scope) -> None:
        try:
            caller = await self._access.caller(Headers(scope=scope))
        except NotAuthenticatedError as error:
            raise UnauthorizedError(str(error)) from None
        scope["staycast"]["caller"] = caller.name
        if wait := self._access.wait_seconds(caller):
            raise RateLimitError("this caller asks more than it may: slow down", wait)
        method, route = scope["method"], scope["staycast"]["route"]
        is_there = (method, route) in self._operations
        if is_there and not may(caller.role, method, route):
            raise ForbiddenError(f"the role '{caller.role}' may not do this")
