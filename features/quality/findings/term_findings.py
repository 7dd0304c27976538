"""Columns of contracts that nobody reads and that may say when one was cancelled, paused, paid for or over."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from features.labels.flags import read_flags
from features.quality.anomalies import Finding
from features.quality.check import ValidatedTable
from features.sources.proposal.lexicon import meaning
from features.sources.rows.unread import holds_dates

SHOWN = 4
DATES = (  # concepts of a name, all of them, and the column of the table that it may be; the first that fits counts
    ({"trial", "end"}, "trial_ends_at"),
    ({"pause", "end"}, "resumes_at"),
    ({"resume"}, "resumes_at"),
    ({"pause"}, "paused_at"),
    ({"notice"}, "cancelled_at"),
    ({"end", "request"}, "cancelled_at"),
    ({"cancel", "end"}, "ended_at"),
    ({"cancel"}, "cancelled_at"),
    ({"amount", "end"}, "paid_until"),
    ({"period", "end"}, "paid_until"),
    ({"renew"}, "renews_at"),
    ({"end"}, "ended_at"),
)
NO_TERMS = frozenset(("minimum", "birth", "financial"))
FLAGS = frozenset(("notice", "cancel", "end", "renew"))
WORDS = frozenset(("notice", "cancel", "pause", "request"))


def term_of(column: str, values: Mapping[str, int]) -> str | None:
    """The column of contracts that a column of the source may be, by its name and what it holds; None: none.

    Parameters
    ----------
    column
        Its name in the source, in any of the languages of `features.sources.proposal.lexicon`.
    values
        Its most frequent values and their rows; ``""`` is an empty one.

    Examples
    --------
    >>> term_of("Inicio de pausa", {"": 90, "29/05/2024": 1}), term_of("Mindestlaufzeit bis", {"2024-05-29": 1})
    ('paused_at', None)
    >>> term_of("auto_renew", {"yes": 9, "no": 1}), term_of("Situation", {"Activo": 9, "Baja solicitada": 1})
    ('cancel_at_period_end', 'status')
    """
    said = meaning(column).concepts
    filled = [value for value in values if value]
    if said & NO_TERMS or not filled:
        return None
    if holds_dates(filled):
        return next((name for concepts, name in DATES if concepts <= said), None)
    if read_flags(pd.Series(filled)).notna().all():
        return "status" if "pause" in said else "cancel_at_period_end" if said & FLAGS else None
    return "status" if any(meaning(value).concepts & WORDS for value in filled) and len(filled) > 1 else None


def term_findings(contracts: ValidatedTable) -> dict[str, Finding]:
    """One finding for each such column; all only warn."""
    terms = {column: term_of(column, values) for column, values in contracts.unread.items()}
    return {c: _finding(c, contracts.unread[c], term) for c, term in terms.items() if term is not None}


def _finding(column: str, values: Mapping[str, int], term: str) -> Finding:
    filled = [(value, rows) for value, rows in values.items() if value]
    shown = ", ".join(f"{value!r} ({rows:,})" for value, rows in filled[:SHOWN])
    held = f"dates such as {filled[0][0]!r}" if holds_dates(value for value, _ in filled) else shown
    todo = (
        f"say source.options.subscriptions.columns: {{{term}: {column!r}}} if it is that, see 'Contracts' in "
        f"docs/own-data.md for the other columns, or where: {{{column!r}: {{not: []}}}} if it is none of a contract's"
    )
    got = f"nobody reads it, and by its name or values it may be {term}: it holds {held}"
    return Finding("subscriptions", column, "term_not_read", "warn", got, "terms of contracts that are read", todo)
