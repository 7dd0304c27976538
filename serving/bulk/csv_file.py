"""The answers for all customers as CSV (RFC 4180, UTF-8): flat columns, and no text that is taken for a formula.

A text that begins with what begins a formula (``=``, ``+``, ``-``, ``@``, their full-width forms, a tab or the end of a
line, after blanks and signs that are not seen, too) gets a ``'`` before it, as does one that begins with ``'``: who
takes one ``'`` from the beginning of each text has what it was. Numbers stay numbers: the shortest digits that read
back as the same. A list of texts is a line of CSV within its cell, with ``;`` between them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from configs.files import replacing_file

END = "\r\n"
BATCH_ROWS = 2000
DANGEROUS = r"^[\pZ\pC]*[=+\-@＝＋－＠\t\r\n']"  # separators, controls and formats of Unicode
SPECIAL = re.compile('[;"\r\n]')  # in a text of a list
TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Shape:
    """What the lists and maps of a file hold at most, so that each item has a column of its own.

    Attributes
    ----------
    lengths
        Of each column of lists, the length of the longest.
    keys
        Of each column of maps, all keys.
    """

    lengths: dict[str, int]
    keys: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, file: pq.ParquetFile) -> Self:
        """The shape of a file, some rows at a time."""
        schema = file.schema_arrow
        lists = [f.name for f in schema if pa.types.is_list(f.type) and pa.types.is_struct(f.type.value_type)]
        maps = [f.name for f in schema if pa.types.is_map(f.type)]
        lengths, keys = dict.fromkeys(lists, 0), {name: dict[str, None]() for name in maps}
        for batch in file.iter_batches(BATCH_ROWS, columns=[*lists, *maps]):
            for name in lists:
                longest = pc.max(pc.list_value_length(batch[name])).as_py()
                lengths[name] = max(lengths[name], longest or 0)
            for name in maps:
                keys[name].update(dict.fromkeys(batch[name].keys.unique().to_pylist()))
        return cls(lengths, {name: tuple(sorted(found, key=_by_number)) for name, found in keys.items()})


def _by_number(key: str) -> tuple[float, str]:
    return (float(key) if key.isdecimal() else float("inf"), key)


def write_csv(table: Path, out: Path, replace: Callable[[Path], AbstractContextManager[Path]] = replacing_file) -> None:
    """Write the answers of a parquet as CSV; the file appears whole or not at all, and little of it is in memory.

    Parameters
    ----------
    table, out
        The parquet, and the CSV.
    replace
        How the file takes its place: `configs.files.beside` where the folder is not one of a workspace.
    """
    file = pq.ParquetFile(table)
    shape = Shape.of(file)
    with replace(out) as part, part.open("wb") as written:
        names = [name for name, _ in _columns(pa.RecordBatch.from_pylist([], schema=file.schema_arrow), shape)]
        written.write((",".join(names) + END).encode())
        for batch in file.iter_batches(BATCH_ROWS):
            cells = [_cells(column) for _, column in _columns(batch, shape)]
            lines = pc.binary_join_element_wise(*cells, ",", null_handling="replace", null_replacement="")
            written.write("".join(line + END for line in lines.to_pylist()).encode())


def _columns(batch: pa.RecordBatch, shape: Shape) -> Iterator[tuple[str, pa.Array]]:
    """The flat columns of some answers, each with its name."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name in shape.lengths:
            singular = name.removesuffix("s")
            for place in range(shape.lengths[name]):
                yield from _fields(f"{singular}_{place + 1}", _item(column, place))
        elif name in shape.keys:
            for key in shape.keys[name]:
                yield from _fields(f"{name}_{key}", pc.map_lookup(column, pa.scalar(key), "first"))
        else:
            yield name, column


def _fields(name: str, column: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    if not pa.types.is_struct(column.type):
        yield name, column
        return
    for field in column.type:
        yield f"{name}_{field.name}", pc.struct_field(column, field.name)


def _item(lists: pa.Array, place: int) -> pa.Array:
    """The item at a place of each list; null where a list is shorter."""
    has_one = pc.greater(pc.list_value_length(lists), place)
    return lists.values.take(pc.if_else(has_one, pc.add(lists.offsets[:-1], place), None))


def _cells(column: pa.Array) -> pa.Array:
    """The cells of a column as they stand in a line; null, and what is no number, is an empty cell."""
    kind = column.type
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_nan(column), None, column).cast(pa.string())
    if pa.types.is_timestamp(kind):
        return pc.strftime(column, TIME)
    if pa.types.is_list(kind):
        return _quoted(pa.array([_joined(texts) for texts in column.to_pylist()], pa.string()))
    return _quoted(column) if pa.types.is_string(kind) else column.cast(pa.string())


def _joined(texts: list[Any] | None) -> str | None:
    """Texts with ``;`` between them, between quotes where they hold what would be taken for the end of one.

    >>> print(_joined(["a1", 'b;"2']))
    a1;"b;""2"
    """
    if not texts:
        return None
    return ";".join('"' + text.replace('"', '""') + '"' if SPECIAL.search(text) else text for text in texts)


def _quoted(column: pa.Array) -> pa.Array:
    """Texts between quotes, made harmless; each text once, as most come again and again."""
    coded = column.dictionary_encode()
    texts = coded.dictionary
    mark = pc.if_else(pc.match_substring_regex(texts, DANGEROUS), "'", "")
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.binary_join_element_wise('"', mark, doubled, '"', "").take(coded.indices)
