"""What is to look at in the rows of a load, though each is usable: columns that may say which of them count."""

from __future__ import annotations

from collections.abc import Mapping

from configs.settings import Settings
from features.quality.anomalies import Finding
from features.quality.check import ValidatedTable
from features.quality.findings.term_findings import term_findings
from features.sources.rows.meaning import MeaningColumn, meaning_column

SHOWN = 6
FEWEST = 10  # orders


def row_findings(checked: Mapping[str, ValidatedTable]) -> list[Finding]:
    """One finding for each column that nobody reads and that looks as if it changed what a row means; all only warn.

    >>> from dataclasses import replace
    >>> import pandas as pd
    >>> from features.tables import ORDERS
    >>> orders = ValidatedTable(ORDERS, pd.DataFrame(), pd.DataFrame(), unread={"st": {"done": 9, "void": 1}})
    >>> row_findings({"orders": orders})[0].got
    "nobody reads it, and it holds 'done' (9), 'void' (1)"
    """
    terms = term_findings(checked["subscriptions"]) if "subscriptions" in checked else {}
    found = ((name, meaning_column(c, v)) for name, one in checked.items() for c, v in one.unread.items())
    rules = [(table, rule) for table, rule in found if rule is not None]
    rules = [(table, rule) for table, rule in rules if table != "subscriptions" or rule.column not in terms]
    return [*terms.values(), *(_finding(table, rule) for table, rule in rules)]


def count_findings(checked: Mapping[str, ValidatedTable], settings: Settings) -> list[Finding]:
    """Amounts that are all one count orders, and are no money; a warning where ``currency: XXX`` does not say so."""
    orders = checked.get("orders")
    if orders is None or settings.counts_orders or orders.table_rows < FEWEST or orders.distinct("amount") != 1:
        return []
    if orders.frequent("amount", 1).index[0] != 1.0:
        return []
    todo = (
        "if that counts orders, say currency: XXX (no currency), and leave amount out; no answer speaks of money then"
    )
    return [Finding("orders", "amount", "amounts_are_counts", "warn", "all amounts are 1", "amounts of money", todo)]


def _finding(table: str, meaning: MeaningColumn) -> Finding:
    values = list(meaning.values.items())
    shown = ", ".join(f"{value!r} ({rows:,})" if value else f"nothing ({rows:,})" for value, rows in values[:SHOWN])
    got = f"nobody reads it, and it holds {shown}{' and others' if len(values) > SHOWN else ''}"
    place, column = f"source.options.{table}.where", f"'{meaning.column}'"
    rule = _yaml(meaning.rule) if meaning.rule else "[the values that count]"
    todo = f"say {place}: {{{column}: {rule}}} if not all rows count, or {{{column}: {{not: []}}}} if they do"
    return Finding(
        table, meaning.column, "meaning_not_read", "warn", got, "a column that does not change what a row is", todo
    )


def _yaml(rule: Mapping[str, object]) -> str:
    if rule.get("empty"):
        return "{empty: true}"
    excluded = rule["not"]
    listed = ", ".join(repr(value) for value in excluded) if isinstance(excluded, list) else ""
    return f"{{not: [{listed}]}}"
