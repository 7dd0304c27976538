"""Tokens hold if the provider signed them, for this service, with time left and one role."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from configs.settings import Tokens
from serving.access.provider_keys import ProviderKeys
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
    return checking(path)


def checking(path: Path, **more: str) -> TokenCheck:
    settings = Tokens(jwks=str(path), issuer="https://id", audience="staycast", **more)
    return TokenCheck(settings, ProviderKeys(settings.jwks))


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_token_tells_its_subject_and_role(check: TokenCheck, name: str) -> None:
    assert check(token(name, name)) == Caller("crm-7", "crm", "token")
    assert check(token(name, name, scope="openid staycast:analyst")).role == "analyst"
    assert check(token(name, name, scope=["staycast:reviewer", "mail"])).role == "reviewer"


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
        {"sub": ""},
        {"sub": "  "},
        {"sub": 7},
        {"sub": "crm\nadmin"},
        {"sub": "x" * 257},
        {"scope": "crm"},
        {"scope": "admin"},
        {"scope": "other:admin"},
        {"scope": None},
        {"scope": "mail"},
        {"scope": "staycast:crm staycast:admin"},
        {"scope": {"crm": 1}},
        {"nbf": 9e9},
    ],
    ids=str,
)
def test_a_token_that_lacks_what_it_needs_is_refused(check: TokenCheck, changes: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticatedError):
        check(token(**changes))


def test_a_token_says_whom_it_sees(check: TokenCheck) -> None:
    north = frozenset({("branch", "north")})
    assert check(token(staycast_rows="branch=north")).rows == check(token(staycast_rows=["branch=north"])).rows == north
    assert check(token()).rows == frozenset()
    with pytest.raises(NotAuthenticatedError, match="staycast_rows"):
        check(token(staycast_rows="north"))


def test_a_token_of_another_key_or_of_none_is_refused(check: TokenCheck) -> None:
    unsigned = jwt.encode(claims(), None, "none")
    shared = jwt.encode(claims(), "a secret that is long enough for the rule", "HS256", {"kid": "first"})
    for forged in (token("stranger"), token("first", "second"), token("first", "unknown"), token(kid=None)):
        with pytest.raises(NotAuthenticatedError):
            check(forged)
    for forged in (unsigned, shared, "", "a.b.c", token()[:-4] + "AAAA", "é"):
        with pytest.raises(NotAuthenticatedError):
            check(forged)


def test_a_key_that_says_how_it_signs_signs_in_no_other_way(tmp_path: Path) -> None:
    private = rsa.generate_private_key(65537, 2048)
    public = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key())), "kid": "r"}
    path = tmp_path / "jwks.json"
    signed = {alg: jwt.encode(claims(), private, alg, {"kid": "r"}) for alg in ("RS256", "PS256")}
    path.write_text(json.dumps({"keys": [public]}))
    assert {checking(path)(each).name for each in signed.values()} == {"crm-7"}
    path.write_text(json.dumps({"keys": [{**public, "alg": "RS256"}]}))
    assert checking(path)(signed["RS256"]).name == "crm-7"
    with pytest.raises(NotAuthenticatedError):
        checking(path)(signed["PS256"])


def test_a_claim_of_roles_alone_may_name_them_without_a_prefix_and_a_scope_may_not(
    check: TokenCheck, tmp_path: Path
) -> None:
    of_roles = checking(tmp_path / "jwks.json", role_claim="roles", role_prefix="")
    assert of_roles(token(roles=["admin"])).role == "admin"
    with pytest.raises(ValueError, match="prefix"):
        Tokens(jwks="keys.json", issuer="i", audience="a", role_prefix="")


def test_keys_over_plain_http_are_refused() -> None:
    with pytest.raises(ValueError, match="https://"):
        Tokens(jwks="http://id/keys", issuer="i", audience="a")
