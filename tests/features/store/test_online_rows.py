from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from configs.workspace import Workspace
from features.store.feature_store import OnlineFeatures, OnlineWriter
from features.store.online_rows import OnlineCustomers, SqliteRows, online_fingerprint

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


def test_all_customers_are_read_as_feast_reads_them(built: Workspace) -> None:
    with closing(OnlineCustomers(built)) as customers:
        ids = list(customers.ids())
        found = customers.read([*ids, "nobody"])
    assert ids == sorted(ids) and len(ids) > 100
    pd.testing.assert_frame_equal(found, OnlineFeatures(built).read(ids))


def test_the_rows_online_have_another_fingerprint_when_one_was_written_or_went(fresh: Workspace) -> None:
    assert online_fingerprint(Workspace(fresh.root / "elsewhere")) is None
    seen = [online_fingerprint(fresh), online_fingerprint(fresh)]
    with closing(OnlineCustomers(fresh)) as customers:
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
