"""One header says who asks, in one form."""

from __future__ import annotations

import pytest

from serving.access.credential import AmbiguousCredentialError, credential_of
from serving.access.roles import NotAuthenticatedError


@pytest.mark.parametrize("given", ["Bearer k", "bearer k", "BEARER   k", " Bearer k "])
def test_a_bearer_is_read_whatever_its_capitals_and_spaces(given: str) -> None:
    assert credential_of([given], []) == credential_of([], ["k"]) == credential_of([], [" k "]) == "k"


@pytest.mark.parametrize(
    ("authorization", "api_key"),
    [
        (["Bearer k", "Bearer k"], []),
        (["Bearer k"], ["k"]),
        ([""], ["k"]),
        ([], ["k", "k"]),
    ],
)
def test_who_says_it_more_than_once_is_asked_to_say_it_once(authorization: list[str], api_key: list[str]) -> None:
    with pytest.raises(AmbiguousCredentialError, match="2 times"):
        credential_of(authorization, api_key)


@pytest.mark.parametrize("given", ["Bearer\tk", "Bearer", "Bearer ", "", "Bearer k x", "Bearer k\té", "Bearer ké"])
def test_what_cannot_be_read_is_said_to_be_so(given: str) -> None:
    with pytest.raises(AmbiguousCredentialError, match="Authorization cannot be read"):
        credential_of([given], [])


@pytest.mark.parametrize("given", ["", "k x", "k\tx"])
def test_a_key_that_cannot_be_read_is_said_to_be_so(given: str) -> None:
    with pytest.raises(AmbiguousCredentialError, match="X-API-Key cannot be read"):
        credential_of([], [given])


def test_another_scheme_tells_nobody_who_asks() -> None:
    for given in ("Basic k", "Digest", "Negotiate k"):
        with pytest.raises(NotAuthenticatedError, match="scheme"):
            credential_of([given], [])
