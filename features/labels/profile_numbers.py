"""Columns of a ready export that are numbers, though they stand there as text, with a bad value, or too large."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from configs.errors import DataError
from features.numbers.text_column import TextColumn, read_column
from features.numbers.units import bounds, without_units
from features.tables import quote

LARGEST = 1e100  # squares of larger numbers cannot be computed
MOSTLY = 0.5
SIGNS = {".": "point", ",": "comma"}


def read_numbers(
    profiles: pd.DataFrame, left: Collection[str], decided: Collection[str], table: str = "profiles"
) -> pd.DataFrame:
    """Make a column of texts numbers, where all but a few of them are; the frame is not changed.

    A placeholder (``N/A``), and one of at most a few other values that are no numbers, become empty; so does a number
    that cannot be computed with. ``attrs["notes"]`` says how many.

    Parameters
    ----------
    profiles
        One row a customer.
    left
        Columns that stay as they are.
    decided
        Columns whose texts were read before: a point in them is a decimal one.
    table
        What an error calls the table.

    Raises
    ------
    DataError
        The separators of a column may be decimal signs or thousands, and neither it nor the file decides.

    Examples
    --------
    >>> table = pd.DataFrame({"fee": ["1,50 EUR", "N/A", "1.200,00"], "plan": ["a", "b", "1"]})
    >>> out = read_numbers(table, (), ())
    >>> out["fee"].tolist(), out["plan"].tolist(), out.attrs["notes"]
    ([1.5, nan, 1200.0], ['a', 'b', '1'], ['fee: numbers; 1 placeholders (as N/A) are left empty'])
    """
    changed, notes, doubts = {}, [], []
    names = profiles.columns.difference(list(left), sort=False)
    texts = {n: without_units(profiles[n]) for n in names if _is_text(profiles[n])}
    columns = {n: read_column(values, "." if n in decided else None) for n, (values, _) in texts.items()}
    sign = _sign_of_file(columns, decided)
    for name in names:
        values = profiles[name]
        if pd.api.types.is_float_dtype(values):
            lost = values.notna() & ~(values.abs() <= LARGEST)
            if lost.any():
                changed[name] = values.mask(lost)
                notes.append(f"{name}: {int(lost.sum()):,} numbers that cannot be computed with are left empty")
        elif name in texts:
            (values, units), column = texts[name], columns[name]
            if (
                sign
                and name not in decided
                and column.is_numeric
                and column.in_doubt
                and column.evidence.sign == "none"
            ):
                as_read = f"'{column.evidence.example}' is read with a decimal {SIGNS[sign]}"
                notes.append(f"{name}: {as_read}, as other columns of the file are")
                column = replace(read_column(values, sign), evidence=replace(column.evidence, in_doubt=0))
            notes += _unit_notes(name, column, units)
            if column.is_numeric:
                doubts += _doubts(name, column, table) if name not in decided else []
                changed[name] = column.numbers.where(column.numbers.abs() <= LARGEST)
            said = [] if column.is_numeric else _bound_notes(name, values, table)
            notes += said or _notes(name, column, changed.get(name))
    if doubts:
        raise DataError(f"{table}: " + "; ".join(doubts))
    out = profiles.assign(**changed)
    out.attrs = dict(profiles.attrs) | {"notes": [*profiles.attrs.get("notes", ()), *notes]}
    return out


def _is_text(values: pd.Series) -> bool:
    return pd.api.types.is_object_dtype(values) or pd.api.types.is_string_dtype(values)


def _sign_of_file(columns: Mapping[str, TextColumn], decided: Collection[str]) -> str | None:
    """The decimal sign of the columns of numbers, where all that have one have the same."""
    signs = {c.evidence.sign for name, c in columns.items() if c.is_numeric and name not in decided} - {"none"}
    return signs.pop() if len(signs) == 1 and signs <= set(SIGNS) else None


def _unit_notes(name: str, column: TextColumn, units: tuple[str, ...]) -> list[str]:
    if len(units) > 1:
        return [f"{name}: numbers in {', '.join(units[:5])}, which cannot be compared; taken as text"]
    return [f"{name}: numbers in {units[0]}"] if units and column.is_numeric else []


def _bound_notes(name: str, values: pd.Series, table: str) -> list[str]:
    found = bounds(values)
    if not found:
        return []
    return [
        f"{name}: bounds or ranges ({', '.join(map(quote, found[:3]))}) among the numbers; each value is taken as a "
        f"category. To have numbers, say what each of them stands for: values: {{{name}: "
        f"{{{json.dumps(found[0], ensure_ascii=False)}: ...}}}} under source.options.{table}"
    ]


def _doubts(name: str, column: TextColumn, table: str) -> list[str]:
    if not column.in_doubt:
        return []
    return [
        f"{name}: '{column.evidence.example}' may have a decimal sign or one of thousands, and no other value decides; "
        f'say numbers: {{{name}: {{decimal: "."}}}} or {{decimal: ","}} under source.options.{table}'
    ]


def _notes(name: str, column: TextColumn, numbers: pd.Series | None) -> list[str]:
    found = column.found
    if numbers is not None:
        huge = found - int(np.isfinite(numbers).sum())
        counts = {
            "placeholders (as N/A)": column.placeholders,
            "other values": column.unreadable,
            "numbers that cannot be computed with": huge,
        }
        empty = [f"{n:,} {what}" for what, n in counts.items() if n]
        return [f"{name}: numbers; {' and '.join(empty)} are left empty"] if empty else []
    if len(column.currencies) > 1 and found > MOSTLY * column.filled:
        return [f"{name}: amounts in {', '.join(column.currencies)}, which cannot be compared; taken as text"]
    if found > MOSTLY * column.filled and column.unreadable:
        return [f"{name}: {found:,} of {column.filled:,} values are numbers; taken as text for the others"]
    return []
