"""One sheet of an XLSX file, row by row: numbers and dates as they are typed, everything else as text.

A cell is written as text that says exactly what it holds; a column whose filled cells are all numbers, or all dates,
is told as such at the end, so that ``1.234`` in a cell of a number is never taken for a thousand.

Calamine reads the cells, twenty times as fast as openpyxl. It knows numbers as floats alone and no formulas: a sheet
with whole numbers that a float cannot tell is read by openpyxl, and so are the formulas of a column that is empty.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow as pa

from configs.errors import ConfigError, DataError, nearest
from features.sources.delimited import unique_names

XLSX = (".xlsx", ".xlsm")
BATCH_ROWS = 10_000
FORMULA, FORMULA_BYTES = re.compile(rb"<(\w{1,20}:)?f[ >/]"), 24
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
        header = next(_rows(book.get_sheet_by_name(name)), None)
    if header is None:
        raise DataError(f"'{path}', sheet '{name}' is empty; export it again, with a header line")
    opened = Sheet(_names(header), iter(()), f"{path.name}: sheet '{name}'")
    opened.batches = _batches(path, name, opened)
    return opened


def sheet_sample(path: Path, rows: int) -> pd.DataFrame:
    """The first rows of the sheet that `open_sheet` opens, values as they are typed.

    Of several sheets it is the one that holds most; ``attrs`` tells then ``sheet``, its name, and ``sheets``, all.
    """
    with _opened(path) as book:
        blocks = _first_rows(path, book, rows + 1)
    names = list(blocks)
    name = max(names, key=lambda n: sum(map(len, blocks[n])))
    header, *block = blocks[name]
    width = len(header)
    sample = pd.DataFrame([[*row, *[None] * width][:width] for row in block], columns=_names(header))
    sample.attrs |= {"sheet": name, "sheets": names} if len(names) > 1 else {}
    return sample


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The workbook of calamine: cells as they were last computed."""
    from python_calamine import CalamineError, CalamineWorkbook

    if path.is_file() and not path.stat().st_size:
        raise DataError(
            f"'{path}' has no bytes: an export that broke off, or a copy still under way; export or copy it again"
        )
    try:
        with CalamineWorkbook.from_path(path) as book:
            yield book
    except (CalamineError, OSError) as error:
        raise _unreadable(path, error) from None


@contextmanager
def _opened_exactly(path: Path, values: bool = True) -> Iterator[Any]:
    """The workbook of openpyxl: whole numbers of any length, or, without `values`, formulas."""
    import openpyxl

    try:
        with closing(openpyxl.load_workbook(path, read_only=True, data_only=values, keep_links=False)) as book:
            yield book
    except (zipfile.BadZipFile, zlib.error, ElementTree.ParseError, KeyError, ValueError, OSError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"cannot read '{path}' as XLSX ({error}): save it as XLSX without a password, or as CSV (UTF-8)")


def _names(header: list[Any]) -> list[str]:
    return unique_names([text for text, _ in map(_told, header)])


def _sheet_name(path: Path, book: Any, wanted: str | None) -> str:
    if wanted is not None:
        names = [sheet.name for sheet in _worksheets(book)]
        if wanted not in names:
            raise ConfigError(f"'{path}' has no sheet '{wanted}'{nearest(wanted, names)}; it has {', '.join(names)}")
        return wanted
    filled = list(_first_rows(path, book, 1))
    if len(filled) > 1:
        raise DataError(f"'{path}' has {len(filled)} sheets: say which, as `sheet: {filled[0]}`; {', '.join(filled)}")
    return filled[0]


def _worksheets(book: Any) -> list[Any]:
    return [sheet for sheet in book.sheets_metadata if str(sheet.typ).endswith("WorkSheet")]


def _first_rows(path: Path, book: Any, count: int) -> dict[str, list[list[Any]]]:
    """At most so many rows of each sheet that is visible and holds something, by its name; each is read once."""
    visible = [sheet.name for sheet in _worksheets(book) if str(sheet.visible).endswith("Visible")]
    blocks = {name: list(islice(_rows(book.get_sheet_by_name(name)), count)) for name in visible}
    filled = {name: rows for name, rows in blocks.items() if rows}
    if not filled:
        raise DataError(f"'{path}' has no visible sheet that holds anything; export it again, with a header line")
    return filled


def _rows(sheet: Any) -> Iterator[list[Any]]:
    """Values of the rows that hold something, without empty cells at their ends."""
    return _filled(sheet.iter_rows())


def _exact_rows(sheet: Any) -> Iterator[list[Any]]:
    """As `_rows`, of a sheet of openpyxl."""
    sheet.reset_dimensions()  # what the file says of its own size may be wrong
    return _filled(map(list, sheet.iter_rows(values_only=True)))


def _filled(rows: Iterable[list[Any]]) -> Iterator[list[Any]]:
    for row in rows:
        while row and (row[-1] is None or row[-1] == ""):
            row.pop()
        if row:
            yield row


@contextmanager
def _sheet_rows(path: Path, name: str) -> Iterator[Iterator[list[Any]]]:
    """The rows of a sheet, every whole number to its last digit."""
    with _opened(path) as book:
        sheet = book.get_sheet_by_name(name)
        if not any(type(v) is float and abs(v) >= EXACT for row in sheet.iter_rows() for v in row):
            yield _rows(sheet)
            return
    with _opened_exactly(path) as exact:
        yield _exact_rows(exact[name])


def _batches(path: Path, name: str, opened: Sheet) -> Iterator[pa.RecordBatch]:
    width, kinds = len(opened.names), [set[str]() for _ in opened.names]
    with _sheet_rows(path, name) as every:
        rows = islice(every, 1, None)
        while block := list(islice(rows, BATCH_ROWS)):
            wide = [len(row) for row in block if len(row) > width]
            opened.rejected += [f"{path.name}, sheet '{name}': {n} cells where the header has {width}" for n in wide]
            arrays = []
            for values, column_kinds in zip(_columns(block, width), kinds, strict=True):
                texts, found = _told_column(values)
                column_kinds.update(found)
                arrays.append(pa.array(texts, pa.string()))
            yield pa.RecordBatch.from_arrays(arrays, names=[f"f{n}" for n in range(width)])
    _require_values(path, name, [column for column, kind in zip(opened.names, kinds, strict=True) if not kind])
    opened.kinds += [_kind(kind) for kind in kinds]


def _columns(block: list[list[Any]], width: int) -> list[list[Any]]:
    """The cells of the rows that are not too wide, column by column."""
    padded = [row + [None] * (width - len(row)) for row in block if len(row) <= width]
    return [list(column) for column in zip(*padded, strict=True)] or [[] for _ in range(width)]


def _told_column(values: list[Any]) -> tuple[list[str | None], set[str]]:
    """The cells of a column as `_told` gives them; those of one type are told together."""
    types = set(map(type, values)) - {type(None)}
    if types == {str}:
        texts = [value or None for value in values]
        return texts, {"VARCHAR"} if any(texts) else set()
    if types == {float}:
        numbers = np.array([np.nan if v is None else v for v in values])
        if np.isfinite(numbers).all() and (np.floor(numbers) == numbers).all() and (np.abs(numbers) < EXACT).all():
            return list(map(str, numbers.astype(np.int64).tolist())), {"BIGINT"}
    told = [_told(value) for value in values]
    return [text for text, _ in told], {kind for _, kind in told if kind}


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
    if isinstance(value, date):
        return f"{value.isoformat()} 00:00:00", "DATE"
    return (value.isoformat() if isinstance(value, time) else str(value)), "VARCHAR"


def _require_values(path: Path, name: str, empty: list[str]) -> None:
    """Refuse a sheet with a column that is empty only because no program has computed its formulas yet."""
    if not empty or not _has_formulas(path):
        return
    with _opened_exactly(path, values=False) as book:
        rows = _exact_rows(book[name])
        names = _names(next(rows, []))
        formulas = {c for row in rows for c, v in zip(names, row, strict=False) if c in empty and _is_formula(v)}
    if formulas:
        raise DataError(
            f"'{path}', sheet '{name}': {', '.join(sorted(formulas))} holds formulas that were never computed: open "
            "the file in a spreadsheet program and save it"
        )


def _has_formulas(path: Path) -> bool:
    """True if any sheet of a workbook has a formula; its cells are not taken apart for that."""
    with zipfile.ZipFile(path) as book:
        for name in book.namelist():
            if name.startswith("xl/worksheets/") and name.endswith(".xml"):
                with book.open(name) as sheet:
                    rest = b""
                    while block := sheet.read(1 << 20):
                        if FORMULA.search(rest + block):
                            return True
                        rest = block[-FORMULA_BYTES:]
    return False


def _is_formula(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("=")
