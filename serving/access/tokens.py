"""Signed tokens (JWT) of an identity provider, as OAuth2 client credentials give them (RFC 6749, 7519 and 8725)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import jwt

from configs.errors import ConfigError
from configs.settings import Tokens
from serving.access.roles import ROLES, Caller, NotAuthenticatedError, Role

ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)  # none symmetric
LEEWAY_SECONDS = 30
KEYS_BELIEVED_SECONDS = 300
FETCH_SECONDS = 3


class TokenCheck:
    """Tells who a token belongs to: signed by a key of the provider, for this service, not expired.

    Parameters
    ----------
    settings
        Where the provider's public keys are, who it is, and what it calls this service.

    Raises
    ------
    ConfigError
        The file of keys cannot be read.
    """

    def __init__(self, settings: Tokens) -> None:
        self._settings = settings
        self._file = self._client = None
        if settings.jwks.startswith("https://"):
            self._client = jwt.PyJWKClient(settings.jwks, lifespan=KEYS_BELIEVED_SECONDS, timeout=FETCH_SECONDS)
        else:
            self._file = _keys_of_file(Path(settings.jwks))

    def __call__(self, token: str) -> Caller:
        """The caller of a token.

        Raises
        ------
        NotAuthenticatedError
            It is not signed by a key of the provider, is expired, for another service or by another issuer, or names
            no subject or role.
        """
        try:
            claims = jwt.decode(
                token,
                self._key(token),
                algorithms=list(ALGORITHMS),
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise NotAuthenticatedError(f"the token does not hold ({type(error).__name__})") from None
        return Caller(str(claims["sub"]), _role(claims, self._settings.role_claim), "token")

    def _key(self, token: str) -> Any:
        if self._client is not None:
            return self._client.get_signing_key_from_jwt(token).key
        wanted = jwt.get_unverified_header(token).get("kid")
        keys = cast("jwt.PyJWKSet", self._file).keys
        for key in keys:
            if key.key_id == wanted or (wanted is None and len(keys) == 1):
                return key.key
        raise jwt.InvalidKeyError


def _keys_of_file(path: Path) -> jwt.PyJWKSet:
    try:
        return jwt.PyJWKSet.from_json(path.read_text("utf-8"))
    except (OSError, ValueError, jwt.PyJWTError) as error:
        raise ConfigError(f"access.tokens.jwks: '{path}' holds no public keys (a JWKS document): {error}") from None


def _role(claims: Mapping[str, Any], claim: str) -> Role:
    """The role that a claim names: as a word, a list of words, or words with spaces between, as of ``scope``."""
    named = claims.get(claim, ())
    words = named.split() if isinstance(named, str) else named if isinstance(named, list) else ()
    found = [role for role in ROLES if role in words or f"staycast:{role}" in words]
    if len(found) != 1:
        raise NotAuthenticatedError(f"the token's claim '{claim}' names no single role of {', '.join(ROLES)}")
    return found[0]
