"""The online store: rows of customers in one SQLite file, or in Redis by one key.

In the file it is one row a customer and view, one column a feature; for Redis see `features.store.redis_rows`.

Feast's own SQLite store keeps one row for each single value, its number as text beside it, and two indexes: at 77
features 18 KB a customer and 77 inserts. Here a customer is one row of plain numbers, some 30 times smaller, and
anyone can read it with ``sqlite3``. Feast reads and writes it as any other store, see ``feature_store.yaml``.

A row is never replaced by an older one: ``(event_ts, created_ts)`` must not fall. So a slow refresh that began before
an event, or a build of a past date, cannot take back what the event brought.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from feast import Entity, FeatureView, RepoConfig
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import FeastConfigBaseModel
from feast.types import String

from configs.errors import ConfigError
from configs.files import write_text
from configs.fingerprint import fingerprint
from configs.settings import Settings
from configs.variables import expand
from configs.workspace import Workspace
from features.sql import quote_identifier
from features.store.durable_file import connect, overwrite_deleted, transaction
from features.store.timestamps import from_micros, to_micros

BUSY_SECONDS_OF_A_FILL = 30.0
END_OF_TIME = 2**63 - 1
KEYS = ("customer_id", "event_ts", "created_ts")
MAX_VARIABLES = 30_000
SQLITE_FILE, REDIS_FILE = "online.db", "online.json"
FeastRow = tuple[datetime | None, dict[str, Value] | None]


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


def open_online_rows(folder: Path) -> OnlineRows:
    """The online store of the workspace whose Feast folder this is.

    Raises
    ------
    ConfigError
        It is in Redis, and the extra `redis` is not installed, or the address cannot be used.
    """
    address_file = folder / REDIS_FILE
    if not address_file.is_file():
        return SqliteRows(folder / SQLITE_FILE)
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


class CustomerOnlineStoreConfig(FeastConfigBaseModel):
    """Where the file is; ``online.json`` beside it says that the rows are in Redis, see `configure_online_store`."""

    type: Literal["features.store.online_rows.CustomerOnlineStore"] = "features.store.online_rows.CustomerOnlineStore"
    path: str


class CustomerOnlineStore(OnlineStore):
    """Feast's online store over `OnlineRows`; for views of the one entity ``customer``."""

    def __init__(self) -> None:
        self._own = threading.local()

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows of one view, all or none."""
        names = [f.name for f in table.features]
        rows = [
            (_customer_id(key), to_micros(at), to_micros(created or at), *(_value_of(values.get(n)) for n in names))
            for key, values, at, created in data
        ]
        self._rows(config).write({table_name(config.project, table.name): (names, rows)})
        if progress:
            progress(len(rows))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[FeastRow]:
        """Read rows of one view in the order asked; ``(None, None)`` where there is none."""
        kinds = {f.name: f.dtype for f in table.features}
        names = requested_features or list(kinds)
        ids = [_customer_id(key) for key in entity_keys]
        found = self._rows(config).read(table_name(config.project, table.name), names, ids)
        texts = [kinds[n] == String for n in names]
        return [_to_feast(found[i], names, texts) if i in found else (None, None) for i in ids]

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Make the tables of the views, add columns that are missing, drop the tables of views that are gone."""
        rows = self._rows(config)
        for view in tables_to_keep:
            rows.create_table(table_name(config.project, view.name), [f.name for f in view.features])
        for view in tables_to_delete:
            rows.drop_table(table_name(config.project, view.name))

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Drop the tables of all views."""
        for view in tables:
            self._rows(config).drop_table(table_name(config.project, view.name))

    def _rows(self, config: RepoConfig) -> OnlineRows:
        """The rows, opened once by each thread."""
        if not hasattr(self._own, "rows"):
            self._own.rows = open_online_rows(Path(config.online_store.path).parent)
        return self._own.rows


class SqliteRows:
    """Rows in one SQLite file."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path, BUSY_SECONDS_OF_A_FILL)

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
        before = self._connection.total_changes
        with transaction(self._connection):
            for table, (names, rows) in tables.items():
                self._connection.executemany(_upsert(table, names), rows)
        return self._connection.total_changes - before

    def read(self, table: str, names: Sequence[str], ids: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        """Rows by customer: ``event_ts``, then the features asked."""
        columns = ", ".join(map(quote_identifier, ("customer_id", "event_ts", *names)))
        source = f"{columns} FROM {quote_identifier(table)}"
        found = {}
        for start in range(0, len(ids), MAX_VARIABLES):
            some = ids[start : start + MAX_VARIABLES]
            query = f"SELECT {source} WHERE customer_id IN ({','.join('?' * len(some))})"
            found.update({row[0]: row[1:] for row in self._connection.execute(query, some)})
        return found

    def newer_than(self, table: str, as_of: int) -> list[str]:
        """Customers whose row is of a later moment than this, in microseconds since 1970."""
        query = f"SELECT customer_id FROM {quote_identifier(table)} WHERE event_ts > ? ORDER BY customer_id"
        return [row[0] for row in self._connection.execute(query, [as_of])]

    def drop_older_than(self, tables: Sequence[str], as_of: int) -> None:
        """Delete the rows of earlier moments than this."""
        for table in tables:
            self._connection.execute(f"DELETE FROM {quote_identifier(table)} WHERE event_ts < ?", [as_of])

    def delete(self, tables: Sequence[str], ids: Iterable[str], as_of: int) -> int:
        """Delete the rows of these customers, but those of later moments than this; how many customers had one."""
        keys = [(i, as_of) for i in ids]
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


def _customer_id(key: EntityKey) -> str:
    return str(key.entity_values[0].string_val)


def _value_of(value: Value | None) -> Any:
    kind = value.WhichOneof("val") if value is not None else None
    return None if kind is None else getattr(value, kind)


def _to_feast(row: tuple[Any, ...], names: Sequence[str], texts: Sequence[bool]) -> FeastRow:
    values = {
        n: Value() if v is None else Value(string_val=v) if text else Value(double_val=v)
        for n, v, text in zip(names, row[1:], texts, strict=True)
    }
    return from_micros(row[0]), values
