"""Columns that nobody reads and that change what a row means: rules of rows to propose, with counts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from features.labels.flags import read_flags
from features.sources.proposal.columns import Column
from features.sources.proposal.lexicon import normalized

_NO_ROWS = """cancelled canceled cancellation void voided failed failure pending draft abandoned expired declined
    rejected test testing trash storniert storno abgebrochen fehlgeschlagen entwurf abgelehnt annule
    annulee echoue echouee brouillon cancelado cancelada anulado anulada fallido fallida pendiente
    borrador rechazado prueba"""
NO_ROWS = frozenset(_NO_ROWS.split())
NO_ROWS_UNSPACED = re.compile("取消|作废|失败|待付款|未付款|测试|关闭")
REFUNDED = re.compile(r"refund|erstatt|rembours|reembols|退款", re.IGNORECASE)
TELLING = frozenset({"status", "financial", "cancel", "test", "kind", "flag", "refund"})
OF_EVENTS = ("orders", "contacts", "interactions")

Rules = Mapping[str, tuple[Any, str]]


def row_rules(table: str, columns: Sequence[Column]) -> tuple[Rules, tuple[str, ...]]:
    """Propose which rows of a file are rows of the table.

    Parameters
    ----------
    table
        What the file seems to be.
    columns
        Its columns that are none of the table's.

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
    rules, notes = {}, []
    for column in columns:
        if not column.meaning.concepts & TELLING or table not in (*OF_EVENTS, "customers"):
            continue
        rule = _rule(table, column)
        if rule is not None:
            kept, rows = rule
            rules[column.name] = (kept, f"leaves out {rows:,} of {len(column.values):,} rows of the sample")
        if any(REFUNDED.search(word) for word in column.words) and column.is_category:
            notes.append(f"DOUBT: {column.name} says that some rows were refunded; they count as they stand")
    return rules, tuple(notes)


def _rule(table: str, column: Column) -> tuple[Any, int] | None:
    said = column.meaning.concepts
    if column.is_time:
        return ({"empty": True}, len(column.filled)) if "cancel" in said and table == "orders" else None
    if not column.is_category:
        return None
    counts = {str(value): int(rows) for value, rows in column.counts.items()}
    flags = read_flags(pd.Series(list(counts)))
    if flags.notna().all():
        out = (
            [value for value, flag in zip(counts, flags, strict=True) if flag == 1] if said & {"test", "cancel"} else []
        )
    elif table == "customers":
        return None
    else:
        out = [value for value in counts if _is_no_row(value)]
    return ({"not": out}, sum(counts[value] for value in out)) if out and len(out) < len(counts) else None


def _is_no_row(value: str) -> bool:
    words = set(re.findall(r"[^\W\d_]+", normalized(value)))
    return bool(words & NO_ROWS) or bool(NO_ROWS_UNSPACED.search(value))
