"""From the parts of a table to its raw rows: they are stacked in a temporary DuckDB database, and read by a mapping.

A table that is too large for memory comes out in chunks. Nothing of its size stands in memory as Python objects.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from configs.errors import DataError, nearest
from features.numbers.reading import SignEvidence
from features.numbers.signs import decimal_signs
from features.sources.currency_columns import currency_expressions, unread_currencies
from features.sources.expressions import as_text
from features.sources.mapping import OPEN_TABLES, Join, TableMapping, require_filled
from features.sources.part_reader import Part, PartReader
from features.sources.rows.copies import numbered
from features.sources.rows.ids import refuse_merged
from features.sources.rows.lines import combine_lines
from features.sources.rows.returns import without_marks
from features.sources.rows.rules import comparable, keep_rows, rows_left_out
from features.sources.rows.shared_ids import shared_id_notes
from features.sources.rows.unread import unread_meanings
from features.sources.rows.versions import keep_newest
from features.sql import connect_duckdb, quote_literal
from features.tables import CURRENCY, LEFT_OUT, REASON, TABLES, UNREAD

MEMORY, MEMORY_TO_READ = "768MB", "256MB"
NOT_KEPT = "not_kept"  # in ``attrs`` of one of several entries, see `read`
ATTRIBUTE_NUMBERS = "attribute_numbers"  # in ``attrs`` of attribute_changes: how each attribute's numbers are written
VERSION_COLUMNS = {t.name: dict.fromkeys((t.key, "customer_id", t.time, "recorded_at")) for t in TABLES.values()}
CURRENCY_ROWS = "select cur, count(*) from {} where cur is not null group by cur order by count(*) desc, cur"


@dataclass(frozen=True)
class ChunkedTable:
    """A raw table too large for memory: it stands on disk and is read in chunks, one frame after the other.

    All that is inferred from values (decimal signs, which columns hold something unreadable) is inferred from the whole
    table, so that a row is read alike whatever chunk it comes in.

    Attributes
    ----------
    rows
        How many there are, lines that are no rows among them.
    read
        Gives the frames in the order of the source, each with the same columns.
    attrs
        As of a frame.
    """

    rows: int
    read: Callable[[], Iterator[pd.DataFrame]]
    attrs: Mapping[str, Any]


Raw = pd.DataFrame | ChunkedTable


@contextmanager
def staging() -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """A DuckDB database in a temporary folder, which keeps at most `MEMORY` in memory."""
    with tempfile.TemporaryDirectory(prefix="staycast-") as name:
        folder = Path(name)
        (folder / "spill").mkdir()
        with connect_duckdb(str(folder / "staging.duckdb"), config={"memory_limit": MEMORY}) as connection:
            connection.execute("set temp_directory = " + quote_literal(str(folder / "spill")))
            connection.execute("set TimeZone = 'UTC'")
            connection.execute("pragma force_compression = 'uncompressed'")  # a copy that is read a few times
            yield connection, folder


def join_part(
    connection: duckdb.DuckDBPyConnection, part: Part, other: Part, join: Join, mapping: TableMapping
) -> Part:
    """Add columns of another part, looked up by equal keys (as text, spaces at the ends aside).

    A row whose key stands several times in the other part, with different values, gets a reason against it; a row
    without a partner keeps the new columns empty.

    Raises
    ------
    DataError
        A key or a column does not exist.
    """
    left = [as_text(*_column(part, mapping.source_name(name), name), trim=True) for name in join.on]
    right = [as_text(*_column(other, source, name), trim=True) for name, source in join.on.items()]
    added = {name: _column(other, source, name) for name, source in join.columns.items()}
    width, view = len(part.columns), f"{part.relation}_j"
    keys = ", ".join(f"{sql} as k{n}" for n, sql in enumerate(right))
    values = [f"{column} as v{n}" for n, (column, _) in enumerate(added.values())]
    firsts = ", ".join(f"any_value(v{n}) as v{n}" for n in range(len(added)))
    group = ", ".join(f"k{n}" for n in range(len(right)))
    match = " and ".join(f"{sql} = o.k{n}" for n, sql in enumerate(left))
    clash = quote_literal(f"{', '.join(join.on)}: stands several times in {other.label}, with different values")
    new = ", ".join(f"o.v{n} as c{width + n}" for n in range(len(added)))
    why = f"concat_ws('; ', {part.reason + ', ' if part.reason else ''}case when o.times > 1 then {clash} end)"
    old = "p.*" if part.reason is None else f"p.* exclude ({part.reason})"
    connection.execute(f"""
        create temp table {view} as
        with o as (select {group}, {firsts}, count(*) as times
                   from (select distinct {keys}, {", ".join(values)} from {other.relation}) group by {group})
        select {old}, {new}, nullif({why}, '') as why
        from (select *, rowid as row_place from {part.relation}) p left join o on {match}
        order by p.row_place
    """)
    connection.execute(f"alter table {view} drop column row_place")
    columns = {name: (f"c{width + n}", kind) for n, (name, (_, kind)) in enumerate(added.items())}
    return replace(part, relation=view, columns={**part.columns, **columns}, reason="why")


def _column(part: Part, source: str, name: str) -> tuple[str, str]:
    if source not in part.columns:
        what = f"no column '{source}'" + (f" for '{name}'" if source != name else "")
        raise DataError(f"{part.label} has {what}{nearest(source, part.columns)}; it has {', '.join(part.columns)}")
    return part.columns[source]


def read(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    mapping: TableMapping,
    parts: Sequence[Part],
    joined: Iterable[str] = (),
    chunk_rows: int | None = None,
    zone: str = "UTC",
    is_one_of_several: bool = False,
) -> Raw:
    """Stack the parts of one table, and read every value as the mapping says.

    Parameters
    ----------
    connection
        Where the relations of `parts` are.
    table
        Name of the table, as in `features.tables.TABLES`.
    mapping
        What the columns mean.
    parts
        In the order in which rows shall come.
    joined
        Columns that a join added, which therefore already have the table's names.
    chunk_rows
        A table of more rows is given in chunks of so many; None: no table is. Tables that may have columns of any name
        (customers) never are.
    zone
        Times without an offset from UTC are in it, unless the mapping says otherwise of their column.
    is_one_of_several
        The table has other entries, whose rows may be versions of these: ``attrs[NOT_KEPT]`` tells then what
        `features.sources.rows.entries` needs of the rows that `where` does not keep.

    Returns
    -------
    pandas.DataFrame or ChunkedTable
        One row per row of the parts and per rejected line. Columns that were read whole have their type (times in
        UTC); a column with an unreadable value is text. Columns that the table does not know are left out, unless
        they may be attributes. ``attrs`` tells: ``notes``, what was guessed; `LEFT_OUT`, rows that `where` does not
        keep; ``currencies``, the rows of each that `CURRENCY` holds; ``unread_currencies``, see
        `features.sources.currency_columns`; `UNREAD`, see `features.sources.rows.unread`; `ATTRIBUTE_NUMBERS`.

    Raises
    ------
    DataError
        A column is missing in one of the parts, or in all.
    """
    attribute_numbers = mapping.numbers if table == "attribute_changes" else {}
    if attribute_numbers:
        mapping = mapping.model_copy(update={"numbers": {}})
    names, notes = _names(table, mapping, parts, set(joined))
    if "customer_id" not in names and not mapping.number_rows:
        _refuse_known_without_customers(table, parts)
    readers = [PartReader(table, mapping, part, names, zone) for part in parts]
    notes += _offset_notes(connection, readers)
    notes += [] if table in OPEN_TABLES else shared_id_notes(connection, readers)
    texts = {n for n in names if len({r.types[n] for r in readers if r.types[n]}) > 1}
    signs = decimal_signs(table, [_sign_evidence(connection, reader) for reader in readers])
    currency = currency_expressions(connection, table, readers)
    selects = [
        reader.select(own, texts, money, [*_rule_columns(table, mapping, reader.part), f"{place} as part_place"])
        for place, (reader, own, money) in enumerate(zip(readers, signs, currency, strict=True))
    ]
    for reader, of_part in zip(readers, signs, strict=True):
        notes += _sign_notes(reader.part.label, of_part) + _placeholder_notes(connection, reader)
    for reader in readers if table == "customers" and mapping.ids.get("customer_id") else ():
        before, after = as_text(*reader.unrepaired("customer_id"), trim=True), reader.raw("customer_id")[0]
        refuse_merged(connection, table, reader.part.relation, before, after, mapping.ids["customer_id"])
    relation = f"staged_{table}"
    connection.execute(f"create table {relation} as " + " union all ".join(selects))
    notes += _dates_alone(connection, relation, readers, [n for n in names if n not in texts])
    rule_texts, grouped = _rule_texts(mapping), mapping.lines is not None
    again = keep_newest(connection, table, relation, names, grouped) if len(parts) > 1 or "recorded_at" in names else {}
    notes += combine_lines(connection, table, relation, names, mapping.lines, list(rule_texts.values()))
    not_kept = None
    if is_one_of_several:
        told = {n: f"v{names.index(n)}" for n in VERSION_COLUMNS[table] if n in names}
        not_kept = rows_left_out(connection, relation, mapping.where, rule_texts, told)
    left_out, unseen = keep_rows(connection, table, relation, mapping.where, rule_texts, mapping.may_be_empty)
    notes, left_out = notes + unseen, again | left_out
    unread = {} if table in OPEN_TABLES else unread_meanings(connection, readers, table == "subscriptions")
    unread, returns = without_marks(connection, readers, unread) if table == "orders" else (unread, [])
    notes += returns
    rejected = [reason for part in parts for reason in part.rejected]
    rows = _count(connection, f"select count(*) from {relation}")[0] + len(rejected)
    columns = _columns(connection, relation, names)
    read_columns = {mapping.source_name(name) for name in names}
    attrs: dict[str, Any] = {
        "notes": notes,
        LEFT_OUT: left_out,
        "unread_currencies": unread_currencies(connection, table, readers),
        UNREAD: unread,
        "columns": names,
        "spare": list(dict.fromkeys(c for p in parts for c in p.columns if c not in read_columns)),
    }
    if not_kept is not None:
        attrs[NOT_KEPT] = not_kept
    if attribute_numbers:
        attrs[ATTRIBUTE_NUMBERS] = attribute_numbers
    if currency[0] is not None:
        columns[CURRENCY] = "cur"
        attrs["currencies"] = dict(connection.execute(CURRENCY_ROWS.format(relation)).fetchall())
    if chunk_rows is not None and rows > chunk_rows and table not in (*OPEN_TABLES, "identities"):
        numbers = {f.name for f in TABLES[table].fields if f.kind in ("number", "time")}
        fractions = _with_fractions(connection, relation, {n: s for n, s in columns.items() if n not in numbers})
        frames = partial(_chunks, connection, relation, columns, fractions, rejected, chunk_rows)
        return ChunkedTable(rows, frames, attrs)
    frame = _fetch(connection, relation, columns)
    connection.execute(f"drop table {relation}")
    if rejected:
        frame = pd.concat([frame, pd.DataFrame({REASON: rejected})], ignore_index=True)
    frame.attrs |= attrs
    if mapping.number_rows:
        frame = _numbered(table, frame)
    return frame


def _numbered(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with the number of each as its id, and a note on what to know about such ids."""
    if "customer_id" in frame:
        raise DataError(f"{table}: number_rows is set, but there is a column customer_id; leave one of them out")
    rows = numbered(frame)
    note = "customer_id is the number of the row: it names a customer only as long as the file keeps its order"
    rows.attrs["notes"] = [*rows.attrs["notes"], note]
    return rows


def _rule_texts(mapping: TableMapping) -> dict[str, str]:
    """Of each column that `where` asks: its column in the staged table."""
    return {column: f"w{n}" for n, column in enumerate(mapping.where)}


def _rule_columns(table: str, mapping: TableMapping, part: Part) -> list[str]:
    """SQL of the columns that `where` asks.

    Raises
    ------
    DataError
        The part has no such column: nothing says which of its rows count.
    """
    try:
        return [
            f"{comparable(as_text(*_column(part, column, column)))} as {text}"
            for column, text in _rule_texts(mapping).items()
        ]
    except DataError as error:
        raise DataError(f"{table}: where: {error}") from None


def _names(table: str, mapping: TableMapping, parts: Sequence[Part], joined: set[str]) -> tuple[list[str], list[str]]:
    """Columns that the rows will have, and a note on each that a part lacks; only one that may be empty may be lacking.

    Raises
    ------
    DataError
        A required column is missing in a part, or any other in all.
    """
    renamed = set(mapping.columns.values()) - set(mapping.columns)
    natural = [n for part in parts for n in part.columns if n not in renamed]
    names = [n for n in dict.fromkeys([*mapping.columns, *natural]) if n not in mapping.constants]
    required = {f.name for f in TABLES[table].fields if f.required}
    needed_by_rows = {f.name for f in TABLES[table].fields if f.required or not f.nullable}
    given = {n for n in names if any(mapping.source_name(n) in p.columns for p in parts)} | set(mapping.constants)
    if table not in OPEN_TABLES and required <= given:
        names = [n for n in names if n in TABLES[table].names]
    require_filled(table, mapping, parts[0].columns)
    notes = []
    for name in names:
        source = name if name in joined else mapping.source_name(name)
        lacking = [part for part in parts if source not in part.columns]
        if lacking and (name in needed_by_rows or len(lacking) == len(parts)):
            try:
                _column(lacking[0], source, name)
            except DataError as error:
                raise DataError(f"{table}: {error}") from None
        notes += [f"{part.label}: no column '{source}', '{name}' is left empty" for part in lacking]
    for name in (*mapping.values, *mapping.times, *mapping.numbers, *mapping.ids):
        if name not in names and name not in mapping.constants:
            raise DataError(
                f"{table}: the mapping tells how to read '{name}', which no file has{nearest(name, names)}; "
                f"there are {', '.join(names)}"
            )
    return names + list(mapping.constants), notes


def _refuse_known_without_customers(table: str, parts: Sequence[Part]) -> None:
    from features.sources.recipes.recipe import export_instead

    for part in parts:
        if instead := export_instead(table, "customer_id", part.columns):
            raise DataError(f"{table}: {part.label} has no customer_id: {instead}")


def _sign_evidence(connection: duckdb.DuckDBPyConnection, reader: PartReader) -> dict[str, SignEvidence]:
    """What the values of each undecided column of one part, and of each factor, tell."""
    names = [*reader.undecided, *reader.factors_undecided]
    told = _count(connection, reader.evidence(names)) if names else ()
    of = {name: number for name, (number, _) in reader.factors_undecided.items()}
    return {n: replace(SignEvidence(*told[4 * k : 4 * k + 4]), factor_of=of.get(n)) for k, n in enumerate(names)}


def _sign_notes(label: str, signs: Mapping[str, str]) -> list[str]:
    commas = [f"{label}: {n} is read with a decimal comma" for n, s in signs.items() if s == ","]
    return commas + [
        f"{label}: {n} has decimal commas and points; each value is read by its own"
        for n, s in signs.items()
        if s == "mixed"
    ]


def _placeholder_notes(connection: duckdb.DuckDBPyConnection, reader: PartReader) -> list[str]:
    said = {
        "say that nothing is known (as N/A does), and count as empty": reader.placeholders,
        "are dates that stand for an unknown one (as 1900-01-01 does), and count as empty": reader.unknown_dates,
    }
    asked = [(name, sql, what) for what, by_name in said.items() for name, sql in by_name.items()]
    if not asked:
        return []
    counts = ", ".join(f"count_if({sql})" for _, sql, _ in asked)
    rows = _count(connection, f"select {counts} from {reader.part.relation}")
    label = reader.part.label
    return [f"{label}: {n:,} values of {name} {what}" for (name, _, what), n in zip(asked, rows, strict=True) if n]


def _offset_notes(connection: duckdb.DuckDBPyConnection, readers: Sequence[PartReader]) -> list[str]:
    """A note on each column of times of which some have an offset from UTC and some have none."""
    counts: dict[str, tuple[int, int]] = {}
    for reader in readers:
        numbers = _count(connection, reader.count_offsets(reader.times)) if reader.times else ()
        for n, name in enumerate(reader.times):
            before = counts.get(name, (0, 0))
            counts[name] = (before[0] + (numbers[2 * n] or 0), before[1] + (numbers[2 * n + 1] or 0))
    return [
        f"{name}: {with_:,} times have an offset from UTC and {without:,} have none; those are read in "
        f"{readers[0].zone_of(name)} (say times: {{{name}: {{zone: ...}}}} if they are in another)"
        for name, (with_, without) in counts.items()
        if with_ and without
    ]


def _dates_alone(
    connection: duckdb.DuckDBPyConnection, relation: str, readers: Sequence[PartReader], names: Sequence[str]
) -> list[str]:
    """Make columns whose times all say by an offset that they are midnight UTC dates alone, and note it."""
    every = readers[0].names
    times = {n: f"v{every.index(n)}" for n in names if any(n in reader.times for reader in readers)}
    if not times:
        return []
    late = [f"({v} - date_trunc('day', {v}) = interval 1 microsecond)" for v in times.values()]
    counts = ", ".join(f"count_if({x}), count({v})" for x, v in zip(late, times.values(), strict=True))
    told = _count(connection, f"select {counts} from {relation}")
    notes = []
    for n, (name, v) in enumerate(times.items()):
        at_midnight, filled = told[2 * n], told[2 * n + 1]
        if not at_midnight or at_midnight < filled:
            continue
        having = [reader for reader in readers if name in reader.times]
        if any(_count(connection, reader.count_offsets([name]))[1] for reader in having):
            continue  # clocks of a zone that show another hour
        connection.execute(f"update {relation} set {v} = date_trunc('day', {v})")
        notes.append(f"{name}: all {filled:,} times are midnight UTC; they are taken as dates without an hour")
    return notes


def _columns(connection: duckdb.DuckDBPyConnection, relation: str, names: Sequence[str]) -> dict[str, str]:
    """SQL of each column of the staged rows: typed if every value could be read, else text."""
    counts = ", ".join(f"count(t{k})" for k in range(len(names)))
    lost = _count(connection, f"select {counts}, count(why) from {relation}")
    columns = {n: f"coalesce(t{k}, cast(v{k} as varchar))" if lost[k] else f"v{k}" for k, n in enumerate(names)}
    return {**columns, REASON: "why"} if lost[-1] else columns


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    return connection.execute(query).fetchone() or ()


def _fetch(connection: duckdb.DuckDBPyConnection, relation: str, columns: Mapping[str, str]) -> pd.DataFrame:
    """The staged rows as a frame, column by column."""
    return pd.DataFrame(
        {
            name: _series(connection.sql(f"select {sql} from {relation}").to_arrow_table().column(0))
            for name, sql in columns.items()
        }
    )


def _with_fractions(connection: duckdb.DuckDBPyConnection, relation: str, columns: Mapping[str, str]) -> frozenset[str]:
    """Columns of floats that are ids or texts and not all whole: then none of their values is told as whole."""
    kinds = {n: connection.sql(f"select {sql} as one from {relation} limit 0").types[0] for n, sql in columns.items()}
    floats = {n: sql for n, sql in columns.items() if str(kinds[n]) in ("DOUBLE", "FLOAT")}
    return frozenset(
        n
        for n, sql in floats.items()
        if _count(connection, f"select count_if({sql} <> floor({sql})) from {relation}")[0]
    )


def _chunks(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Mapping[str, str],
    fractions: frozenset[str],
    rejected: Sequence[str],
    rows: int,
) -> Iterator[pd.DataFrame]:
    """The staged rows in their order, in frames of at most so many rows; the lines that are no rows come last."""
    selected = ", ".join(f"{sql} as f{k}" for k, sql in enumerate(columns.values()))
    connection.execute(f"set memory_limit = '{MEMORY_TO_READ}'")  # what reads the chunks needs the rest
    reader = connection.sql(f"select {selected} from {relation}").to_arrow_reader(rows)

    def framed(table: pa.Table) -> pd.DataFrame:
        frame = pd.DataFrame({n: _series(table.column(k)) for k, n in enumerate(columns)})
        return frame.assign(**{n: frame[n].map(str, na_action="ignore").astype(object) for n in fractions})

    for batch in reader:
        yield framed(pa.Table.from_batches([batch]))
    empty = framed(reader.schema.empty_table())
    for start in range(0, len(rejected), rows):
        lines = rejected[start : start + rows]
        yield empty.reindex(range(len(lines))).assign(**{REASON: lines})


def _series(column: pa.ChunkedArray) -> pd.Series:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pd.Series(pd.arrays.ArrowStringArray(column.cast(pa.large_string())))
    if pa.types.is_integer(column.type) and column.null_count:
        return column.to_pandas(types_mapper={column.type: pd.Int64Dtype()}.get)
    return column.to_pandas()
