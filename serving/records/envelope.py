"""Sealing at rest: a data key for each person, wrapped by a master key that lies elsewhere (envelope encryption).

AES-256-GCM throughout. Whoever changes the master key wraps the data keys anew and touches nothing else; whoever
destroys a data key makes all that it sealed unreadable for good, wherever copies of it lie.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from configs.errors import ConfigError
from configs.files import sync, write_text

KEY_BYTES, NONCE_BYTES, NAME_BYTES = 32, 12, 4


def new_key() -> bytes:
    """A random key of AES-256."""
    return AESGCM.generate_key(8 * KEY_BYTES)


class DataKey:
    """Seals and opens texts.

    Parameters
    ----------
    key
        Of 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, content: bytes, about: bytes) -> bytes:
        """Encrypt; what it is about must be given again to open it: nothing sealed can stand in another's place.

        >>> key = DataKey(new_key())
        >>> key.open(key.seal(b"text", b"a"), b"a")
        b'text'
        """
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, about)

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """Decrypt.

        Raises
        ------
        cryptography.exceptions.InvalidTag
            It was changed, is about something else, or was sealed with another key.
        """
        return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about)


def name_in(wrapped: bytes) -> bytes:
    """The name of the master key that wrapped a data key."""
    return wrapped[:NAME_BYTES]


class MasterKeys:
    """The keys that wrap data keys; the first is the newest, the others still serve until a rotation is done.

    Read again when a key is asked for that is not known, as another process may have rotated it. May be called from
    several threads.

    Parameters
    ----------
    file
        Holds them, base64, one a line. `create` makes it.
    variable
        The environment variable that holds them instead, apart by commas; "": the file does.
    """

    def __init__(self, file: Path, variable: str = "") -> None:
        self._file, self.variable = file, variable
        self._keys: list[tuple[bytes, DataKey]] = []
        self._loading = threading.Lock()

    def create(self) -> None:
        """Make the file with one new key, readable by its owner alone, unless it is there; never a variable."""
        if self.variable or self._file.exists():
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_name(f".{self._file.name}.{uuid.uuid4().hex[:8]}")
        _write_secret(part, _text([new_key()]))
        try:
            os.link(part, self._file)  # of two who come at once, the second finds that of the first
        except FileExistsError:
            pass
        finally:
            part.unlink()
        sync(self._file.parent)

    @property
    def newest(self) -> bytes:
        """The name of the first, as the file or the variable is now."""
        return self._load()[0][0]

    def wrap(self, key: bytes, name: bytes) -> bytes:
        """A data key, sealed with the master key of a name, which stands before it; errors as of `unwrap`."""
        return name + self._named(name).seal(key, name)

    def unwrap(self, wrapped: bytes) -> bytes:
        """The data key.

        Raises
        ------
        ConfigError
            The master key that wrapped it is not there, or what is there was changed.
        """
        name = name_in(wrapped)
        try:
            return self._named(name).open(wrapped[NAME_BYTES:], name)
        except InvalidTag:
            raise ConfigError("a key of the record of answers was changed where it is kept: restore its file") from None

    def add(self) -> None:
        """Put a new key before the others in the file; in a variable whoever sets it does."""
        if not self.variable:
            self._replace([new_key(), *self._read()])

    def drop_old(self) -> None:
        """Keep only the first key in the file: nothing may be wrapped with another any more."""
        if not self.variable:
            self._replace(self._read()[:1])

    @property
    def place(self) -> str:
        """Where the keys are, in words."""
        return f"the environment variable {self.variable}" if self.variable else f"'{self._file}'"

    def _replace(self, keys: Sequence[bytes]) -> None:
        write_text(self._file, _text(keys), 0o600)
        self._load()

    def _named(self, name: bytes) -> DataKey:
        master = dict(self._keys).get(name) or dict(self._load()).get(name)
        if master is None:
            raise ConfigError(
                f"the record of answers was sealed with the master key {name.hex()}, which is not in {self.place}: "
                "restore it there; without it nobody can read the record"
            )
        return master

    def _load(self) -> list[tuple[bytes, DataKey]]:
        with self._loading:
            self._keys = [(hashlib.sha256(key).digest()[:NAME_BYTES], DataKey(key)) for key in self._read()]
            return self._keys

    def _read(self) -> list[bytes]:
        try:
            text = os.environ[self.variable] if self.variable else self._file.read_text("ascii")
            keys = [base64.b64decode(word, validate=True) for word in text.replace(",", "\n").split()]
        except (KeyError, FileNotFoundError):
            raise ConfigError(f"the master key of the record of answers is not in {self.place}: restore it") from None
        except (binascii.Error, UnicodeDecodeError):
            keys = []
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ConfigError(
                f"{self.place} holds no master key of the record of answers: give {KEY_BYTES} random bytes in base64 "
                "(`openssl rand -base64 32`), several apart by commas or lines, the newest first"
            )
        return keys


def _text(keys: Sequence[bytes]) -> str:
    return "".join(f"{base64.b64encode(key).decode()}\n" for key in keys)


def _write_secret(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
