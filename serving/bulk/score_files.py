"""The answers for all customers, read back from their files: a page of a list, what changed, one customer's past.

The file is read by DuckDB where it lies; nothing of it stays in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from configs.files import FileVersion, file_version
from configs.workspace import SCORE_TABLE, Workspace
from features.sql import connect_duckdb, quote_literal

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

Sort = Literal["customer_id", "-probability", "probability", "-value", "value", "-expected_profit"]
SORTED_BY = {"value": "expected"}  # columns of the file by the names of answers, where they differ
_SHOWN = {  # by the table of customers that is given
    "seen": "s.customer_id IN (SELECT customer_id FROM seen)",
    "hidden": "s.customer_id NOT IN (SELECT customer_id FROM hidden)",
}
LISTS = ("reasons", "clv_reasons")
HISTORY_COLUMNS = (
    "prediction_id", "as_of", "scored_at", "probability", "band", "expected", "low", "high", "tier", "stage", "action",
    "churn_model", "clv_model",
)  # fmt: skip
COLUMNS = (
    "prediction_id", "customer_id", "as_of", "scored_at", "probability", "churn_percentile", "band", "expected", "low",
    "high", "clv_percentile", "tier", "stage", "reactivation", "action", "expected_profit", "contact", "basis",
    "churn_model", "clv_model",
)  # fmt: skip


@dataclass(frozen=True)
class ScoreFile:
    """The answers for all customers of one moment.

    Attributes
    ----------
    path
        The parquet file.
    as_of, scored_at
        The newest moment of its answers, and when the last of them was given, UTC.
    customers
        How many answers it holds.
    columns
        Names of its columns: files of older versions have fewer.
    """

    path: Path
    as_of: datetime
    scored_at: datetime
    customers: int
    columns: frozenset[str]

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.path.parent.name


@dataclass(frozen=True)
class Shown:
    """Of which customers a caller is told.

    Attributes
    ----------
    seen
        Only of those who stand in its ``customer_id``; None: of everybody.
    hidden
        Not of those who stand in its ``customer_id``; None: of all.
    """

    seen: pa.Table | None = None
    hidden: pa.Table | None = None

    @property
    def tables(self) -> dict[str, pa.Table]:
        """Those that are given, by their names in conditions."""
        return {name: table for name, table in (("seen", self.seen), ("hidden", self.hidden)) if table is not None}

    @property
    def conditions(self) -> list[str]:
        """What holds for the rows of these customers."""
        return [_SHOWN[name] for name in self.tables]


EVERYBODY = Shown()


@dataclass(frozen=True)
class ListQuery:
    """Which customers a list holds, in which order.

    Attributes
    ----------
    filters
        By column, the values that are let through; a column that is not there lets all through.
    sort
        A leading minus: the largest first. Where it is not known comes last; the same are in the order of their ids.
    step
        A probability that differs by more than this has changed.
    shown
        Only those of whom the caller is told.
    """

    filters: Mapping[str, Sequence[str | bool]]
    sort: Sort
    step: float
    shown: Shown = EVERYBODY


@dataclass(frozen=True)
class Place:
    """The last row of a page: what it is sorted by (None: not known), and whose it is."""

    key: float | None
    customer_id: str


class ScoreFiles:
    """The files of answers of a workspace. May be called from several threads."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def all(self) -> list[ScoreFile]:
        """The files, the oldest moment first; of one moment the one that was written first."""
        paths = self._workspace.scores.glob(f"[!.]*/{SCORE_TABLE}")
        found = [file for path in paths if (file := self._file(path))]
        return sorted(found, key=lambda file: (file.as_of, file.scored_at, file.name))

    def named(self, name: str) -> ScoreFile | None:
        """The file of a folder, if it is there."""
        return next((file for file in self.all() if file.name == name), None)

    def page(
        self, file: ScoreFile, before: ScoreFile | None, query: ListQuery, after: Place | None, limit: int
    ) -> list[dict[str, Any]]:
        """Rows of a list as dicts, see `COLUMNS`; beside them ``key``, and ``changed`` where `before` is given.

        Parameters
        ----------
        file
            The answers.
        before
            Only customers whose band, tier or stage is another there, or whose probability differs by more than the
            step, or who are not there; None: all.
        query
            Whom to list, and how.
        after
            The last row of the page before; None: from the beginning.
        limit
            How many rows at most.
        """
        key, largest_first = _key(query.sort)
        conditions, values = _conditions(query.filters)
        conditions += query.shown.conditions
        if after is not None:
            condition, place = _behind(key, largest_first, after)
            conditions, values = [*conditions, condition], [*values, *place]
        changed, join = "NULL", ""
        if before is not None:
            changed, join = _changes(query.step), f"LEFT JOIN {_table(before)} b USING (customer_id)"
            conditions.append(f"(b.scored_at IS NULL OR {' OR '.join(_differences(query.step).values())})")
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        order = f"{key} {'DESC' if largest_first else 'ASC'}, s.customer_id" if key else "s.customer_id"
        picked = self._rows(
            f"SELECT s.customer_id, {key or 'NULL'} AS key, {changed} AS changed FROM {_table(file)} s {join} "
            f"{where} ORDER BY {order} LIMIT {limit:d}",
            values,
            query.shown,
        )
        rows = self._of_customers(file, [row["customer_id"] for row in picked])
        return [{**rows[row["customer_id"]], **row} for row in picked]

    def gone(self, file: ScoreFile, before: ScoreFile, shown: Shown = EVERYBODY) -> int:
        """How many customers of an earlier file a later one does not hold; of those who are shown."""
        return self._count(f"{_table(before)} s ANTI JOIN {_table(file)} f USING (customer_id)", shown)

    def count(self, file: ScoreFile, shown: Shown = EVERYBODY) -> int:
        """How many customers a file holds; of those who are shown."""
        return self._count(f"{_table(file)} s", shown) if shown.tables else file.customers

    def _count(self, rows: str, shown: Shown) -> int:
        where = f" WHERE {' AND '.join(shown.conditions)}" if shown.tables else ""
        return int(self._rows(f"SELECT count(*) AS n FROM {rows}{where}", [], shown)[0]["n"])

    def history(self, customer_id: str, newest: int) -> list[dict[str, Any]]:
        """The answers for one customer in the newest files, see `HISTORY_COLUMNS`, oldest first."""
        found: list[dict[str, Any]] = []
        for file in self.all()[-newest:]:
            own = ", ".join(_selected(name, file) for name in HISTORY_COLUMNS)
            found += self._rows(f"SELECT {own} FROM {_table(file)} s WHERE customer_id = ?", [customer_id])
        return found

    def _of_customers(self, file: ScoreFile, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The rows of these customers, see `COLUMNS`, and the texts of their reasons."""
        if not ids:
            return {}
        own = ", ".join(_selected(name, file) for name in COLUMNS)
        texts = ", ".join(f"list_transform(s.{name}, r -> r.text) AS {name}" for name in LISTS)
        asked = ", ".join("?" * len(ids))
        rows = self._rows(f"SELECT {own}, {texts} FROM {_table(file)} s WHERE customer_id IN ({asked})", ids)
        return {row["customer_id"]: row for row in rows}

    @cached_property
    def _connection(self) -> DuckDBPyConnection:
        connection = connect_duckdb()
        connection.execute("SET threads = 1; SET TimeZone = 'UTC'")
        return connection

    def _file(self, path: Path) -> ScoreFile | None:
        version = file_version(path)
        return _facts(version) if version else None

    def _rows(self, query: str, values: Sequence[Any], shown: Shown = EVERYBODY) -> list[dict[str, Any]]:
        cursor = self._connection.cursor()
        try:
            for name, table in shown.tables.items():
                cursor.register(name, table)
            table = cursor.execute(query, list(values)).to_arrow_table()
        finally:
            cursor.close()
        return table.to_pylist()


@lru_cache(maxsize=256)
def _facts(version: FileVersion) -> ScoreFile | None:
    """Facts of a file, from the statistics of its columns; None where it is empty."""
    import pyarrow.parquet as pq

    path = version.path
    file = pq.ParquetFile(path)
    names = file.schema_arrow.names
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    if not file.metadata.num_rows:
        return None
    as_of, scored_at = (
        max(group.column(_leaf(group, name)).statistics.max for group in groups if group.num_rows)
        for name in ("as_of", "scored_at")
    )
    return ScoreFile(path, _utc(as_of), _utc(scored_at), file.metadata.num_rows, frozenset(names))


def _leaf(group: Any, name: str) -> int:
    """The position of a flat column among all leaves of a row group."""
    return next(i for i in range(group.num_columns) if group.column(i).path_in_schema == name)


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _table(file: ScoreFile) -> str:
    return f"read_parquet({quote_literal(str(file.path))})"


def _selected(name: str, file: ScoreFile) -> str:
    return f"s.{name}" if name in file.columns else f"NULL AS {name}"


def _key(sort: Sort) -> tuple[str, bool]:
    """The expression a list is sorted by, empty for the id alone, and whether the largest come first."""
    name, largest_first = sort.removeprefix("-"), sort.startswith("-")
    if name == "customer_id":
        return "", False
    return f"coalesce(s.{SORTED_BY.get(name, name)}, '{'-' if largest_first else ''}inf'::DOUBLE)", largest_first


def _conditions(filters: Mapping[str, Sequence[str | bool]]) -> tuple[list[str], list[Any]]:
    conditions = [f"s.{name} IN ({', '.join('?' * len(values))})" for name, values in filters.items()]
    return conditions, [value for values in filters.values() for value in values]


def _behind(key: str, largest_first: bool, after: Place) -> tuple[str, list[Any]]:
    """The condition of the rows behind a place, and its values."""
    if not key:
        return "s.customer_id > ?", [after.customer_id]
    at = after.key if after.key is not None else float("-inf" if largest_first else "inf")
    further = "<" if largest_first else ">"
    return f"({key} {further} ? OR ({key} = ? AND s.customer_id > ?))", [at, at, after.customer_id]


def _differences(step: float) -> dict[str, str]:
    """What may differ between a row and the same customer's before, each with the condition that it does."""
    words = {n: f"s.{n} IS DISTINCT FROM b.{n}" for n in ("band", "tier", "stage")}
    far = f"abs(s.probability - b.probability) > {step!r} OR (s.probability IS NULL) <> (b.probability IS NULL)"
    return {**words, "probability": f"coalesce({far}, false)"}


def _changes(step: float) -> str:
    """The names of what differs: an expression, a list of texts."""
    parts = ", ".join(f"CASE WHEN {differs} THEN '{name}' END" for name, differs in _differences(step).items())
    return f"CASE WHEN b.scored_at IS NULL THEN ['new'] ELSE list_filter([{parts}], x -> x IS NOT NULL) END"
