"""Columns of the parts of a table that nobody reads and that may say which rows count, with the rows of each value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from features.sources.expressions import as_text
from features.sources.part_reader import Part, PartReader
from features.sources.rows.meaning import MOST_VALUES, meaning_column
from features.sources.rows.rules import comparable
from features.sql import quote_literal

SPACES = " \t\r\n\u00a0\u202f\u3000\ufeff"


def unread_meanings(connection: duckdb.DuckDBPyConnection, readers: Sequence[PartReader]) -> dict[str, dict[str, int]]:
    """Find them among the rows that ``where`` keeps.

    Parameters
    ----------
    connection
        Where the relations of the parts are.
    readers
        Of all parts of one table.

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
        if meaning_column(column, counts, len(counts))
    }


def _spare(reader: PartReader) -> Mapping[str, tuple[str, str]]:
    mapping, own = reader.mapping, {reader.mapping.source_name(name) for name in reader.names}
    used = own | set(mapping.where) | {mapping.currency} | reader.part.read_elsewhere
    return {name: column for name, column in reader.part.columns.items() if name not in used}


def _counts(connection: duckdb.DuckDBPyConnection, reader: PartReader, text: str) -> dict[str, int]:
    """Rows of the most frequent values; one more than `MOST_VALUES` tells that there are more."""
    value = f"coalesce(trim({text}, {quote_literal(SPACES)}), '')"
    query = f"""
        select left({value}, 60) as value, count(*) as n from {reader.part.relation} where {_kept(reader)}
        group by value order by value = '' desc, n desc, value limit {MOST_VALUES + 2}
    """
    return dict(connection.execute(query).fetchall())


def _kept(reader: PartReader) -> str:
    part: Part = reader.part
    rules = [rule.keeps(comparable(as_text(*part.columns[c]))) for c, rule in reader.mapping.where.items()]
    return " and ".join(rules) or "true"
