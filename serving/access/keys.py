"""API keys of one workspace: made, shown once, rotated, revoked. Stored is a hash of the secret, never the secret.

A key is ``staycast_<id>_<secret>``. The secret has 256 bits from the system's generator, so that a fast hash is safe:
there is nothing to guess (OWASP, Password Storage Cheat Sheet, asks for slow ones where people choose).
"""

from __future__ import annotations

import getpass
import hashlib
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from features.store.durable_file import BUSY_SECONDS, DurableFile
from serving.access.roles import ROLES, Role, Row

PREFIX = "staycast"
SECRET_BYTES = 32
MOST_DAYS = 36_500  # a hundred years
MOST_GRACE_HOURS = 24 * 366
NAME = re.compile(r"(?=.{1,64}$)[\w.:@-]+( +[\w.:@-]+)*")
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
CREATE TABLE IF NOT EXISTS key_changes (
    at TEXT NOT NULL,
    key_id TEXT NOT NULL,
    what TEXT NOT NULL,
    by TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS key_rows (
    key_id TEXT NOT NULL,
    attribute TEXT NOT NULL,
    value TEXT NOT NULL
);
"""
_COLUMNS = "key_id, name, role, hash, created_at, expires_at, revoked_at"


@dataclass(frozen=True)
class KeyChange:
    """What was done to a key: ``made``, ``rotated`` or ``revoked``; when, and which user of the machine did."""

    at: datetime
    what: str
    by: str


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
    changes: tuple[KeyChange, ...] = ()
    rows: frozenset[Row] = frozenset()

    def state(self, now: datetime) -> str:
        """``valid``, ``revoked`` or ``expired``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and now >= self.expires_at else "valid"


class ApiKeys(DurableFile):
    """The keys in their file, opened as a `DurableFile`; only the user who owns it may read it.

    Beside the first key a file says that there are keys: who takes the keys away does not open the service.

    Parameters
    ----------
    path
        The file.
    clock
        Gives the present, UTC.
    who
        Who makes, rotates and revokes, for the record.
    busy_seconds
        How long to wait for another who writes.

    Raises
    ------
    ConfigError
        The file is damaged, or no file of keys.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        who: str = "",
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        self._path, self._clock, self._who = path, clock, who
        with self._told():
            _make_private(path)
            super().__init__(path, _TABLE, busy_seconds)

    def create(
        self, name: str, role: str, days: int | None = None, rows: frozenset[Row] = frozenset()
    ) -> tuple[ApiKey, str]:
        """Make a key.

        Parameters
        ----------
        name
            Who will use it; records name the caller so.
        role
            One of `serving.access.roles.ROLES`.
        days
            After how many it ends; None: never.
        rows
            Which customers it sees, see `serving.access.rows`.

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
                "a key's name has 1 to 64 letters, digits, .:@-_ or spaces within: say which system will use it"
            )
        if role not in ROLES:
            raise ConfigError(f"role '{role}' is none of {', '.join(ROLES)}")
        if days is not None and not 1 <= days <= MOST_DAYS:
            raise ConfigError(
                f"a key ends after 1 to {MOST_DAYS} days, not {days}; leave it out for one that never ends"
            )
        with self._change():
            if any(key.name == name for key in self._valid()):
                raise ConfigError(f"there is a valid key named '{name}': rotate or revoke it, or take another name")
            now = self._now()
            return self._add(name, role, now, None if days is None else now + timedelta(days=days), rows)

    def rotate(self, name: str, grace_hours: float = 24.0) -> tuple[ApiKey, str]:
        """Make another key in the place of one, which ends after some hours, so that its users can change over.

        The new one lasts as long as the old one was to last.

        Raises
        ------
        ConfigError
            No valid key has the name, or the hours cannot be used.
        """
        if not 0 <= grace_hours <= MOST_GRACE_HOURS:
            raise ConfigError(f"a rotated key holds for 0 to {MOST_GRACE_HOURS} hours more, not {grace_hours:g}")
        with self._change():
            (*_, old), now = self._named(name), self._now()
            ends = now + timedelta(hours=grace_hours)
            lasts = None if old.expires_at is None else old.expires_at - old.created_at
            made = self._add(name, old.role, now, None if lasts is None else now + lasts, old.rows)
            self._update("expires_at", min(ends, old.expires_at or ends), old.key_id)
            self._note("rotated", now, old.key_id)
            return made

    def revoke(self, name: str) -> list[ApiKey]:
        """End all valid keys of a name at once; which.

        Raises
        ------
        ConfigError
            No valid key has the name.
        """
        with self._change():
            keys, now = self._named(name), self._now()
            for key in keys:
                self._update("revoked_at", now, key.key_id)
                self._note("revoked", now, key.key_id)
            return keys

    def all(self) -> list[ApiKey]:
        """Every key there was, oldest first.

        Raises
        ------
        ConfigError
            The file is damaged.
        """
        with self._told(), self._writing:
            return self._all()

    def _all(self) -> list[ApiKey]:
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM keys ORDER BY created_at, key_id").fetchall()
        changes: dict[str, list[KeyChange]] = {}
        for at, key_id, what, by in self._connection.execute("SELECT * FROM key_changes ORDER BY at, rowid"):
            changes.setdefault(key_id, []).append(KeyChange(datetime.fromisoformat(at), what, by))
        seen: dict[str, set[Row]] = {}
        for key_id, attribute, value in self._connection.execute("SELECT * FROM key_rows"):
            seen.setdefault(key_id, set()).add((attribute, value))
        return [_key_of(row, tuple(changes.get(row[0], ())), frozenset(seen.get(row[0], ()))) for row in rows]

    def _valid(self) -> list[ApiKey]:
        """The keys that are neither revoked nor expired."""
        now = self._now()
        return [key for key in self._all() if key.state(now) == "valid"]

    def _named(self, name: str) -> list[ApiKey]:
        """The valid keys of a name, oldest first; ConfigError if there is none."""
        valid = self._valid()
        keys = [key for key in valid if key.name == name]
        if not keys:
            known = ", ".join(sorted({key.name for key in valid})) or "none"
            raise ConfigError(f"no valid key is named '{name}'; there are: {known}")
        return keys

    def _add(
        self, name: str, role: Role, now: datetime, ends: datetime | None, rows: frozenset[Row]
    ) -> tuple[ApiKey, str]:
        mark_closed(self._path)
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(SECRET_BYTES)
        key = ApiKey(key_id, name, role, hash_of(secret), now, ends, None, rows=rows)
        stored = (key_id, name, role, key.hash, now.isoformat(), ends.isoformat() if ends else None, None)
        self._connection.execute(f"INSERT INTO keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", stored)
        self._connection.executemany(
            "INSERT INTO key_rows VALUES (?, ?, ?)", [(key_id, *each) for each in sorted(rows)]
        )
        self._note("made", now, key_id)
        return key, f"{PREFIX}_{key_id}_{secret}"

    def _update(self, column: str, time: datetime, key_id: str) -> None:
        self._connection.execute(f"UPDATE keys SET {column} = ? WHERE key_id = ?", (time.isoformat(), key_id))

    def _note(self, what: str, now: datetime, key_id: str) -> None:
        change = (now.isoformat(), key_id, what, self._who or getpass.getuser())
        self._connection.execute("INSERT INTO key_changes (at, key_id, what, by) VALUES (?, ?, ?, ?)", change)

    @contextmanager
    def _change(self) -> Iterator[None]:
        """What the body does is done whole or not at all, and nobody else changes keys meanwhile."""
        with self._told(), self._writing, self._transaction():
            yield

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A damaged file as an error that says what to do."""
        try:
            yield
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise ConfigError(
                f"the keys in '{self._path}' cannot be read or written ({error}): put a copy back, or move the file "
                "away and make the keys anew; until then nobody is let in"
            ) from None

    def _now(self) -> datetime:
        return self._clock().astimezone(UTC)


def hash_of(secret: str) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def _key_of(row: tuple[Any, ...], changes: tuple[KeyChange, ...], rows: frozenset[Row]) -> ApiKey:
    key_id, name, role, digest, *times = row
    made, ends, revoked = (text and datetime.fromisoformat(text) for text in times)
    return ApiKey(key_id, name, role, digest, made, ends, revoked, changes, rows)


def closed_mark(path: Path) -> Path:
    """The file beside the keys that says that there are some: while it is there, callers must say who they are."""
    return path.with_suffix(".closed")


def mark_closed(path: Path) -> None:
    """Put down that there are keys in a file."""
    closed_mark(path).touch(0o600)


def _make_private(path: Path) -> None:
    """Make a file, and what SQLite keeps beside it, before it is written, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch(0o600)
    for each in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        if each.exists() and each.stat().st_mode & 0o077:
            each.chmod(0o600)
