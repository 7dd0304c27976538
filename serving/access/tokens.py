"""Signed tokens (JWT) of an identity provider, as OAuth2 client credentials give them (RFC 6749, 7519 and 8725)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt

from configs.errors import ConfigError
from configs.settings import Tokens
from serving.access.provider_keys import ProviderKeys
from serving.access.roles import ROLES, Caller, NotAuthenticatedError, Role, Row
from serving.access.rows import rows_of

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
MOST_SUBJECT_LETTERS = 256


class TokenCheck:
    """Tells who a token belongs to: signed by a key of the provider, for this service, not expired.

    Parameters
    ----------
    settings
        Who the provider is, and what it calls this service and its roles.
    keys
        The provider's public keys.
    """

    def __init__(self, settings: Tokens, keys: ProviderKeys) -> None:
        self._settings, self._keys = settings, keys

    def __call__(self, token: str) -> Caller:
        """The caller of a token.

        Raises
        ------
        NotAuthenticatedError
            It is not signed by a key of the provider, is expired, for another service or by another issuer, or names
            no subject or role.
        AccessUnavailableError
            The provider's keys cannot be had.
        """
        try:
            key, algorithm = self._key(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise NotAuthenticatedError(f"the token does not hold ({type(error).__name__})") from None
        return Caller(
            _subject(claims), _role(claims, self._settings), "token", _rows(claims, self._settings.rows_claim)
        )

    def _key(self, token: str) -> tuple[Any, str]:
        """The key that a token says it is signed by, and how; one that says how it signs signs in no other way."""
        header = jwt.get_unverified_header(token)
        algorithm = header["alg"]
        if algorithm not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError
        found = self._keys.key(header.get("kid"))
        if found._jwk_data.get("alg", algorithm) != algorithm:
            raise jwt.InvalidAlgorithmError
        return found.key, algorithm


def _subject(claims: Mapping[str, Any]) -> str:
    """The subject, as records can name it: neither empty nor with anything but letters and signs that show."""
    subject = claims["sub"]
    if not isinstance(subject, str) or not subject.strip() or not subject.isprintable():
        raise NotAuthenticatedError("the token names no subject")
    if len(subject) > MOST_SUBJECT_LETTERS:
        raise NotAuthenticatedError(f"the token's subject has more than {MOST_SUBJECT_LETTERS} letters")
    return subject


def _role(claims: Mapping[str, Any], settings: Tokens) -> Role:
    """The role that a claim names: as a word, a list of words, or words with spaces between, as of ``scope``."""
    words = _words(claims, settings.role_claim)
    found = [role for role in ROLES if f"{settings.role_prefix}{role}" in words]
    if len(found) != 1:
        raise NotAuthenticatedError(
            f"the token's claim '{settings.role_claim}' names no single role: one of "
            f"{', '.join(settings.role_prefix + role for role in ROLES)}"
        )
    return found[0]


def _rows(claims: Mapping[str, Any], claim: str) -> frozenset[Row]:
    """The rows that a claim names, as ``branch=north``; none without it."""
    try:
        return rows_of(word for word in _words(claims, claim) if isinstance(word, str))
    except ConfigError as error:
        raise NotAuthenticatedError(f"the token's claim '{claim}' does not hold: {error}") from None


def _words(claims: Mapping[str, Any], claim: str) -> list[Any]:
    """What a claim names: a list, or words with spaces between."""
    named = claims.get(claim)
    return named.split() if isinstance(named, str) else named if isinstance(named, list) else []
