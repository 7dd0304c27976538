"""A large build cuts the work by customer, by column and by age of the rows; no number changes by that."""

from __future__ import annotations

import gc
import shutil
import weakref
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pandas as pd
import pytest
from ibis import _

from configs.settings import Settings
from configs.workspace import Workspace
from features import build, engine
from features.build import features_as_of
from features.engine import AsOfTable, as_of_statements, connect, read_tables, save
from features.schema import feature_columns
from features.windows import days_before, timestamp

AS_OF = datetime(2024, 3, 1)


def test_columns_in_passes_are_those_of_one_expression(edge_tables: dict[str, ir.Table], tmp_path: Path) -> None:
    for name, table in edge_tables.items():
        table.to_pandas().to_parquet(tmp_path / f"{name}.parquet", index=False, coerce_timestamps="us")
    backend = connect()
    columns = feature_columns(edge_tables, ())
    read = read_tables(backend, tmp_path)
    before = backend.raw_sql("SELECT count(*) FROM duckdb_tables()").fetchone()
    AsOfTable(backend, read, lambda tables, at, cache: features_as_of(tables, columns, at, cache)).save(
        backend, AS_OF, tmp_path / "passes"
    )
    assert backend.raw_sql("SELECT count(*) FROM duckdb_tables()").fetchone() == before
    save(backend, features_as_of(read, columns, AS_OF), tmp_path / "whole")
    passes, whole = (pd.read_parquet(tmp_path / n).set_index("customer_id").sort_index() for n in ("passes", "whole"))
    pd.testing.assert_frame_equal(passes, whole, rtol=1e-12, atol=1e-12)


def test_equal_expressions_are_compiled_once_whatever_holds_their_tables_and_those_with_another_literal_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled, kept, sql = [], {}, {}
    monkeypatch.setattr("features.sql._KEPT", kept)

    def above(least: float) -> tuple[list[str], weakref.ref]:
        backend = connect()
        backend.raw_sql("CREATE TABLE orders (amount DOUBLE, ordered_at TIMESTAMP)")
        compile_with = backend.compile
        monkeypatch.setattr(backend, "compile", lambda e: compiled.append(e) or compile_with(e))
        rows = {"orders": backend.table("orders")}

        def bought(tables: dict[str, ir.Table], as_of: datetime) -> list[ir.Table]:
            return [tables["orders"].filter(_.ordered_at < timestamp(as_of), _.amount > least)]

        told = as_of_statements(backend, rows, bought)
        return told.at(AS_OF), weakref.ref(backend)

    for number, least in enumerate((1.0, 1.0, 2.0)):
        sql[number], backend = above(least)
        monkeypatch.undo()
        monkeypatch.setattr("features.sql._KEPT", kept)
        gc.collect()
        assert backend() is None, "what is kept holds no database open"
    assert len(compiled) == 2 and len(kept) == 2
    assert sql[0] == sql[1] and sql[0] != sql[2] and "2024, 3, 1" in sql[0][0]


@pytest.mark.parametrize(
    ("told", "compilations"),
    [
        (lambda rows, at: rows.mutate(z=rows.at < timestamp(at)), 1),
        (lambda rows, at: rows.mutate(z=days_before(rows["at"], at)), 1),
        (lambda rows, at: rows.mutate(z=rows.at < timestamp(at - timedelta(days=1))), 3),
        (lambda rows, at: rows.mutate(z=rows.x + at.year), 3),
        (lambda rows, at: rows.mutate(**{f"of {at.year}": rows.x}), 3),
        (lambda rows, at: rows.filter(rows.x > 1, *([rows.x > 2] if at.year > 2010 else [])), 3),
        (lambda rows, at: rows.mutate(z=rows.x.sum() if at.year < 2010 else rows.x.mean()), 3),
        (lambda rows, at: rows.mutate(z=rows.x.cast("int32" if at.year < 2010 else "int16")), 3),
        (lambda rows, at: rows.mutate(z=ibis.literal(at.isoformat())), 3),
        (lambda rows, at: rows.mutate(z=ibis.literal(at.date())), 3),
    ],
)
def test_statements_are_written_for_a_date_only_where_nothing_but_the_date_tells_them_apart(
    told: Callable[[ir.Table, datetime], ir.Table], compilations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.sql._KEPT", {})
    backend, compiled = connect(), []
    rows = ibis.table({"x": "int64", "at": "timestamp(6)"}, name="t")
    compile_with = backend.compile
    monkeypatch.setattr(backend, "compile", lambda e: compiled.append(e) or compile_with(e))
    statements = as_of_statements(backend, {"t": rows}, lambda tables, at: [told(tables["t"], at)])
    assert statements.at(AS_OF) == [str(compile_with(told(rows, AS_OF)))]
    assert len(compiled) == compilations


def test_what_differs_at_the_second_date_alone_is_not_taken_for_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("features.sql._KEPT", {})
    backend, table = connect(), ibis.table({"x": "int64"}, name="t")
    plain = as_of_statements(backend, {"t": table}, lambda t, at: [t["t"].mutate(y=1)])
    later = as_of_statements(backend, {"t": table}, lambda t, at: [t["t"].mutate(y=1 if at.year < 2010 else 2)])
    assert plain.at(AS_OF) != later.at(AS_OF) and "2" in later.at(AS_OF)[0]


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
