"""Keys of a provider follow its document; one that is down costs nothing for a while, and then says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from configs.errors import ConfigError
from serving.access.provider_keys import KEPT_SECONDS, UNKNOWN_KEY_SECONDS, ProviderKeys, public_keys
from serving.access.roles import AccessUnavailableError, NotAuthenticatedError

URL = "https://id/keys"


def described(kid: str, **more: Any) -> dict[str, Any]:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(public)), "kid": kid, **more}


def of_rsa(bits: int) -> dict[str, Any]:
    public = rsa.generate_private_key(65537, bits).public_key()
    return {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(public)), "kid": "rsa"}


class Provider:
    """An address whose answer the test sets; None: it is down."""

    def __init__(self, *kids: str) -> None:
        self.now, self.asked = 0.0, 0
        self.kids: tuple[str, ...] | None = kids
        self.keys = ProviderKeys(URL, lambda: self.now, self.read)

    def read(self, source: str) -> str:
        self.asked += 1
        if self.kids is None:
            raise OSError("no route")
        return json.dumps({"keys": [described(kid) for kid in self.kids]})


def test_keys_are_asked_for_once_and_again_when_they_are_old() -> None:
    provider = Provider("a")
    for _ in range(10):
        assert provider.keys.key("a") and provider.keys.key(None)
    assert provider.asked == 1
    provider.now = 301.0
    assert provider.keys.key("a")
    assert provider.asked == 2


def test_an_unknown_key_makes_the_provider_be_asked_and_not_more_often_than_may_be() -> None:
    provider = Provider("a")
    assert provider.keys.key("a")
    provider.kids = ("a", "b")
    provider.now = UNKNOWN_KEY_SECONDS + 1
    assert provider.keys.key("b")
    for _ in range(100):
        with pytest.raises(NotAuthenticatedError, match="no key of the provider"):
            provider.keys.key("stranger")
    assert provider.asked == 2


def test_while_the_provider_is_down_known_keys_hold_and_unknown_ones_cannot_be_told() -> None:
    provider = Provider("a")
    assert provider.keys.key("a")
    provider.kids = None
    for provider.now in (400.0, 1000.0, KEPT_SECONDS):
        assert provider.keys.key("a")
        with pytest.raises(AccessUnavailableError):
            provider.keys.key("b")
    provider.now = KEPT_SECONDS + 1
    with pytest.raises(AccessUnavailableError):
        provider.keys.key("a")
    provider.kids, provider.now = ("a",), KEPT_SECONDS + 10
    assert provider.keys.key("a")


def test_a_provider_that_is_down_from_the_start_is_asked_again_but_not_by_every_request() -> None:
    provider = Provider()
    provider.kids = None
    for _ in range(50):
        with pytest.raises(AccessUnavailableError):
            provider.keys.key("a")
    assert provider.asked == 1
    provider.kids, provider.now = ("a",), 6.0
    assert provider.keys.key("a")


def test_a_file_that_changes_is_read_again_and_a_damaged_one_leaves_the_known_keys(tmp_path: Path) -> None:
    path, now = tmp_path / "jwks.json", [0.0]
    keys = ProviderKeys(str(path), lambda: now[0])
    path.write_text(json.dumps({"keys": [described("a")]}))
    assert keys.key("a")
    path.write_text(json.dumps({"keys": [described("b")]}))
    now[0] = 1.5
    assert keys.key("b")
    with pytest.raises(NotAuthenticatedError):
        keys.key("a")
    path.write_text("half a docum")
    now[0] = 3.0
    assert keys.key("b")


@pytest.mark.parametrize(
    "unfit",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x", "alg": "HS256"},
        described("x", use="enc"),
        described("x", key_ops=["sign"]),
        described("x", d="AAAA"),
        described("x", crv="P-9"),
        of_rsa(1024),
        {"kid": "x"},
    ],
    ids=["symmetric", "encryption", "signs only", "private", "unknown", "short", "empty"],
)
def test_what_may_not_verify_is_left_out(unfit: dict[str, Any]) -> None:
    assert set(public_keys(json.dumps({"keys": [unfit, described("good", use="sig"), 7]}))) == {"good"}
    with pytest.raises(ValueError, match="none of its 1 keys"):
        public_keys(json.dumps({"keys": [unfit]}))


def test_an_rsa_key_of_2048_bits_may_verify() -> None:
    assert set(public_keys(json.dumps({"keys": [of_rsa(2048)]}))) == {"rsa"}


@pytest.mark.parametrize("content", [None, "{}", "[]", "not json", '{"keys": []}'])
def test_a_file_without_keys_is_said_at_the_start(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "jwks.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"access\.tokens\.jwks"):
        ProviderKeys(str(path)).require()
    ProviderKeys(URL).require()
