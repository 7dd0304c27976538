"""Columns that nobody reads and that change what a row means: rules of rows to propose, with counts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from features.sources.proposal.columns import Column
from features.sources.rows.meaning import MeaningColumn, meaning_columns
from features.sources.rows.returns import NEGATIVE

TABLES_OF_ROWS = ("orders", "contacts", "interactions")
RETURNED = re.compile(
    r"refund|return|retour|erstatt|ruckgabe|rückgabe|rembours|reembols|devuel|devol|退", re.IGNORECASE
)
SHOWN = 4

Rules = Mapping[str, tuple[Any, str]]


def row_rules(table: str, columns: Sequence[Column], amount: Column | None = None) -> tuple[Rules, tuple[str, ...]]:
    """Propose which rows of a file are rows of the table.

    Parameters
    ----------
    table
        What the file seems to be. Of customers only test accounts are left out: any other state is one of today.
    columns
        Its columns that are none of the table's.
    amount
        Its amounts, if it has any: where they are negative, a mark of returns says nothing more.

    Returns
    -------
    mapping of str to tuple, tuple of str
        What stands under ``where``, with how many rows of the sample it leaves out; and what else to look at.

    Examples
    --------
    >>> status = Column("Status", pd.Series(["sent", "storniert", "sent"]))
    >>> row_rules("orders", [status])
    ({'Status': ({'not': ['storniert']}, 'leaves out 1 of 3 rows of the sample')}, ())
    """
    if table == "customers":
        columns = [c for c in columns if "test" in c.meaning.concepts]
    elif table == "subscriptions":
        return {}, _no_ends(columns)
    elif table not in TABLES_OF_ROWS:
        return {}, ()
    by_name = {c.name: c for c in columns}
    rules: dict[str, tuple[Any, str]] = {}
    notes = []
    for found in meaning_columns(pd.DataFrame({c.name: c.values for c in columns})):
        column = by_name[found.column]
        kept, out = _rule(found, column)
        if out:
            rules[found.column] = (kept, f"leaves out {out:,} of {len(column.values):,} rows of the sample")
        returned = [value for value in found.excluded if RETURNED.search(value)]
        if returned and amount is not None and _all_negative(amount, column, returned):
            shown = _shown({value: found.values[value] for value in returned})
            notes.append(f"{found.column}: {shown} have negative amounts: returns, which count as such")
        elif not out or returned:
            notes.append(f"DOUBT: which rows count may stand in {found.column}: {_shown(found.values)}")
    return rules, tuple(notes)


def _all_negative(amount: Column, column: Column, values: Sequence[str]) -> bool:
    marked = column.filled.index[column.filled.astype(str).isin(list(values))]
    amounts = amount.filled.astype(str).reindex(marked).dropna()
    return len(amounts) > 0 and bool(amounts.str.contains(NEGATIVE, regex=True).all())


def _no_ends(columns: Sequence[Column]) -> tuple[str, ...]:
    """Times up to which a contract runs at least: none of its ends."""
    least = [c.name for c in columns if "minimum" in c.meaning.concepts and c.is_time]
    return tuple(f"{name} is left out: until when a contract runs at least is no end of it" for name in least)


def _rule(found: MeaningColumn, column: Column) -> tuple[dict[str, Any], int]:
    """The rule, and how many rows it leaves out; 0: none is proposed. What came back is no order less: it is asked."""
    if found.only_empty:
        return {"empty": True}, 0 if column.is_number else len(column.filled)
    excluded = [value for value in found.excluded if not RETURNED.search(value)]
    return {"not": excluded}, sum(found.values[value] for value in excluded)


def _shown(values: Mapping[str, int]) -> str:
    shown = [f"{value or 'empty'} ({rows:,})" for value, rows in list(values.items())[:SHOWN]]
    return ", ".join([*shown, *(["..."] if len(values) > SHOWN else [])])
