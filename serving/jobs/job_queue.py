"""The jobs, in a file that all workers of a service share: who asked for what, how far each is, what came of it.

It holds no id of a customer.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self, cast

from configs.errors import StaycastError
from features.store.durable_file import BUSY_SECONDS, DurableFile
from features.store.timestamps import from_micros, to_micros
from serving.records.evidence import Asker
from serving.records.repeats import KEEP, Key

JobState = Literal["queued", "running", "done", "failed"]
JobFormat = Literal["parquet", "csv"]
TIMES = ("asked_at", "started_at", "ended_at")
MOST_WAITING = 16
MOST_WAITING_OF_ONE = 2  # caller: one scoring is for all that wait
MOST_KEPT = 1000  # of those that ended, the newest
MOST_ATTEMPTS = 5  # so often the process of a job may end before it is done, or further than before
ENDED_TOO_OFTEN = f"its process ended {MOST_ATTEMPTS} times before it was done; the server's log may say why"
_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    format TEXT NOT NULL,
    state TEXT NOT NULL,
    caller TEXT NOT NULL,
    purpose TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    customers_done INTEGER NOT NULL DEFAULT 0,
    customers INTEGER,
    folder TEXT,
    as_of TEXT,
    scored_at TEXT,
    reason TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    key_name BLOB,
    key_body TEXT
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state);
CREATE INDEX IF NOT EXISTS jobs_by_key ON jobs (key_name);
"""
_UNDONE = "state IN ('running', 'queued')"
_TOO_OLD = f"""
DELETE FROM jobs WHERE NOT {_UNDONE} AND number <= (
    SELECT number FROM jobs WHERE NOT {_UNDONE} ORDER BY number DESC LIMIT 1 OFFSET {MOST_KEPT}
)
"""


class FullQueueError(StaycastError):
    """So many jobs wait already that no more are taken."""


class OtherBodyError(StaycastError):
    """The key came before with another body."""


@dataclass(frozen=True)
class Job:
    """One that was asked for.

    Attributes
    ----------
    id
        ULID.
    format
        Of the result.
    state
        ``running`` from when it is first taken up, also while a process that was killed is begun anew.
    caller, purpose
        Who asked for it, and what for.
    asked_at, started_at, ended_at
        UTC.
    customers_done, customers
        How many of how many are answered; None: that is not known yet.
    folder, as_of, scored_at
        Of the answers, once it is done: name of the folder, newest moment, when they were given.
    reason
        Why it failed, without anything of a customer.
    """

    id: str
    format: JobFormat
    state: JobState
    caller: str
    purpose: str
    asked_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    customers_done: int = 0
    customers: int | None = None
    folder: str | None = None
    as_of: str | None = None
    scored_at: str | None = None
    reason: str | None = None

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> Self:
        """A job from its row, the columns in the order of the fields."""
        values = dict(zip(_COLUMNS, row, strict=True))
        for name in TIMES:
            values[name] = None if values[name] is None else from_micros(values[name])
        return cls(**values)


_COLUMNS = tuple(field.name for field in fields(Job))
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM jobs"


class JobQueue(DurableFile):
    """The jobs in their file. Several threads and processes may use it.

    Parameters
    ----------
    path
        The file.
    busy_seconds
        How long to wait for another who writes.
    """

    def __init__(self, path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        super().__init__(path, _TABLE, busy_seconds)

    def add(self, job_id: str, job_format: JobFormat, asker: Asker, now: datetime, key: Key | None = None) -> Job:
        """Take a job; under a key that came before with the same body within a day, the one of then.

        Raises
        ------
        OtherBodyError
            The key came before with another body.
        FullQueueError
            `MOST_WAITING` wait already, or `MOST_WAITING_OF_ONE` of the same caller.
        """
        with self._writing, self._transaction():
            if key is not None and (known := self._under(key, now)):
                return known
            self._require_room(asker.caller)
            self._connection.execute(_TOO_OLD)
            name, body = (key.name, key.body) if key else (None, None)
            self._connection.execute(
                "INSERT INTO jobs (id, format, state, caller, purpose, asked_at, key_name, key_body) "
                "VALUES (?, ?, 'queued', ?, ?, ?, ?, ?)",
                (job_id, job_format, asker.caller, asker.purpose, to_micros(now), name, body),
            )
            return cast("Job", self._find(job_id))

    def require_room(self, caller: str) -> None:
        """FullQueueError where `add` would raise it now."""
        with self._writing:
            self._require_room(caller)

    def under(self, key: Key, now: datetime) -> Job | None:
        """The job that was asked for under a key within a day and did not fail; OtherBodyError if by another body."""
        with self._writing:
            return self._under(key, now)

    def forget_key(self, job_id: str) -> None:
        """Let the key of a job stand for another one."""
        with self._writing, self._transaction():
            self._connection.execute("UPDATE jobs SET key_name = NULL, key_body = NULL WHERE id = ?", (job_id,))

    def find(self, job_id: str) -> Job | None:
        """One job; None: there is none."""
        with self._writing:
            return self._find(job_id)

    def newest(self, most: int) -> list[Job]:
        """The newest jobs, the newest first."""
        with self._writing:
            rows = self._connection.execute(f"{_SELECT} ORDER BY number DESC LIMIT ?", (most,)).fetchall()
        return [Job.of(row) for row in rows]

    def has_work(self) -> bool:
        """Whether any is neither done nor failed."""
        with self._writing:
            return self._connection.execute(f"SELECT 1 FROM jobs WHERE {_UNDONE} LIMIT 1").fetchone() is not None

    def take(self, now: datetime) -> list[Job]:
        """All jobs that are to be done, the oldest first: those that were begun before, and those that wait.

        One whose process ended too often before it was done has failed. Only one process may take jobs at a time.
        """
        with self._writing, self._transaction():
            self._connection.execute(
                "UPDATE jobs SET state = 'failed', reason = ?, ended_at = ? WHERE state = 'running' AND attempts >= ?",
                (ENDED_TOO_OFTEN, to_micros(now), MOST_ATTEMPTS),
            )
            self._connection.execute(
                "UPDATE jobs SET state = 'running', attempts = attempts + 1, started_at = coalesce(started_at, ?) "
                f"WHERE {_UNDONE}",
                (to_micros(now),),
            )
            rows = self._connection.execute(f"{_SELECT} WHERE {_UNDONE} ORDER BY number").fetchall()
            return [Job.of(row) for row in rows]

    def note_progress(self, job_ids: Collection[str], done: int, of: int, further: bool = False) -> None:
        """Keep how many of how many customers are answered; `further`: attempts before this one count no more."""
        self._change("customers_done = ?, customers = ?" + (", attempts = 1" if further else ""), (done, of), job_ids)

    def note_stop(self, job_ids: Collection[str]) -> None:
        """Keep that the process was stopped, which is not counted as an attempt."""
        self._change("attempts = max(attempts - 1, 0)", (), job_ids)

    def finish(
        self, job_ids: Collection[str], folder: str, as_of: str, scored_at: str, customers: int, now: datetime
    ) -> None:
        """Keep that jobs are done, and where the answers are."""
        values = (folder, as_of, scored_at, customers, customers, to_micros(now))
        told = "folder = ?, as_of = ?, scored_at = ?, customers_done = ?, customers = ?, ended_at = ?"
        self._change(f"state = 'done', {told}", values, job_ids)

    def fail(self, job_ids: Collection[str], reason: str, now: datetime) -> None:
        """Keep that jobs failed, and why."""
        self._change("state = 'failed', reason = ?, ended_at = ?", (reason, to_micros(now)), job_ids)

    def _change(self, assignments: str, values: tuple[Any, ...], job_ids: Collection[str]) -> None:
        """Change jobs that run; one that does not stays as it is."""
        statement = f"UPDATE jobs SET {assignments} WHERE id = ? AND state = 'running'"
        with self._writing, self._transaction():
            self._connection.executemany(statement, [(*values, job_id) for job_id in job_ids])

    def _require_room(self, caller: str) -> None:
        callers = self._connection.execute("SELECT caller FROM jobs WHERE state = 'queued'").fetchall()
        if callers.count((caller,)) >= MOST_WAITING_OF_ONE:
            raise FullQueueError(f"{MOST_WAITING_OF_ONE} jobs of this caller wait already, which one scoring will do")
        if len(callers) >= MOST_WAITING:
            raise FullQueueError(f"{MOST_WAITING} jobs wait already")

    def _find(self, job_id: str) -> Job | None:
        row = self._connection.execute(f"{_SELECT} WHERE id = ?", (job_id,)).fetchone()
        return Job.of(row) if row else None

    def _under(self, key: Key, now: datetime) -> Job | None:
        row = self._connection.execute(
            "SELECT id, key_body FROM jobs WHERE key_name = ? AND asked_at >= ? AND state <> 'failed' "
            "ORDER BY number DESC LIMIT 1",
            (key.name, to_micros(now - KEEP)),
        ).fetchone()
        if row is None:
            return None
        if row[1] != key.body:
            raise OtherBodyError("the key came before with another body")
        return self._find(row[0])
