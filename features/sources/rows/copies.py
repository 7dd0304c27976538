"""Rows of a list of customers that are exact copies of others: they count once, and it is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from features.tables import LEFT_OUT, ONE_ROW_A_CUSTOMER, REASON, SOURCE_ROWS

COPIES = "exact copies of other rows"


def without_copies(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The tables, those of one row a customer without rows that equal an earlier one in all columns.

    Parameters
    ----------
    raw
        Tables by name; they are not changed. What is no frame, and rows that their source has a reason against, stay.

    Examples
    --------
    >>> rows = pd.DataFrame({"customer_id": ["a", "a", "a"], "label": ["1", "1", "0"]})
    >>> once = without_copies({"profiles": rows})["profiles"]
    >>> once["label"].tolist(), once.attrs["left_out"]
    (['1', '0'], {'exact copies of other rows': 1})
    """
    return {name: _once(table) if name in ONE_ROW_A_CUSTOMER else table for name, table in raw.items()}


def numbered(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows without an id, which get the number of each in its file as ``customer_id``; copies are told before that.

    Examples
    --------
    >>> once = numbered(pd.DataFrame({"label": ["1", "1", "0"]}))
    >>> once["customer_id"].tolist(), once.attrs["left_out"]
    (['1', '3'], {'exact copies of other rows': 1})
    """
    rows = frame.assign(customer_id=[str(n) for n in range(1, len(frame) + 1)])
    return _less(rows, frame.duplicated(), "; without ids, nothing says that they are other customers")


def _once(table: Any) -> Any:
    if not isinstance(table, pd.DataFrame) or "customer_id" not in table or SOURCE_ROWS in table:
        return table
    if not table["customer_id"].duplicated().any():
        return table
    return _less(table, table.duplicated() & table["customer_id"].notna())


def _less(table: pd.DataFrame, again: pd.Series, why: str = "") -> pd.DataFrame:
    """The table without these rows, and with how many they are; a row with a reason against it stays."""
    if REASON in table:
        again &= table[REASON].isna()
    copies = int(again.sum())
    if not copies:
        return table
    out = table[~again].reset_index(drop=True)
    note = f"{copies:,} rows are exact copies of others, and count once{why}"
    out.attrs = dict(table.attrs) | {
        "notes": [*table.attrs.get("notes", ()), note],
        LEFT_OUT: {**table.attrs.get(LEFT_OUT, {}), COPIES: copies},
    }
    return out
