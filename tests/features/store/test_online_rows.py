from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from configs.errors import NotReadyError
from configs.workspace import Workspace
from features.schema import load_schema
from features.store.feature_store import OnlineWriter, open_feature_store
from features.store.online_rows import OnlineFeatures, SqliteRows, online_fingerprint

NAMES = ("spend", "region")


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[SqliteRows]:
    made = SqliteRows(tmp_path / "online.db")
    made.create_table("t", NAMES)
    yield made
    made.close()


def test_values_come_back_as_they_were_and_what_is_not_known_is_none(rows: SqliteRows) -> None:
    third = 1 / 3
    rows.write({"t": (NAMES, [("ann", 2, 0, third, "north"), ("bob", 2, 0, math.nan, None)])})
    assert rows.read("t", NAMES, ["bob", "ann", "nobody"]) == {"ann": (2, third, "north"), "bob": (2, None, None)}


def test_a_row_is_never_replaced_by_an_older_one(rows: SqliteRows) -> None:
    def write(event: int, created: int, spend: float) -> int:
        return rows.write({"t": (NAMES, [("ann", event, created, spend, None)])})

    assert [write(5, 5, 1.0), write(4, 9, 2.0), write(5, 4, 3.0)] == [1, 0, 0]
    assert rows.read("t", NAMES, ["ann"])["ann"][1] == 1.0
    assert [write(5, 5, 4.0), write(5, 6, 5.0), write(6, 0, 6.0)] == [1, 1, 1]
    assert rows.read("t", NAMES, ["ann"])["ann"] == (6, 6.0, None)


def test_several_tables_are_written_all_or_none(rows: SqliteRows) -> None:
    good = (NAMES, [("ann", 1, 1, 1.0, None)])
    with pytest.raises(sqlite3.OperationalError):
        rows.write({"t": good, "missing": good})
    assert rows.read("t", NAMES, ["ann"]) == {}


def test_a_new_feature_is_a_new_column_and_old_rows_lack_it(rows: SqliteRows) -> None:
    rows.write({"t": (NAMES, [("ann", 1, 1, 1.0, "north")])})
    rows.create_table("t", (*NAMES, "orders"))
    assert rows.read("t", ("orders", "spend"), ["ann"]) == {"ann": (1, None, 1.0)}


def test_a_table_of_another_layout_is_made_anew(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "online.db") as old:
        old.execute("CREATE TABLE t (entity_key BLOB, feature_name TEXT)")
    old.close()
    made = SqliteRows(tmp_path / "online.db")
    made.create_table("t", NAMES)
    assert made.read("t", NAMES, ["ann"]) == {}
    made.close()


def test_older_rows_and_forgotten_customers_go(rows: SqliteRows) -> None:
    rows.write({"t": (NAMES, [(c, at, 0, 1.0, None) for c, at in (("ann", 1), ("bob", 2), ("cid", 3))])})
    rows.drop_older_than(["t"], 2)
    assert rows.newer_than("t", 0) == ["bob", "cid"]
    assert rows.newer_than("t", 2) == ["cid"]
    assert rows.delete(["t"], ["bob", "cid"], 2) == 1
    assert rows.newer_than("t", 0) == ["cid"]


def test_a_customer_goes_from_all_tables_or_from_none(rows: SqliteRows) -> None:
    rows.write({"t": (NAMES, [("ann", 1, 1, 1.0, None)])})
    with pytest.raises(sqlite3.OperationalError):
        rows.delete(["t", "missing"], ["ann"], 9)
    with pytest.raises(sqlite3.OperationalError):
        rows.drop_older_than(["t", "missing"], 9)
    assert list(rows.ids("t")) == ["ann"]


def test_all_ids_come_in_the_order_in_which_python_sorts_them(rows: SqliteRows) -> None:
    ids = ["b", "a", "Z", "é", "10", "9", "\U0001f600", "\uffee"]
    rows.write({"t": (NAMES, [(i, 1, 1, 0.0, None) for i in ids])})
    assert list(rows.ids("t")) == sorted(ids)


def test_what_is_read_together_is_of_one_state(rows: SqliteRows, tmp_path: Path) -> None:
    other = SqliteRows(tmp_path / "online.db")
    rows.write({"t": (NAMES, [("ann", 1, 1, 1.0, None)])})
    with rows.reading():
        before = rows.read("t", NAMES, ["ann"])
        other.write({"t": (NAMES, [("ann", 2, 2, 2.0, None)])})
        assert rows.read("t", NAMES, ["ann"]) == before
    assert rows.read("t", NAMES, ["ann"])["ann"] == (2, 2.0, None)
    other.close()


def test_customers_are_read_as_feast_reads_them(built: Workspace) -> None:
    with closing(OnlineFeatures(built)) as online:
        everyone = list(online.ids())
        asked = ["nobody", *reversed(everyone)]
        found = online.read(asked)
    assert everyone == sorted(everyone) and len(everyone) > 100
    store = open_feature_store(built)
    service, keys = store.get_feature_service("churn"), [{"customer_id": i} for i in asked]
    answer = store.get_online_features(features=service, entity_rows=keys).to_dict(include_event_timestamps=True)
    assert found["customer_id"].tolist() == answer["customer_id"]
    for name in load_schema(built.features).names:
        pd.testing.assert_series_equal(found[name], pd.Series(answer[name], dtype=found[name].dtype, name=name))
        seconds = found["as_of"].astype("int64") // 10**6
        assert seconds.where(found["as_of"].notna(), 0).tolist() == answer[f"{name}__ts"]


def test_a_store_that_was_replaced_is_read_and_written_anew_and_one_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    path, row = tmp_path / "online.db", {"t": (NAMES, [("ann", 1, 1, 1.0, None)])}
    for spend, place in ((1.0, path), (2.0, tmp_path / "other.db")):
        with closing(SqliteRows(place)) as made:
            made.create_table("t", NAMES)
            made.write({"t": (NAMES, [("ann", 1, 1, spend, None)])})
    with closing(SqliteRows(path)) as rows:
        (tmp_path / "other.db").replace(path)
        for old in tmp_path.glob("online.db-*"):
            old.unlink()
        with rows.reading():
            assert rows.read("t", NAMES, ["ann"])["ann"][1] == 2.0
        path.unlink()
        for use in (lambda: rows.write(row), lambda: rows.erase(["t"], ["ann"]), lambda: rows.reading().__enter__()):
            with pytest.raises(NotReadyError, match="is gone"):
                use()


def test_each_thread_reads_by_a_connection_of_its_own(built: Workspace) -> None:
    with closing(OnlineFeatures(built)) as online:
        ids = list(online.ids())
        alone = online.read(ids)
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(online.read, [ids] * 8):
                pd.testing.assert_frame_equal(found, alone)


def test_the_rows_online_have_another_fingerprint_when_one_was_written_or_went(fresh: Workspace) -> None:
    assert online_fingerprint(Workspace(fresh.root / "elsewhere")) is None
    seen = [online_fingerprint(fresh), online_fingerprint(fresh)]
    with closing(OnlineFeatures(fresh)) as customers:
        row = customers.read([next(customers.ids())])
    with closing(OnlineWriter(fresh)) as online:
        later = int(time.time() * 1e6)
        online.write(row, later)
        seen.append(online_fingerprint(fresh))
        online.write(row.assign(as_of=row["as_of"] + pd.Timedelta(seconds=1)), later)
        seen.append(online_fingerprint(fresh))
        online.erase(row["customer_id"].tolist())
        seen.append(online_fingerprint(fresh))
    assert seen[0] == seen[1] and len(set(seen)) == 4
