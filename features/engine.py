"""The Ibis connection on which the columns are computed."""

from __future__ import annotations

from pathlib import Path

import ibis
import ibis.expr.types as ir
from ibis.backends import BaseBackend

from configs.errors import NotReadyError


def connect() -> BaseBackend:
    """Open an in-memory DuckDB that speaks UTC."""
    backend = ibis.duckdb.connect()
    backend.raw_sql("SET TimeZone = 'UTC'")
    return backend


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
