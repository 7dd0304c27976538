"""One SQLite file that several threads and processes write to, and that loses nothing it acknowledged.

WAL mode with full syncs: what was written survives a crash of the process and of the machine. What is deleted is
overwritten.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

BUSY_SECONDS = 5.0
Batch = TypeVar("Batch")


class DurableFile(Generic[Batch]):
    """The file, opened; to be derived from. All methods may be called from several threads.

    Batches that come while another thread writes wait in a queue and go to disk together, with one sync.

    Parameters
    ----------
    path
        The file; it and its folder are made if they do not exist.
    tables
        Statements that make its tables, if they are not there.
    """

    def __init__(self, path: Path, tables: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("PRAGMA secure_delete=ON")
        self._connection.executescript(tables)
        self._queueing = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: list[Batch] = []

    def _enqueue(self, batch: Batch) -> None:
        """Let a batch wait for the next who writes."""
        with self._queueing:
            self._waiting.append(batch)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write what the body writes, all or nothing; `_writing` must be held."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def erase(self, table: str, customer_ids: Iterable[str]) -> int:
        """Delete all rows of these customers from a table with a ``customer_id``; how many there were.

        Their bytes are overwritten, in the log of changes too, unless another process reads the file at that moment.
        """
        with self._writing:
            before = self._connection.total_changes
            with self._transaction():
                query = f"DELETE FROM {table} WHERE customer_id = ?"
                self._connection.executemany(query, [(i,) for i in customer_ids])
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return self._connection.total_changes - before

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
