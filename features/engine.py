"""The backend on which the columns are computed: DuckDB here, Spark by one key, and how results leave it.

The columns are Ibis expressions and do not know which of the two runs them. What differs between them is settled
here and in `features.windows`: both speak UTC, and a division by zero is null on both.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pandas as pd
import pyarrow.parquet as pq
from ibis.backends import BaseBackend

from configs.errors import ConfigError, NotReadyError
from configs.settings import Engine
from features.people.identity import FILE as ALIAS_FILE
from features.sql import (
    FIRST,
    QUIET,
    SECOND,
    AsOfStatements,
    connect_duckdb,
    quote_identifier,
    quote_literal,
    respelled,
)

MEMORY_GIB = 6
ROWS_AT_ONCE = 20_000_000
CUSTOMERS_AT_ONCE = 1_000_000
SMALL_TABLE_ROWS = 500_000
MAX_WORKERS = 8
Cache = Callable[[ir.Table], ir.Table]


def workers(engine: Engine) -> int:
    """How many connections compute side by side: one a core, on Spark one."""
    return 1 if engine == "spark" else min(len(os.sched_getaffinity(0)), MAX_WORKERS)


def connect(engine: Engine = "duckdb", connections: int = 0) -> BaseBackend:
    """Open the backend that the key ``engine`` names.

    Parameters
    ----------
    engine
        ``duckdb``: in this process, in memory, spilling to a temporary folder; ``spark``: the session that is there,
        or one on two local cores (the environment variable ``MASTER`` names another master).
    connections
        It is one of so many that compute side by side: it gets its part of the memory and one thread, and adds up
        the rows of a customer in one order, so that the same tables give the same numbers to the last bit. 0: it is
        alone and uses all cores, each of which adds up a part.

    Raises
    ------
    ConfigError
        Spark is asked for, and PySpark or Java is not there.
    """
    return _spark() if engine == "spark" else _duckdb(connections)


def _duckdb(connections: int) -> BaseBackend:
    backend = ibis.duckdb.connect()
    for statement in [*_settings(max(1, connections)), *(["SET threads = 1"] if connections else [])]:
        backend.raw_sql(statement)
    return backend


def _settings(share: int = 1) -> list[str]:
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    spill = Path(tempfile.gettempdir()) / f"staycast-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return [
        "SET TimeZone = 'UTC'",
        QUIET,
        "SET ieee_floating_point_ops = false",  # a division by zero is null, as on Spark
        "SET preserve_insertion_order = false",
        f"SET memory_limit = '{min(MEMORY_GIB, 0.8 * there) / share:.2f}GiB'",
        f"SET temp_directory = {quote_literal(str(spill))}",
    ]


SPARK = {
    "spark.app.name": "staycast",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.log.level": "ERROR",
    "spark.sql.ansi.enabled": "false",  # a division by zero is null, as on DuckDB
    "spark.sql.execution.arrow.pyspark.enabled": "true",  # frames go over as they are, without Python on the workers
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def _spark() -> BaseBackend:
    try:
        from pyspark import SparkConf
        from pyspark.errors import PySparkRuntimeError
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise ConfigError(
            f"engine is spark, but PySpark cannot be imported ({error}): install the extra `spark`, "
            "or set engine: duckdb"
        ) from None
    conf = SparkConf().setMaster(os.environ.get("MASTER", "local[2]")).setAll(list(SPARK.items()))
    try:
        backend = ibis.pyspark.connect(SparkSession.builder.config(conf=conf).getOrCreate())
    except (PySparkRuntimeError, FileNotFoundError) as error:
        raise ConfigError(
            f"engine is spark, but its session does not start ({error}): install Java 17 or later and set JAVA_HOME, "
            "or set engine: duckdb"
        ) from error
    backend.compiler = _doubles(type(backend.compiler))()
    return backend


def _doubles(compiler: Any) -> Any:
    """Spark reads 0.1 as a decimal and rounds what it divides: make every such literal a double, as it is elsewhere."""

    class Doubles(compiler):
        def visit_DefaultLiteral(self, op: Any, *, value: Any, dtype: Any) -> Any:  # noqa: N802
            literal = super().visit_DefaultLiteral(op, value=value, dtype=dtype)
            return self.cast(literal, dtype) if dtype.is_floating() else literal

    return Doubles


def read_tables(backend: BaseBackend, folder: Path) -> dict[str, ir.Table]:
    """Open every checked table of a workspace, by name; not the one that says who is whom: ids are resolved in all.

    Raises
    ------
    NotReadyError
        Nothing was ingested yet.
    """
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise NotReadyError(f"no tables at {folder}: run `staycast ingest` first")
    return {f.stem: backend.read_parquet(f, table_name=f"table_{f.stem}") for f in files if f.name != ALIAS_FILE}


def batches(
    backend: BaseBackend,
    tables: dict[str, ir.Table],
    connections: int = 1,
    rows_at_once: int = ROWS_AT_ONCE,
    small_table_rows: int = SMALL_TABLE_ROWS,
) -> list[dict[str, ir.Table]]:
    """Cut the tables by customer, so that memory is bounded and `connections` connections have the same to do.

    Every customer is in exactly one batch, with all rows of all tables. Rows cost memory where they are sorted,
    customers where the columns of each are held: of the two, what asks for more batches counts, for the largest
    table and for the customers. On Spark, which cuts by itself, and for a small table there is one batch.
    """
    if backend.name == "pyspark":
        return [tables]
    rows = {name: int(table.count().execute()) for name, table in tables.items()}
    most = max(rows.values())
    if most <= small_table_rows:
        return [tables]
    rounds = max(-(-most // rows_at_once), -(-rows["customers"] // CUSTOMERS_AT_ONCE))
    number = rounds * connections
    return [
        {
            name: table.filter(_hash(table.customer_id) % _whole(number) == _whole(batch))
            for name, table in tables.items()
        }
        for batch in range(number)
    ]


@ibis.udf.scalar.builtin(name="hash", signature=(("string",), "uint64"))
def _hash(text):  # type: ignore[no-untyped-def]
    """DuckDB's own: Ibis brings it to a signed number by way of a text, which is slow."""


def _whole(number: int) -> ir.Value:
    return ibis.literal(number, type="uint64").cast("uint64")


def as_of_statements(
    backend: BaseBackend,
    tables: Mapping[str, ir.Table],
    expressions: Callable[[dict[str, ir.Table], datetime], Sequence[ir.Table]],
) -> AsOfStatements:
    """The SQL on DuckDB of expressions that depend on a date; what is equal is compiled once in a process.

    Parameters
    ----------
    backend
        Where the tables are open.
    tables
        By name; the expressions get them without their backend, which what is kept must not hold open.
    expressions
        The tables and a date (UTC without a zone) in, the expressions out.
    """
    unbound = {name: table.unbind() for name, table in tables.items()}
    both = {as_of: tuple(expressions(unbound, as_of)) for as_of in (FIRST, SECOND)}

    def compile_at(as_of: datetime) -> list[str]:
        return [str(backend.compile(e)) for e in both.get(as_of) or expressions(unbound, as_of)]

    first, second = (tuple(e.op() for e in told) for told in both.values())
    return AsOfStatements(
        compile_at, key=(backend.name, first, second), differ_by_dates=lambda: _differ_by_dates(first, second)
    )


def _differ_by_dates(one: object, other: object) -> bool:
    """Whether two trees of operations are equal but for literals, each of which is spelled as a date in statements."""
    open_pairs, seen = [(one, other)], set()
    while open_pairs:
        a, b = open_pairs.pop()
        if a is b or (id(a), id(b)) in seen:
            continue
        seen.add((id(a), id(b)))
        if type(a) is not type(b):
            return False
        if isinstance(a, ops.Literal) and isinstance(b, ops.Literal):
            if a != b and not _are_spelled_as_dates(a, b):
                return False
        elif isinstance(a, ops.Node) and isinstance(b, ops.Node):
            open_pairs += zip(a.args, b.args, strict=True)
        elif isinstance(a, Mapping) and isinstance(b, Mapping):
            open_pairs += [(tuple(a), tuple(b)), (tuple(a.values()), tuple(b.values()))]
        elif isinstance(a, tuple) and isinstance(b, tuple):
            if len(a) != len(b):
                return False
            open_pairs += zip(a, b, strict=True)
        elif a != b:
            return False
    return True


@cache
def _are_spelled_as_dates(one: ops.Literal, other: ops.Literal) -> bool:
    """Whether a literal as of the first date becomes the one as of the second, where statements are written for it."""
    texts = [str(ibis.to_sql(literal.to_expr().name("value"), "duckdb")) for literal in (one, other)]
    return one.dtype == other.dtype and respelled(texts[0], FIRST, SECOND) == texts[1]


class AsOfTable:
    """A table that depends on a date, to be written as of any; on DuckDB its SQL is compiled once for all dates.

    Parameters
    ----------
    backend
        Where what it is computed from is open.
    tables
        What it is computed from, by name.
    expression
        The tables, a date (UTC without a zone) and a `Cache` in, the table out. What is given to the cache is computed
        once and kept as a temporary table while the whole is computed. On Spark, which plans for itself, there is
        none: all stays one expression.
    """

    def __init__(
        self,
        backend: BaseBackend,
        tables: dict[str, ir.Table],
        expression: Callable[[dict[str, ir.Table], datetime, Cache | None], ir.Table],
    ) -> None:
        self._tables, self._expression = tables, expression
        on_duckdb = backend.name == "duckdb"
        self._statements = as_of_statements(backend, tables, self._parts) if on_duckdb else None

    def save(self, backend: BaseBackend, as_of: datetime, path: Path) -> None:
        """Compute it as of a date and write it as one parquet file.

        `backend` may be another than the first one, with the same tables open in it.
        """
        if self._statements is None:
            save(backend, self._expression(self._tables, as_of, None), path)
            return
        *cached, query = self._statements.at(as_of)
        for number, statement in enumerate(cached):
            backend.raw_sql(f"CREATE OR REPLACE TEMP TABLE {_cached(number)} AS {statement}")
        backend.raw_sql(f"COPY ({query}) TO {quote_literal(str(path))} (FORMAT parquet)")
        for number in range(len(cached)):
            backend.raw_sql(f"DROP TABLE {_cached(number)}")

    def _parts(self, tables: dict[str, ir.Table], as_of: datetime) -> list[ir.Table]:
        """All that is cached, in order, then the table."""
        cached: list[ir.Table] = []

        def cache(expression: ir.Table) -> ir.Table:
            cached.append(expression)
            return ibis.table(expression.schema(), name=_cached(len(cached) - 1))

        table = self._expression(tables, as_of, cache)
        return [*cached, table]


def _cached(number: int) -> str:
    return f"cached_{number}"


def create_temp_table(backend: BaseBackend, name: str, frame: pd.DataFrame) -> ir.Table:
    """Keep a frame as a temporary table on DuckDB, in the place of one of that name."""
    replace_temp_table(backend, name, frame)
    return backend.table(name)


def replace_temp_table(backend: BaseBackend, name: str, frame: pd.DataFrame) -> None:
    """As `create_temp_table`, for a table that an expression reads already."""
    view = f"frame_{name}"
    backend.con.register(view, frame)
    backend.raw_sql(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM {view}")
    backend.con.unregister(view)


def save(backend: BaseBackend, table: ir.Table, path: Path) -> None:
    """Compute an expression and write it as one parquet file."""
    if backend.name == "duckdb":
        backend.raw_sql(f"COPY ({backend.compile(table)}) TO {quote_literal(str(path))} (FORMAT parquet)")
    else:
        pq.write_table(table.to_pyarrow(), path)


def merge(parts: Sequence[Path], path: Path, columns: dict[str, str], order: Sequence[str]) -> int:
    """Join parquet files with the same columns into one, sorted, and tell how many rows it has.

    Parameters
    ----------
    parts, path
        Files to read, and the file to write.
    columns
        SQL expression by name of each column of the result, in order.
    order
        Names of the columns to sort by.
    """
    chosen = ", ".join(f"{expression} as {quote_identifier(name)}" for name, expression in columns.items())
    with connect_duckdb() as connection:
        for statement in _settings():
            connection.execute(statement)
        connection.execute(
            f"copy (select {chosen} from read_parquet(?) order by {', '.join(map(quote_identifier, order))}) "
            f"to {quote_literal(str(path))} (format parquet)",
            [[str(part) for part in parts]],
        )
    return int(pq.read_metadata(path).num_rows)
