"""One line an item becomes one row an order.

    lines: {amount: once, quantity: sum}

*once*: the number belongs to the order, and stands on its first line or on each; *sum*: each line has its own. Texts
of an order are those of the first line that has them; a line without key, customer and time belongs to the order above
it. An order whose lines differ in what must be one (customer, currency, a number that stands *once*) is not usable, and
says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import duckdb

from configs.errors import DataError
from features.sql import quote_literal
from features.tables import TABLES

Combine = Literal["once", "sum"]
NO_CURRENCY = "currency: is empty"  # the reason against a row that tells none


def combine_lines(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    relation: str,
    names: Sequence[str],
    lines: Mapping[str, Combine] | None,
    texts: Sequence[str] = (),
) -> list[str]:
    """Put one row for each key in the place of its lines, in the order of their first lines.

    Parameters
    ----------
    connection
        Where `relation` is: a staged table with ``v{k}`` and ``t{k}`` of each column, ``why``, ``part_place`` and maybe
        ``cur``.
    table, names
        Name of the table, and of its columns by k.
    lines
        How numbers are combined; None: a line is a row already.
    texts
        Further columns of texts, empty where there is none.

    Returns
    -------
    list of str
        A note on how many lines became how many rows.

    Raises
    ------
    DataError
        A number is there and nothing says how it is combined, or one is told that is no number of the table.
    """
    if lines is None:
        return []
    spec = TABLES[table]
    numbers = [f.name for f in spec.fields if f.kind == "number" and f.name in names]
    _require_told(table, numbers, lines)
    key, before = names.index(spec.key), _count(connection, relation)
    has_currency = "cur" in [row[0] for row in connection.execute(f"describe {relation}").fetchall()]
    once = [names.index(n) for n in (*(n for n in numbers if lines[n] == "once"), "customer_id") if n in names]
    values = [_value(k, name, spec.time, lines) for k, name in enumerate(names)]
    differ = [(f"v{k}", names[k]) for k in once] + ([("cur", "currency")] if has_currency else [])
    reason = ": differs among the lines of one " + spec.grain
    differs = [f"case when count(distinct {v}) > 1 then {quote_literal(name + reason)} end" for v, name in differ]
    given = "string_agg(distinct why, '; ')"
    if has_currency:  # a line below the first need not repeat the currency of its order
        told = f"nullif(trim(replace(why, {quote_literal(NO_CURRENCY)}, ''), '; '), '')"
        given = f"case when count(cur) > 0 then string_agg(distinct {told}, '; ') else {given} end"
    why = f"nullif(concat_ws('; ', {given}, {', '.join(differs)}), '') as why"
    rest = [f"coalesce(arg_min({w}, place) filter (where {w} <> ''), '') as {w}" for w in texts]
    rest += ["arg_min(cur, place) as cur"] if has_currency else []
    others = [f"v{names.index(n)} is null" for n in ("customer_id", spec.time) if n in names]
    below = " and ".join([f"v{key} is null", f"t{key} is null", *others])
    connection.execute(f"""
        create table {relation}_rows as
        select {", ".join(values)}, {why}, min(part_place) as part_place{"".join(", " + r for r in rest)}
        from (select * replace (case when {below} then above else v{key} end as v{key}) from (
            select *, rowid as place,
                   last_value(v{key} ignore nulls) over (partition by part_place order by rowid) as above
            from {relation}))
        group by part_place, v{key} is null, v{key}, case when v{key} is null then place end order by min(place)
    """)
    connection.execute(f"drop table {relation}")
    connection.execute(f"alter table {relation}_rows rename to {relation}")
    return [f"{before:,} lines are {_count(connection, relation):,} rows of {table}"]


def _require_told(table: str, numbers: Sequence[str], lines: Mapping[str, Combine]) -> None:
    if unknown := sorted(set(lines) - set(numbers)):
        raise DataError(f"{table}: lines: '{unknown[0]}' is no number that is read; there are {', '.join(numbers)}")
    if untold := [name for name in numbers if name not in lines]:
        raise DataError(
            f"{table}: lines: say how '{untold[0]}' is combined: once, if it belongs to the whole and stands on the "
            "first line or on each, or sum, if each line has its own"
        )


def _value(k: int, name: str, time: str, lines: Mapping[str, Combine]) -> str:
    other = f"min(v{k})" if name == time else f"arg_min(v{k}, place)"
    nothing_back = f"case when sum(v{k}) = 0 and bool_and(signbit(v{k})) then '-0.0'::double else sum(v{k}) end"
    value = nothing_back if lines.get(name) == "sum" else other  # a sum of -0, nothing paid back, would else be 0
    return f"{value} as v{k}, arg_min(t{k}, place) as t{k}"


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    return int(connection.execute(f"select count(*) from {relation}").fetchall()[0][0])
