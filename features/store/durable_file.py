"""SQLite files that several threads and processes write to, and that lose nothing they acknowledged.

WAL mode with full syncs: what was written survives a crash of the process and of the machine. What is deleted is
overwritten.
"""

from __future__ import annotations

import errno
import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

BUSY_SECONDS = 5.0
MAX_VARIABLES = 30_000  # of one statement
OF_FILE = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    )
)


def connect(path: Path, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open a file in autocommit; it and its folder are made if they do not exist.

    Parameters
    ----------
    path
        The file.
    busy_seconds
        How long to wait for another who writes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def identity(path: Path | int) -> tuple[int, int] | None:
    """Which file there is at a path, or is open by a number, however it is written over; None where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write what the body writes, all or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    with _committed(connection):
        yield


@contextmanager
def _committed(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def is_of_file(error: BaseException) -> bool:
    """Whether an error is of a file or its disk, whatever was to be written: locked, full, not to be read.

    >>> is_of_file(OSError(28, "No space left on device")), is_of_file(ValueError("no number"))
    (True, False)
    """
    kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_BUSY) & 0xFF  # without one it is of this module
    return kind in OF_FILE if isinstance(error, sqlite3.Error) else isinstance(error, OSError)


def is_full(error: BaseException) -> bool:
    """Whether an error says that there is no room on the disk.

    >>> is_full(OSError(28, "No space left on device")), is_full(OSError(5, "Input/output error"))
    (True, False)
    """
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", -1) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno == errno.ENOSPC


def overwrite_deleted(connection: sqlite3.Connection) -> None:
    """Overwrite deleted rows in the log of changes too, unless another process reads the file at that moment."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def select_in(connection: sqlite3.Connection, query: str, ids: Sequence[Any], order: str = "") -> Iterator[Any]:
    """The rows of a query that ends with the name of a column, for these values of it, some at a time."""
    for start in range(0, len(ids), MAX_VARIABLES):
        some = list(ids[start : start + MAX_VARIABLES])
        yield from connection.execute(f"{query} IN ({','.join('?' * len(some))}) {order}", some)


class Turn:
    """A lock that says when who holds it came for it."""

    def __init__(self) -> None:
        self._lock, self.came = threading.Lock(), 0.0

    def __enter__(self) -> None:
        came = time.monotonic()
        self._lock.acquire()
        self.came = came

    def __exit__(self, *error: object) -> None:
        self._lock.release()


class DurableFile:
    """The file, opened; to be derived from. All methods may be called from several threads.

    Parameters
    ----------
    path
        The file; it and its folder are made if they do not exist.
    tables
        Statements that make its tables, if they are not there.
    busy_seconds
        How long to wait for another who writes.
    """

    def __init__(self, path: Path, tables: str, busy_seconds: float = BUSY_SECONDS) -> None:
        self._connection = connect(path, busy_seconds)
        self._connection.executescript(tables)
        self._writing = Turn()
        self._path, self._identity = path, identity(path)
        self._found_locked = -math.inf

    def erase(self, table: str, customer_ids: Iterable[str]) -> int:
        """Delete all rows of these customers from a table with a ``customer_id``; how many there were.

        Their bytes are overwritten, see `overwrite_deleted`.
        """
        with self._writing:
            before = self._connection.total_changes
            with self._transaction():
                query = f"DELETE FROM {table} WHERE customer_id = ?"
                self._connection.executemany(query, [(i,) for i in customer_ids])
            overwrite_deleted(self._connection)
            return self._connection.total_changes - before

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write what the body writes, all or nothing.

        Raises
        ------
        sqlite3.OperationalError
            Another process writes for too long. Who came while that was found out does not begin to wait then.
            Or the file was removed or replaced since it was opened: what is written now is gone with this process.
        """
        if identity(self._path) != self._identity:
            raise sqlite3.OperationalError(f"'{self._path}' was removed or replaced: put it back, or start again")
        if self._writing.came < self._found_locked:
            raise sqlite3.OperationalError(f"'{self._path}' is locked: try again")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            self._found_locked = time.monotonic()
            raise
        with _committed(self._connection):
            yield

    def require_unlocked(self) -> None:
        """Raise sqlite3.OperationalError if another process writes for too long, or the file is not the one opened."""
        with self._writing, self._transaction():
            pass

    def wait_at_most(self, seconds: float) -> None:
        """How long to wait for another who writes, from now on."""
        with self._writing:
            self._connection.execute(f"PRAGMA busy_timeout={int(seconds * 1000)}")

    def close(self) -> None:
        """Close the file."""
        with self._writing:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


File = TypeVar("File", bound=DurableFile)


class LazyFile(Generic[File]):
    """A file that is opened at its first use, by whichever thread comes first.

    Parameters
    ----------
    open_file
        Opens it; what it raises goes on, and the next use tries again.
    """

    def __init__(self, open_file: Callable[[], File]) -> None:
        self._open_file, self._opening = open_file, threading.Lock()
        self._file: File | None = None

    def __call__(self) -> File:
        """The file, open."""
        with self._opening:
            if self._file is None:
                self._file = self._open_file()
            return self._file

    def close(self) -> None:
        """Close it, if it is open."""
        with self._opening:
            if self._file is not None:
                self._file.close()
            self._file = None
