"""Columns of the parts of a table that nobody reads and that may say which rows count, with the rows of each value.

Of contracts also those that may say when one was cancelled, paused or over: dates, yes and no, and few words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import duckdb
import pandas as pd

from features.labels.flags import read_flags
from features.sources.expressions import as_text
from features.sources.part_reader import Part, PartReader
from features.sources.rows.meaning import LONGEST, MOST_VALUES, meaning_column
from features.sources.rows.rules import comparable
from features.sql import quote_literal

DATE = r"\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?([ T].*)?|\d{1,2}[-/. ]([A-Za-z]{3}|\d{1,2})[-/. ]\d{2,4}([ ,].*)?"
MOSTLY = 0.9
SPACES = " \t\r\n\u00a0\u202f\u3000\ufeff"


def unread_meanings(
    connection: duckdb.DuckDBPyConnection, readers: Sequence[PartReader], of_contracts: bool = False
) -> dict[str, dict[str, int]]:
    """Find them among the rows that ``where`` keeps.

    Parameters
    ----------
    connection
        Where the relations of the parts are.
    readers
        Of all parts of one table.
    of_contracts
        Whether the table is that of contracts: columns that may be a term of theirs are found, too.

    Returns
    -------
    dict
        Column -> value (``""`` if empty) -> rows, the most frequent first, at most `MOST_VALUES` of them.
    """
    found: dict[str, dict[str, int]] = {}
    for reader in readers:
        for column, (sql, kind) in _spare(reader).items():
            for value, rows in _counts(connection, reader, as_text(sql, kind)).items():
                counts = found.setdefault(column, {})
                counts[value] = counts.get(value, 0) + rows
    ordered = {c: dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))) for c, counts in found.items()}
    return {
        column: dict([*counts.items()][:MOST_VALUES])
        for column, counts in ordered.items()
        if meaning_column(column, counts, len(counts)) or (of_contracts and may_be_term(counts))
    }


def may_be_term(counts: Mapping[str, int]) -> bool:
    """Whether values are dates, yes and no, or few words.

    >>> [may_be_term(dict.fromkeys(v, 1)) for v in (["31/12/2024", ""], ["yes"], ["pausado", "-"], ["12.50"], [""])]
    [True, True, True, False, False]
    """
    filled = pd.Series([value for value in counts if value], dtype="string")
    if filled.empty:
        return False
    if holds_dates(counts) or bool(read_flags(filled).notna().all()):
        return True
    has_digits, longest = bool(filled.str.contains(r"\d").any()), int(filled.str.len().max())
    return len(counts) <= MOST_VALUES and not has_digits and longest <= LONGEST


def holds_dates(values: Iterable[str]) -> bool:
    """Whether nearly all values that are there are written as dates."""
    filled = pd.Series([value for value in values if value], dtype="string")
    return not filled.empty and float(filled.str.fullmatch(DATE).mean()) >= MOSTLY


def _spare(reader: PartReader) -> Mapping[str, tuple[str, str]]:
    mapping, own = reader.mapping, {reader.mapping.source_name(name) for name in reader.names}
    used = own | set(mapping.where) | {mapping.currency} | reader.part.read_elsewhere
    return {name: column for name, column in reader.part.columns.items() if name not in used}


def _counts(connection: duckdb.DuckDBPyConnection, reader: PartReader, text: str) -> dict[str, int]:
    """Rows of the most frequent values; one more than `MOST_VALUES` tells that there are more."""
    query = f"""
        select {value_sql(text)} as value, count(*) as n from {reader.part.relation} where {where_sql(reader)}
        group by value order by value = '' desc, n desc, value limit {MOST_VALUES + 2}
    """
    return dict(connection.execute(query).fetchall())


def value_sql(text: str) -> str:
    """SQL of a value as it is counted and shown: without blanks around it, and no more than its beginning."""
    return f"left(coalesce(trim({text}, {quote_literal(SPACES)}), ''), 60)"


def where_sql(reader: PartReader) -> str:
    """SQL that is true for the rows that ``where`` keeps."""
    part: Part = reader.part
    rules = [rule.keeps(comparable(as_text(*part.columns[c]))) for c, rule in reader.mapping.where.items()]
    return " and ".join(rules) or "true"
