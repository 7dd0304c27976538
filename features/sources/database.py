"""Any database that SQLAlchemy or DuckDB reads, with columns described by a mapping.

    source:
      loader: database
      options:
        url: postgresql+psycopg://shop:${SHOP_PASSWORD}@db.example/shop    # or: duckdb: warehouse.duckdb
        tables:
          customers: {table: crm.clients, columns: {customer_id: id, signed_up_at: created}}
          orders:
            query: select id, client, placed, total from orders where not test
            columns: {order_id: id, customer_id: client, ordered_at: placed, amount: total}
            times: {ordered_at: {zone: Europe/Berlin}}
            mark: select max(changed_at) from orders   # cheap to ask; changes whenever the rows do

``columns``, ``values``, ``times``, ``numbers`` and ``constants`` are described in `features.sources.mapping`.
``${NAME}`` in the url is the environment variable; a password must come that way, since settings are kept with every
model. No message repeats it. Rows go in blocks into a temporary DuckDB database, in the order of the query.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import duckdb
import pandas as pd
import pyarrow as pa
import sqlalchemy
from pydantic import model_validator
from sqlalchemy.engine import URL, make_url

from configs.errors import ConfigError, DataError
from configs.fingerprint import files_fingerprint, fingerprint
from configs.settings import Section
from configs.variables import SECRET_KEYS, Address, expand
from features.sources.mapping import TableMapping, check_names, parse, require_table
from features.sources.part_reader import Part
from features.sources.staging import Raw, read, staging
from features.sql import connect_duckdb, quote_qualified

BLOCK_ROWS = 20_000


class DatabaseTable(TableMapping):
    """What one table is read from, and what its columns mean."""

    table: str | None = None
    query: str | None = None
    mark: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> DatabaseTable:
        if (self.table is None) == (self.query is None):
            raise ValueError("give either `table` or `query`")
        return self


class Database(Section):
    """Where the database is, and the entries of its tables."""

    url: Address | None = None
    duckdb: str | None = None
    tables: dict[str, Any]

    @model_validator(mode="after")
    def _one_of_both(self) -> Database:
        if (self.url is None) == (self.duckdb is None):
            raise ValueError("give either `url` (SQLAlchemy) or `duckdb` (a file)")
        if not self.tables:
            raise ValueError("name at least customers and orders under `tables`")
        return self


def load(options: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Read every table that the options name.

    Returns
    -------
    dict of str to pandas.DataFrame
        See `features.sources.staging.read`.

    Raises
    ------
    ConfigError
        A key is unknown, the url cannot be used, holds a password, or names a variable that is not set.
    DataError
        The database cannot be reached, a query fails, or a column is missing.
    """
    with opened(options, None) as tables:
        return cast(dict[str, pd.DataFrame], tables)


@contextmanager
def opened(options: dict[str, Any], chunk_rows: int | None, zone: str = "UTC") -> Iterator[dict[str, Raw]]:
    """As `load`, but a table of events of more than `chunk_rows` rows is given in chunks, while the context is open.

    Times without an offset from UTC are in `zone`, unless the options say otherwise of their column.
    """
    database, entries = _parse_options(options)
    with staging() as (connection, _):
        yield _load_all(database, entries, connection, chunk_rows, zone)


def _load_all(
    database: Database,
    entries: dict[str, DatabaseTable],
    connection: duckdb.DuckDBPyConnection,
    chunk_rows: int | None,
    zone: str,
) -> dict[str, Raw]:
    with closing(_connect(database)) as source:
        return {name: _load(source, connection, name, entry, chunk_rows, zone) for name, entry in entries.items()}


def source_fingerprint(options: dict[str, Any]) -> str:
    """Hash of the options and of what the database holds.

    A DuckDB or SQLite file counts with its content. Views and queries of DuckDB may read other files: for these, and in
    any other database, the answer to a table's ``mark`` query counts, too; without one, all rows are read and hashed,
    in whatever order they come.
    """
    database, entries = _parse_options(options)
    file = _file(database)
    where, mappings = database.duckdb or database.url, {name: entry.model_dump() for name, entry in entries.items()}
    if file is not None:
        log = file.with_name(file.name + "-wal")
        content = files_fingerprint([file, *([log] if log.is_file() else [])])
        return fingerprint(where, mappings, content, _states_elsewhere(database, file, entries))
    with closing(_Sql(_url(database))) as source:
        return fingerprint(where, mappings, {name: source.state(name, entry) for name, entry in entries.items()})


def _states_elsewhere(database: Database, file: Path, entries: dict[str, DatabaseTable]) -> dict[str, str]:
    """What a DuckDB file reads that may lie in other files; nothing for SQLite, whose views cannot."""
    if database.duckdb is None:
        return {}
    with closing(_DuckDb(file)) as source:
        return {name: source.state(name, entry) for name, entry in entries.items()}


def _parse_options(options: dict[str, Any]) -> tuple[Database, dict[str, DatabaseTable]]:
    database = parse(Database, options, "source.options")
    entries = {}
    for name, given in database.tables.items():
        require_table(name)
        entries[name] = parse(DatabaseTable, given, f"source.options.tables.{name}")
        check_names(name, entries[name])
    return database, entries


def _url(database: Database) -> URL:
    text = expand(database.url or "", "source.options.url")
    try:
        return make_url(text)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise ConfigError(
            "source.options.url is no database address; write for example postgresql+psycopg://user:${PASSWORD}@host/name"
        ) from None


def _file(database: Database) -> Path | None:
    """The file that is the database, if it is one."""
    if database.duckdb is not None:
        key, file = "duckdb", Path(expand(database.duckdb, "source.options.duckdb"))
    else:
        url = _url(database)
        if url.get_backend_name() != "sqlite" or not url.database:
            return None
        key, file = "url", Path(url.database)
    if not file.is_file():
        raise DataError(
            f"no database file at '{file}'; correct source.options.{key} (it is read from the current folder)"
        )
    return file


def _connect(database: Database) -> _Source:
    file = _file(database)
    return _DuckDb(file) if database.duckdb is not None and file is not None else _Sql(_url(database))


def _load(
    source: _Source,
    connection: duckdb.DuckDBPyConnection,
    name: str,
    entry: DatabaseTable,
    chunk_rows: int | None,
    zone: str,
) -> Raw:
    label = f"the query of {name}" if entry.query else f"table {entry.table}"
    relation = f"raw_{name}"
    names, reader = source.rows(name, entry)
    connection.register("incoming", reader)
    try:
        connection.execute(f"create table {relation} as select * from incoming")
    except duckdb.Error as error:
        raise DataError(f"{name}: {source.clean(error)}") from None
    finally:
        connection.unregister("incoming")
    types = [str(row[1]) for row in connection.execute(f"describe {relation}").fetchall()]
    columns = {n: (f"c{k}", t) for k, (n, t) in enumerate(zip(names, types, strict=True))}
    return read(connection, name, entry, [Part(label, relation, columns)], (), chunk_rows, zone)


class _Source(ABC):
    """A database that answers queries."""

    @abstractmethod
    def rows(self, name: str, entry: DatabaseTable) -> tuple[list[str], pa.RecordBatchReader]:
        """Names of the columns, and the rows with columns ``c0``, ``c1``, ..."""

    @abstractmethod
    def close(self) -> None:
        """Let the database go."""

    def clean(self, error: Exception) -> str:
        """One line of the error, without secrets."""
        return " ".join(str(error).split("\n[SQL")[0].split())[:400]


class _DuckDb(_Source):
    """A DuckDB file, opened for reading only."""

    def __init__(self, file: Path) -> None:
        try:
            self.connection = connect_duckdb(str(file), read_only=True)
            self.connection.execute("set TimeZone = 'UTC'")
        except duckdb.Error as error:
            raise DataError(f"cannot open '{file}' as a DuckDB database: {self.clean(error)}") from None

    def rows(self, name: str, entry: DatabaseTable) -> tuple[list[str], pa.RecordBatchReader]:
        try:
            result = self.connection.sql(entry.query or f"select * from {quote_qualified(entry.table or '')}")
            names = list(result.columns)
            reader = result.to_arrow_reader(BLOCK_ROWS)
        except duckdb.Error as error:
            raise DataError(f"{name}: the database refuses: {self.clean(error)}") from None
        schema = pa.schema([(f"c{n}", f.type) for n, f in enumerate(reader.schema)])
        batches = (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in reader)
        return names, pa.RecordBatchReader.from_batches(schema, batches)

    def state(self, name: str, entry: DatabaseTable) -> str:
        """A text that changes when rows do that the file itself may not hold; empty for a table of the file."""
        try:
            if entry.mark is None and entry.table is not None and self._is_of_the_file(entry.table):
                return ""
            if entry.mark is not None:
                return repr(self.connection.execute(entry.mark).fetchmany(100))
            rows = entry.query or f"select * from {quote_qualified(entry.table or '')}"
            counted = f"select count(*), coalesce(sum(hash(t)::hugeint), 0) from ({rows.strip().rstrip(';')}) t"
            return repr(self.connection.execute(counted).fetchall())
        except duckdb.Error as error:
            raise DataError(f"{name}: the database refuses: {self.clean(error)}") from None

    def _is_of_the_file(self, table: str) -> bool:
        """True if a table of this name lies in the file, and no view has the name."""
        name = [table.rpartition(".")[2].strip('"')]
        tables = self.connection.execute("select 1 from duckdb_tables() where table_name = ?", name).fetchone()
        views = self.connection.execute("select 1 from duckdb_views() where view_name = ?", name).fetchone()
        return tables is not None and views is None

    def close(self) -> None:
        self.connection.close()


class _Sql(_Source):
    """A database behind SQLAlchemy. All values come as text; numbers and times in a form that leaves no doubt."""

    def __init__(self, url: URL) -> None:
        self.secrets = sorted(_secrets(url), key=len, reverse=True)
        try:
            self.engine = sqlalchemy.create_engine(url, hide_parameters=True)
            self.connection = self.engine.connect().execution_options(stream_results=True)
        except ImportError as error:
            raise ConfigError(f"source.options.url needs a driver that is not installed: {error}") from None
        except (sqlalchemy.exc.SQLAlchemyError, OSError) as error:
            address = url.set(query={}).render_as_string(hide_password=True)
            raise DataError(f"cannot reach the database {address}: {self.clean(error)}") from None

    def clean(self, error: Exception) -> str:
        text = super().clean(error)
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text

    def rows(self, name: str, entry: DatabaseTable) -> tuple[list[str], pa.RecordBatchReader]:
        result = self._execute(name, entry)
        names = [str(k) for k in result.keys()]  # noqa: SIM118
        schema = pa.schema([(f"c{n}", pa.string()) for n in range(len(names))])
        batches = (
            pa.record_batch(
                [pa.array(map(_to_text, column), pa.string()) for column in zip(*block, strict=True)], schema=schema
            )
            for block in self._blocks(name, result)
        )
        return names, pa.RecordBatchReader.from_batches(schema, batches)

    def state(self, name: str, entry: DatabaseTable) -> str:
        """A text that changes when the rows do."""
        if entry.mark is not None:
            rows = self._execute(name, DatabaseTable(query=entry.mark)).fetchmany(100)
            return repr([tuple(map(_to_text, row)) for row in rows])
        total = count = 0
        for block in self._blocks(name, self._execute(name, entry)):
            count += len(block)
            for row in block:
                digest = hashlib.sha256(repr(tuple(map(_to_text, row))).encode()).digest()
                total = (total + int.from_bytes(digest[:16], "big")) % (1 << 128)
        return f"{count} rows, {total:032x}"

    def close(self) -> None:
        self.connection.close()
        self.engine.dispose()

    def _execute(self, name: str, entry: DatabaseTable) -> sqlalchemy.CursorResult[Any]:
        opening = self.engine.dialect.identifier_preparer.initial_quote
        try:
            if entry.query is not None:
                return self.connection.exec_driver_sql(entry.query)
            return self.connection.exec_driver_sql(f"select * from {quote_qualified(entry.table or '', opening)}")
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise DataError(f"{name}: the database refuses: {self.clean(error)}") from None

    def _blocks(self, name: str, result: sqlalchemy.CursorResult[Any]) -> Iterator[Sequence[Any]]:
        try:
            while block := result.fetchmany(BLOCK_ROWS):
                yield block
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise DataError(f"{name}: reading stopped: {self.clean(error)}") from None


def _secrets(url: URL) -> set[str]:
    """The password and its like: as they are, and as written in an address."""
    secrets = {str(url.password)} if url.password else set()
    secrets |= {str(v) for k, v in url.query.items() if k.lower() in SECRET_KEYS}
    quoted = {text for s in secrets for text in (repr(s)[1:-1], url.render_as_string(hide_password=False))}
    return {s for s in secrets | quoted | {unquote(s) for s in secrets} if s}


def _to_text(value: object) -> str | None:
    """A value as text that reads back as the same.

    >>> from datetime import datetime
    >>> _to_text(Decimal("10.50")), _to_text(datetime(2024, 1, 2, 3)), _to_text(True), _to_text(None)
    ('10.50', '2024-01-02 03:00:00', 'true', None)

    A number with three decimals is written with four, as a text ``1.234`` may be a thousand.

    >>> _to_text(Decimal("1.234")), _to_text(1.234)
    ('1.2340', '1.2340')
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    return f"{text}0" if isinstance(value, (Decimal, float)) and re.search(r"\.\d{3}$", text) else text
