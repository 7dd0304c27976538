"""The control of access of one service: whether callers must say who they are, who they are, and how much they ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from anyio import to_thread

from configs.settings import Access
from configs.workspace import Workspace
from serving.access.key_check import KeyCheck
from serving.access.keys import PREFIX
from serving.access.limits import RateLimit
from serving.access.provider_keys import ProviderKeys
from serving.access.roles import Caller, NotAuthenticatedError
from serving.access.tokens import TokenCheck

ANONYMOUS = Caller("nobody", "admin", "anonymous")


@dataclass(frozen=True)
class AccessControl:
    """Whether callers must say who they are, and who they are.

    Attributes
    ----------
    required
        Tells whether they must, asked at each request: the first key that is made closes the service.
    by_key, by_token
        Tell who a key, or a token, belongs to; None: none are taken.
    limit
        How much each may ask.
    """

    required: Callable[[], bool]
    by_key: KeyCheck
    by_token: Callable[[str], Caller] | None
    limit: RateLimit

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        """Who asks: by ``Authorization: Bearer`` with a key or a token, or by ``X-API-Key``.

        A token is looked at in a thread: the provider's keys may have to be fetched.

        Raises
        ------
        NotAuthenticatedError
            Nothing tells it, or what was given does not hold.
        AccessUnavailableError
            It cannot be told now.
        """
        scheme, _, credential = headers.get("authorization", "").strip().partition(" ")
        credential = credential.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
        if not credential:
            if self.required():
                self.require_readable()
                raise NotAuthenticatedError("say who asks: send a key as 'Authorization: Bearer <key>' or 'X-API-Key'")
            return ANONYMOUS
        if credential.startswith(f"{PREFIX}_"):
            return self.by_key(credential)
        if self.by_token is None:
            raise NotAuthenticatedError("the key is not known")
        return await to_thread.run_sync(self.by_token, credential)

    def require_readable(self) -> None:
        """Check that it can be told who asks; AccessUnavailableError if not."""
        self.by_key.require_readable()

    def wait_seconds(self, caller: Caller) -> int:
        """Count a request; 0, or in how many seconds one will be let through; nobody in particular is not counted."""
        return 0 if caller is ANONYMOUS else self.limit.wait_seconds(caller.id)


def access_control(settings: Access, workspace: Workspace) -> AccessControl:
    """The control of access of a workspace: asked for where it is set so, or where there was a key or are tokens."""
    keys = KeyCheck(workspace.access_keys)
    tokens = TokenCheck(settings.tokens, ProviderKeys(settings.tokens.jwks)) if settings.tokens else None

    def required() -> bool:
        given = settings.required
        return (tokens is not None or keys.is_closed()) if given is None else given

    return AccessControl(required, keys, tokens, RateLimit(settings.requests_per_minute))
