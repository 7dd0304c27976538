"""The public keys of an identity provider (JWKS, RFC 7517): from a file or an address, read again as they change."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from configs.errors import ConfigError
from serving.access.roles import AccessUnavailableError, NotAuthenticatedError

BELIEVED_SECONDS = 300.0  # after which keys of an address are asked for again
FILE_BELIEVED_SECONDS = 1.0
UNKNOWN_KEY_SECONDS = 10.0  # so often an unknown key id makes an address be asked before its time
RETRY_SECONDS = 5.0
KEPT_SECONDS = 3600.0  # so long known keys hold while newer ones cannot be had
FETCH_SECONDS = 3.0
MOST_BYTES = 2**20
LEAST_RSA_BITS = 2048
logger = logging.getLogger(__name__)


class ProviderKeys:
    """The keys, by their id. May be called from several threads; one asks the provider, others go on with known keys.

    Parameters
    ----------
    source
        A file, or an address that begins with ``https://``.
    clock
        Seconds that only rise.
    read
        Gives the document of a source.
    """

    def __init__(
        self, source: str, clock: Callable[[], float] = time.monotonic, read: Callable[[str], str] | None = None
    ) -> None:
        self._source, self._clock, self._read_source = source, clock, read or _read
        self._believed = BELIEVED_SECONDS if source.startswith("https://") else FILE_BELIEVED_SECONDS
        self._reading = threading.Lock()
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._read_at = self._tried_at = float("-inf")
        self._fault = ""

    def key(self, key_id: str | None) -> jwt.PyJWK:
        """The key of an id; without one, the only key.

        Raises
        ------
        NotAuthenticatedError
            The provider has no such key.
        AccessUnavailableError
            The keys cannot be had, or are older than they may be.
        """
        self._refresh(self._believed)
        found = self._find(key_id)
        if found is None:
            self._refresh(min(self._believed, UNKNOWN_KEY_SECONDS))
            found = self._find(key_id)
        if self._clock() - self._read_at > KEPT_SECONDS or (found is None and self._fault):
            raise AccessUnavailableError("the keys of the identity provider cannot be had now")
        if found is None:
            raise NotAuthenticatedError("the token is signed by no key of the provider")
        return found

    def require(self) -> None:
        """Check that a file holds keys; an address may answer later.

        Raises
        ------
        ConfigError
            It holds none.
        """
        if self._source.startswith("https://"):
            return
        try:
            public_keys(self._read_source(self._source))
        except (OSError, ValueError) as error:
            raise ConfigError(f"access.tokens.jwks: '{self._source}' holds no public keys: {error}") from None

    def _find(self, key_id: str | None) -> jwt.PyJWK | None:
        keys = self._keys
        return next(iter(keys.values())) if key_id is None and len(keys) == 1 else keys.get(key_id)

    def _refresh(self, believed: float) -> None:
        """Read the keys if they are older than believed and it was not tried just now."""
        if not self._is_due(believed) or not self._reading.acquire(blocking=not self._keys):
            return
        try:
            if self._is_due(believed):
                self._try_to_read()
        finally:
            self._reading.release()

    def _is_due(self, believed: float) -> bool:
        now = self._clock()
        return now - self._read_at > believed and now - self._tried_at > min(believed, RETRY_SECONDS)

    def _try_to_read(self) -> None:
        try:
            self._keys = public_keys(self._read_source(self._source))
            self._read_at, self._fault = self._clock(), ""
        except (OSError, ValueError) as error:
            if str(error) != self._fault:
                logger.error("the identity provider's keys cannot be had, known ones hold for an hour: %s", error)
            self._fault = str(error) or type(error).__name__
        self._tried_at = self._clock()


def public_keys(document: str) -> dict[str | None, jwt.PyJWK]:
    """The keys of a document that may verify signatures, by their id.

    Left out is what is symmetric, private, for encryption, of a kind that is not known, or RSA below `LEAST_RSA_BITS`.

    Raises
    ------
    ValueError
        It is no set of keys, or holds none that may be used.

    Examples
    --------
    >>> public_keys('{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "1"}]}')
    Traceback (most recent call last):
    ValueError: none of its 1 keys may verify signatures
    """
    content = json.loads(document)
    listed = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it is no set of keys (a JWKS document)")
    found = {
        str(each["kid"]) if "kid" in each else None: key
        for each in listed
        if isinstance(each, dict) and (key := _usable(each))
    }
    if not found:
        raise ValueError(f"none of its {len(listed)} keys may verify signatures")
    return found


def _usable(described: dict[str, Any]) -> jwt.PyJWK | None:
    """A key that may verify signatures, or None."""
    verifies = "verify" in (described.get("key_ops") or ["verify"])
    if described.get("kty") == "oct" or "d" in described or described.get("use", "sig") != "sig" or not verifies:
        return None
    try:
        key = jwt.PyJWK(described)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    is_short = isinstance(key.key, RSAPublicKey) and key.key.key_size < LEAST_RSA_BITS
    return None if is_short else key


def _read(source: str) -> str:
    if not source.startswith("https://"):
        return Path(source).read_text("utf-8")
    import httpx

    try:
        with httpx.stream("GET", source, timeout=FETCH_SECONDS, follow_redirects=False) as response:
            response.raise_for_status()
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > MOST_BYTES:
                    raise ValueError(f"'{source}' answers more than {MOST_BYTES} bytes")
    except httpx.HTTPError as error:
        raise OSError(f"'{source}': {error or type(error).__name__}") from None
    return content.decode("utf-8")
