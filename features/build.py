"""Tables and moments in, feature rows and labels out: one row a customer and moment."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Sequence
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
import pandas as pd
from ibis.backends import BaseBackend

from configs.errors import NotEnoughDataError
from configs.fingerprint import code_fingerprint, files_fingerprint, fingerprint
from configs.settings import AsOf, Settings, naive_utc
from configs.workspace import Workspace, replacing
from features.columns.column import Column
from features.engine import Hold, batches, connect, holding, merge, read_tables, save, workers
from features.labels import ready_label
from features.labels.by_kind import end_of_known, first_event, labels_at, require_amounts
from features.quality import quality_gate
from features.schema import FeatureSchema, feature_columns, schema_of
from features.sql import quote_identifier
from features.store.event_log import everything_known, position_of
from features.windows import as_of_table, known

ROWS = "rows.parquet"
LABELS = "labels.parquet"
KEYS = ("customer_id", "as_of")
COLUMNS_A_PASS = 10


def features_fingerprint(settings: Settings, workspace: Workspace) -> str:
    """A short hash of all that the feature rows depend on: tables, settings and code."""
    code = code_fingerprint("features")
    tables = files_fingerprint(workspace.tables.glob("*.parquet"))
    knobs = [k.model_dump(mode="json") for k in (settings.as_of, settings.churn, settings.clv, settings.columns)]
    return fingerprint(code, tables, knobs, settings.data_until, settings.engine, position_of(workspace))


def build(
    settings: Settings, workspace: Workspace, step: Callable[[int, int], None] = lambda done, of: None
) -> dict[str, Any]:
    """Compute features and labels at every moment and store them in the workspace.

    Parameters
    ----------
    settings
        Of the business.
    workspace
        Holds the checked tables; gets ``rows.parquet``, ``labels.parquet`` and ``schema.json``.
    step
        Told how many moments are done, of how many.

    Returns
    -------
    dict
        Numbers of rows, columns and moments, and the newest moment.

    Raises
    ------
    NotReadyError
        Nothing was ingested yet.
    NotEnoughDataError
        The history is too short for a single moment.
    QualityError
        The newest load is not good enough, and nobody accepted it.
    """
    quality_gate.require(workspace)
    backend = connect(settings.engine)
    tables = read_tables(backend, workspace.tables)
    if settings.churn.kind == "label":
        found = ready_label.read_ready_table(tables["profiles"].to_pandas(), settings)
        return _write(workspace, found.columns, found.rows, found.labels, found.as_of)
    require_amounts(tables, settings)
    until = end_of_known(tables, settings)
    when = moments(first_event(tables, settings), until, settings.as_of)
    columns = feature_columns(tables, settings.columns.attributes)
    schema = schema_of(columns)
    with replacing(workspace.features) as folder:
        parts = folder / "parts"
        parts.mkdir()
        told, outcome = _compute(settings, workspace, columns, when, until, parts, step)
        rows = merge(sorted(parts.glob("rows-*")), folder / ROWS, told, KEYS)
        merge(sorted(parts.glob("labels-*")), folder / LABELS, outcome, KEYS)
        shutil.rmtree(parts)
        schema.save(folder)
    return _told(rows, schema, when, until)


@dataclass(frozen=True)
class _Worker:
    """One connection with the tables open, cut into batches of customers."""

    backend: BaseBackend
    batches: list[dict[str, ir.Table]]

    @staticmethod
    def open(settings: Settings, workspace: Workspace, beside: int) -> _Worker:
        backend = connect(settings.engine, beside)
        tables = read_tables(backend, workspace.tables)
        known, _ = everything_known(backend, tables, settings, workspace)
        return _Worker(backend, batches(backend, known, beside))


def _compute(
    settings: Settings,
    workspace: Workspace,
    columns: list[Column],
    when: list[datetime],
    until: datetime,
    parts: Path,
    step: Callable[[int, int], None],
) -> tuple[dict[str, str], dict[str, str]]:
    """Write rows and labels of every moment and batch, on all cores; the SQL of their columns, see `_typed`."""
    beside = workers(settings.engine)
    first = _Worker.open(settings, workspace, beside)
    jobs = list(product(range(len(when)), range(len(first.batches))))
    free: SimpleQueue[_Worker] = SimpleQueue()
    for number in range(min(beside, len(jobs))):
        free.put(_Worker.open(settings, workspace, beside) if number else first)

    def work(job: tuple[int, int]) -> tuple[dict[str, str], dict[str, str]]:
        (moment, number), mine = job, free.get()
        try:
            return _write_part(mine, number, columns, when[moment], until, settings, parts / f"{moment}-{number}")
        finally:
            free.put(mine)

    step(0, len(when))
    with ThreadPoolExecutor(beside) as pool:
        typed = []
        for told in (map if beside == 1 else pool.map)(work, jobs):
            typed.append(told)
            step(len(typed) * len(when) // len(jobs), len(when))
    return typed[0]


def _write_part(
    worker: _Worker,
    number: int,
    columns: list[Column],
    as_of: datetime,
    until: datetime,
    settings: Settings,
    path: Path,
) -> tuple[dict[str, str], dict[str, str]]:
    """Write rows and labels of one batch at one moment beside `path`."""
    batch, backend = worker.batches[number], worker.backend
    with holding(backend) as hold:
        told = features_as_of(batch, columns, as_of, hold)
        save(backend, _stamped(told, as_of), path.with_name(f"rows-{path.name}.parquet"))
    outcome = labels_at(batch, customers_as_of(batch["customers"], as_of), as_of, until, settings)
    save(backend, _stamped(outcome, as_of), path.with_name(f"labels-{path.name}.parquet"))
    return _typed(told, known_at=True), _typed(outcome)


def _stamped(table: ir.Table, as_of: datetime) -> ir.Table:
    return table.mutate(as_of=ibis.literal(as_of, type="timestamp(6)"))


def _typed(table: ir.Table, known_at: bool = False) -> dict[str, str]:
    """SQL of each column to store: keys first, then when the row could have been told, which is its moment."""
    moment = "cast(as_of as timestamp) at time zone 'UTC'"
    kinds = {"float64": "double", "boolean": "boolean", "string": "varchar"}
    others = {
        name: f"cast({quote_identifier(name)} as {kinds[str(dtype.copy(nullable=True))]})"
        for name, dtype in table.schema().items()
        if name != "customer_id"
    }
    return {"customer_id": "customer_id", "as_of": moment} | ({"known_at": moment} if known_at else {}) | others


def _write(
    workspace: Workspace,
    columns: list[Column],
    rows: pd.DataFrame,
    labels: pd.DataFrame,
    as_of: datetime,
) -> dict[str, Any]:
    schema = schema_of(columns)
    with replacing(workspace.features) as folder:
        _tidy(rows, columns).to_parquet(folder / ROWS, index=False)
        labels.sort_values(list(KEYS)).to_parquet(folder / LABELS, index=False)
        schema.save(folder)
    return _told(len(rows), schema, [as_of], as_of)


def _told(rows: int, schema: FeatureSchema, when: list[datetime], until: datetime) -> dict[str, Any]:
    return {
        "rows": rows,
        "features": len(schema.features),
        "as_ofs": [f"{w.isoformat()}Z" for w in when],
        "schema_hash": schema.hash,
        "data_until": f"{until.isoformat()}Z",
    }


def features_as_of(
    tables: dict[str, ir.Table], columns: Iterable[Column], as_of: datetime, hold: Hold | None = None
) -> ir.Table:
    """All columns at one moment. One row per customer known at it: ``customer_id``, then the columns in order.

    Parameters
    ----------
    tables
        Checked tables by name.
    columns
        The features.
    as_of
        The moment, UTC without a zone.
    hold
        Computes an expression now and keeps it, see `features.engine.holding`. The rows as of the moment are then
        computed once, and the columns are told from them few at a time: a group-by of a hundred aggregates keeps
        kilobytes a customer and no longer fits a processor's cache. None: everything in one expression, which is
        the better way for few rows.
    """
    columns = list(columns)
    people = customers_as_of(tables["customers"], as_of)
    out = people.select(
        "customer_id", **{c.name: c.aggregate(people).cast("string") for c in columns if c.table == "customers"}
    )
    for name in dict.fromkeys(c.table for c in columns if c.table != "customers"):
        own = [c for c in columns if c.table == name]
        rows = as_of_table(name, tables, as_of)
        for told in [_told_from(rows, own)] if hold is None else _in_passes(rows, own, hold):
            out = out.left_join(told, "customer_id").drop("customer_id_right")
    filled = {c.name: out[c.name] if c.empty is None else out[c.name].fill_null(c.empty) for c in columns}
    return out.select("customer_id", **filled)


def _told_from(rows: ir.Table, columns: Iterable[Column]) -> ir.Table:
    """Columns from their as-of table. One row a customer who has one there."""
    return rows.group_by("customer_id").agg(**{c.name: c.aggregate(rows).cast(c.dtype) for c in columns})


def _in_passes(rows: ir.Table, columns: Sequence[Column], hold: Hold) -> list[ir.Table]:
    """As `_told_from`, a few columns at a time, each from no older rows than it looks at."""
    read = _told_from(rows, columns).op().find(ops.Field)
    names = {"customer_id", "days_ago"} | {f.name for f in read if f.rel == rows.op()}
    held = hold(rows.select(*(n for n in rows.columns if n in names)))
    order = sorted(columns, key=lambda c: c.reach_days or math.inf)
    told = []
    for start in range(0, len(order), COLUMNS_A_PASS):
        some = order[start : start + COLUMNS_A_PASS]
        reach = max(c.reach_days or math.inf for c in some)
        told.append(hold(_told_from(held if reach == math.inf else held.filter(held.days_ago <= reach), some)))
    return told


def customers_as_of(customers: ir.Table, as_of: datetime) -> ir.Table:
    """Customers known at a moment: signed up before it, and recorded by then."""
    return known(customers, "signed_up_at", as_of)


def moments(first: datetime, until: datetime, settings: AsOf) -> list[datetime]:
    """Firsts of the month at which customers are looked at, the newest not after `until`.

    Raises
    ------
    NotEnoughDataError
        No moment has enough history before it.

    Examples
    --------
    >>> from configs.settings import load
    >>> [m.strftime("%m-%d") for m in moments(datetime(2017, 1, 1), datetime(2017, 4, 1), load("test").as_of)]
    ['02-01', '03-01', '04-01']
    """
    start = max(first + pd.Timedelta(days=settings.min_history_days), naive_utc(settings.first or datetime.min))
    end = min(until, naive_utc(settings.last or datetime.max))
    months = pd.date_range(first.date(), end, freq="MS", unit="us")
    newest_first = [m.to_pydatetime() for m in months if start <= m <= end][::-1]
    if not newest_first:
        raise NotEnoughDataError(
            f"data from {first:%Y-%m-%d} to {until:%Y-%m-%d} hold no first of a month with "
            f"{settings.min_history_days} days of history before it: give a longer history, "
            "or lower as_of.min_history_days"
        )
    return newest_first[:: settings.every_months][::-1]


def _tidy(rows: pd.DataFrame, columns: list[Column]) -> pd.DataFrame:
    """Order rows and columns, and add ``known_at``: when the row could have been told, which is its moment."""
    rows = rows.sort_values(list(KEYS), ignore_index=True)
    rows["known_at"] = rows["as_of"]
    return rows[[*KEYS, "known_at", *(c.name for c in columns)]]
