"""The control of access of one service: whether callers must say who they are, who they are, and how much they ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from anyio import to_thread

from configs.settings import Access
from configs.workspace import Workspace
from serving.access.credential import HOW, credential_of
from serving.access.key_check import KeyCheck
from serving.access.keys import PREFIX
from serving.access.limits import RateLimit, Standing, network_of
from serving.access.provider_keys import ProviderKeys
from serving.access.roles import Caller, NotAuthenticatedError
from serving.access.rows import RowScope
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
    failures
        How often it may be tried from one address to ask with what does not hold.
    rows
        Whom each may see.
    """

    required: Callable[[], bool]
    by_key: KeyCheck
    by_token: Callable[[str], Caller] | None
    limit: RateLimit
    failures: RateLimit
    rows: RowScope

    async def caller(
        self, authorization: Sequence[str] = (), api_key: Sequence[str] = (), is_public: bool = False
    ) -> Caller:
        """Who asks, by all headers ``Authorization`` and ``X-API-Key``, see `credential_of`.

        Of what `is_public` nobody need say it, but what is given must hold. A token is looked at in a thread: the
        provider's keys may have to be fetched.

        Raises
        ------
        AmbiguousCredentialError
            It is said more than once, or cannot be read.
        NotAuthenticatedError
            Nothing tells it, or what was given does not hold.
        AccessUnavailableError
            It cannot be told now.
        """
        credential = credential_of(authorization, api_key)
        if not credential:
            if not is_public and self.required():
                self.require_readable()
                raise NotAuthenticatedError(f"say who asks: {HOW}")
            return ANONYMOUS
        if credential.startswith(f"{PREFIX}_"):
            return self.by_key(credential)
        if self.by_token is None:
            raise NotAuthenticatedError("the key is not known")
        return await to_thread.run_sync(self.by_token, credential)

    def require_readable(self) -> None:
        """Check that it can be told who asks; AccessUnavailableError if not."""
        self.by_key.require_readable()

    def wait_after_failure(self, address: str) -> int:
        """Count an attempt that failed; 0, or in how many seconds one from this address is answered again.

        Who asks with what holds is let on all the same: callers behind one proxy do not shut one another out.
        """
        return self.failures.wait_seconds(network_of(address))

    def take(self, caller: Caller) -> Standing | None:
        """Count a request, and tell how the caller stands; None: nobody in particular, who is not counted."""
        return None if caller is ANONYMOUS else self.limit.take(caller.id)


def access_control(settings: Access, workspace: Workspace) -> AccessControl:
    """The control of access of a workspace: asked for where it is set so, or where there was a key or are tokens."""
    keys = KeyCheck(workspace.access_keys)
    tokens = TokenCheck(settings.tokens, ProviderKeys(settings.tokens.jwks)) if settings.tokens else None

    def required() -> bool:
        given = settings.required
        return (tokens is not None or settings.row_scope is not None or keys.is_closed()) if given is None else given

    limits = RateLimit(settings.requests_per_minute), RateLimit(settings.failures_per_minute)
    return AccessControl(required, keys, tokens, *limits, RowScope(settings.row_scope, workspace))
