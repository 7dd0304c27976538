"""Which answers a caller was given under a key of its own, so that the same request sent again is answered the same.

As draft-ietf-httpapi-idempotency-key-header-07 asks for: a key belongs to one caller and to one body. What was answered
is not kept here but on record, where erasure reaches it: here stand the ids of the answers. Neither key nor body can be
read from the file: a key stands there as a hash, a body as a hash under the key.

What is lost with the power of the machine is answered anew, so nothing is synced to the disk for it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

import orjson

from features.store.durable_file import DurableFile
from features.store.timestamps import to_micros

KEEP = timedelta(hours=24)
MOST_ANSWERS = 1_000_000  # of all keys together
PRUNED_EVERY = 256  # keys
KEY = re.compile(r'"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,255})"|([\x21\x23-\x7e]{1,255})')
_TABLE = """
CREATE TABLE IF NOT EXISTS repeats (
    name BLOB PRIMARY KEY,
    at INTEGER NOT NULL,
    answers INTEGER NOT NULL,
    content BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS repeats_by_time ON repeats (at);
"""
_TOO_OLD = """
DELETE FROM repeats WHERE at <= coalesce((
    SELECT max(at) FROM (SELECT at, sum(answers) OVER (ORDER BY at DESC, name) AS together FROM repeats)
    WHERE at < ? OR together > ?
), -1)
"""


@dataclass(frozen=True)
class Key:
    """A key with the body it was sent with.

    Attributes
    ----------
    name
        Tells the key of a caller apart from all others.
    body
        Tells the body apart from others under this key.
    """

    name: bytes
    body: str

    @classmethod
    def of(cls, text: str, caller: str, body: bytes) -> Self | None:
        """The key that a header tells, a string of structured fields (RFC 9651) or a bare word; None: it tells none.

        >>> Key.of('"a-1"', "crm", b"{}") == Key.of("a-1", "crm", b"{}"), Key.of('"a', "crm", b"{}")
        (True, None)
        """
        found = KEY.fullmatch(text)
        if found is None:
            return None
        secret = f"{caller}\0{found[1] or found[2]}".encode()
        return cls(hashlib.sha256(secret).digest(), hmac.digest(secret, body, "sha256").hex())


@dataclass(frozen=True)
class Given:
    """What was answered.

    Attributes
    ----------
    body
        As of `Key`.
    answers
        Ids of the answers, in their order.
    left
        Places, among the ids that were asked, of those who have left.
    """

    body: str
    answers: list[str]
    left: list[int]


class RepeatLog(DurableFile):
    """The keys in their file, for 24 hours. Several threads and processes may use it.

    Parameters
    ----------
    path
        The file.
    busy_seconds
        How long to wait for another who writes.
    """

    def __init__(self, path: Path, busy_seconds: float) -> None:
        super().__init__(path, _TABLE, busy_seconds)
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._kept = 0

    def find(self, key: Key, now: datetime) -> Given | None:
        """What was answered under a key, to whatever body; None: nothing."""
        with self._writing:
            return self._find(key, now)

    def keep(self, key: Key, answers: list[str], left: list[int], now: datetime) -> Given:
        """What is answered under a key from now on: this, or what another process kept in the meantime."""
        given = Given(key.body, answers, left)
        row = (key.name, to_micros(now), len(answers), orjson.dumps([given.body, given.answers, given.left]))
        with self._writing, self._transaction():
            if self._kept % PRUNED_EVERY == 0:
                self._connection.execute(_TOO_OLD, (to_micros(now - KEEP), MOST_ANSWERS))
            known = self._find(key, now)
            if known is None:
                self._connection.execute("INSERT OR REPLACE INTO repeats VALUES (?, ?, ?, ?)", row)
                self._kept += 1
        return known or given

    def forget(self, key: Key) -> None:
        """Take a key away: what was answered is there no more."""
        with self._writing:
            self._connection.execute("DELETE FROM repeats WHERE name = ?", (key.name,))

    def _find(self, key: Key, now: datetime) -> Given | None:
        query = "SELECT content FROM repeats WHERE name = ? AND at >= ?"
        row = self._connection.execute(query, (key.name, to_micros(now - KEEP))).fetchone()
        return Given(*orjson.loads(row[0])) if row else None
