"""Versions of one row in several entries of a table: the newest counts, as within one entry.

An entry is a list of files with a mapping of its own. Entries that read one file say different things of its rows
(orders and refunds, prices of two periods), so their rows are no versions of one another. What ``where`` of an entry
leaves out still is the newest version of its row: an order that was cancelled in a later entry is left out whole.

Lists of customers in several entries are mostly those of two systems: nothing tells that a row of one replaces a row
of another unless both have ``recorded_at``. Without it only copies are left out, and what differs stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.sources.rows.versions import keep_newest
from features.sql import connect_duckdb
from features.tables import SOURCE_ROWS, TABLES, moments

ASIDE = ("entry", "place", "counted")


@dataclass(frozen=True)
class Versions:
    """Which rows of the entries are older versions or copies, and since when the others are known.

    Attributes
    ----------
    dropped
        Of each entry: the places of its rows that do not count, sorted.
    known
        Of each entry: place -> ``recorded_at`` of rows whose first copy was known earlier.
    left_out
        Rows of the source that do not count, by what they were.
    """

    dropped: tuple[NDArray[np.int64], ...]
    known: tuple[Mapping[int, pd.Timestamp], ...]
    left_out: Mapping[str, int]

    def of_entry(self, entry: int, frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """The rows of an entry that count, frame by frame; a frame of which none does is passed over."""
        start, out, known = 0, self.dropped[entry], pd.Series(self.known[entry], dtype="datetime64[us]")
        for frame in frames:
            places = np.arange(start, start + len(frame))
            start += len(frame)
            kept = ~np.isin(places, out)
            earlier = known[known.index.isin(places[kept])]
            rows = frame[kept]
            if len(earlier):
                first = pd.Series(known.reindex(places[kept]).to_numpy(), index=rows.index)
                rows = rows.assign(recorded_at=_replaced(rows["recorded_at"], first))
            if len(rows):
                yield rows


def versions_of(
    table: str,
    entries: Sequence[Callable[[], Iterable[pd.DataFrame]]],
    left_out: Sequence[pd.DataFrame],
    are_versions: Sequence[bool],
) -> Versions | None:
    """Look for rows that stand in several entries.

    Parameters
    ----------
    table
        Name of the table.
    entries
        Each gives the frames of its rows anew, all with the same columns.
    left_out
        Key, customer, time and ``recorded_at`` of the rows that ``where`` of an entry leaves out.
    are_versions
        Whether the rows of an entry may be versions of those of others: it shares no file with them, and its keys are
        not told apart by a prefix.

    Returns
    -------
    Versions or None
        None if no key stands in two entries.
    """
    key = TABLES[table].key
    asked = [n for n, own in enumerate(are_versions) if own]
    if len(asked) < 2:
        return None
    keys = {n: [_hashes(f, key) for f in entries[n]()] + [_hashes(left_out[n], key)] for n in asked}
    each = [np.unique(np.concatenate(keys[n])) for n in asked if keys[n]]
    every, times = np.unique(np.concatenate(each), return_counts=True) if each else (np.array([], np.uint64), 0)
    again = every[(times > 1) & (every != 0)]
    if not len(again):
        return None
    rows = [part for n in asked for part in _compact(table, n, entries[n](), left_out[n], again)]
    return _judged(table, pd.concat(rows, ignore_index=True), len(entries))


def _judged(table: str, rows: pd.DataFrame, entries: int) -> Versions:
    if TABLES[table].key == "customer_id":
        rows = _rows_of_customers(rows)
    names = [TABLES[table].key, "customer_id", TABLES[table].time, "recorded_at", "content"]
    columns = ["v0", "v1", "v2", "v3", "v4", *ASIDE, "part_place"]
    with connect_duckdb() as connection:
        connection.register("given", rows.assign(part_place=rows["entry"]).set_axis(columns, axis=1))
        connection.execute("create table stacked as select * from given")
        left_out = keep_newest(connection, table, "stacked", names, aside=ASIDE, counted="counted")
        kept = connection.execute("select entry, place, v3 from stacked where place >= 0").df()
    after = rows[rows["place"] >= 0].merge(kept, on=["entry", "place"], how="left", indicator=True)
    gone = after[after["_merge"] == "left_only"]
    moved = after[(after["_merge"] == "both") & (after["v3"] < after["recorded_at"])]
    return Versions(
        tuple(np.sort(gone.loc[gone["entry"] == n, "place"].to_numpy(np.int64)) for n in range(entries)),
        tuple(dict(moved.loc[moved["entry"] == n, ["place", "v3"]].to_numpy()) for n in range(entries)),
        left_out,
    )


def _rows_of_customers(rows: pd.DataFrame) -> pd.DataFrame:
    """Those with ``recorded_at`` may be versions by their key, the others are copies of their like at most."""
    rows = rows[rows["place"] >= 0]
    alike = rows["key"] + "\0" + rows["content"].astype("string")
    return rows.assign(key=rows["key"].where(rows["recorded_at"].notna(), alike))


def _compact(
    table: str, entry: int, frames: Iterable[pd.DataFrame], left_out: pd.DataFrame, again: NDArray[np.uint64]
) -> Iterator[pd.DataFrame]:
    """Of the rows with one of these keys what tells versions: 8 bytes a column, the key aside."""
    start = 0
    for frame in frames:
        found = np.flatnonzero(np.isin(_hashes(frame, TABLES[table].key), again))
        rows = frame.iloc[found]
        counted = rows.get(SOURCE_ROWS, 1)
        yield _told(table, rows).assign(
            content=_content(table, rows), entry=entry, place=found + start, counted=counted
        )
        start += len(frame)
    rows = left_out[np.isin(_hashes(left_out, TABLES[table].key), again)]
    yield _told(table, rows).assign(content=np.uint64(0), entry=entry, place=-1, counted=0)


def _told(table: str, rows: pd.DataFrame) -> pd.DataFrame:
    spec = TABLES[table]
    texts = {n: _texts(rows, n) for n in (spec.key, "customer_id")}
    times = {n: _times(rows[n]) if n in rows else pd.NaT for n in (spec.time, "recorded_at")}
    told = {"key": texts[spec.key], "customer_id": texts["customer_id"], **times}
    return pd.DataFrame(told, index=rows.index).astype(dict.fromkeys(times, "datetime64[us]"))


def _content(table: str, rows: pd.DataFrame) -> NDArray[np.uint64]:
    """A hash of what stands in each row, `recorded_at` aside: 10 is 10.0 where one entry has it as text."""
    kinds = {field.name: field.kind for field in TABLES[table].fields}
    total = np.zeros(len(rows), np.uint64)
    for place, name in enumerate(sorted(n for n in map(str, rows) if n != "recorded_at")):
        total = total * np.uint64(31) + _content_of(rows[name], kinds.get(name, "number"), f"{place:016}")
    return total


def _content_of(values: pd.Series, kind: str, hash_key: str) -> NDArray[np.uint64]:
    """Hashes of numbers as numbers and of times as microseconds; of texts, and what is neither, as texts."""
    texts = values.astype("string").fillna("").to_numpy(dtype=object)
    hashes = pd.util.hash_array(texts, hash_key=hash_key, categorize=False)
    if kind == "time":
        times = _times(values)
        read, own = times.notna().to_numpy(), pd.util.hash_array(times.to_numpy().astype(np.int64), categorize=False)
    elif kind == "number" and values.dtype.kind != "M":
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan) + 0.0
        read, own = np.isfinite(numbers), pd.util.hash_array(numbers, categorize=False)
    else:
        return cast("NDArray[np.uint64]", hashes)
    return cast("NDArray[np.uint64]", np.where(read, own, hashes))


def _hashes(rows: pd.DataFrame, key: str) -> NDArray[np.uint64]:
    """Of each key eight bytes; 0 where it is empty."""
    if key not in rows or not len(rows):
        return np.zeros(len(rows), np.uint64)
    texts = _texts(rows, key)
    hashes = pd.util.hash_array(texts.fillna("").to_numpy(dtype=object), categorize=False)
    return cast("NDArray[np.uint64]", np.where(texts.isna(), np.uint64(0), hashes))


def _texts(rows: pd.DataFrame, name: str) -> pd.Series:
    if name not in rows:
        return pd.Series(None, index=rows.index, dtype="string")
    return rows[name].astype("string").str.strip()


def _replaced(values: pd.Series, first: pd.Series) -> pd.Series:
    """Times with those of `first`, in UTC, where there are such; the others stay as they are, unreadable ones too."""
    if values.dtype.kind != "M":
        texts = first.map(lambda time: time.isoformat(), na_action="ignore").astype(object)
        return values.astype(object).where(first.isna(), texts)
    zone = getattr(values.dt, "tz", None)
    return values.where(first.isna(), first if zone is None else first.dt.tz_localize("UTC").dt.tz_convert(zone))


def _times(values: pd.Series) -> pd.Series:
    """Times in UTC without a zone, to be compared; what is none is missing.

    Midnight is one time, whether an entry has it as a date alone or, a microsecond later, as a moment.
    """
    if values.dtype.kind != "M":
        values = pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
    zoned = getattr(values.dt, "tz", None) is not None
    times = (values.dt.tz_convert("UTC").dt.tz_localize(None) if zoned else values).astype("datetime64[us]")
    dates = times.dt.normalize()
    return times.where(times != moments(dates), dates)
