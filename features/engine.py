"""The backend on which the columns are computed: DuckDB here, Spark by one key, and how results leave it.

The columns are Ibis expressions and do not know which of the two runs them. What differs between them is settled
here and in `features.windows`: both speak UTC, and a division by zero is null on both.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow.parquet as pq
from ibis.backends import BaseBackend

from configs.errors import ConfigError, NotReadyError
from configs.settings import Engine

MEMORY_GIB = 5
ROWS_A_BATCH = 10_000_000
CUSTOMERS_A_BATCH = 250_000


def connect(engine: Engine = "duckdb") -> BaseBackend:
    """Open the backend that the key ``engine`` names.

    Parameters
    ----------
    engine
        ``duckdb``: in this process, in memory, spilling to a temporary folder; ``spark``: the session that is there,
        or one on two local cores (the environment variable ``MASTER`` names another master).

    Raises
    ------
    ConfigError
        Spark is asked for, and PySpark or Java is not there.
    """
    return _spark() if engine == "spark" else _duckdb()


def _duckdb() -> BaseBackend:
    backend = ibis.duckdb.connect()
    for statement in _settings():
        backend.raw_sql(statement)
    return backend


def _settings() -> list[str]:
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        "SET TimeZone = 'UTC'",
        "SET ieee_floating_point_ops = false",  # a division by zero is null, as on Spark
        "SET preserve_insertion_order = false",
        f"SET memory_limit = '{min(MEMORY_GIB, 0.8 * there):.1f}GiB'",
        f"SET temp_directory = '{Path(tempfile.gettempdir()) / f'staycast-{os.getpid()}'}'",
    ]


SPARK = {
    "spark.app.name": "staycast",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.log.level": "ERROR",
    "spark.sql.ansi.enabled": "false",  # a division by zero is null, as on DuckDB
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
    """Open every checked table of a workspace, by name.

    Raises
    ------
    NotReadyError
        Nothing was ingested yet.
    """
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise NotReadyError(f"no tables at {folder}: run `staycast ingest` first")
    return {f.stem: backend.read_parquet(f, table_name=f"table_{f.stem}") for f in files}


def batches(
    backend: BaseBackend,
    tables: dict[str, ir.Table],
    rows_a_batch: int = ROWS_A_BATCH,
    customers_a_batch: int = CUSTOMERS_A_BATCH,
) -> list[dict[str, ir.Table]]:
    """Cut the tables by customer, so that the memory of one computation is bounded.

    Every customer is in exactly one batch, with all rows of all tables. Rows cost memory where they are sorted,
    customers where the columns of each are held: of the two, what asks for more batches counts, for the largest
    table and for the customers. On Spark, which cuts by itself, there is one batch.
    """
    if backend.name == "pyspark":
        return [tables]
    rows = {name: int(table.count().execute()) for name, table in tables.items()}
    number = max(-(-max(rows.values()) // rows_a_batch), -(-rows["customers"] // customers_a_batch))
    if number <= 1:
        return [tables]
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


def save(backend: BaseBackend, table: ir.Table, path: Path) -> None:
    """Compute an expression and write it as one parquet file."""
    if backend.name == "duckdb":
        backend.to_parquet(table, path)
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
    chosen = ", ".join(f'{expression} as "{name}"' for name, expression in columns.items())
    with duckdb.connect() as connection:
        for statement in _settings():
            connection.execute(statement)
        connection.execute(
            f"copy (select {chosen} from read_parquet(?) order by {', '.join(order)}) to '{path}' (format parquet)",
            [[str(part) for part in parts]],
        )
    return int(pq.read_metadata(path).num_rows)
