"""CSV and parquet files, one a table, with columns renamed as the configuration says.

    source:
      loader: files
      options:
        orders: {path: orders.csv, columns: {order_id: Invoice, customer_id: Client, ordered_at: Date, amount: Total}}
        customers: {path: exports/customers.parquet}

Every CSV value is read as text; what it means is decided, row by row, when the table is checked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from configs.errors import ConfigError, DataError, nearest
from configs.workspace import files_fingerprint, fingerprint
from features.schema import TABLES


def load(options: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Read every table that the options name.

    Raises
    ------
    ConfigError
        A table is unknown, or a table's entry is not of the form above.
    DataError
        A file is missing or unreadable, or lacks a column that is to be renamed.
    """
    return {name: _read(name, entry) for name, entry in _entries(options).items()}


def mark(options: dict[str, Any]) -> str:
    """Hash of the options and of the files' contents."""
    entries = _entries(options)
    return fingerprint(entries, files_fingerprint(_path(name, entry) for name, entry in entries.items()))


def _entries(options: dict[str, Any]) -> dict[str, dict[str, Any]]:
    if not options:
        raise ConfigError(
            "source.options: name at least the files of customers and orders, e.g. orders: {path: orders.csv}"
        )
    for name, entry in options.items():
        if name not in TABLES:
            raise ConfigError(
                f"source.options: unknown table '{name}'{nearest(name, TABLES)}; there are {', '.join(TABLES)}"
            )
        if not isinstance(entry, dict) or "path" not in entry or not set(entry) <= {"path", "columns"}:
            raise ConfigError(
                f"source.options.{name}: expected {{path: FILE, columns: {{ours: theirs}}}}, got {entry!r}"
            )
    return options


def _path(name: str, entry: dict[str, Any]) -> Path:
    path = Path(entry["path"])
    if not path.is_file():
        raise DataError(
            f"{name}: no file at '{path}'; correct source.options.{name}.path (it is read from the current folder)"
        )
    return path


def _read(name: str, entry: dict[str, Any]) -> pd.DataFrame:
    path = _path(name, entry)
    try:
        frame = (
            pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str, encoding="utf-8-sig")
        )
    except pd.errors.EmptyDataError:
        raise DataError(f"{name}: '{path}' is empty; export it again, with a header line") from None
    except Exception as error:
        raise DataError(f"{name}: cannot read '{path}': {error}; export it again as CSV (UTF-8) or parquet") from None
    return _rename(name, path, frame, entry.get("columns") or {})


def _rename(name: str, path: Path, frame: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    for ours, theirs in columns.items():
        if theirs not in frame.columns:
            raise DataError(
                f"{name}: '{path}' has no column '{theirs}' for '{ours}'{nearest(theirs, frame.columns)}; "
                f"it has {', '.join(frame.columns)}"
            )
    return frame.rename(columns={theirs: ours for ours, theirs in columns.items()})
