"""Tokens hold if the provider signed them, for this service, with time left and one role."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from configs.errors import ConfigError
from configs.settings import Tokens
from serving.access.roles import Caller, NotAuthenticatedError
from serving.access.tokens import TokenCheck

KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("first", "second", "stranger")}


def claims(**changes: Any) -> dict[str, Any]:
    good = {"iss": "https://id", "aud": "staycast", "sub": "crm-7", "exp": time.time() + 300, "scope": "staycast:crm"}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def token(key: str = "first", kid: str | None = "first", **changes: Any) -> str:
    return jwt.encode(claims(**changes), KEYS[key], "ES256", {"kid": kid} if kid else None)


@pytest.fixture
def check(tmp_path: Path) -> TokenCheck:
    path = tmp_path / "jwks.json"
    public = [
        {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEYS[name].public_key())), "kid": name, "alg": "ES256"}
        for name in ("first", "second")
    ]
    path.write_text(json.dumps({"keys": public}))
    return TokenCheck(Tokens(jwks=str(path), issuer="https://id", audience="staycast"))


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_token_tells_its_subject_and_role(check: TokenCheck, name: str) -> None:
    assert check(token(name, name)) == Caller("crm-7", "crm", "token")
    assert check(token(name, name, scope="openid staycast:analyst")).role == "analyst"
    assert check(token(name, name, scope=["reviewer", "mail"])).role == "reviewer"


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1.0},
        {"exp": None},
        {"iss": "https://other"},
        {"iss": None},
        {"aud": "another service"},
        {"aud": None},
        {"sub": None},
        {"scope": None},
        {"scope": "mail"},
        {"scope": "crm admin"},
        {"scope": {"crm": 1}},
        {"nbf": 9e9},
    ],
    ids=str,
)
def test_a_token_that_lacks_what_it_needs_is_refused(check: TokenCheck, changes: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticatedError):
        check(token(**changes))


def test_a_token_of_another_key_or_of_none_is_refused(check: TokenCheck) -> None:
    unsigned = jwt.encode(claims(), None, "none")
    shared = jwt.encode(claims(), "a secret that is long enough for the rule", "HS256", {"kid": "first"})
    for forged in (token("stranger"), token("first", "second"), token("first", "unknown"), token(kid=None)):
        with pytest.raises(NotAuthenticatedError):
            check(forged)
    for forged in (unsigned, shared, "", "a.b.c", token()[:-4] + "AAAA", "é"):
        with pytest.raises(NotAuthenticatedError):
            check(forged)


def test_keys_that_cannot_be_read_are_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "jwks.json").write_text("{}")
    for name in ("none.json", "jwks.json"):
        with pytest.raises(ConfigError, match=r"access\.tokens\.jwks"):
            TokenCheck(Tokens(jwks=str(tmp_path / name), issuer="i", audience="a"))


def test_keys_over_plain_http_are_refused() -> None:
    with pytest.raises(ValueError, match="https://"):
        Tokens(jwks="http://id/keys", issuer="i", audience="a")
