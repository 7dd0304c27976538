"""The online store: rows of customers in one SQLite file, or in Redis by one key.

In the file it is one row a customer and view, one column a feature; for Redis see `features.store.redis_rows`.

Feast's own SQLite store keeps one row for each single value, its number as text beside it, and two indexes: at 77
features 18 KB a customer and 77 inserts. Here a customer is one row of plain numbers, some 30 times smaller, and
anyone can read it with ``sqlite3``. Feast reads and writes it as any other store, see `features.store.feast_rows`.

A row is never replaced by an older one: ``(event_ts, created_ts)`` must not fall. So a slow refresh that began before
an event, or a build of a past date, cannot take back what the event brought.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from configs.errors import ConfigError, NotReadyError
from configs.files import write_text
from configs.fingerprint import ROOT, files_fingerprint, fingerprint
from configs.settings import Settings
from configs.variables import expand
from configs.workspace import Workspace
from configs.yaml_file import read_yaml
from features.people.identity import load_alias_map
from features.schema import load_schema
from features.sql import quote_identifier
from features.store.durable_file import connect, identity, overwrite_deleted, select_in, transaction

BUSY_SECONDS_OF_A_FILL = 30.0
SQLITE_FILE, REDIS_FILE = "online.db", "online.json"
PRIME = 2**31 - 1  # sums of remainders stay in the range of whole numbers
READINGS = 5  # of rows that are being written meanwhile
END_OF_TIME = 2**63 - 1
FEAST = ROOT / "feature_repo" / "feature_store.yaml"
KEYS = ("customer_id", "event_ts", "created_ts")


class OnlineRows(Protocol):
    """Rows of customers, in a file or in Redis; to be used by one thread at a time."""

    def create_table(self, table: str, names: Sequence[str]) -> None:
        """Make a table, or add the columns that it lacks."""
        ...

    def drop_table(self, table: str) -> None:
        """Drop a table, if it is there."""
        ...

    def require_filled(self) -> None:
        """NotReadyError unless all customers were put online."""
        ...

    def set_filled(self) -> None:
        """Say that all customers are online now."""
        ...

    def write(self, tables: dict[str, tuple[Sequence[str], Sequence[Sequence[Any]]]]) -> int:
        """Write rows, but where there is a newer one; how many were written, see `SqliteRows.write`."""
        ...

    def read(self, table: str, names: Sequence[str], ids: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        """Rows by customer: ``event_ts``, then the features asked."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """What is read within is of one state, where the store can tell."""
        ...

    def ids(self, table: str) -> Iterator[str]:
        """All customers who have a row, in the order of their ids."""
        ...

    def newer_than(self, table: str, as_of: int) -> list[str]:
        """Customers whose row is of a later moment than this, in microseconds since 1970."""
        ...

    def drop_older_than(self, tables: Sequence[str], as_of: int) -> None:
        """Delete the rows of earlier moments than this."""
        ...

    def delete(self, tables: Sequence[str], ids: Iterable[str], as_of: int) -> int:
        """Delete the rows of these customers, but those of later moments than this; how many customers had one."""
        ...

    def erase(self, tables: Sequence[str], ids: Iterable[str]) -> int:
        """Delete the rows of these customers, of whatever moment; how many customers had one."""
        ...

    def require_writable(self) -> None:
        """Raise if nothing could be written now: another writes for too long, or the server does not answer."""
        ...

    def close(self) -> None:
        """Close file or connections."""
        ...


def configure_online_store(workspace: Workspace, settings: Settings) -> None:
    """Note in the workspace where its online store is, for all who open it: `open_online_rows`, and Feast.

    The address is noted as the configuration has it: a password stays in the environment. The file of a store that
    moves to Redis is deleted; rows in a Redis that is left stay there until its owner deletes them.
    """
    address_file = workspace.feast / REDIS_FILE
    if settings.online_store == "sqlite":
        address_file.unlink(missing_ok=True)
        return
    address = settings.redis.model_dump()
    address["prefix"] = address["prefix"] or f"staycast:{fingerprint(str(workspace.root.resolve()))[:8]}"
    write_text(address_file, json.dumps(address, indent=1))
    for file in workspace.feast.glob(f"{SQLITE_FILE}*"):
        file.unlink()


def open_online_rows(folder: Path, busy_seconds: float = BUSY_SECONDS_OF_A_FILL) -> OnlineRows:
    """The online store of the workspace whose Feast folder this is; a file waits so long for another who writes.

    Raises
    ------
    ConfigError
        It is in Redis, and the extra `redis` is not installed, or the address cannot be used.
    """
    address_file = folder / REDIS_FILE
    if not address_file.is_file():
        return SqliteRows(folder / SQLITE_FILE, busy_seconds)
    try:
        from features.store.redis_rows import RedisAddress, RedisRows
    except ImportError as error:
        raise ConfigError(
            f"online_store is redis, but its client cannot be imported ({error}): install the extra `redis`, "
            "or set online_store: sqlite"
        ) from None
    address = json.loads(address_file.read_text("utf-8"))
    return RedisRows(RedisAddress(**{**address, "url": expand(address["url"], "redis.url")}))


def has_online_store(folder: Path) -> bool:
    """Whether a workspace has an online store at all; if it is in Redis, it may still be empty."""
    return (folder / SQLITE_FILE).is_file() or (folder / REDIS_FILE).is_file()


class SqliteRows:
    """Rows in one SQLite file, which is opened again where another was put in its place.

    Raises
    ------
    NotReadyError
        From `reading`, `write` and `delete`: the file is gone.
    """

    def __init__(self, path: Path, busy_seconds: float = BUSY_SECONDS_OF_A_FILL) -> None:
        self._path, self._busy_seconds = path, busy_seconds
        self._connection, self._identity = connect(path, busy_seconds), identity(path)

    def _require_current(self) -> None:
        found = identity(self._path)
        if found == self._identity:
            return
        if found is None:
            raise NotReadyError(f"the online store '{self._path}' is gone: run `staycast features --again`")
        self._connection.close()
        self._connection, self._identity = connect(self._path, self._busy_seconds), found

    def require_filled(self) -> None:
        """Nothing: a file is not emptied behind its owner's back."""

    def set_filled(self) -> None:
        """Nothing, see `require_filled`."""

    def create_table(self, table: str, names: Sequence[str]) -> None:
        """Make a table, or add the columns that it lacks; a table of another layout is made anew."""
        have = [row[1] for row in self._connection.execute(f"PRAGMA table_info({quote_identifier(table)})")]
        if have and not set(KEYS) <= set(have):
            self.drop_table(table)
            have = []
        if not have:
            keys = "customer_id TEXT PRIMARY KEY, event_ts INTEGER NOT NULL, created_ts INTEGER NOT NULL"
            self._connection.execute(f"CREATE TABLE {quote_identifier(table)} ({keys})")
        for name in names:
            if name not in have:
                self._connection.execute(f"ALTER TABLE {quote_identifier(table)} ADD COLUMN {quote_identifier(name)}")

    def drop_table(self, table: str) -> None:
        """Drop a table, if it is there."""
        self._connection.execute(f"DROP TABLE IF EXISTS {quote_identifier(table)}")

    def write(self, tables: dict[str, tuple[Sequence[str], Sequence[Sequence[Any]]]]) -> int:
        """Write rows into several tables, all or none.

        Parameters
        ----------
        tables
            For each table the feature names, and rows of ``customer_id, event_ts, created_ts``, then the features;
            times in microseconds since 1970.

        Returns
        -------
        int
            How many rows were written; the others are older than what is there.
        """
        self._require_current()
        before = self._connection.total_changes
        with transaction(self._connection):
            for table, (names, rows) in tables.items():
                self._connection.executemany(_upsert(table, names), rows)
        return self._connection.total_changes - before

    def read(self, table: str, names: Sequence[str], ids: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        """Rows by customer: ``event_ts``, then the features asked."""
        columns = ", ".join(map(quote_identifier, ("customer_id", "event_ts", *names)))
        source = f"{columns} FROM {quote_identifier(table)}"
        rows = select_in(self._connection, f"SELECT {source} WHERE customer_id", ids)
        return {row[0]: row[1:] for row in rows}

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is read within is of one state: rows of one customer in several tables belong together."""
        self._require_current()
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def ids(self, table: str) -> Iterator[str]:
        """All customers who have a row, in the order of their ids."""
        query = f"SELECT customer_id FROM {quote_identifier(table)} ORDER BY customer_id"
        return (row[0] for row in self._connection.execute(query))

    def newer_than(self, table: str, as_of: int) -> list[str]:
        """Customers whose row is of a later moment than this, in microseconds since 1970."""
        query = f"SELECT customer_id FROM {quote_identifier(table)} WHERE event_ts > ? ORDER BY customer_id"
        return [row[0] for row in self._connection.execute(query, [as_of])]

    def drop_older_than(self, tables: Sequence[str], as_of: int) -> None:
        """Delete the rows of earlier moments than this."""
        with transaction(self._connection):  # who reads meanwhile finds all of a customer, or nothing
            for table in tables:
                self._connection.execute(f"DELETE FROM {quote_identifier(table)} WHERE event_ts < ?", [as_of])

    def delete(self, tables: Sequence[str], ids: Iterable[str], as_of: int) -> int:
        """Delete the rows of these customers, but those of later moments than this; how many customers had one."""
        self._require_current()
        keys = [(i, as_of) for i in ids]
        with transaction(self._connection):
            deleted = [
                self._connection.executemany(
                    f"DELETE FROM {quote_identifier(table)} WHERE customer_id = ? AND event_ts <= ?", keys
                ).rowcount
                for table in tables
            ]
        return max([0, *deleted])

    def erase(self, tables: Sequence[str], ids: Iterable[str]) -> int:
        """Delete the rows of these customers, of whatever moment; how many customers had one.

        Their bytes are overwritten, see `features.store.durable_file.overwrite_deleted`.
        """
        deleted = self.delete(tables, ids, END_OF_TIME)
        overwrite_deleted(self._connection)
        return deleted

    def require_writable(self) -> None:
        """Raise sqlite3.OperationalError if another writes for too long."""
        self._require_current()
        with transaction(self._connection):
            pass

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def table_name(project: str, view: str) -> str:
    """Name of the table that holds a view."""
    return f"{project}_{view}"


def _upsert(table: str, names: Sequence[str]) -> str:
    columns = [quote_identifier(n) for n in (*KEYS, *names)]
    own = quote_identifier(table)
    return (
        f"INSERT INTO {own} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
        f"ON CONFLICT (customer_id) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in columns[1:])} "
        f"WHERE (excluded.event_ts, excluded.created_ts) >= ({own}.event_ts, {own}.created_ts)"
    )


class OnlineFeatures:
    """Reads the newest features of customers; may be used by several threads, each has its own connection.

    Feast's own way makes a message of every single value; this takes the numbers as they are (a test compares).

    Parameters
    ----------
    workspace
        Holds the registered and materialized features.

    Raises
    ------
    NotReadyError
        Nothing was materialized yet, or Redis was emptied; from `read`: the rows are of several moments.
    StoreError
        From the methods: the online store does not answer in time.
    """

    def __init__(self, workspace: Workspace) -> None:
        if not has_online_store(workspace.feast):
            raise NotReadyError(f"no online features in workspace '{workspace.root}': run `staycast features` first")
        self._workspace, self._own = workspace, threading.local()
        self._schema, project = load_schema(workspace.features), read_yaml(FEAST)["project"]
        self._names = pd.Index(["customer_id", "as_of", *self._schema.names])
        self._views = {table_name(project, view): names for view, names in self._schema.views.items()}
        stored = [name for names in self._views.values() for name in names]
        columns = {name: column for column, name in enumerate(self._names)}
        numbers = [place for place, name in enumerate(stored) if name not in self._schema.categories]
        self._numbers = [columns[stored[place]] for place in numbers], numbers
        self._categories = [(columns[name], stored.index(name)) for name in self._schema.categories]
        self._rows.require_filled()

    @property
    def schema_hash(self) -> str:
        """Hash of the feature schema that is read."""
        return self._schema.hash

    def ids(self) -> Iterator[str]:
        """Everybody who is online, in the order of their ids."""
        return self._rows.ids(next(iter(self._views)))

    def read(self, customer_ids: Sequence[str]) -> pd.DataFrame:
        """Return one row per id in the order asked: ``customer_id, as_of``, then the features in schema order.

        An alias gets the row of the person, whose ``customer_id`` it carries (`features.people.identity`). ``as_of`` is
        NaT where the id is unknown. However old a row is, it is read: the moment tells its age.
        """
        return self.of_persons(load_alias_map(self._workspace.tables).of(customer_ids))

    def of_persons(self, persons: Sequence[str]) -> pd.DataFrame:
        """The same of ids as `ids` gives them, none of which is an alias."""
        return self._frame(persons, self._found(persons))

    def close(self) -> None:
        """Close the file, or the connections, of this thread."""
        self._rows.close()
        del self._own.rows

    @property
    def _rows(self) -> OnlineRows:
        if not hasattr(self._own, "rows"):
            self._own.rows = open_online_rows(self._workspace.feast)
        return self._own.rows

    def _found(self, persons: Sequence[str]) -> dict[str, dict[str, tuple[Any, ...]]]:
        """The rows of every view, those of one customer all of one moment."""
        for _ in range(READINGS):
            with self._rows.reading():
                found = {t: self._rows.read(t, names, persons) for t, names in self._views.items()}
            moments = [{i: row[0] for i, row in rows.items()} for rows in found.values()]
            if all(of_view == moments[0] for of_view in moments):
                return found
        raise NotReadyError("the rows of one customer online are of several moments: run `staycast features --again`")

    def _frame(self, persons: Sequence[str], found: Mapping[str, Mapping[str, tuple[Any, ...]]]) -> pd.DataFrame:
        views = [(found[table], (None,) * (1 + len(names))) for table, names in self._views.items()]
        parts = [[of_view.get(i, nobody) for of_view, nobody in views] for i in persons]
        rows = [[value for part in of_person for value in part[1:]] for of_person in parts]
        columns, places = self._numbers
        numbers = np.array([[row[place] for place in places] for row in rows], dtype=np.float64)
        values = np.full((len(self._names), len(persons)), np.nan)  # one block, as inserting columns takes long
        values[columns] = numbers.reshape(len(persons), len(places)).T
        frame = pd.DataFrame(values.T, columns=self._names)
        moments: Any = pd.DatetimeIndex(np.array([of[0][0] for of in parts], dtype="datetime64[us]"), tz="UTC")
        frame.isetitem(0, np.array(persons, dtype=object))
        frame.isetitem(1, moments)
        for column, place in self._categories:
            frame.isetitem(column, np.array([row[place] for row in rows], dtype=object))
        return frame


def online_fingerprint(workspace: Workspace) -> str | None:
    """A short hash of how many rows there are, of which moments, and what was known for each.

    Returns
    -------
    str or None
        None where nothing is online.

    Raises
    ------
    StoreError, NotReadyError
        The rows are in Redis, which does not answer, or was emptied.
    """
    if (workspace.feast / REDIS_FILE).is_file():
        return _of_redis(workspace)
    path = workspace.feast / SQLITE_FILE
    if not path.is_file():
        return None
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        return fingerprint(*(_of_table(connection, row[0]) for row in connection.execute(query).fetchall()))


def _of_table(connection: sqlite3.Connection, table: str) -> list[int | str | None]:
    sums = ", ".join(f"max({c}), sum({c} % {PRIME}), sum({c} / 1000000 % {PRIME})" for c in ("event_ts", "created_ts"))
    query = f"SELECT count(*), sum(length(customer_id)), {sums} FROM {quote_identifier(table)}"
    return [table, *connection.execute(query).fetchone()]


def _of_redis(workspace: Workspace) -> str:
    """Of Redis the moments alone are asked for; what else was known, the last refresh and the events tell."""
    from features.store.event_log import EventLog
    from features.store.redis_rows import RedisRows

    rows = open_online_rows(workspace.feast)
    if not isinstance(rows, RedisRows):
        raise NotReadyError(f"the online store of workspace '{workspace.root}' was moved just now: try again")
    with closing(rows), EventLog(workspace.events) as log:
        known = files_fingerprint(workspace.refresh.glob("*.parquet"))
        return fingerprint(rows.moments(), known, log.position())
