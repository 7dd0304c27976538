"""The jobs, in a file that all workers of a service share: who asked for what, how far each is, what came of it.

It holds no id of a customer.
"""

from __future__ import annotations

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
MOST_WAITING = 16
MOST_KEPT = 1000  # of those that ended, the newest
MOST_ATTEMPTS = 5  # so often the process of a job may end before it is done
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
        for name in ("asked_at", "started_at", "ended_at"):
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
            `MOST_WAITING` wait already.
        """
        with self._writing, self._transaction():
            if key is not None and (known := self._under(key, now)):
                return known
            if self._count("queued") >= MOST_WAITING:
                raise FullQueueError(f"{MOST_WAITING} jobs wait already")
            self._connection.execute(_TOO_OLD)
            name, body = (key.name, key.body) if key else (None, None)
            self._connection.execute(
                "INSERT INTO jobs (id, format, state, caller, purpose, asked_at, key_name, key_body) "
                "VALUES (?, ?, 'queued', ?, ?, ?, ?, ?)",
                (job_id, job_format, asker.caller, asker.purpose, to_micros(now), name, body),
            )
            return cast("Job", self._find(job_id))

    def under(self, key: Key, now: datetime) -> Job | None:
        """The job that was asked for under a key within a day; OtherBodyError if that was with another body."""
        with self._writing:
            return self._under(key, now)

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

    def take(self, now: datetime) -> Job | None:
        """The job to work on now: one that was begun before, else the oldest that waits; None: none.

        One whose process ended too often before it was done has failed. Only one process may take jobs at a time.
        """
        with self._writing, self._transaction():
            self._connection.execute(
                "UPDATE jobs SET state = 'failed', reason = ?, ended_at = ? WHERE state = 'running' AND attempts >= ?",
                (ENDED_TOO_OFTEN, to_micros(now), MOST_ATTEMPTS),
            )
            query = f"SELECT id FROM jobs WHERE {_UNDONE} ORDER BY state = 'queued', number LIMIT 1"
            row = self._connection.execute(query).fetchone()
            if row is None:
                return None
            self._connection.execute(
                "UPDATE jobs SET state = 'running', attempts = attempts + 1, started_at = coalesce(started_at, ?) "
                "WHERE id = ?",
                (to_micros(now), row[0]),
            )
            return self._find(row[0])

    def note_progress(self, job_id: str, done: int, of: int) -> None:
        """Keep how many of how many customers are answered."""
        self._change("customers_done = ?, customers = ?", (done, of), job_id)

    def note_stop(self, job_id: str) -> None:
        """Keep that the process was stopped, which is not counted as an attempt."""
        self._change("attempts = max(attempts - 1, 0)", (), job_id)

    def finish(self, job_id: str, folder: str, as_of: str, scored_at: str, customers: int, now: datetime) -> None:
        """Keep that a job is done, and where the answers are."""
        values = (folder, as_of, scored_at, customers, customers, to_micros(now))
        told = "folder = ?, as_of = ?, scored_at = ?, customers_done = ?, customers = ?, ended_at = ?"
        self._change(f"state = 'done', {told}", values, job_id)

    def fail(self, job_id: str, reason: str, now: datetime) -> None:
        """Keep that a job failed, and why."""
        self._change("state = 'failed', reason = ?, ended_at = ?", (reason, to_micros(now)), job_id)

    def _change(self, assignments: str, values: tuple[Any, ...], job_id: str) -> None:
        """Change a job that runs; one that does not stays as it is."""
        statement = f"UPDATE jobs SET {assignments} WHERE id = ? AND state = 'running'"
        with self._writing, self._transaction():
            self._connection.execute(statement, (*values, job_id))

    def _count(self, state: JobState) -> int:
        return int(self._connection.execute("SELECT count(*) FROM jobs WHERE state = ?", (state,)).fetchone()[0])

    def _find(self, job_id: str) -> Job | None:
        row = self._connection.execute(f"{_SELECT} WHERE id = ?", (job_id,)).fetchone()
        return Job.of(row) if row else None

    def _under(self, key: Key, now: datetime) -> Job | None:
        row = self._connection.execute(
            "SELECT id, key_body FROM jobs WHERE key_name = ? AND asked_at >= ? ORDER BY number DESC LIMIT 1",
            (key.name, to_micros(now - KEEP)),
        ).fetchone()
        if row is None:
            return None
        if row[1] != key.body:
            raise OtherBodyError("the key came before with another body")
        return self._find(row[0])
