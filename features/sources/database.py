"""Any database that SQLAlchemy or DuckDB reads, with columns told by a mapping.

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

``columns``, ``values``, ``times``, ``numbers`` and ``constants`` are told in `features.sources.mapping`. ``${NAME}`` in
the url is the environment variable; a password must come that way, since settings are kept with every model. No
message repeats it. Rows go in blocks into a temporary DuckDB database, in the order in which the query gives them.
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
from features.sources.mapping import Part, Raw, TableMapping, check_names, expand, known_table, parse, read, staging
from features.sql import quote_qualified

BLOCK_ROWS = 20_000
SECRET_KEYS = ("password", "passwd", "pwd", "sslpassword", "token", "secret", "api_key", "access_key")


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

    url: str | None = None
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
        See `features.sources.mapping.read`.

    Raises
    ------
    ConfigError
        A key is unknown, the url cannot be used, holds a password, or names a variable that is not set.
    DataError
        The database cannot be reached, a query fails, or a told column is missing.
    """
    with opened(options, None) as tables:
        return cast(dict[str, pd.DataFrame], tables)


@contextmanager
def opened(options: dict[str, Any], part_rows: int | None) -> Iterator[dict[str, Raw]]:
    """As `load`, but a table of events of more than `part_rows` rows is given in parts, while the context is open."""
    told, entries = _entries(options)
    with staging() as (connection, _):
        with closing(_open(told)) as source:
            tables = {name: _load(source, connection, name, entry, part_rows) for name, entry in entries.items()}
        yield tables


def source_fingerprint(options: dict[str, Any]) -> str:
    """Hash of the options and of what the database holds.

    A DuckDB or SQLite file counts with its content. Elsewhere the answer to a table's ``mark`` query counts; without
    one, all rows are read and hashed, in whatever order they come.
    """
    told, entries = _entries(options)
    file = _file(told)
    kept = {name: entry.model_dump() for name, entry in entries.items()}
    where = told.duckdb or told.url
    if file is not None:
        beside = file.with_name(file.name + "-wal")
        return fingerprint(where, kept, files_fingerprint([file, *([beside] if beside.is_file() else [])]))
    with closing(_Sql(_url(told))) as source:
        return fingerprint(where, kept, {name: source.mark(name, entry) for name, entry in entries.items()})


def _entries(options: dict[str, Any]) -> tuple[Database, dict[str, DatabaseTable]]:
    told = parse(Database, options, "source.options")
    if told.url is not None:
        _refuse_password(told.url)
    entries = {}
    for name, given in told.tables.items():
        known_table(name)
        entries[name] = parse(DatabaseTable, given, f"source.options.tables.{name}")
        check_names(name, entries[name])
    return told, entries


def _refuse_password(url: str) -> None:
    """A password written into the configuration would be kept with every model that is learned."""
    literal = re.sub(r"\$\{[^}]*\}", "", url)
    keys = "|".join(SECRET_KEYS)
    in_place = re.search(r"://[^/@:]*:[^@/]*[^@/]@", literal)
    if in_place or re.search(rf"[?&;]({keys})=[^&;]+", literal, re.IGNORECASE) or re.search(r"\$\{\w+:-", url):
        raise ConfigError(
            "source.options.url holds a password, or a default for a variable: write the password as ${NAME} and set "
            "that environment variable; settings are kept with every model"
        )


def _url(told: Database) -> URL:
    text = expand(told.url or "", "source.options.url")
    try:
        return make_url(text)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise ConfigError(
            "source.options.url is no database address; write for example postgresql+psycopg://user:${PASSWORD}@host/name"
        ) from None


def _file(told: Database) -> Path | None:
    """The file that is the database, if it is one."""
    if told.duckdb is not None:
        key, file = "duckdb", Path(expand(told.duckdb, "source.options.duckdb"))
    else:
        url = _url(told)
        if url.get_backend_name() != "sqlite" or not url.database:
            return None
        key, file = "url", Path(url.database)
    if not file.is_file():
        raise DataError(
            f"no database file at '{file}'; correct source.options.{key} (it is read from the current folder)"
        )
    return file


def _open(told: Database) -> _Source:
    file = _file(told)
    return _DuckDb(file) if told.duckdb is not None and file is not None else _Sql(_url(told))


def _load(
    source: _Source, connection: duckdb.DuckDBPyConnection, name: str, entry: DatabaseTable, part_rows: int | None
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
    return read(connection, name, entry, [Part(label, relation, columns)], part_rows=part_rows)


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
            self.connection = duckdb.connect(str(file), read_only=True)
            self.connection.execute("set TimeZone = 'UTC'")
        except duckdb.Error as error:
            raise DataError(f"cannot open '{file}' as a DuckDB database: {self.clean(error)}") from None

    def rows(self, name: str, entry: DatabaseTable) -> tuple[list[str], pa.RecordBatchReader]:
        try:
            found = self.connection.sql(entry.query or f"select * from {quote_qualified(entry.table or '')}")
            names = list(found.columns)
            reader = found.to_arrow_reader(BLOCK_ROWS)
        except duckdb.Error as error:
            raise DataError(f"{name}: the database refuses: {self.clean(error)}") from None
        schema = pa.schema([(f"c{n}", f.type) for n, f in enumerate(reader.schema)])
        batches = (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in reader)
        return names, pa.RecordBatchReader.from_batches(schema, batches)

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
            shown = url.set(query={}).render_as_string(hide_password=True)
            raise DataError(f"cannot reach the database {shown}: {self.clean(error)}") from None

    def clean(self, error: Exception) -> str:
        text = super().clean(error)
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text

    def rows(self, name: str, entry: DatabaseTable) -> tuple[list[str], pa.RecordBatchReader]:
        found = self._ask(name, entry)
        names = [str(k) for k in found.keys()]  # noqa: SIM118
        schema = pa.schema([(f"c{n}", pa.string()) for n in range(len(names))])
        batches = (
            pa.record_batch(
                [pa.array(map(_told, column), pa.string()) for column in zip(*block, strict=True)], schema=schema
            )
            for block in self._blocks(name, found)
        )
        return names, pa.RecordBatchReader.from_batches(schema, batches)

    def mark(self, name: str, entry: DatabaseTable) -> str:
        """A text that changes when the rows do."""
        if entry.mark is not None:
            return repr(
                [tuple(map(_told, row)) for row in self._ask(name, DatabaseTable(query=entry.mark)).fetchmany(100)]
            )
        total = count = 0
        for block in self._blocks(name, self._ask(name, entry)):
            count += len(block)
            for row in block:
                digest = hashlib.sha256(repr(tuple(map(_told, row))).encode()).digest()
                total = (total + int.from_bytes(digest[:16], "big")) % (1 << 128)
        return f"{count} rows, {total:032x}"

    def close(self) -> None:
        self.connection.close()
        self.engine.dispose()

    def _ask(self, name: str, entry: DatabaseTable) -> sqlalchemy.CursorResult[Any]:
        opening = self.engine.dialect.identifier_preparer.initial_quote
        try:
            if entry.query is not None:
                return self.connection.exec_driver_sql(entry.query)
            return self.connection.exec_driver_sql(f"select * from {quote_qualified(entry.table or '', opening)}")
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise DataError(f"{name}: the database refuses: {self.clean(error)}") from None

    def _blocks(self, name: str, found: sqlalchemy.CursorResult[Any]) -> Iterator[Sequence[Any]]:
        try:
            while block := found.fetchmany(BLOCK_ROWS):
                yield block
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise DataError(f"{name}: reading stopped: {self.clean(error)}") from None


def _secrets(url: URL) -> set[str]:
    """The password and its like, plain and as written in an address."""
    plain = {str(url.password)} if url.password else set()
    plain |= {str(v) for k, v in url.query.items() if k.lower() in SECRET_KEYS}
    quoted = {part for p in plain for part in (repr(p)[1:-1], url.render_as_string(hide_password=False))}
    return {s for s in plain | quoted | {unquote(p) for p in plain} if s}


def _told(value: object) -> str | None:
    """A value as text that reads back as the same.

    >>> from datetime import datetime
    >>> _told(Decimal("10.50")), _told(datetime(2024, 1, 2, 3)), _told(True), _told(None)
    ('10.50', '2024-01-02 03:00:00', 'true', None)
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return format(value, "f") if isinstance(value, Decimal) else str(value)
