"""Tables that come from several places with different columns, one below the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import pandas as pd

from configs.errors import DataError
from features.sources.rows.entries import Versions, versions_of
from features.sources.staging import NOT_KEPT, ChunkedTable, Raw
from features.tables import LEFT_OUT, TABLES


def stacked(
    table: str, raws: Sequence[Raw], prefixes: Sequence[str | None], are_versions: Sequence[bool] | None = None
) -> Raw:
    """Put the raw rows of one table together, in their order; of versions of one row the newest.

    Parameters
    ----------
    table
        Its name, as in `features.tables.TABLES`.
    raws
        Frames, or tables in chunks; what one lacks of the others' columns is empty.
    prefixes
        Of each: what its keys begin with, so that ticket 1 is not call 1; None: they stay.
    are_versions
        Of each: whether its rows may be versions of those of others, see `features.sources.rows.entries`; None: all.

    Returns
    -------
    pandas.DataFrame or ChunkedTable
        In chunks if one of them is.
    """
    key = TABLES[table].key
    notes = _together([{n: v for n, v in raw.attrs.items() if n != NOT_KEPT} for raw in raws])
    own = are_versions or [True] * len(raws)
    filled = [entry for entry in zip(raws, prefixes, own, strict=True) if _rows(entry[0])]
    raws, prefixes, own = zip(*filled, strict=True) if filled else (raws[:1], prefixes[:1], own[:1])
    entries = _entries(key, raws, prefixes)
    versions = versions_of(table, entries, [raw.attrs.get(NOT_KEPT, pd.DataFrame()) for raw in raws], own)
    frames = partial(_frames, entries, versions)
    notes[LEFT_OUT] = _sums(notes.get(LEFT_OUT, {}), {} if versions is None else versions.left_out)
    rows = sum(map(_rows, raws)) - (0 if versions is None else sum(map(len, versions.dropped)))
    if any(isinstance(raw, ChunkedTable) for raw in raws):
        return ChunkedTable(rows, frames, notes)
    frame = pd.concat(frames(), ignore_index=True)
    frame.attrs.update(notes)
    return frame


def _sums(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in dict.fromkeys((*one, *other))}


def _rows(raw: Raw) -> int:
    return raw.rows if isinstance(raw, ChunkedTable) else len(raw)


def _together(given: Sequence[Any]) -> Any:
    """What the parts say of themselves in one: lists one after the other, counts summed, of other values the first."""
    if all(isinstance(value, Mapping) for value in given):
        names = dict.fromkeys(name for value in given for name in value)
        return {name: _together([value[name] for value in given if name in value]) for name in names}
    if all(isinstance(value, (list, tuple)) for value in given):
        return list(dict.fromkeys(entry for value in given for entry in value))
    return sum(given) if all(type(value) is int for value in given) else given[0]


def _frames(
    entries: Sequence[Callable[[], Iterator[pd.DataFrame]]], versions: Versions | None
) -> Iterator[pd.DataFrame]:
    """The rows of all entries that count."""
    for n, frames in enumerate(entries):
        yield from frames() if versions is None else versions.of_entry(n, frames())


def _entries(
    key: str, raws: Sequence[Raw], prefixes: Sequence[str | None]
) -> list[Callable[[], Iterator[pd.DataFrame]]]:
    """The rows of each as frames with the same columns, as texts where they are numbers in one and texts in another."""
    heads = [next(iter(raw.read())).head(0) if isinstance(raw, ChunkedTable) else raw.head(0) for raw in raws]
    names = list(dict.fromkeys(name for head in heads for name in head.columns))
    types = {n: _type([head[n] for head in heads if n in head], len(heads)) for n in names}
    return [partial(_entry, key, raw, prefix, names, types) for raw, prefix in zip(raws, prefixes, strict=True)]


def _entry(
    key: str, raw: Raw, prefix: str | None, names: Sequence[str], types: Mapping[str, Any]
) -> Iterator[pd.DataFrame]:
    for frame in raw.read() if isinstance(raw, ChunkedTable) else [raw]:
        columns = {n: _column(frame, n, types[n]) for n in names}
        if prefix and key not in columns:
            raise DataError(
                f"{key}: key_prefix '{prefix}' stands before it, and no file of the entry has it; map it under columns"
            )
        if prefix:
            columns[key] = prefix + _texts(columns[key])
        yield pd.DataFrame(columns, index=frame.index)


def _type(given: Sequence[pd.Series], parts: int) -> Any:
    """The type of a column in all parts, one that may be empty where a part lacks it; texts where they differ."""
    kinds = {str(values.dtype): values.dtype for values in given}
    if len(kinds) > 1:
        return object
    kind = next(iter(kinds.values()))
    lacking = len(given) < parts
    return {"i": "Int64", "b": "boolean"}.get(kind.kind, kind) if lacking and isinstance(kind, np.dtype) else kind


def _column(frame: pd.DataFrame, name: str, kind: Any) -> pd.Series:
    if name not in frame:
        return pd.Series(None, index=frame.index, dtype=kind)
    return _texts(frame[name]) if kind is object else frame[name].astype(kind)


def _texts(values: pd.Series) -> pd.Series:
    """Values as the texts that they are read from; 7.0 is 7 where all are whole and no 0 has a minus."""
    whole = pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all()
    if whole and not (np.signbit(values) & (values == 0)).any():
        values = values.astype("Int64")
    if pd.api.types.is_datetime64_any_dtype(values):
        return values.map(lambda time: time.isoformat(), na_action="ignore").astype(object)
    texts = values.astype("string").to_numpy(dtype=object, na_value=cast(Any, None))
    return pd.Series(texts, index=values.index)
