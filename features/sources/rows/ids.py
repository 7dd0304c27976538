"""Repairs of ids that one system or spreadsheet writes in another way than the other.

    ids: {customer_id: [salesforce]}

Repairs are applied in the order given, in each table whose mapping names them; none is applied by itself. Two ids of
the table of customers that a repair makes one stop the load: what differs by design is never merged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations
from typing import Literal

import duckdb
import pandas as pd

from configs.errors import DataError
from features.sql import connect_duckdb, quote_literal

Repair = Literal["decimal", "exponent", "leading_zeros", "case", "width", "unicode", "salesforce", "mark"]
UNKNOWN_SHARE = 0.005  # of the rows; fewer ids that no customer has are single errors
RECOVERED = 0.5  # of the ids that no customer has, a repair must make so many those of customers
WIDE = "".join(chr(code) for code in range(0xFF01, 0xFF5F)) + "\u3000"
NARROW = "".join(chr(code) for code in range(0x21, 0x7F)) + " "
REPAIRS: Mapping[Repair, str] = {
    "decimal": r"regexp_replace({id}, '^(\d+)[.,]0+$', '\1')",
    "exponent": r"case when regexp_matches({id}, '^\d([.,]\d+)?[eE]\+?\d{1,2}$') then coalesce("
    r"cast(try_cast(replace({id}, ',', '.') as decimal(38, 0)) as varchar), {id}) else {id} end",
    "leading_zeros": r"regexp_replace({id}, '^0+(\d+)$', '\1')",
    "case": "lower({id})",
    "width": f"translate({{id}}, {quote_literal(WIDE)}, {quote_literal(NARROW)})",
    "unicode": "nfc_normalize({id})",
    "salesforce": "regexp_replace({id}, '^([a-zA-Z0-9]{15})[A-Z0-5]{3}$', '\\1')",
    "mark": "regexp_replace(regexp_replace({id}, '^=\"(.*)\"$', '\\1'), '^''', '')",
}
MEANINGS: Mapping[Repair, str] = {
    "decimal": "'123.0' is '123'",
    "exponent": "'1.23E+5' is '123000'",
    "leading_zeros": "'00123' is '123'",
    "case": "'AB1' is 'ab1'",
    "width": "full-width letters and digits are those of half width",
    "unicode": "one Unicode form (NFC)",
    "salesforce": "Salesforce ids of 18 characters are those of 15",
    "mark": 'an apostrophe before, or ="..." around, an id is a spreadsheet\'s',
}


def repaired(text: str, repairs: Sequence[Repair]) -> str:
    """SQL of an id after its repairs.

    >>> ids = ["00123", "123.0", "1.23E+5", "\uff21\uff11", "0016000000MRatdAAC", "'7"]
    >>> [duckdb.execute(f"select {repaired('?::varchar', [r])}", [i] * REPAIRS[r].count("{id}")).fetchone()[0]
    ...  for i, r in zip(ids, ["leading_zeros", "decimal", "exponent", "width", "salesforce", "mark"])]
    ['123', '123', '123000', 'A1', '0016000000MRatd', '7']
    """
    for repair in repairs:
        text = "(" + REPAIRS[repair].replace("{id}", text) + ")"
    return text


def repair_ids(ids: Sequence[str], repairs: Sequence[Repair]) -> list[str]:
    """Ids after their repairs, in the same order; outside a load, where a person or a program names a customer.

    >>> repair_ids(["KA7", "ka7"], ["case"]), repair_ids(["KA7"], [])
    (['ka7', 'ka7'], ['KA7'])
    """
    if not repairs or not ids:
        return list(ids)
    query = f"select {repaired('id', repairs)} from (select unnest(?::varchar[]) as id)"
    return [str(row[0]) for row in _connection().cursor().execute(query, [list(ids)]).fetchall()]


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    return connect_duckdb()


def refuse_merged(
    connection: duckdb.DuckDBPyConnection, table: str, relation: str, before: str, after: str, repairs: Sequence[Repair]
) -> None:
    """Stop if repairs make two ids of the table of customers one.

    Parameters
    ----------
    before, after
        SQL of the id in `relation`, before and after its repairs.

    Raises
    ------
    DataError
        They do.
    """
    query = f"""
        select count(*) from (select 1 from {relation} where {after} is not null
        group by {after} having count(distinct {before}) > 1)"""
    merged = connection.execute(query).fetchall()[0][0]
    if merged:
        raise DataError(
            f"{table}: ids: {', '.join(repairs)} would make one customer of several in {merged:,} cases; their ids "
            "differ by design: remove the repair, or correct the ids in the export"
        )


def best_repair(unknown: pd.Series, known: pd.Series) -> tuple[tuple[Repair, ...], int, int, tuple[str, str]] | None:
    """The fewest repairs that make customers of most unknown ids, and make no two customers one.

    Parameters
    ----------
    unknown
        Different ids that no customer has.
    known
        The ids of the customers.

    Returns
    -------
    tuple or None
        The repairs, how many unknown ids they make customers of, how many were asked, and an unknown id with the
        customer's that it becomes; None if nothing does.
    """
    with connect_duckdb() as connection:
        for name, ids in (("asked", unknown), ("customers", known)):
            connection.register("given", pd.DataFrame({"id": ids.astype(str).to_numpy(object)}))
            connection.execute(f"create table {name} as select id from given")
            connection.unregister("given")
        for size in (1, 2):
            tried = [(_match(connection, repairs), repairs) for repairs in combinations(REPAIRS, size)]
            fitting = [(pairs, repairs) for pairs, repairs in tried if len(pairs) >= max(1, RECOVERED * len(unknown))]
            if fitting:
                pairs, repairs = max(fitting, key=lambda fit: len(fit[0]))
                return repairs, len(pairs), len(unknown), pairs[0]
    return None


def _match(connection: duckdb.DuckDBPyConnection, repairs: tuple[Repair, ...]) -> list[tuple[str, str]]:
    """Unknown ids and the customer's that each becomes; none where customers would be merged, or unknown ids would."""
    if any(merges(connection, table, repairs) for table in ("asked", "customers")):
        return []
    after = repaired("id", repairs)
    query = f"""select a.id, c.id from (select id, {after} as r from asked) a
                join (select id, {after} as r from customers) c using (r) order by 1"""
    return [(str(a), str(b)) for a, b in connection.execute(query).fetchall()]


def merges(connection: duckdb.DuckDBPyConnection, relation: str, repairs: Sequence[Repair]) -> bool:
    """Whether repairs, one after the other, make one of two values of the column ``id`` of a relation."""
    query = f"select count(distinct id) > count(distinct {repaired('id', repairs)}) from {relation}"
    return bool(connection.execute(query).fetchall()[0][0])


def example_of(pair: tuple[str, str]) -> str:
    """An id and the customer's that it becomes, in words; nothing where they are addresses of persons.

    >>> example_of(("17", "0017")), example_of(("A@x.org", "a@x.org"))
    (", as '17' is '0017'", '')
    """
    one, other = pair
    return "" if "@" in one + other else f", as {one[:40]!r} is {other[:40]!r}"
