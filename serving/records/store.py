"""Where the record lies: its tables in one SQLite file. What is sealed comes and goes as bytes; nothing here reads it.

Several threads and processes may write. Reading has a connection of its own: who reads long keeps nobody from writing.
The statements are such that PostgreSQL knows them, too (`serving.records.postgres_store`).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

from configs.errors import StoreError
from features.store.durable_file import MAX_VARIABLES, DurableFile, connect, overwrite_deleted
from serving.records.chain import START, Entry, Link

PROBE_BYTES = 16_384  # more than the last page of a full disk takes
FEW = 1000  # answers that are read in a moment
ALL = 2**62  # more rows or positions than there are
COLUMNS = "kind, at, id, person, context, summary, content, position, hash"
Person = tuple[bytes, bytes]  # the random name in the entries, and the wrapped key


class RecordUnavailableError(StoreError):
    """The record cannot be reached, or another keeps it locked: what was to be kept is not."""


def tables(whole: str, data: str, name: str, by_key: str = "") -> str:
    """The statements that make the tables.

    Parameters
    ----------
    whole, data, name
        The types of whole numbers, of bytes, and of ids of entries, which stand in the order of their bytes.
    by_key
        What is said of a table that lies in the order of its key.
    """
    return f"""
CREATE TABLE IF NOT EXISTS entries (
    position {whole} PRIMARY KEY,
    kind TEXT NOT NULL,
    at {whole} NOT NULL,
    id {name} UNIQUE,
    person {data} NOT NULL,
    context {data},
    summary {data} NOT NULL,
    content {data} NOT NULL,
    hash {data} NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_by_time ON entries (at);
CREATE INDEX IF NOT EXISTS entries_by_person ON entries (person, at);
CREATE TABLE IF NOT EXISTS persons (
    pseudonym {data} PRIMARY KEY,
    person {data} NOT NULL UNIQUE,
    key {data} NOT NULL
) {by_key};
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, key {data} NOT NULL) {by_key};
CREATE TABLE IF NOT EXISTS contexts (hash {data} PRIMARY KEY, sealed {data} NOT NULL);
CREATE TABLE IF NOT EXISTS probe (one {whole} PRIMARY KEY, filling {data} NOT NULL);
"""


class Store(ABC):
    """The tables of the record, by statements that any of its databases knows."""

    @abstractmethod
    def open(self) -> None:
        """Connect, where the tables are reached by a connection."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[None]:
        """Be the only one who writes, in one transaction; an error if another does for too long."""

    @abstractmethod
    def looking(self) -> AbstractContextManager[None]:
        """Look with the connection that writes, outside of a transaction."""

    @abstractmethod
    def wait_at_most(self, seconds: float) -> None:
        """How long to wait for another who writes, from now on."""

    @abstractmethod
    def overwrite_deleted(self) -> None:
        """Leave nothing of what was deleted in the files of the tables."""

    @abstractmethod
    def entries(self, first: int = 0, last: int | None = None) -> Iterator[Entry]:
        """Entries by position, as they were when this began, read with little memory."""

    @abstractmethod
    def close(self) -> None:
        """Close what is open."""

    @abstractmethod
    def _run(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows of a statement, by the connection that writes."""

    @abstractmethod
    def _run_many(self, query: str, rows: Iterable[Sequence[Any]]) -> None:
        """A statement for each of several rows of values, by the connection that writes."""

    @abstractmethod
    def _read(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows of a query, by the connection that reads."""

    def _read_long(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """As `_read`, of what may take its time."""
        return self._read(query, values)

    # for the body of `writing`; what only reads, for that of `looking`, too

    def persons(self, pseudonyms: Sequence[bytes]) -> dict[bytes, Person]:
        """The persons there are of these pseudonyms."""
        found: dict[bytes, Person] = {}
        for start in range(0, len(pseudonyms), MAX_VARIABLES):
            some = pseudonyms[start : start + MAX_VARIABLES]
            query = f"SELECT pseudonym, person, key FROM persons WHERE pseudonym IN ({','.join('?' * len(some))})"
            found |= {row[0]: row[1:] for row in self._run(query, some)}
        return found

    def add_persons(self, persons: Mapping[bytes, Person]) -> None:
        """Add persons by their pseudonyms."""
        rows = [(pseudonym, *person) for pseudonym, person in persons.items()]
        self._run_many("INSERT INTO persons VALUES (?, ?, ?)", rows)

    def all_persons(self) -> dict[bytes, Person]:
        """Everybody."""
        return {row[0]: row[1:] for row in self._run("SELECT pseudonym, person, key FROM persons")}

    def replace_keys(self, persons: Mapping[bytes, Person], secrets: Mapping[str, bytes]) -> None:
        """Put other wrappings in the place of those there are."""
        self._run_many("UPDATE persons SET key = ? WHERE person = ?", [(k, p) for p, k in persons.values()])
        self._run_many("UPDATE secrets SET key = ? WHERE name = ?", [(k, n) for n, k in secrets.items()])

    def remove_persons(self, pseudonyms: Iterable[bytes]) -> None:
        """Destroy the keys of persons."""
        self._run_many("DELETE FROM persons WHERE pseudonym = ?", [(p,) for p in pseudonyms])

    def count_answers(self, persons: Iterable[bytes]) -> int:
        """How many answers there are of these persons, by their names in the entries."""
        query = "SELECT count(*) FROM entries WHERE person = ? AND kind = 'answer'"
        return sum(self._run(query, [p])[0][0] for p in persons)

    def secrets(self) -> dict[str, bytes]:
        """The wrapped keys of the record itself, by name."""
        return dict(self._run("SELECT name, key FROM secrets"))

    def add_secrets(self, secrets: Mapping[str, bytes]) -> None:
        """Add wrapped keys of the record itself."""
        self._run_many("INSERT INTO secrets VALUES (?, ?)", list(secrets.items()))

    def has_context(self, hash_: bytes) -> bool:
        """Whether a context is kept."""
        return bool(self._run("SELECT 1 FROM contexts WHERE hash = ?", [hash_]))

    def add_context(self, hash_: bytes, sealed: bytes) -> None:
        """Keep a context."""
        self._run("INSERT INTO contexts VALUES (?, ?)", (hash_, sealed))

    def all_contexts(self) -> dict[bytes, bytes]:
        """All contexts, sealed, by their hashes."""
        return dict(self._run("SELECT hash, sealed FROM contexts"))

    def end(self) -> Link:
        """The newest entry."""
        rows = self._run("SELECT position, hash FROM entries ORDER BY position DESC LIMIT 1")
        return Link(*rows[0]) if rows else Link(0, START)

    def insert(self, entries: Sequence[Entry]) -> None:
        """Add entries that are chained."""
        rows = [(e.kind, e.at, e.id, e.person, e.context, e.summary, e.content, e.position, e.hash) for e in entries]
        self._run_many(f"INSERT INTO entries ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def remove_through(self, position: int) -> None:
        """Remove the oldest entries, up to and with this one, and the keys of persons of whom none is left."""
        query = "SELECT DISTINCT person FROM entries WHERE position <= ?"
        persons = self._run(query, (position,))
        self._run("DELETE FROM entries WHERE position <= ?", (position,))
        others = "SELECT 1 FROM entries WHERE entries.person = persons.person"
        self._run_many(f"DELETE FROM persons WHERE person = ? AND NOT EXISTS ({others})", persons)

    def probe(self) -> None:
        """Write something, as large as an answer or larger."""
        query = "INSERT INTO probe VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET filling = excluded.filling"
        self._run(query, [os.urandom(PROBE_BYTES)])

    def has_plain_answers(self) -> bool:
        """Whether there is the table that earlier versions kept in the clear."""
        return False

    def plain_answers(self, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """The rows of that table, oldest first."""
        return self._run(f"SELECT {', '.join(columns)} FROM predictions ORDER BY scored_at, prediction_id")

    def drop_plain_answers(self) -> None:
        """Remove that table."""
        self._run("DROP TABLE predictions")

    # for any time

    def answers(self, conditions: Mapping[str, Any], newest: int | None = None) -> list[tuple[str, bytes, bytes]]:
        """Id, person and summary of answers, oldest first.

        Parameters
        ----------
        conditions
            By a condition with one place, what stands there; all must hold.
        newest
            How many at most, the newest of all; None: all.
        """
        where = "".join(f" AND {condition}" for condition in conditions)
        query = (
            f"SELECT id, person, summary FROM entries WHERE kind = 'answer'{where} ORDER BY at DESC, id DESC LIMIT ?"
        )
        read = self._read if newest is not None and newest <= FEW else self._read_long
        return read(query, [*conditions.values(), ALL if newest is None else newest])[::-1]

    def answer(self, id_: str) -> tuple[bytes, bytes, bytes, bytes | None, bytes | None] | None:
        """Person, summary, content, hash of the context and sealed context of one answer; None if there is none."""
        query = (
            "SELECT person, summary, content, context, sealed FROM entries "
            "LEFT JOIN contexts ON context = contexts.hash WHERE id = ? AND kind = 'answer'"
        )
        rows = self._read(query, [id_])
        return rows[0] if rows else None

    def keys(self) -> dict[bytes, bytes]:
        """The wrapped key of each person, by the name in the entries."""
        return dict(self._read_long("SELECT person, key FROM persons"))

    def key_of(self, person: bytes) -> bytes | None:
        """The wrapped key of one person; None if it is not there, or was destroyed."""
        rows = self._read("SELECT key FROM persons WHERE person = ?", [person])
        return rows[0][0] if rows else None

    def person_of(self, pseudonym: bytes) -> bytes | None:
        """The name in the entries of who has a pseudonym; None if there is nobody."""
        rows = self._read("SELECT person FROM persons WHERE pseudonym = ?", [pseudonym])
        return rows[0][0] if rows else None

    def context(self, hash_: bytes) -> bytes | None:
        """A sealed context; None if it is not there."""
        rows = self._read("SELECT sealed FROM contexts WHERE hash = ?", [hash_])
        return rows[0][0] if rows else None

    def end_before(self, at: int) -> int:
        """Up to which position all entries are of an earlier time than this."""
        later, last = "SELECT min(position) FROM entries WHERE at >= ?", "SELECT max(position) FROM entries"
        query = f"SELECT coalesce(({later}) - 1, ({last}), 0)"
        return int(self._read_long(query, [at])[0][0])


class SqliteStore(DurableFile, Store):
    """The tables in their file.

    Parameters
    ----------
    path
        The file; it and its folder are made if they do not exist.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, tables(whole="INTEGER", data="BLOB", name="TEXT", by_key="WITHOUT ROWID"))
        self._reading = threading.Lock()
        self._reader = connect(path)

    def open(self) -> None:
        """It is."""

    def close(self) -> None:
        """Close the file."""
        super().close()
        with self._reading:
            self._reader.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """As of `Store`: sqlite3.OperationalError if another writes for too long."""
        with self._writing, self._transaction():
            yield

    @contextmanager
    def looking(self) -> Iterator[None]:
        """As of `Store`."""
        with self._writing:
            yield

    def has_plain_answers(self) -> bool:
        """Whether there is the table that earlier versions kept in the clear."""
        return bool(self._run("SELECT 1 FROM sqlite_master WHERE name = 'predictions'"))

    def overwrite_deleted(self) -> None:
        """Overwrite what was deleted in the log of changes, too."""
        with self._writing:
            overwrite_deleted(self._connection)

    def entries(self, first: int = 0, last: int | None = None) -> Iterator[Entry]:
        """As of `Store`."""
        with closing(sqlite3.connect(self._path, isolation_level=None)) as own:
            query = f"SELECT {COLUMNS} FROM entries WHERE position >= ? AND position <= ? ORDER BY position"
            for row in own.execute(query, (first, ALL if last is None else last)):
                yield Entry(*row)

    def _run(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._connection.execute(query, values).fetchall()

    def _run_many(self, query: str, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(query, rows)

    def _read(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._reading:
            return self._reader.execute(query, values).fetchall()
