"""The record in a PostgreSQL database, which workers on several machines write to.

A transaction that writes holds an advisory lock from its beginning to its end, so that one chain is written without a
fork, and is on the server's disk when it ends (``synchronous_commit``). The tables lie in the schema ``staycast``, or
where ``options`` of the address say.

Who answers must not wait for a server that is away, frozen or restarted: each statement has its time, and a connection
that broke is made anew in the background, while whatever needs it fails at once.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from typing import Any

import psycopg
import sqlalchemy
from psycopg.generators import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy.engine import URL, make_url

from configs.errors import ConfigError
from configs.variables import expand
from features.store.durable_file import BUSY_SECONDS, Turn
from serving.records.chain import Entry
from serving.records.store import ALL, COLUMNS, RecordUnavailableError, Store, tables

KEY = "records.database"
SCHEMA = "staycast"
CONNECT_SECONDS, RETRY_SECONDS = 2, 0.2
HURRIED_SECONDS = 1.0  # who waits less than this for another who writes waits no longer for the server either
SILENT_SECONDS = 0.08  # beside what is waited for another
STUCK_SECONDS = 5  # after which the server ends a hurried transaction in which nothing comes any more
ROWS_AT_ONCE = 500
LOCK = int.from_bytes(b"staycast")
TABLES = tables(whole="bigint", data="bytea", name='text COLLATE "C"')
IN_ORDER = (TransactionStatus.IDLE, TransactionStatus.INTRANS, TransactionStatus.INERROR)
logger = logging.getLogger(__name__)


class Address:
    """Where the database is, read once from the settings.

    Parameters
    ----------
    text
        ``postgresql+psycopg://user:${PASSWORD}@host:5432/name``; what stands behind a ``?`` goes to libpq.

    Raises
    ------
    ConfigError
        It is none, is of another kind of database, or names a variable that is not set.
    """

    def __init__(self, text: str) -> None:
        try:
            self._url = make_url(expand(text, KEY))
        except (sqlalchemy.exc.ArgumentError, ValueError):
            raise ConfigError(
                f"{KEY} is no database address; write for example postgresql+psycopg://user:${{PASSWORD}}@host/name"
            ) from None
        if "@" in (self._url.host or ""):
            raise ConfigError(f"{KEY}: write an @ in the password as %40, and other signs of addresses as they do")
        if self._url.drivername not in ("postgresql", "postgresql+psycopg"):
            raise ConfigError(
                f"{KEY} is an address of {self._url.drivername}: the record lies in PostgreSQL "
                "(postgresql+psycopg://user:${PASSWORD}@host/name), or with null in a file of the workspace"
            )

    def __repr__(self) -> str:
        """Without the password, and what stands behind the ``?``."""
        return self._url.set(query={}).render_as_string(hide_password=True)

    @property
    def arguments(self) -> dict[str, Any]:
        """What libpq is told."""
        url: URL = self._url
        given = {key: value if isinstance(value, str) else ",".join(value) for key, value in url.query.items()}
        defaults = {
            "connect_timeout": CONNECT_SECONDS,
            "target_session_attrs": "read-write",  # of several hosts the one that writes, after a change of their roles
            "keepalives_idle": 30,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "application_name": "staycast",
            "options": f"-csearch_path={SCHEMA}",
        }
        return defaults | url.translate_connect_args(username="user", database="dbname") | given

    @property
    def own_schema(self) -> bool:
        """Whether nothing is said of where the tables lie."""
        return "options" not in self._url.query

    def told(self, error: Exception) -> RecordUnavailableError:
        """An error of the driver, without the password."""
        reason = " ".join(str(error).split())
        for secret in (self._url.password, self._url.render_as_string(hide_password=False)):
            reason = reason.replace(str(secret), "***") if secret else reason
        return RecordUnavailableError(f"{KEY}: {self!r} does not take the record: {reason}")


class _Connection(psycopg.Connection[Any]):
    """A connection whose statements have their time."""

    within: Callable[[], float | None] = staticmethod(lambda: None)

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        return super().wait(gen, interval, self.within() if timeout is None else timeout)


class _Line:
    """A connection that is made anew in the background when it broke.

    Parameters
    ----------
    address
        Of the database.
    within
        How many seconds a statement may take; None: as long as it does.
    prepare
        Is called with each new connection.
    """

    def __init__(
        self,
        address: Address,
        within: Callable[[], float | None],
        prepare: Callable[[_Connection], None] = lambda new: None,
    ) -> None:
        self._address, self._within, self._prepare = address, within, prepare
        self._connection: _Connection | None = None
        self._repairing: threading.Thread | None = None
        self._closed, self._changing = threading.Event(), threading.Lock()

    def connect(self) -> _Connection:
        """A new connection in autocommit; RecordUnavailableError if there is none to be had."""
        try:
            new = _Connection.connect("", autocommit=True, **self._address.arguments)
        except psycopg.Error as error:
            raise self._address.told(error) from None
        new.within = lambda: float(CONNECT_SECONDS)
        try:
            self._prepare(new)
        except psycopg.Error as error:
            new.close()
            raise self._address.told(error) from None
        new.within = self._within
        return new

    def open(self) -> None:
        """Connect now."""
        self._connection = self.connect()

    def require_open(self) -> _Connection:
        """The connection; RecordUnavailableError where it broke and is not made anew yet."""
        connection = self._connection
        if connection is None or connection.closed:
            self._repair()
            raise RecordUnavailableError(f"{KEY}: {self._address!r} cannot be reached: it is tried again all the time")
        return connection

    def run(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows of a statement."""
        with self._used() as connection:
            cursor = (
                connection.execute(_in_dialect(query), values, binary=True) if values else connection.execute(query)
            )
            return cursor.fetchall() if cursor.description else []

    def run_many(self, query: str, rows: Iterable[Sequence[Any]]) -> None:
        """A statement for each row of values."""
        rows = list(rows)
        if len(rows) == 1:
            self.run(query, rows[0])
            return
        with self._used() as connection, connection.cursor() as cursor:
            cursor.executemany(_in_dialect(query), rows)

    def roll_back(self) -> None:
        """Leave a transaction, and a connection that cannot."""
        connection = self._connection
        if connection is None or connection.closed or connection.info.transaction_status == TransactionStatus.IDLE:
            return
        try:
            connection.execute("ROLLBACK")
        except psycopg.Error:
            connection.close()

    def close(self) -> None:
        """Close it, and make none anew."""
        self._closed.set()
        if self._repairing is not None:
            self._repairing.join()
        if self._connection is not None:
            self._connection.close()

    @contextmanager
    def _used(self) -> Iterator[_Connection]:
        connection = self.require_open()
        try:
            yield connection
        except (psycopg.IntegrityError, psycopg.DataError):
            raise  # of what was to be written
        except psycopg.Error as error:
            if connection.closed or connection.info.transaction_status not in IN_ORDER:
                connection.close()
                self._repair()
            raise self._address.told(error) from error

    def _repair(self) -> None:
        """Connect in the background, again and again, unless somebody does already."""
        with self._changing:
            if self._closed.is_set() or (self._repairing is not None and self._repairing.is_alive()):
                return
            self._repairing = threading.Thread(target=self._reconnect, daemon=True, name="reconnect-record")
            self._repairing.start()

    def _reconnect(self) -> None:
        said = ""
        while not self._closed.is_set():
            try:
                self._connection = self.connect()
            except RecordUnavailableError as error:
                if str(error) != said:
                    logger.error("%s", error)
                said = str(error)
                self._closed.wait(RETRY_SECONDS)
            else:
                logger.info("%s: connected with %r", KEY, self._address)
                return


class PostgresStore(Store):
    """The tables in their database; made there if they do not exist.

    Parameters
    ----------
    address
        As ``records.database`` says.

    Raises
    ------
    ConfigError
        The address cannot be used.
    """

    def __init__(self, address: str) -> None:
        self._address = Address(address)
        self._busy_seconds = BUSY_SECONDS
        self._writer = _Line(self._address, self._within, self._make_tables)
        self._reader = _Line(self._address, self._within)
        self._writing, self._reading = Turn(), threading.Lock()
        self._found_locked = -math.inf

    def open(self) -> None:
        """Connect now; RecordUnavailableError if that fails: every use tries again in the background."""
        self._writer.open()
        self._reader.open()

    def close(self) -> None:
        """Close the connections."""
        for lock, line in ((self._writing, self._writer), (self._reading, self._reader)):
            with lock:
                line.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """As of `Store`.

        Raises
        ------
        RecordUnavailableError
            The database cannot be reached or does not take it, or another writes for too long: who came while that was
            found out does not begin to wait then. What was written may still be there where its end was not heard of.
        """
        with self._writing:
            if self._writing.came < self._found_locked:
                raise RecordUnavailableError(f"{KEY}: {self._address!r} is locked: try again")
            try:
                self._begin()
                yield
                self._writer.run("COMMIT")
            except BaseException:
                self._writer.roll_back()
                raise

    @contextmanager
    def looking(self) -> Iterator[None]:
        """As of `Store`."""
        with self._writing:
            yield

    def wait_at_most(self, seconds: float) -> None:
        """As of `Store`; less than `HURRIED_SECONDS`: for no statement longer than a little more than that."""
        self._busy_seconds = seconds

    def overwrite_deleted(self) -> None:
        """Write the table of keys anew, without those deleted; not in a hurry, as nobody can write meanwhile.

        Copies in the server's log of changes, its archive and backups can be read by whoever has the master key: until
        that is changed, see `serving.records.audit.rotate`.
        """
        if not self._within():
            with self._writing:
                self._writer.run("VACUUM (FULL) persons")

    def clear(self) -> None:
        """Remove all there is; for the body of `writing`."""
        self._writer.run("TRUNCATE entries, persons, secrets, contexts")

    def entries(self, first: int = 0, last: int | None = None) -> Iterator[Entry]:
        """As of `Store`."""
        query = f"SELECT {COLUMNS} FROM entries WHERE position >= %s AND position <= %s ORDER BY position"
        with self._apart() as own, own.transaction(), own.cursor("entries", binary=True) as cursor:
            cursor.itersize = ROWS_AT_ONCE
            for row in cursor.execute(query, (first, ALL if last is None else last)):
                yield Entry(*row)

    @contextmanager
    def _apart(self) -> Iterator[_Connection]:
        """A connection of its own for what may take its time; none where it is known that there is none to be had."""
        self._reader.require_open()
        with closing(self._reader.connect()) as own:
            own.within = lambda: None
            try:
                yield own
            except psycopg.Error as error:
                raise self._address.told(error) from None

    def _begin(self) -> None:
        try:
            self._writer.run("; ".join(self._beginning()))
        except RecordUnavailableError as error:
            if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                self._found_locked = time.monotonic()
                raise RecordUnavailableError(f"{KEY}: {self._address!r} is locked: try again") from None
            raise

    def _beginning(self) -> Iterator[str]:
        yield "BEGIN"
        yield "SET LOCAL synchronous_commit = on"
        yield f"SET LOCAL lock_timeout = {math.ceil(self._busy_seconds * 1000)}"
        if self._within():
            yield f"SET LOCAL idle_in_transaction_session_timeout = '{STUCK_SECONDS}s'"
        yield f"SELECT pg_advisory_xact_lock({LOCK})"

    def _within(self) -> float | None:
        return self._busy_seconds + SILENT_SECONDS if self._busy_seconds < HURRIED_SECONDS else None

    def _make_tables(self, new: _Connection) -> None:
        if new.execute("SELECT to_regclass('probe')").fetchall() != [(None,)]:
            return
        schema = f"CREATE SCHEMA IF NOT EXISTS {SCHEMA};" if self._address.own_schema else ""
        new.execute(f"BEGIN; SELECT pg_advisory_xact_lock({LOCK}); {schema} {TABLES} COMMIT")

    def _run(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._writer.run(query, values)

    def _run_many(self, query: str, rows: Iterable[Sequence[Any]]) -> None:
        self._writer.run_many(query, rows)

    def _read(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._reading:
            return self._reader.run(query, values)

    def _read_long(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._apart() as own:
            return own.execute(_in_dialect(query), values, binary=True).fetchall()


@lru_cache(maxsize=1000)
def _in_dialect(query: str) -> str:
    """A statement with the places that the driver knows."""
    return query.replace("?", "%s")
