"""A large build cuts the work by customer, by column and by age of the rows; no number changes by that."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from features import build, engine
from features.build import features_as_of
from features.columns.column import Column, columns_of
from features.engine import connect, holding, read_tables, save
from features.schema import MODULES, feature_columns
from features.windows import as_of_table

MOMENT = datetime(2024, 3, 1)
REACHING = [c for module in MODULES for c in columns_of(module) if c.reach_days]
Open = Callable[[dict[str, pd.DataFrame]], dict[str, ir.Table]]


@pytest.fixture(scope="module")
def tables(opened: Open) -> dict[str, ir.Table]:
    """Random tables with rows just within and just beyond every window."""
    rng, number = np.random.default_rng(5), 4_000
    ago = np.concatenate([rng.choice([7, 14, 28, 30, 60, 90, 180], number // 2), rng.uniform(0, 400, number // 2)])
    when = [
        MOMENT - timedelta(days=float(d)) - timedelta(seconds=int(s))
        for d, s in zip(ago, rng.integers(0, 2, number), strict=True)
    ]
    who = rng.choice([f"c{i}" for i in range(150)], number)
    ids = [f"x{i}" for i in range(number)]
    kinds = rng.choice(["visit", "login", "complaint", "ticket", "payment_failed", "survey"], number)
    score = np.where(kinds == "survey", rng.integers(0, 11, number), np.nan)
    orders = {
        "order_id": ids,
        "customer_id": who,
        "ordered_at": when,
        "amount": rng.normal(30, 25, number).round(2),
        "quantity": rng.integers(1, 5, number).astype(float),
        "channel": rng.choice(["web", "shop"], number),
        "category": rng.choice(["food", "toys", "wine"], number),
        "discount": rng.choice([np.nan, 0.0, 1.5, 4.0], number),
    }
    return opened(
        {
            "customers": pd.DataFrame(
                {"customer_id": [f"c{i}" for i in range(160)], "signed_up_at": [datetime(2022, 1, 1)] * 160}
            ),
            "orders": pd.DataFrame(orders),
            "interactions": pd.DataFrame(
                {"interaction_id": ids, "customer_id": who, "occurred_at": when, "kind": kinds, "value": score}
            ),
            "contacts": pd.DataFrame(
                {
                    "contact_id": ids,
                    "customer_id": who,
                    "contacted_at": when,
                    "campaign": rng.choice(["A", "B"], number),
                }
            ),
        }
    )


def told(rows: ir.Table, column: Column) -> pd.Series:
    found = rows.group_by("customer_id").agg(value=column.aggregate(rows).cast("float64")).to_pandas()
    values = found.set_index("customer_id")["value"].reindex([f"c{i}" for i in range(160)])
    return values if column.empty is None else values.fillna(column.empty)


def test_most_columns_with_a_window_say_how_far_back_they_look() -> None:
    names = {c.name for c in REACHING}
    assert {"orders_7d", "spend_180d", "orders_change_90d", "visits_change_30d", "complaints_90d"} <= names
    assert not names & {"orders_total", "orders_pace_30d", "discount_change_30d", "order_size_trend_30d"}


@pytest.mark.parametrize("column", REACHING, ids=lambda c: c.name)
def test_rows_beyond_the_reach_of_a_column_change_nothing(tables: dict[str, ir.Table], column: Column) -> None:
    rows = as_of_table(column.table, tables, MOMENT)
    within = told(rows.filter(rows.days_ago <= column.reach_days), column)
    pd.testing.assert_series_equal(within, told(rows, column), rtol=1e-12)
    assert within.nunique() > 1


def test_columns_in_passes_are_those_of_one_expression(tables: dict[str, ir.Table], tmp_path: Path) -> None:
    for name, table in tables.items():
        table.to_pandas().to_parquet(tmp_path / f"{name}.parquet", index=False, coerce_timestamps="us")
    backend = connect()
    columns = feature_columns(tables, ())
    read = read_tables(backend, tmp_path)
    with holding(backend) as hold:
        save(backend, features_as_of(read, columns, MOMENT, hold), tmp_path / "passes")
    assert backend.raw_sql("SELECT count(*) FROM duckdb_tables() WHERE table_name LIKE 'held_%'").fetchone() == (0,)
    save(backend, features_as_of(read, columns, MOMENT), tmp_path / "whole")
    passes, whole = (pd.read_parquet(tmp_path / n).set_index("customer_id").sort_index() for n in ("passes", "whole"))
    pd.testing.assert_frame_equal(passes, whole, rtol=1e-12, atol=1e-12)


def test_two_builds_of_the_same_tables_are_equal_to_the_last_bit_however_many_work_at_once(
    built: Workspace, few: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Workspace(tmp_path)
    shutil.copytree(built.tables, place.tables)
    stored = []
    for cores, few_rows in ((1, 10**9), (2, 10**9), (3, 10)):
        monkeypatch.setattr(build, "workers", lambda _, cores=cores: cores)
        monkeypatch.setattr(engine.batches, "__defaults__", (1, engine.ROWS_AT_ONCE, few_rows))
        build.build(few, place)
        stored.append([(place.features / f"{name}.parquet").read_bytes() for name in ("rows", "labels")])
    frames = [pd.read_parquet(place.features / f"{name}.parquet") for name in ("rows", "labels")]
    assert stored[0] == stored[1]
    for frame, name in zip(frames, ("rows", "labels"), strict=True):
        (tmp_path / "one").write_bytes(stored[0][("rows", "labels").index(name)])
        pd.testing.assert_frame_equal(frame, pd.read_parquet(tmp_path / "one"), check_exact=True)
