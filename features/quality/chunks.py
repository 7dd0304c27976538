"""Check a table that is too large for memory: chunk by chunk, by the very rules of `features.quality.check`.

What no row says alone is carried from chunk to chunk: keys that came before, counts, and reasons. Used rows and
quarantine grow in one parquet file each; what reports ask of the whole table is read from there, column by column.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from configs.errors import DataError
from features.quality.check import ERASED_ROWS, NOTHING_PAID_BACK, KeysSeen, ValidatedTable, check_table, id_array
from features.quality.quarantine import kept_columns
from features.sources.ahead import ahead
from features.sources.staging import Raw, staging
from features.sql import quote_identifier, quote_literal
from features.tables import LEFT_OUT, SOURCE_ROWS, UNREAD, Table, reason_kinds

CHUNK_ROWS = 500_000  # of a larger table, so many rows stand in memory at once
TEXTS = {kind: pd.StringDtype("pyarrow") for kind in (pa.string(), pa.large_string())}


@dataclass(frozen=True)
class ValidatedChunkedTable(ValidatedTable):
    """A checked table whose rows stand in files.

    ``used`` has the columns without rows. ``quarantined`` has one row for each kind of reason, with the first example
    of it; `SOURCE_ROWS` says how many rows it stands for.

    Attributes
    ----------
    used_file, quarantine_file
        The used rows, ready to be kept as the table; and the others as they came, with their reasons, as text.
    rows
        Used rows.
    """

    used_file: Path = Path()
    quarantine_file: Path = Path()
    rows: int = 0

    @property
    def table_rows(self) -> int:
        """Rows of this table that are used."""
        return self.rows

    def rejected(self, name: str) -> pd.DataFrame:
        """One column of the rows in quarantine, as text, and their reasons; no rows if they have no such column."""
        if not self.quarantine_file.is_file() or name not in pq.read_schema(self.quarantine_file).names:
            return pd.DataFrame(columns=[name, "reason"], dtype=object)
        return pq.read_table(self.quarantine_file, columns=[name, "reason"]).to_pandas()

    def column(self, name: str) -> pd.Series:
        """One column of the used rows: all of it, eight bytes a number or time."""
        parts = [frame[name].to_numpy() for frame in self._frames([name])]
        return pd.Series(np.concatenate(parts) if parts else self.used[name], name=name)

    def parts(self, names: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Columns of the used rows, one part of them after the other."""
        yield self.used[list(names)]
        yield from self._frames(list(names))

    def filled(self, name: str) -> int:
        """Used rows in which a column is filled, as the file itself counts them."""
        about = pq.read_metadata(self.used_file)
        place = about.schema.names.index(name)
        told = [about.row_group(n).column(place).statistics for n in range(about.num_row_groups)]
        if any(statistics is None for statistics in told):  # as of a column without any value
            return int(self.column(name).notna().sum())
        return self.rows - sum(statistics.null_count for statistics in told)

    def distinct(self, name: str) -> int:
        """Different values of a column of the used rows, counted on disk; keys all differ."""
        return self.rows if name == self.table.key else self._distinct(name)

    def frequent(self, name: str, most: int) -> pd.Series:
        """Used rows of the most frequent values of a column, by value, the most frequent first; counted on disk."""
        column, file = quote_identifier(name), quote_literal(str(self.used_file))
        counted = f"select {column}, count({column}) as n from read_parquet({file}) group by 1"
        query = f"{counted} order by n desc, 1 limit {most}"
        with staging() as (connection, _):
            rows = connection.execute(query).fetchall()
        return pd.Series({value: n for value, n in rows if n}, dtype="int64")

    def select(self, pick: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
        """The used rows that a rule picks by what stands in each row alone."""
        selected = [pick(frame) for frame in self._frames(list(self.table.names))]
        return pd.concat([f for f in selected if len(f)] or [self.used], ignore_index=True)

    def map_rows(self, change: Callable[[pd.DataFrame], pd.DataFrame]) -> ValidatedTable:
        """The same table with its used rows changed, each by what stands in it alone; their file is replaced."""
        new = self.used_file.with_suffix(".new")
        with ParquetAppender(new) as file:
            for frame in self._frames():
                file.add(change(frame))
        os.replace(new, self.used_file)
        return self

    def set_aside(self, reasons_of: Callable[[pd.DataFrame], pd.Series]) -> ValidatedTable:
        """The same table with some used rows in quarantine: those that get a reason; both files are replaced."""
        found = [(frame, reasons_of(frame)) for frame in self._frames() if len(reasons_of(frame))]
        if not found:
            return self
        counts = ReasonCounts()
        new = self.used_file.with_suffix(".new"), self.quarantine_file.with_suffix(".newer")
        with ParquetAppender(new[0]) as used:
            for frame in self._frames():
                used.add(frame.drop(index=reasons_of(frame).index))
        with ParquetAppender(new[1]) as quarantine:
            for frame in frames_of(self.quarantine_file):
                quarantine.add(frame)
            columns = pq.read_schema(self.quarantine_file).names
            for frame, reasons in found:
                aside = frame.loc[reasons.index].astype(object).assign(reason=reasons)
                quarantine.add(aside.reindex(columns=columns).astype(str))
                counts.add(reasons)
        for file, old in zip(new, (self.used_file, self.quarantine_file), strict=True):
            os.replace(file, old)
        summary = pd.concat([self.quarantined, counts.frame()], ignore_index=True)
        return replace(self, quarantined=summary, rows=self.rows - sum(len(reasons) for _, reasons in found))

    def _distinct(self, name: str) -> int:
        column, file = quote_identifier(name), quote_literal(str(self.used_file))
        query = f"select count({column}) from (select distinct {column} from read_parquet({file}))"
        with staging() as (connection, _):
            row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def _frames(self, columns: list[str] | None = None) -> Iterator[pd.DataFrame]:
        return frames_of(self.used_file, columns)


def frames_of(file: Path, columns: list[str] | None = None) -> Iterator[pd.DataFrame]:
    """A parquet file, one frame a row group; texts as texts of Arrow."""
    with pq.ParquetFile(file) as opened:
        for group in range(opened.num_row_groups):
            yield opened.read_row_group(group, columns=columns).to_pandas(types_mapper=TEXTS.get)


@dataclass(frozen=True)
class ChunkedCheck:
    """Checks tables as `features.quality.check.check_table` does, one that is given in chunks chunk by chunk.

    Attributes
    ----------
    folder
        Where files of used rows and of quarantine are written.
    finish
        Makes the rows to keep of the checked ones, row by row.
    """

    folder: Path
    finish: Callable[[ValidatedTable], pd.DataFrame]

    def __call__(self, spec: Table, raw: Raw, now: datetime, customers: Collection[str] | None) -> ValidatedTable:
        """Check one table; arguments and errors as of `features.quality.check.check_table`."""
        if isinstance(raw, pd.DataFrame):
            return check_table(spec, raw, now, customers)
        ids = None if customers is None else id_array(customers)
        seen, reasons, rows, erased, nothing = KeysSeen(), ReasonCounts(), 0, 0, 0
        used_file, quarantine_file = self.folder / f"{spec.name}.used", self.folder / f"{spec.name}.quarantine"
        chunk = None
        with ParquetAppender(used_file) as used, ParquetAppender(quarantine_file) as quarantine:
            for frame in ahead(raw.read()):
                erased += frame.attrs.get(ERASED_ROWS, 0)
                if frame.empty:
                    continue
                chunk = check_table(spec, frame, now, ids, seen)
                used.add(self.finish(chunk))
                quarantine.add(kept_columns(spec, chunk.quarantined))
                reasons.add(chunk.quarantined["reason"])
                rows += len(chunk.used)
                nothing += chunk.left_out.get(NOTHING_PAID_BACK, 0)
        if chunk is None:
            raise DataError(f"{spec.name}: the table is empty; one row per {spec.grain} is expected")
        return ValidatedChunkedTable(
            spec,
            chunk.used.head(0),
            reasons.frame(),
            None,
            chunk.grain,
            erased,
            {**raw.attrs.get(LEFT_OUT, {}), **({NOTHING_PAID_BACK: nothing} if nothing else {})},
            raw.attrs.get(UNREAD, {}),
            used_file,
            quarantine_file,
            rows,
        )


class ParquetAppender:
    """A parquet file to which frames of the same columns are added; the first one tells the types.

    Another thread writes a frame while the caller makes the next.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None
        self._empty: pd.DataFrame | None = None
        self._pool = ThreadPoolExecutor(1)
        self._written: Future[None] | None = None

    def __enter__(self) -> ParquetAppender:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        if self._writer is not None:
            self._writer.close()
            self._wait()
        elif self._empty is not None:
            self._empty.to_parquet(self._path, index=False)

    def add(self, frame: pd.DataFrame) -> None:
        """Append rows."""
        if frame.empty:
            self._empty = frame
            return
        table = pa.Table.from_pandas(frame, preserve_index=False)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema)
        self._wait()
        self._written = self._pool.submit(self._writer.write_table, table.cast(self._writer.schema))

    def _wait(self) -> None:
        if self._written is not None:
            self._written.result()


class ReasonCounts:
    """ReasonCounts against rows, counted by their kind, see `features.tables.reason_kinds`.

    Examples
    --------
    >>> reasons = ReasonCounts()
    >>> reasons.add(pd.Series(["amount: 'x' is not a number", "amount: 'y' is not a number", "amount: is empty"]))
    >>> reasons.frame().to_numpy().tolist()
    [["amount: 'x' is not a number", 2], ['amount: is empty', 1]]
    """

    def __init__(self) -> None:
        self._counts: dict[str, tuple[str, int]] = {}

    def add(self, reasons: pd.Series) -> None:
        """Count reasons."""
        by_kind = pd.DataFrame({"kind": reason_kinds(reasons), "reason": reasons}).groupby("kind", sort=False)["reason"]
        for kind, first, rows in by_kind.agg(["first", "size"]).itertuples(name=None):
            known, before = self._counts.get(kind, (first, 0))
            self._counts[kind] = (known, before + rows)

    def frame(self) -> pd.DataFrame:
        """One row a kind: ``reason``, its first example, and `SOURCE_ROWS`, how many there are."""
        examples, rows = zip(*self._counts.values(), strict=True) if self._counts else ((), ())
        return pd.DataFrame({"reason": pd.Series(examples, dtype=object), SOURCE_ROWS: pd.Series(rows, dtype="int64")})
