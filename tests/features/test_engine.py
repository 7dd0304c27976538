"""A large build cuts the work by customer, by column and by age of the rows; no number changes by that."""

from __future__ import annotations

import shutil
from datetime import datetime
from functools import partial
from pathlib import Path

import ibis.expr.types as ir
import pandas as pd
import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from features import build, engine
from features.build import features_as_of
from features.engine import AsOfTable, connect, read_tables, save
from features.schema import feature_columns

AS_OF = datetime(2024, 3, 1)


def test_columns_in_passes_are_those_of_one_expression(edge_tables: dict[str, ir.Table], tmp_path: Path) -> None:
    for name, table in edge_tables.items():
        table.to_pandas().to_parquet(tmp_path / f"{name}.parquet", index=False, coerce_timestamps="us")
    backend = connect()
    columns = feature_columns(edge_tables, ())
    read = read_tables(backend, tmp_path)
    before = backend.raw_sql("SELECT count(*) FROM duckdb_tables()").fetchone()
    AsOfTable(backend, partial(features_as_of, read, columns)).save(backend, AS_OF, tmp_path / "passes")
    assert backend.raw_sql("SELECT count(*) FROM duckdb_tables()").fetchone() == before
    save(backend, features_as_of(read, columns, AS_OF), tmp_path / "whole")
    passes, whole = (pd.read_parquet(tmp_path / n).set_index("customer_id").sort_index() for n in ("passes", "whole"))
    pd.testing.assert_frame_equal(passes, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_two_builds_of_the_same_tables_are_equal_to_the_last_bit_however_many_work_at_once(
    built: Workspace, few: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Workspace(tmp_path)
    shutil.copytree(built.tables, place.tables)
    builds = []
    for cores, small_table_rows in ((1, 10**9), (2, 10**9), (3, 10)):
        monkeypatch.setattr(build, "workers", lambda _, cores=cores: cores)
        monkeypatch.setattr(engine.batches, "__defaults__", (1, engine.ROWS_AT_ONCE, small_table_rows))
        build.build(few, place)
        builds.append([(place.features / f"{name}.parquet").read_bytes() for name in ("rows", "labels")])
    frames = [pd.read_parquet(place.features / f"{name}.parquet") for name in ("rows", "labels")]
    assert builds[0] == builds[1]
    for frame, name in zip(frames, ("rows", "labels"), strict=True):
        (tmp_path / "one").write_bytes(builds[0][("rows", "labels").index(name)])
        pd.testing.assert_frame_equal(frame, pd.read_parquet(tmp_path / "one"), check_exact=True)
