"""API keys of one workspace: made, shown once, rotated, revoked. Stored is a hash of the secret, never the secret.

A key is ``staycast_<id>_<secret>``. The secret has 256 bits from the system's generator, so that a fast hash is safe:
there is nothing to guess (OWASP, Password Storage Cheat Sheet, asks for slow ones where people choose).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from configs.errors import ConfigError
from features.store.durable_file import DurableFile, transaction
from serving.access.roles import ROLES, Caller, NotAuthenticatedError, Role

PREFIX = "staycast"
SECRET_BYTES = 32
BELIEVED_SECONDS = 1.0  # after which a server looks again: a revoked key is refused everywhere within it
NAME = re.compile(r"[\w .:@-]{1,64}")
_TABLE = """
CREATE TABLE IF NOT EXISTS keys (
    key_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    hash BLOB NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    revoked_at TEXT
) WITHOUT ROWID;
"""
_COLUMNS = "key_id, name, role, hash, created_at, expires_at, revoked_at"


@dataclass(frozen=True)
class ApiKey:
    """What is known of a key: everything but its secret."""

    key_id: str
    name: str
    role: Role
    hash: bytes
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> str:
        """``valid``, ``revoked`` or ``expired``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and now >= self.expires_at else "valid"


class ApiKeys(DurableFile):
    """The keys in their file, opened as a `DurableFile`.

    Parameters
    ----------
    path
        The file.
    clock
        Gives the present, UTC.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(path, _TABLE)
        path.chmod(0o600)
        self._clock = clock

    def create(self, name: str, role: str, days: int | None = None) -> tuple[ApiKey, str]:
        """Make a key.

        Parameters
        ----------
        name
            Who will use it; records name the caller so.
        role
            One of `serving.access.roles.ROLES`.
        days
            After how many it ends; None: never.

        Returns
        -------
        ApiKey, str
            What is known of it, and the key itself: shown now, and never again.

        Raises
        ------
        ConfigError
            The name or the role cannot be used, or a valid key has the name.
        """
        if not NAME.fullmatch(name):
            raise ConfigError(
                "a key's name has 1 to 64 letters, digits, spaces or .:@-_ : say which system will use it"
            )
        if role not in ROLES:
            raise ConfigError(f"role '{role}' is none of {', '.join(ROLES)}")
        if any(key.name == name for key in self.valid()):
            raise ConfigError(f"there is a valid key named '{name}': rotate or revoke it, or take another name")
        now = self._now()
        ends = None if days is None else now + timedelta(days=days)
        return self._add(name, role, now, ends)

    def rotate(self, name: str, grace_hours: float = 24.0) -> tuple[ApiKey, str]:
        """Make another key in the place of one, which ends after some hours, so that its users can change over.

        The new one lasts as long as the old one was to last.

        Raises
        ------
        ConfigError
            No valid key has the name.
        """
        (*_, old), now = self._named(name), self._now()
        ends = now + timedelta(hours=grace_hours)
        lasts = None if old.expires_at is None else old.expires_at - old.created_at
        key, secret = self._add(name, old.role, now, None if lasts is None else now + lasts)
        self._update("expires_at", min(ends, old.expires_at or ends), old.key_id)
        return key, secret

    def revoke(self, name: str) -> list[ApiKey]:
        """End all valid keys of a name at once; which.

        Raises
        ------
        ConfigError
            No valid key has the name.
        """
        keys, now = self._named(name), self._now()
        for key in keys:
            self._update("revoked_at", now, key.key_id)
        return keys

    def all(self) -> list[ApiKey]:
        """Every key there was, oldest first."""
        with self._writing:
            rows = self._connection.execute(f"SELECT {_COLUMNS} FROM keys ORDER BY created_at, key_id").fetchall()
        return [ApiKey(*row[:4], *(t and datetime.fromisoformat(t) for t in row[4:])) for row in rows]

    def valid(self) -> list[ApiKey]:
        """The keys that are neither revoked nor expired."""
        now = self._now()
        return [key for key in self.all() if key.state(now) == "valid"]

    def _named(self, name: str) -> list[ApiKey]:
        """The valid keys of a name, oldest first; ConfigError if there is none."""
        valid = self.valid()
        keys = [key for key in valid if key.name == name]
        if not keys:
            known = ", ".join(sorted({key.name for key in valid})) or "none"
            raise ConfigError(f"no valid key is named '{name}'; there are: {known}")
        return keys

    def _add(self, name: str, role: Role, now: datetime, ends: datetime | None) -> tuple[ApiKey, str]:
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(SECRET_BYTES)
        key = ApiKey(key_id, name, role, _hash(secret), now, ends, None)
        row = (key_id, name, role, key.hash, now.isoformat(), ends.isoformat() if ends else None, None)
        with self._writing, transaction(self._connection):
            self._connection.execute(f"INSERT INTO keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return key, f"{PREFIX}_{key_id}_{secret}"

    def _update(self, column: str, time: datetime, key_id: str) -> None:
        with self._writing, transaction(self._connection):
            self._connection.execute(f"UPDATE keys SET {column} = ? WHERE key_id = ?", (time.isoformat(), key_id))

    def _now(self) -> datetime:
        return self._clock().astimezone(UTC)


class KeyCheck:
    """Tells who a key belongs to; the file is read again once a second. May be called from several threads.

    Parameters
    ----------
    keys
        The keys, opened.
    clock
        Gives the present, UTC.
    """

    def __init__(self, keys: ApiKeys, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._keys, self._clock = keys, clock
        self._reading = threading.Lock()
        self._known: dict[str, ApiKey] = {}
        self._until = 0.0

    def __call__(self, key: str) -> Caller:
        """The caller of a key.

        Raises
        ------
        NotAuthenticatedError
            It is no key of this workspace, or it is revoked or expired.
        """
        _, _, rest = key.partition("_")
        key_id, _, secret = rest.partition("_")
        known = self._current().get(key_id)
        given = _hash(secret)
        if not hmac.compare_digest(given, known.hash if known else b"\0" * len(given)) or known is None:
            raise NotAuthenticatedError("the key is not known")
        if (state := known.state(self._clock().astimezone(UTC))) != "valid":
            raise NotAuthenticatedError(f"the key is {state}")
        return Caller(known.name, known.role)

    def any(self) -> bool:
        """Whether there ever was a key: a service that was closed stays so when its last key is revoked or ends."""
        return bool(self._current())

    def _current(self) -> dict[str, ApiKey]:
        with self._reading:
            if time.monotonic() >= self._until:
                self._known = {key.key_id: key for key in self._keys.all()}
                self._until = time.monotonic() + BELIEVED_SECONDS
            return self._known


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
