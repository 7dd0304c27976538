"""What a request gives to say who asks: one rule for all headers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from configs.errors import StaycastError
from serving.access.roles import NotAuthenticatedError

BEARER = re.compile(r"bearer +([!-~]+)", re.IGNORECASE)
HOW = "send one header, 'Authorization: Bearer <key or token>' or 'X-API-Key: <key>'"


class AmbiguousCredentialError(StaycastError):
    """A request says more than once who asks, or in a form that cannot be read."""


def credential_of(authorization: Sequence[str], api_key: Sequence[str]) -> str:
    """The key or token of a request; empty if it gives none.

    Parameters
    ----------
    authorization, api_key
        The values of all headers ``Authorization`` and ``X-API-Key``.

    Raises
    ------
    AmbiguousCredentialError
        There is more than one such header, or what it holds is no ``Bearer``, spaces and a word.
    NotAuthenticatedError
        ``Authorization`` has another scheme.

    Examples
    --------
    >>> credential_of(["Bearer abc"], []), credential_of([], ["abc"]), credential_of([], [])
    ('abc', 'abc', '')
    """
    given = [*authorization, *api_key]
    if len(given) > 1:
        raise AmbiguousCredentialError(f"the request says {len(given)} times who asks: {HOW}")
    if not given:
        return ""
    text = given[0].strip(" ")
    if authorization:
        scheme = text.split(" ", 1)[0].lower()
        if scheme.isalpha() and scheme != "bearer":
            raise NotAuthenticatedError(f"the scheme of Authorization is not known: {HOW}")
        match = BEARER.fullmatch(text)
        text = match[1] if match else ""
    if not re.fullmatch("[!-~]+", text):
        raise AmbiguousCredentialError(f"the {'Authorization' if authorization else 'X-API-Key'} cannot be read: {HOW}")
    return text
