"""One sheet of an XLSX file, row by row: numbers and dates as they are typed, everything else as text.

A cell is written as text that says exactly what it holds; a column whose filled cells are all numbers, or all dates,
is told as such at the end, so that ``1.234`` in a cell of a number is never taken for a thousand.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, time
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pyarrow as pa

from configs.errors import ConfigError, DataError, nearest
from features.sources.delimited import unique_names

XLSX = (".xlsx", ".xlsm")
BATCH_ROWS = 10_000
EXACT = 1 << 53  # below it a float tells every whole number
WIDER = ({"BIGINT", "DOUBLE"}, "DOUBLE"), ({"DATE", "TIMESTAMP"}, "TIMESTAMP")


@dataclass
class Sheet:
    """An open sheet.

    Attributes
    ----------
    names
        The header, one name a column.
    batches
        The rows below it, as text columns named ``f0``, ``f1``, ...; to be read once.
    note
        Which sheet is read.
    kinds
        The DuckDB type of each column; complete when `batches` is read to its end.
    rejected
        One reason for each row with more cells than the header; complete then, too.
    """

    names: list[str]
    batches: Iterator[pa.RecordBatch]
    note: str
    kinds: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)


def open_sheet(path: Path, sheet: str | None = None) -> Sheet:
    """Open a sheet of an XLSX file; without a name, the only one that is visible and not empty.

    Raises
    ------
    ConfigError
        There is no such sheet.
    DataError
        The file cannot be read or is empty, several sheets could be meant, or a column holds formulas whose values the
        file does not keep.
    """
    with _opened(path) as book:
        name = _sheet_name(path, book, sheet)
        header = next(_rows(book[name]), None)
    if header is None:
        raise DataError(f"'{path}', sheet '{name}' is empty; export it again, with a header line")
    opened = Sheet(_names(header), iter(()), f"{path.name}: sheet '{name}'")
    opened.batches = _batches(path, name, opened)
    return opened


def sheet_sample(path: Path, rows: int) -> pd.DataFrame:
    """The first rows of the sheet that `open_sheet` opens, values as they are typed."""
    with _opened(path) as book:
        header, *block = islice(_rows(book[_sheet_name(path, book, None)]), rows + 1)
    width = len(header)
    return pd.DataFrame([[*row, *[None] * width][:width] for row in block], columns=_names(header))


@contextmanager
def _opened(path: Path, values: bool = True) -> Iterator[Any]:
    """The workbook: cells as they were last computed, or, without `values`, their formulas."""
    import openpyxl

    if path.is_file() and not path.stat().st_size:
        raise DataError(
            f"'{path}' has no bytes: an export that broke off, or a copy still under way; export or copy it again"
        )
    try:
        with closing(openpyxl.load_workbook(path, read_only=True, data_only=values, keep_links=False)) as book:
            yield book
    except (zipfile.BadZipFile, zlib.error, ElementTree.ParseError, KeyError, ValueError, OSError) as error:
        raise DataError(
            f"cannot read '{path}' as XLSX ({error}): save it as XLSX without a password, or as CSV (UTF-8)"
        ) from None


def _names(header: list[Any]) -> list[str]:
    return unique_names([text for text, _ in map(_told, header)])


def _sheet_name(path: Path, book: Any, wanted: str | None) -> str:
    visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    names = [sheet.title for sheet in book.worksheets]
    if wanted is not None:
        if wanted not in names:
            raise ConfigError(f"'{path}' has no sheet '{wanted}'{nearest(wanted, names)}; it has {', '.join(names)}")
        return wanted
    filled = [sheet.title for sheet in visible if next(_rows(sheet), None) is not None]
    if len(filled) > 1:
        raise DataError(f"'{path}' has {len(filled)} sheets: say which, as `sheet: {filled[0]}`; {', '.join(filled)}")
    if not filled:
        raise DataError(f"'{path}' has no visible sheet that holds anything; export it again, with a header line")
    return filled[0]


def _rows(sheet: Any) -> Iterator[list[Any]]:
    """Values of the rows that hold something, without empty cells at their ends."""
    sheet.reset_dimensions()  # what the file says of its own size may be wrong
    for cells in sheet.iter_rows(values_only=True):
        row = list(cells)
        while row and (row[-1] is None or row[-1] == ""):
            row.pop()
        if row:
            yield row


def _batches(path: Path, name: str, opened: Sheet) -> Iterator[pa.RecordBatch]:
    width, kinds = len(opened.names), [set[str]() for _ in opened.names]
    with _opened(path) as book:
        rows = islice(_rows(book[name]), 1, None)
        while block := list(islice(rows, BATCH_ROWS)):
            told = [
                [_told(value) for value in row] + [(None, "")] * (width - len(row))
                for row in block
                if len(row) <= width
            ]
            too_wide = [len(row) for row in block if len(row) > width]
            opened.rejected += [
                f"{path.name}, sheet '{name}': {n} cells where the header has {width}" for n in too_wide
            ]
            for n, column_kinds in enumerate(kinds):
                column_kinds.update(kind for kind in {row[n][1] for row in told} if kind)
            arrays = [pa.array([row[n][0] for row in told], pa.string()) for n in range(width)]
            yield pa.RecordBatch.from_arrays(arrays, names=[f"f{n}" for n in range(width)])
    _require_values(path, name, [column for column, kind in zip(opened.names, kinds, strict=True) if not kind])
    opened.kinds += [_kind(kind) for kind in kinds]


def _kind(found: set[str]) -> str:
    """The type of a column whose cells hold these."""
    wider = [kind for kinds, kind in WIDER if found == kinds]
    return next(iter(found)) if len(found) == 1 else wider[0] if wider else "VARCHAR"


def _told(value: Any) -> tuple[str | None, str]:
    """A cell as text, and what it holds; a fraction is written so that its point cannot be taken for thousands."""
    if value is None or value == "":
        return None, ""
    if isinstance(value, bool):
        return ("true" if value else "false"), "VARCHAR"
    if isinstance(value, int):
        return str(value), "BIGINT" if abs(value) < EXACT else "VARCHAR"
    if isinstance(value, float):
        if value.is_integer() and abs(value) < EXACT:
            return str(int(value)), "BIGINT"
        text = repr(value)
        return (text + "0" if len(text.partition(".")[2]) == 3 else text), "DOUBLE"
    if isinstance(value, datetime):
        return value.isoformat(" "), "DATE" if value.time() == time() else "TIMESTAMP"
    return (value.isoformat() if isinstance(value, time) else str(value)), "VARCHAR"


def _require_values(path: Path, name: str, empty: list[str]) -> None:
    """Refuse a sheet with a column that is empty only because no program has computed its formulas yet."""
    if not empty:
        return
    with _opened(path, values=False) as book:
        rows = _rows(book[name])
        names = _names(next(rows, []))
        formulas = {c for row in rows for c, v in zip(names, row, strict=False) if c in empty and _is_formula(v)}
    if formulas:
        raise DataError(
            f"'{path}', sheet '{name}': {', '.join(sorted(formulas))} holds formulas that were never computed: open "
            "the file in a spreadsheet program and save it"
        )


def _is_formula(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("=")
