"""Marks of returns: values such as `refund` whose rows all have negative amounts, which say it already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from features.sources.expressions import as_text
from features.sources.part_reader import PartReader
from features.sources.rows.meaning import meaning_column
from features.sources.rows.unread import value_sql, where_sql

NEGATIVE = r"^[^0-9]*[-−(]|[-−]\s*[^0-9]*$"  # in front of the digits, or behind them


def without_marks(
    connection: duckdb.DuckDBPyConnection, readers: Sequence[PartReader], unread: Mapping[str, Mapping[str, int]]
) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Take what marks returns out of the columns that may say which orders count.

    Parameters
    ----------
    connection
        Where the relations of the parts are.
    readers
        Of all parts of the orders.
    unread
        As `features.sources.rows.unread.unread_meanings` gives it.

    Returns
    -------
    dict, list of str
        The columns and values that are still in doubt; and what was found, one sentence a column.
    """
    left, notes = {}, []
    for column, counts in unread.items():
        found = meaning_column(column, counts)
        excluded = found.excluded if found else ()
        marks = [value for value in excluded if _all_negative(connection, readers, column, value)]
        rest = {value: rows for value, rows in counts.items() if value not in marks}
        if marks:
            shown = ", ".join(f"{value!r} ({counts[value]:,})" for value in marks)
            notes.append(f"{column}: all rows with {shown} have negative amounts: they are returns, and count as such")
        if not marks or meaning_column(column, rest):
            left[column] = rest
    return left, notes


def _all_negative(
    connection: duckdb.DuckDBPyConnection, readers: Sequence[PartReader], column: str, value: str
) -> bool:
    """Whether the amounts of the rows with a value in a column are below zero, zeros and empty ones aside."""
    below = above = 0
    for reader in readers:
        if column not in reader.part.columns or "amount" not in reader.names:
            continue
        amount = as_text(*reader.raw("amount"), trim=True)
        signs = reader.mapping.numbers.get("amount")
        query = f"""
            select count_if(is_below), count_if(not is_below)
            from (select regexp_matches({amount}, $negative) as is_below from {reader.part.relation}
                  where {where_sql(reader)} and {value_sql(as_text(*reader.part.columns[column]))} = $value
                    and regexp_matches({amount}, '[1-9]'))
        """
        row = connection.execute(query, {"negative": NEGATIVE, "value": value}).fetchone() or (0, 0)
        minus, plus = reversed(row) if signs and signs.turns_signs else row
        below, above = below + minus, above + plus
    return below > 0 and not above
