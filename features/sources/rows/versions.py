"""Exports that overlap: a row that comes again counts once, and of an amended one the newest version.

Which is the newest is told by ``recorded_at``, and where that is the same or missing, by the order of the files. A copy
was known since the first of its like; an amended row is known as it stands from its own ``recorded_at`` on.

Versions of one event have one customer and one time: a till whose numbers begin anew each month writes no versions.
Rows with one key that are no versions, or that nothing puts in an order, stay: the check of the table has a reason
against all but the first.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from features.tables import TABLES

COPIES = "copies of rows in other files or versions"
AMENDED = "older versions of amended rows"


def keep_newest(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    relation: str,
    names: Sequence[str],
    by_part: bool = False,
    aside: Sequence[str] = (),
    counted: str = "1",
) -> dict[str, int]:
    """Delete all but the newest version of each key from a staged table; the other rows keep their order.

    Parameters
    ----------
    connection
        Where `relation` is: a table with ``v{k}`` and ``t{k}`` of each column and ``part_place``, its file's place.
    table, names
        Name of the table, and of its columns by k.
    by_part
        All rows of a key in one file are one version: its lines.
    aside
        Columns of `relation` that are no content of the row.
    counted
        SQL of the rows of the source that a row stands for.

    Returns
    -------
    dict of str to int
        Rows left out, by what they were.
    """
    key = TABLES[table].key
    if key not in names:
        return {}
    id_, recorded = f"v{names.index(key)}", f"v{names.index('recorded_at')}" if "recorded_at" in names else None
    time = f"try_cast({recorded} as timestamp)" if recorded else "null::timestamp"
    same = [f"v{names.index(n)}" for n in ("customer_id", TABLES[table].time) if n in names and table != "customers"]
    part = f"over (partition by {id_}, part_place)"
    event = ", ".join(["key", *(f"e{n}" for n in range(len(same)))])
    events = "".join(f", {f'max({sql}) {part}' if by_part else sql} as e{n}" for n, sql in enumerate(same))
    again = f"select {id_} from {relation} where {id_} is not null group by 1 having count(*) > 1"
    described = [row[0] for row in connection.execute(f"describe {relation}").fetchall()]
    content = [c for c in described if c not in (recorded, recorded and "t" + recorded[1:], "part_place", *aside)]
    connection.execute(f"""
        create or replace temp table versions as
        with rows_again as (
            select rowid as place, {counted} as counted, {id_} as key, part_place,
                   hash({", ".join(content)}) as content,
                   {time} as own_time, {f"max({time}) {part}" if by_part else time} as known{events}
            from {relation} where {id_} in ({again}))
        select *, rank() over (partition by {event} order by known desc nulls last, part_place desc) = 1 as newest
        from rows_again
    """)
    if recorded:
        connection.execute(f"""
            update {relation} set {recorded} = first_known from (
                select n.place, min(o.own_time) as first_known from versions n join versions o using (key, content)
                where n.newest and not o.newest and o.own_time < n.own_time group by n.place) earlier
            where {relation}.rowid = earlier.place
        """)
    copied, amended = connection.execute("""
        select coalesce(sum(counted) filter (copy), 0), coalesce(sum(counted) filter (not copy), 0) from (
            select counted, (key, content) in (select (key, content) from versions where newest) as copy
            from versions where not newest)
    """).fetchall()[0]
    connection.execute(f"delete from {relation} where rowid in (select place from versions where not newest)")
    connection.execute("drop table versions")
    return {name: int(rows) for name, rows in ((COPIES, copied), (AMENDED, amended)) if rows}
