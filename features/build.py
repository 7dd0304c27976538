"""Tables and as-of dates in, feature rows and labels out: one row a customer and as-of date."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.backends import BaseBackend

from configs.files import replacing
from configs.settings import Settings
from configs.workspace import Workspace
from features.columns.column import Column
from features.engine import AsOfTable, Cache, batches, connect, merge, read_tables, workers
from features.labels.by_kind import Knowledge, first_event, labels_at, require_amounts, what_is_known
from features.labels.moments import as_of_dates
from features.labels.ready_label import ReadyTable, read_ready_table
from features.quality import quality_verdict
from features.schema import SEASON, FeatureSchema, features_of, schema_of
from features.seasons.curve import SeasonCurve, season_curve
from features.sql import quote_identifier
from features.store.event_log import tables_with_events
from features.windows import as_of_table, known

ROWS = "rows.parquet"
LABELS = "labels.parquet"
KEYS = ("customer_id", "as_of")
COLUMNS_A_PASS = 10


def build(
    settings: Settings, workspace: Workspace, on_progress: Callable[[int, int], None] = lambda done, of: None
) -> dict[str, Any]:
    """Compute features and labels as of every date and store them in the workspace.

    Parameters
    ----------
    settings
        Of the business.
    workspace
        Holds the checked tables; gets ``rows.parquet``, ``labels.parquet`` and ``schema.json``.
    on_progress
        Called with how many as-of dates are done, of how many.

    Returns
    -------
    dict
        Numbers of rows and columns, the as-of dates, and the end of the data.

    Raises
    ------
    NotReadyError
        Nothing was ingested yet.
    NotEnoughDataError
        The history is too short for a single as-of date.
    QualityError
        The newest load is not good enough, and nobody accepted it.
    """
    quality_verdict.require(workspace)
    backend = connect(settings.engine)
    tables = read_tables(backend, workspace.tables)
    if settings.churn.kind == "label":
        return _write_profiles(read_ready_table(tables["profiles"].to_pandas(), settings), workspace)
    require_amounts(tables, settings)
    knowledge = what_is_known(tables, settings, quality_verdict.loaded_at(workspace))
    as_ofs = as_of_dates(first_event(tables, settings), knowledge.until, settings.as_of)
    columns = features_of(tables, settings.columns, not settings.counts_orders)
    schema = schema_of(columns)
    with replacing(workspace.features) as folder:
        parts = folder / "parts"
        parts.mkdir()
        feature_sql, label_sql, seasons = _compute(settings, workspace, columns, as_ofs, knowledge, parts, on_progress)
        rows = merge(sorted(parts.glob("rows-*")), folder / ROWS, feature_sql, KEYS)
        merge(sorted(parts.glob("labels-*")), folder / LABELS, label_sql, KEYS)
        shutil.rmtree(parts)
        schema.save(folder)
        seasons.save(folder)
        quality_verdict.note_features_load(workspace, folder)
    return _summary(rows, schema, as_ofs, knowledge.until)


@dataclass(frozen=True)
class _Worker:
    """One connection with the tables open, cut into batches of customers."""

    backend: BaseBackend
    tables: dict[str, ir.Table]
    batches: list[dict[str, ir.Table]]

    @staticmethod
    def open(settings: Settings, workspace: Workspace, connections: int) -> _Worker:
        backend = connect(settings.engine, connections)
        tables = read_tables(backend, workspace.tables)
        tables, _ = tables_with_events(backend, tables, settings, workspace)
        return _Worker(backend, tables, batches(backend, tables, connections))


def _compute(
    settings: Settings,
    workspace: Workspace,
    columns: list[Column],
    as_ofs: list[datetime],
    knowledge: Knowledge,
    parts: Path,
    on_progress: Callable[[int, int], None],
) -> tuple[dict[str, str], dict[str, str], SeasonCurve]:
    """Write rows and labels as of every date, batch by batch, on all cores.

    Returned are the SQL of the columns of both, see `_column_sql`, and the season that stands in the rows.
    """
    connections = workers(settings.engine)
    first = _Worker.open(settings, workspace, connections)
    jobs = list(product(range(len(as_ofs)), range(len(first.batches))))
    free: SimpleQueue[_Worker] = SimpleQueue()
    for number in range(min(connections, len(jobs))):
        free.put(_Worker.open(settings, workspace, connections) if number else first)
    features = [_feature_rows(first.backend, batch, columns) for batch in first.batches]
    labels = [_labels(first.backend, batch, knowledge, settings) for batch in first.batches]

    def work(job: tuple[int, int]) -> None:
        (date, batch), worker = job, free.get()
        as_of, name = as_ofs[date], f"{date}-{batch}.parquet"
        try:
            features[batch].save(worker.backend, as_of, parts / f"rows-{name}")
            labels[batch].save(worker.backend, as_of, parts / f"labels-{name}")
        finally:
            free.put(worker)

    on_progress(0, len(as_ofs))
    with ThreadPoolExecutor(connections) as pool:
        for done, _ in enumerate((map if connections == 1 else pool.map)(work, jobs), 1):
            on_progress(done * len(as_ofs) // len(jobs), len(as_ofs))
    feature_sql = _column_sql(ibis.schema({c.name: c.dtype for c in columns}), known_at=True)
    label_sql = _column_sql(labels_as_of_date(first.batches[0], as_ofs[0], knowledge, settings).schema())
    seasons = season_curve(first.tables, as_ofs, knowledge, settings)
    return feature_sql | seasons.sql(as_ofs), label_sql, seasons


def _feature_rows(backend: BaseBackend, batch: dict[str, ir.Table], columns: list[Column]) -> AsOfTable:
    """The feature rows of one batch."""
    return AsOfTable(
        backend, batch, lambda tables, as_of, cache: _with_as_of(features_as_of(tables, columns, as_of, cache), as_of)
    )


def _labels(backend: BaseBackend, batch: dict[str, ir.Table], knowledge: Knowledge, settings: Settings) -> AsOfTable:
    """The labels of one batch."""
    return AsOfTable(
        backend,
        batch,
        lambda tables, as_of, _: _with_as_of(labels_as_of_date(tables, as_of, knowledge, settings), as_of),
    )


def labels_as_of_date(
    tables: Mapping[str, ir.Table], as_of: datetime, knowledge: Knowledge, settings: Settings
) -> ir.Table:
    """Labels as of one date, of the customers known then, see `features.labels.by_kind.labels_at`."""
    return labels_at(tables, customers_as_of(tables["customers"], as_of), as_of, knowledge, settings)


def _with_as_of(table: ir.Table, as_of: datetime) -> ir.Table:
    return table.mutate(as_of=ibis.literal(as_of, type="timestamp(6)"))


def _column_sql(schema: ibis.Schema, known_at: bool = False) -> dict[str, str]:
    """SQL of each column to store: keys first, then when the row could have been known, which is its as-of date."""
    as_of = "cast(as_of as timestamp) at time zone 'UTC'"
    types = {"float64": "double", "boolean": "boolean", "string": "varchar"}
    others = {
        name: f"cast({quote_identifier(name)} as {types[str(dtype.copy(nullable=True))]})"
        for name, dtype in schema.items()
        if name != "customer_id"
    }
    return {"customer_id": "customer_id", "as_of": as_of} | ({"known_at": as_of} if known_at else {}) | others


def _write_profiles(ready: ReadyTable, workspace: Workspace) -> dict[str, Any]:
    """Write the one row and label of each customer of a ready-made table."""
    schema = schema_of(ready.columns)
    rows = ready.rows.sort_values(list(KEYS), ignore_index=True).assign(known_at=lambda rows: rows["as_of"])
    with replacing(workspace.features) as folder:
        rows[[*KEYS, "known_at", *schema.names]].to_parquet(folder / ROWS, index=False)
        ready.labels.sort_values(list(KEYS)).to_parquet(folder / LABELS, index=False)
        schema.save(folder)
        quality_verdict.note_features_load(workspace, folder)
    return _summary(len(rows), schema, [ready.as_of], ready.as_of)


def _summary(rows: int, schema: FeatureSchema, as_ofs: list[datetime], until: datetime) -> dict[str, Any]:
    return {
        "rows": rows,
        "features": len(schema.features),
        "as_ofs": [f"{as_of.isoformat()}Z" for as_of in as_ofs],
        "schema_hash": schema.hash,
        "data_until": f"{until.isoformat()}Z",
    }


def features_as_of(
    tables: dict[str, ir.Table], columns: Iterable[Column], as_of: datetime, cache: Cache | None = None
) -> ir.Table:
    """All columns as of one date. One row per customer known at it: ``customer_id``, then the columns in order.

    The season of the business stands in no rows of customers: its columns are 0 here, see `features.seasons`.

    Parameters
    ----------
    tables
        Checked tables by name.
    columns
        The features.
    as_of
        The moment, UTC without a zone.
    cache
        Has an expression computed once, see `features.engine.AsOfTable`. The rows as of the moment are then
        computed once, and the columns are computed from them a few at a time: a group-by of a hundred aggregates keeps
        kilobytes a customer and no longer fits a processor's cache. None: everything in one expression, which is
        the better way for few rows.
    """
    columns = list(columns)
    customers = customers_as_of(tables["customers"], as_of)
    own = ("customers", SEASON)
    out = customers.select(
        "customer_id", **{c.name: c.aggregate(customers).cast(c.dtype) for c in columns if c.table in own}
    )
    parts: list[ir.Table] = []
    for name in dict.fromkeys(c.table for c in columns if c.table not in own):
        some = [c for c in columns if c.table == name]
        rows = as_of_table(name, tables, as_of)
        parts += [_aggregate(rows, some)] if cache is None else _aggregate_in_passes(rows, some, cache)
    for number, part in enumerate(parts):
        out = out.left_join(part, "customer_id", rname=f"{{name}}_right_{number}")
    filled = {c.name: out[c.name] if c.empty is None else out[c.name].fill_null(c.empty) for c in columns}
    return out.select("customer_id", **filled)


def _aggregate(rows: ir.Table, columns: Iterable[Column]) -> ir.Table:
    """Columns from their as-of table. One row a customer who has one there."""
    return rows.group_by("customer_id").agg(**{c.name: c.aggregate(rows).cast(c.dtype) for c in columns})


def _aggregate_in_passes(rows: ir.Table, columns: Sequence[Column], cache: Cache) -> list[ir.Table]:
    """As `_aggregate`, a few columns at a time, each from no older rows than it looks at."""
    read = _aggregate(rows, columns).op().find(ops.Field)
    names = {"customer_id", "days_ago"} | {f.name for f in read if f.rel == rows.op()}
    cached = cache(rows.select(*(n for n in rows.columns if n in names)))
    order = sorted(columns, key=lambda c: c.reach_days or math.inf)
    passes = []
    for start in range(0, len(order), COLUMNS_A_PASS):
        some = order[start : start + COLUMNS_A_PASS]
        reach = max(c.reach_days or math.inf for c in some)
        recent = cached if reach == math.inf else cached.filter(cached.days_ago <= reach)
        passes.append(cache(_aggregate(recent, some)))
    return passes


def customers_as_of(customers: ir.Table, as_of: datetime) -> ir.Table:
    """Customers known as of a moment: signed up before it, and recorded by then."""
    return known(customers, "signed_up_at", as_of)
