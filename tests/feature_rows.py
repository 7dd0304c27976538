"""Feature rows of opened tables, without compiling the columns each time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from configs.settings import Settings
from configs.workspace import Workspace
from features.build import features_as_of
from features.contract_terms import with_grace
from features.labels.by_kind import Knowledge, labels_at
from features.schema import feature_columns
from features.sql import AsOfStatements


class FeatureRows:
    """Computes feature rows by customer; the SQL of one set of tables is used for all of the same names and columns."""

    def __init__(self) -> None:
        self._queries: dict[Any, AsOfStatements] = {}

    def __call__(
        self, tables: dict[str, ir.Table], as_of: datetime, attributes: tuple[str, ...] = (), grace_days: int = 14
    ) -> pd.DataFrame:
        backend, tables = tables["customers"].get_backend(), with_grace(tables, grace_days)
        key = attributes, grace_days, frozenset((name, table.schema()) for name, table in tables.items())
        if key not in self._queries:
            columns = feature_columns(tables, attributes)
            self._queries[key] = AsOfStatements(lambda t: [str(backend.compile(features_as_of(tables, columns, t)))])
        [query] = self._queries[key].at(as_of)
        return backend.con.execute(query).df().set_index("customer_id").sort_index()


class LabelRows:
    """Computes labels by customer; the SQL of a date is used for all tables of the same names and columns."""

    def __init__(self) -> None:
        self._queries: dict[Any, str] = {}

    def __call__(
        self, tables: dict[str, ir.Table], as_of: datetime, known: Knowledge, settings: Settings
    ) -> pd.DataFrame:
        backend = tables["customers"].get_backend()
        schemas = frozenset((name, table.schema()) for name, table in tables.items())
        key = as_of, repr(known), settings.model_dump_json(), schemas
        if key not in self._queries:
            self._queries[key] = str(backend.compile(labels_at(tables, tables["customers"], as_of, known, settings)))
        return backend.con.execute(self._queries[key]).df().set_index("customer_id").sort_index()


def recorded_later(workspace: Workspace) -> set[str]:
    """Customers of whom a row of the tables was recorded, or redeemed, after the newest moment of the features."""
    newest = pd.read_parquet(workspace.features / "rows.parquet", columns=["as_of"])["as_of"].max().tz_localize(None)
    found: set[str] = set()
    for name in ("orders", "interactions", "contacts"):
        rows = pd.read_parquet(workspace.tables / f"{name}.parquet")
        times = [rows[c] > newest for c in ("recorded_at", "redeemed_at") if c in rows]
        found |= set(rows.loc[np.logical_or.reduce(times), "customer_id"])
    return found


def workspace_of(folder: Path, rows: pd.DataFrame, labels: pd.DataFrame) -> Workspace:
    """A workspace with nothing but feature rows and labels."""
    place = Workspace(folder)
    place.features.mkdir(parents=True)
    rows.to_parquet(place.features / "rows.parquet")
    labels.to_parquet(place.features / "labels.parquet")
    return place
