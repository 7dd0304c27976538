"""Tables and moments in, feature rows and labels out: one row a customer and moment."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from configs.errors import NotEnoughDataError
from configs.settings import AsOf, Settings
from configs.workspace import Workspace, files_fingerprint, fingerprint, replacing
from features import snapshot
from features.column import Column
from features.engine import batches, connect, merge, read_tables, save
from features.events import everything_known, position_of
from features.kinds import end_of_known, first_event, labels_at, require_amounts
from features.schema import FeatureSchema, feature_columns, schema_of
from features.windows import AS_OF, known

ROWS = "rows.parquet"
LABELS = "labels.parquet"
KEYS = ("customer_id", "as_of")


def mark(settings: Settings, workspace: Workspace) -> str:
    """A short hash of all that the feature rows depend on: tables, settings and the code of this package."""
    code = files_fingerprint(Path(__file__).parent.glob("*.py"))
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
    """
    backend = connect(settings.engine)
    tables = read_tables(backend, workspace.tables)
    if settings.churn.kind == "label":
        found = snapshot.tell(tables["profiles"].to_pandas(), settings)
        return _write(workspace, found.columns, found.rows, found.labels, found.as_of)
    require_amounts(tables, settings)
    until = end_of_known(tables, settings)
    when = moments(first_event(tables, settings), until, settings.as_of)
    tables, _ = everything_known(backend, tables, settings, workspace)
    columns = feature_columns(tables, settings.columns.attributes)
    schema = schema_of(columns)
    with replacing(workspace.features) as folder:
        parts = folder / "parts"
        parts.mkdir()
        some = batches(backend, tables)
        for done, as_of in enumerate(when):
            step(done, len(when))
            for number, batch in enumerate(some):
                people = customers_as_of(batch["customers"], as_of)
                told = features_as_of(batch, columns, as_of)
                save(backend, _stamped(told, as_of), parts / f"rows-{done}-{number}.parquet")
                outcome = labels_at(batch, people, as_of, until, settings)
                save(backend, _stamped(outcome, as_of), parts / f"labels-{done}-{number}.parquet")
        step(len(when), len(when))
        rows = merge(sorted(parts.glob("rows-*")), folder / ROWS, _typed(told, known_at=True), KEYS)
        merge(sorted(parts.glob("labels-*")), folder / LABELS, _typed(outcome), KEYS)
        shutil.rmtree(parts)
        schema.save(folder)
    return _told(rows, schema, when, until)


def _stamped(table: ir.Table, as_of: datetime) -> ir.Table:
    return table.mutate(as_of=ibis.literal(as_of, type="timestamp(6)"))


def _typed(table: ir.Table, known_at: bool = False) -> dict[str, str]:
    """SQL of each column to store: keys first, then when the row could have been told, which is its moment."""
    moment = "cast(as_of as timestamp) at time zone 'UTC'"
    kinds = {"float64": "double", "boolean": "boolean", "string": "varchar"}
    others = {
        name: f'cast("{name}" as {kinds[str(dtype.copy(nullable=True))]})'
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


def features_as_of(tables: dict[str, ir.Table], columns: Iterable[Column], as_of: datetime) -> ir.Table:
    """All columns at one moment. One row per customer known at it: ``customer_id``, then the columns in order."""
    columns = list(columns)
    people = customers_as_of(tables["customers"], as_of)
    out = people.select(
        "customer_id", **{c.name: c.aggregate(people).cast("string") for c in columns if c.table == "customers"}
    )
    for name in dict.fromkeys(c.table for c in columns if c.table != "customers"):
        own = [c for c in columns if c.table == name]
        rows = AS_OF[name](tables[name], as_of)
        told = rows.group_by("customer_id").agg(**{c.name: c.aggregate(rows).cast(c.dtype) for c in own})
        out = out.left_join(told, "customer_id").drop("customer_id_right")
    filled = {c.name: out[c.name] if c.empty is None else out[c.name].fill_null(c.empty) for c in columns}
    return out.select("customer_id", **filled)


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
    start = max(first + pd.Timedelta(days=settings.min_history_days), _naive(settings.first) or datetime.min)
    end = min(until, _naive(settings.last) or datetime.max)
    months = pd.date_range(first.date(), end, freq="MS", unit="us")
    newest_first = [m.to_pydatetime() for m in months if start <= m <= end][::-1]
    if not newest_first:
        raise NotEnoughDataError(
            f"data from {first:%Y-%m-%d} to {until:%Y-%m-%d} hold no first of a month with "
            f"{settings.min_history_days} days of history before it: give a longer history, "
            "or lower as_of.min_history_days"
        )
    return newest_first[:: settings.every_months][::-1]


def _naive(time: datetime | None) -> datetime | None:
    if time is None:
        return None
    stamp = pd.Timestamp(time)
    return (stamp.tz_convert("UTC").tz_localize(None) if stamp.tzinfo else stamp).to_pydatetime()


def _tidy(rows: pd.DataFrame, columns: list[Column]) -> pd.DataFrame:
    """Order rows and columns, and add ``known_at``: when the row could have been told, which is its moment."""
    rows = rows.sort_values(list(KEYS), ignore_index=True)
    rows["known_at"] = rows["as_of"]
    return rows[[*KEYS, "known_at", *(c.name for c in columns)]]
