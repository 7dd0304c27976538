"""Ids of customers behind which stand many e-mail addresses: guests, a till, a whole company; no one customer."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from features.sources.expressions import NULL_TEXT, as_text
from features.sources.part_reader import PartReader
from features.sources.rows.rules import comparable
from features.sql import quote_literal
from features.tables import quote

MANY = 10  # addresses; a household has fewer
SAMPLE, MOSTLY, SHOWN = 1_000, 0.5, 3
ADDRESS = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"


def shared_id_notes(connection: duckdb.DuckDBPyConnection, readers: Sequence[PartReader]) -> list[str]:
    """One note for each column of addresses of a part that tells apart many behind one id of a customer."""
    notes = []
    for reader in readers:
        who = reader.raw("customer_id")[0] if "customer_id" in reader.names else NULL_TEXT
        if who == NULL_TEXT:
            continue
        own = {reader.mapping.source_name(name) for name in reader.names}
        for name, (column, kind) in reader.part.columns.items():
            if kind == "VARCHAR" and name not in own and _holds_addresses(connection, reader, column):
                notes += _notes(connection, reader, who, name, column)
    return notes


def _holds_addresses(connection: duckdb.DuckDBPyConnection, reader: PartReader, column: str) -> bool:
    query = f"""
        select coalesce(count_if(regexp_matches(trim(x), {quote_literal(ADDRESS)})), 0), count(*)
        from (select {column} as x from {reader.part.relation} where trim({column}) <> '' limit {SAMPLE})"""
    found, rows = connection.execute(query).fetchall()[0]
    return bool(found > MOSTLY * rows)


def _notes(connection: duckdb.DuckDBPyConnection, reader: PartReader, who: str, name: str, column: str) -> list[str]:
    rules = [r.keeps(comparable(as_text(*reader.part.columns[c]))) for c, r in reader.mapping.where.items()]
    query = f"""
        select cast({who} as varchar) as id, count(distinct lower(trim({column}))) as addresses, count(*) as n
        from {reader.part.relation} where trim({column}) <> '' and {" and ".join(rules) or "true"}
        group by id having id is not null and addresses >= {MANY} order by addresses desc, id"""
    found = connection.execute(query).fetchall()
    if not found:
        return []
    shown = ", ".join(f"{quote(i)} ({addresses:,} in {n:,} rows)" for i, addresses, n in found[:SHOWN])
    return [
        f"{reader.part.label}: {len(found):,} ids of customers have {MANY} different addresses or more in '{name}': "
        f"{shown}; if these are no one customer, read customer_id from '{name}', or leave such rows out by where"
    ]
