"""CSV, parquet and XLSX files of any shape, one or several a table, with columns described by a mapping.

    source:
      loader: files
      options:
        customers: {path: exports/customers.parquet}
        orders:
          path: exports/orders_*.csv               # one file, a list, or a pattern; several are stacked in that order
          encoding: cp1252                         # only where it is not found out
          delimiter: ";"                           # only where it is not found out
          sheet: Orders                            # of an XLSX file, where it has several
          columns: {order_id: Invoice, customer_id: Client, ordered_at: Date, amount: Total}
          times: {ordered_at: {format: "%d.%m.%Y %H:%M", zone: Europe/Berlin}}
          join:
            - {path: exports/shops.csv, on: {shop: id}, columns: {channel: name}}
        interactions:                              # files of different columns: a list, each with its own mapping
          - {path: exports/tickets.csv, columns: {interaction_id: ticket, kind: type}}
          - {path: exports/calls.csv, columns: {interaction_id: call}, constants: {kind: call}, key_prefix: call-}

``columns``, ``values``, ``times``, ``numbers`` and ``constants`` are described in `features.sources.mapping`. The left
side of a join's ``on`` is a column of the table, or of the file itself; one name alone means both sides have it.
``${NAME}`` in a path is the environment variable. A path is read from the current folder.

Nothing of a file's size stands in memory as Python objects: rows go block by block into a temporary DuckDB database
beside the system's temporary files, and come out as typed columns.
"""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import duckdb
import pyarrow as pa
from pydantic import Field

from configs.errors import ConfigError, DataError
from configs.fingerprint import files_fingerprint, fingerprint
from configs.variables import expand
from features.sources.ahead import ahead
from features.sources.delimited import open_delimited
from features.sources.mapping import Join, Numbers, OneOrMore, TableMapping, check_names, parse, require_table
from features.sources.part_reader import Part
from features.sources.spreadsheet import XLSX, open_sheet
from features.sql import quote_literal
from features.tables import TABLES

if TYPE_CHECKING:
    import pandas as pd

    from features.sources.staging import Raw

WHOLE_HASH_BYTES = 1 << 28
EDGE_BYTES = 1 << 22
BATCHES_AT_ONCE = 16  # of 4 MB each: of a file that is read, so much stands in memory as Arrow
SPREADSHEETS = (".xls", ".ods", ".numbers")


class FileJoin(Join):
    """Columns of another file."""

    path: str
    sheet: str | None = None
    encoding: str | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None


class FileTable(TableMapping):
    """One table's files and what their columns mean."""

    path: Annotated[OneOrMore, Field(min_length=1)]
    sheet: str | None = None
    encoding: str | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    key_prefix: str | None = None
    join: tuple[FileJoin, ...] = ()


def load(options: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Read every table that the options name.

    Returns
    -------
    dict of str to pandas.DataFrame
        See `features.sources.staging.read`; ``attrs["notes"]`` tells encodings, delimiters and other guesses.

    Raises
    ------
    ConfigError
        A table or a key is unknown, or a value is not what it should be.
    DataError
        A file is missing or unreadable, or lacks a column that is told.
    """
    with opened(options, None) as tables:
        return cast("dict[str, pd.DataFrame]", tables)


@contextmanager
def opened(options: dict[str, Any], chunk_rows: int | None, zone: str = "UTC") -> Iterator[dict[str, Raw]]:
    """As `load`, but a table of events of more than `chunk_rows` rows is given in chunks, while the context is open.

    Times without an offset from UTC are in `zone`, unless the options say otherwise of their column.
    """
    with ExitStack() as stack:
        yield {
            name: _load_all(name, entries, chunk_rows, stack, zone) for name, entries in _parse_options(options).items()
        }


def source_fingerprint(options: dict[str, Any]) -> str:
    """Hash of the options and of the files.

    A file up to 256 MB counts with its content; a larger one with its size, its time of change, and its first and
    last 4 MB.
    """
    parsed = [(name, entry) for name, entries in _parse_options(options).items() for entry in entries]
    patterns = [(n, p) for n, e in parsed for p in (e.path, *((join.path,) for join in e.join))]
    files = [path for name, paths in patterns for path in _paths(name, paths)]
    return fingerprint([(n, e.model_dump()) for n, e in parsed], [_file_fingerprint(p) for p in files])


def _file_fingerprint(path: Path) -> str:
    stat = path.stat()
    if stat.st_size <= WHOLE_HASH_BYTES:
        return files_fingerprint([path])
    with path.open("rb") as file:
        edges = file.read(EDGE_BYTES)
        file.seek(-EDGE_BYTES, 2)
        edges += file.read()
    return fingerprint(path.name, stat.st_size, stat.st_mtime_ns, hashlib.sha256(edges).hexdigest())


def _parse_options(options: dict[str, Any]) -> dict[str, list[FileTable]]:
    """Of each table the files with their mappings; several only where the options list them."""
    if not options:
        raise ConfigError(
            "source.options: name at least the files of customers and orders, e.g. orders: {path: orders.csv}"
        )
    for name in options:
        require_table(name)
    return {name: [_parse_entry(name, one) for one in _as_list(given)] for name, given in options.items()}


def _as_list(given: object) -> list[object]:
    return given if isinstance(given, list) and given else [given]


def _parse_entry(name: str, given: object) -> FileTable:
    if not isinstance(given, dict) or "path" not in given:
        raise ConfigError(f"source.options.{name}: expected {{path: FILE, columns: {{ours: theirs}}}}, got {given!r}")
    entry = parse(FileTable, given, f"source.options.{name}")
    check_names(name, entry, [c for join in entry.join for c in join.columns])
    return entry


def _by_number(path: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", path)]


def _paths(name: str, patterns: tuple[str, ...]) -> list[Path]:
    """The files meant, those of a pattern in order of name: ``orders_10.csv`` comes after ``orders_2.csv``."""
    paths = []
    for pattern in patterns:
        text = expand(pattern, f"source.options.{name}.path")
        matches = (
            [Path(text)]
            if Path(text).is_file()
            else [Path(p) for p in sorted(glob.glob(text, recursive=True), key=_by_number)]
        )
        files = [p for p in matches if p.is_file()]
        if not files:
            raise DataError(
                f"{name}: no file at '{text}'; correct source.options.{name}.path (it is read from the current folder)"
            )
        paths += files
    twice = sorted({str(p) for p in paths if paths.count(p) > 1})
    if twice:
        raise ConfigError(f"source.options.{name}.path: {', '.join(twice)} would be read twice; name each file once")
    return paths


def _load_all(name: str, entries: list[FileTable], chunk_rows: int | None, stack: ExitStack, zone: str) -> Raw:
    """One table, of all its entries."""
    if len(entries) == 1 and not entries[0].key_prefix:
        return _load(name, entries[0], chunk_rows, stack, zone)
    from features.sources.stacking import stacked

    if name == "attribute_changes" and any(entry.numbers != entries[0].numbers for entry in entries):
        raise ConfigError(f"source.options.{name}: all entries decide together: give the same `numbers` in each")
    paths = [set(_paths(name, entry.path)) for entry in entries]
    places = range(len(entries))
    others = [{path: _read_of(name, path, entries, paths, n) for path in paths[n]} for n in places]
    alone = [not any(paths[n] & paths[k] for k in places if k != n) for n in places]
    back = [_pays_back(entries, paths, n) for n in places]
    raws = [_load(name, entry, chunk_rows, stack, zone, others[n], back[n]) for n, entry in enumerate(entries)]
    prefixes = [entry.key_prefix for entry in entries]
    return stacked(name, raws, prefixes, [own and not prefix for own, prefix in zip(alone, prefixes, strict=True)])


def _read_of(
    name: str, path: Path, entries: Sequence[FileTable], paths: Sequence[set[Path]], but: int
) -> frozenset[str]:
    """Columns of a file that other entries than one read as columns of the table, or as its currency."""
    reading = [entry for n, entry in enumerate(entries) if n != but and path in paths[n]]
    fields = {column for entry in reading for column in (*TABLES[name].names, *entry.columns)}
    told = {entry.source_name(column) for entry in reading for column in fields if column not in entry.constants}
    return frozenset(told | {entry.currency for entry in reading if entry.currency})


def _pays_back(entries: Sequence[FileTable], paths: Sequence[set[Path]], place: int) -> bool:
    """Whether an entry has what was paid back of orders of another, so that a 0 there is no order.

    It turns the signs that the other leaves as they are, in its file or under a `key_prefix`; or it reads another
    column of its file under a `key_prefix`.
    """
    one, others = entries[place], [k for k in range(len(entries)) if k != place]
    turned = {k: entries[k].numbers.get("amount", Numbers()).turns_signs for k in range(len(entries))}
    amounts = {k: entries[k].source_name("amount") for k in range(len(entries))}
    sharing = [k for k in others if paths[place] & paths[k]]
    is_turned = turned[place] and any(not turned[k] for k in (others if one.key_prefix else sharing))
    return is_turned or any(
        one.key_prefix and not entries[k].key_prefix and amounts[k] != amounts[place] for k in sharing
    )


def _load(
    name: str,
    entry: FileTable,
    chunk_rows: int | None,
    stack: ExitStack,
    zone: str,
    others: Mapping[Path, frozenset[str]] | None = None,
    pays_back: bool = False,
) -> Raw:
    """One entry of a table; what a chunked one is read from stays on disk until `stack` ends.

    Where there are several, `others` tells what they read from each file of this one, and `pays_back` whether this one
    takes back amounts of theirs.
    """
    from features.sources.staging import ChunkedTable, read, staging

    with ExitStack() as own:
        connection, folder = own.enter_context(staging())
        copies = folder / "copies"
        copies.mkdir()
        parts = [
            replace(
                _part(connection, name, path, f"part{n}", copies, entry),
                read_elsewhere=(others or {}).get(path, frozenset()),
                pays_back=pays_back,
            )
            for n, path in enumerate(_paths(name, entry.path))
        ]
        notes = [note for part in parts for note in part.notes]
        for n, join in enumerate(entry.join):
            side = _side(connection, name, join, f"side{n}", copies)
            notes += side.notes
            parts = [_joined(connection, name, part, side, join, entry) for part in parts]
        joined = [c for join in entry.join for c in join.columns]
        raw = read(connection, name, entry, parts, joined, chunk_rows, zone, others is not None)
        if isinstance(raw, ChunkedTable):
            for part in parts:
                connection.execute(f"drop table {part.relation}")  # is read, and stands in memory or spilled
            stack.push(own.pop_all())
            return replace(raw, attrs={**raw.attrs, "notes": notes + raw.attrs["notes"]})
    raw.attrs["notes"] = notes + raw.attrs["notes"]
    return raw


def _side(connection: duckdb.DuckDBPyConnection, name: str, join: FileJoin, relation: str, folder: Path) -> Part:
    """The file of a join."""
    paths = _paths(name, (join.path,))
    if len(paths) > 1:
        raise ConfigError(f"source.options.{name}.join: '{join.path}' means {len(paths)} files; a join takes one")
    side = _part(connection, name, paths[0], relation, folder, join)
    if side.rejected:
        raise DataError(f"{name}: '{paths[0]}' has lines that are no rows: {side.rejected[0]}; correct it")
    return side


def _joined(
    connection: duckdb.DuckDBPyConnection, name: str, part: Part, side: Part, join: FileJoin, entry: FileTable
) -> Part:
    from features.sources.staging import join_part

    try:
        return join_part(connection, part, side, join, entry)
    except DataError as error:
        raise DataError(f"{name}: {error}; correct source.options.{name}.join") from None


def _part(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    path: Path,
    relation: str,
    folder: Path,
    entry: FileTable | FileJoin,
) -> Part:
    """A file, copied into `relation`; `folder` is for copies in UTF-8."""
    if path.suffix.lower() in SPREADSHEETS:
        raise DataError(f"{name}: '{path}' is a spreadsheet; save it as XLSX or CSV (UTF-8) and name that file")
    if entry.sheet is not None and path.suffix.lower() not in XLSX:
        raise ConfigError(f"{name}: '{path}' has no sheets, as it is no XLSX file; remove `sheet`")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return _parquet(connection, path, relation)
        if path.suffix.lower() in XLSX:
            return _sheet(connection, path, relation, entry.sheet)
        return _delimited(connection, path, relation, folder, entry)
    except (DataError, ConfigError) as error:
        raise type(error)(f"{name}: {error}") from None
    except (duckdb.Error, OSError, pa.ArrowException) as error:
        raise DataError(f"{name}: cannot read '{path}': {error}; export it again as CSV (UTF-8) or parquet") from None


def _parquet(connection: duckdb.DuckDBPyConnection, path: Path, relation: str) -> Part:
    source = connection.read_parquet(str(path))
    names, types = source.columns, [str(t) for t in source.types]
    renamed = ", ".join(f"#{n + 1} as c{n}" for n in range(len(names)))
    source.create_view("incoming", replace=True)
    connection.execute(f"create table {relation} as select {renamed} from incoming")
    connection.execute("drop view incoming")
    return Part(path.name, relation, {n: (f"c{k}", t) for k, (n, t) in enumerate(zip(names, types, strict=True))})


def _sheet(connection: duckdb.DuckDBPyConnection, path: Path, relation: str, name: str | None) -> Part:
    opened = open_sheet(path, name)
    texts = ", ".join(f"f{n} varchar" for n in range(len(opened.names)))
    connection.execute(f"create table {relation}_texts ({texts})")
    for batch in opened.batches:
        connection.register("incoming", pa.Table.from_batches([batch]))
        connection.execute(f"insert into {relation}_texts from incoming")
        connection.unregister("incoming")
    typed = ", ".join(f"cast(f{n} as {kind}) as c{n}" for n, kind in enumerate(opened.kinds))
    connection.execute(f"create table {relation} as select {typed} from {relation}_texts")
    connection.execute(f"drop table {relation}_texts")
    columns = {column: (f"c{n}", kind) for n, (column, kind) in enumerate(zip(opened.names, opened.kinds, strict=True))}
    return Part(path.name, relation, columns, tuple(opened.rejected), notes=(opened.note,))


def _delimited(
    connection: duckdb.DuckDBPyConnection, path: Path, relation: str, folder: Path, entry: FileTable | FileJoin
) -> Part:
    opened = open_delimited(path, folder, entry.encoding, entry.delimiter)
    schema = pa.schema([(f"f{n}", pa.string()) for n in range(len(opened.names))])
    renamed = ", ".join(f"f{n} as c{n}" for n in range(len(opened.names)))
    broken = " or ".join(f"contains(f{n}, chr(65533))" for n in range(len(opened.names)))
    reason = quote_literal(path.name + ": holds characters that cannot be read")
    rows = f"select {renamed}, case when {broken} then {reason} end as why from incoming"
    _execute_with(connection, f"create temp table {relation} as {rows}", schema.empty_table())
    for batches in ahead(_groups(opened.batches, BATCHES_AT_ONCE)):
        _execute_with(connection, f"insert into {relation} {rows}", pa.Table.from_batches(batches, schema))
    columns = {name: (f"c{n}", "VARCHAR") for n, name in enumerate(opened.names)}
    return Part(path.name, relation, columns, tuple(opened.rejected), "why", (opened.note,))


def _execute_with(connection: duckdb.DuckDBPyConnection, query: str, incoming: pa.Table) -> None:
    connection.register("incoming", incoming)
    connection.execute(query)
    connection.unregister("incoming")


def _groups(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[list[pa.RecordBatch]]:
    while group := list(islice(batches, size)):
        yield group
