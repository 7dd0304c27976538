"""Versions of one row in several entries of a table, whole and in chunks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.sources.files import opened
from features.sources.rows.versions import AMENDED, COPIES
from features.tables import LEFT_OUT, UNREAD

OLD = "nr,kunde,datum,summe,status\n1,ann,02.01.2024,10,ok\n2,ann,30.01.2024,20,ok\n3,bob,31.01.2024,30,ok\n"
NEW = "id,client,date,total,etat\n2,ann,2024-01-30,20,ok\n3,bob,2024-01-31,33,ok\n4,bob,2024-02-03,40,annulé\n"


def entries(folder: Path, old: str = OLD, new: str = NEW, **of_new: Any) -> list[dict[str, Any]]:
    (folder / "old.csv").write_text(old)
    (folder / "new.csv").write_text(new)
    german = {"order_id": "nr", "customer_id": "kunde", "ordered_at": "datum", "amount": "summe", "category": "status"}
    french = {"order_id": "id", "customer_id": "client", "ordered_at": "date", "amount": "total", "category": "etat"}
    return [
        {"path": str(folder / "old.csv"), "columns": german, "times": {"ordered_at": {"format": "%d.%m.%Y"}}},
        {"path": str(folder / "new.csv"), "columns": french, **of_new},
    ]


def loaded(listed: list[dict[str, Any]], chunk_rows: int | None) -> tuple[pd.DataFrame, dict[str, Any]]:
    return loaded_of("orders", listed, chunk_rows)


def loaded_of(name: str, listed: list[dict[str, Any]], chunk_rows: int | None) -> tuple[pd.DataFrame, dict[str, Any]]:
    with opened({name: listed}, chunk_rows) as tables:
        table = tables[name]
        rows = table if isinstance(table, pd.DataFrame) else pd.concat(table.read(), ignore_index=True)
        assert len(rows) == (len(table) if isinstance(table, pd.DataFrame) else table.rows)
        return rows, dict(table.attrs)


@pytest.mark.parametrize("chunk_rows", [None, 1, 2])
def test_copies_count_once_and_the_later_entry_amends(tmp_path: Path, chunk_rows: int | None) -> None:
    rows, attrs = loaded(entries(tmp_path), chunk_rows)
    assert rows[["order_id", "amount"]].astype(str).to_numpy().tolist() == [
        ["1", "10.0"], ["2", "20.0"], ["3", "33.0"], ["4", "40.0"],
    ]  # fmt: skip
    assert attrs[LEFT_OUT] == {COPIES: 1, AMENDED: 1}


@pytest.mark.parametrize("chunk_rows", [None, 1])
def test_an_order_that_a_later_entry_leaves_out_is_left_out_whole(tmp_path: Path, chunk_rows: int | None) -> None:
    new = NEW.replace("3,bob,2024-01-31,33,ok", "3,bob,2024-01-31,33,annulé")
    rows, attrs = loaded(entries(tmp_path, new=new, where={"etat": {"not": ["annulé"]}}), chunk_rows)
    assert rows["order_id"].astype(str).tolist() == ["1", "2"]
    assert attrs[LEFT_OUT] == {"where: etat": 2, COPIES: 1, AMENDED: 1}


def test_recorded_at_tells_the_newest_and_a_copy_is_known_since_the_first(tmp_path: Path) -> None:
    old = OLD.replace("status", "status,recorded_at").replace(",ok", ",ok,2024-03-01")
    new = NEW.replace("etat", "etat,recorded_at").replace(",ok", ",ok,2024-02-10").replace("lé", "lé,2024-02-10")
    rows, attrs = loaded(entries(tmp_path, old, new), None)
    told = {str(i): (a, str(r)[:10]) for i, a, r in rows[["order_id", "amount", "recorded_at"]].to_numpy()}
    assert told == {
        "1": (10, "2024-03-01"), "2": (20, "2024-02-10"), "3": (30, "2024-03-01"), "4": (40, "2024-02-10")
    }  # fmt: skip
    assert attrs[LEFT_OUT] == {COPIES: 1, AMENDED: 1}


def test_rows_of_another_customer_or_time_are_no_versions(tmp_path: Path) -> None:
    new = NEW.replace("2,ann", "2,zoe").replace("2024-01-31", "2024-05-31")
    rows, attrs = loaded(entries(tmp_path, new=new), None)
    assert len(rows) == 6 and attrs[LEFT_OUT] == {}


def test_entries_that_read_one_file_are_no_versions_and_what_one_reads_is_not_unread(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text(
        "order_id,customer_id,ordered_at,amount,refunded,stato\n"
        "1,ann,2024-01-02,10,4,pagato\n2,ann,2024-01-05,20,,annullato\n"
    )
    refunds = {"columns": {"amount": "refunded"}, "numbers": {"amount": {"scale": -1}}}
    where = {"where": {"refunded": {"empty": False}}}
    listed = [{"path": str(path)}, {"path": str(path), **refunds, **where}]
    rows, attrs = loaded(listed, None)
    assert rows["amount"].tolist() == [10, 20, -4] and attrs[LEFT_OUT] == {"where: refunded": 1}
    assert "refunded" not in attrs[UNREAD]
    listed[1]["key_prefix"] = "refund-"
    rows, attrs = loaded(listed, None)
    assert rows["order_id"].tolist() == ["1", "2", "refund-1"] and "refunded" not in attrs[UNREAD]


def test_a_column_of_the_same_name_in_another_file_is_still_unread(tmp_path: Path) -> None:
    new = "id,client,date,total,status\n7,ann,2024-01-30,20,cancelled\n8,ann,2024-01-31,20,paid\n"
    listed = entries(tmp_path, new=new)
    del listed[1]["columns"]["category"]
    assert loaded(listed, None)[1][UNREAD] == {"status": {"cancelled": 1, "paid": 1}}


@pytest.mark.parametrize("chunk_rows", [None, 1])
def test_customers_of_two_lists_are_no_versions_unless_both_say_when_they_were_recorded(
    tmp_path: Path, chunk_rows: int | None
) -> None:
    crm, shop = tmp_path / "crm.csv", tmp_path / "shop.csv"
    listed = [{"path": str(crm)}, {"path": str(shop), "where": {"state": ["ok"]}}]
    crm.write_text("customer_id,signed_up_at,segment\nx,2023-01-01,gold\ny,2023-01-01,silver\n")
    shop.write_text("customer_id,signed_up_at,state\nx,2023-07-01,deleted\ny,2023-07-01,ok\n")
    for entry_order in (listed, listed[::-1]):
        rows, attrs = loaded_of("customers", entry_order, chunk_rows)
        assert sorted(rows["customer_id"]) == ["x", "y", "y"]
        assert set(rows["segment"].dropna()) == {"gold", "silver"}
        assert attrs[LEFT_OUT] == {"where: state": 1}
    crm.write_text("customer_id,signed_up_at,recorded_at\nx,2023-01-01,\ny,2023-01-01,2023-01-02\n")
    shop.write_text("customer_id,signed_up_at,recorded_at\nx,2023-01-01,\ny,2023-07-01,2023-07-02\n")
    rows, attrs = loaded_of("customers", [{"path": str(crm)}, {"path": str(shop)}], chunk_rows)
    assert sorted(rows["signed_up_at"].astype(str).str[:7]) == ["2023-01", "2023-07"]
    assert attrs[LEFT_OUT] == {COPIES: 1, AMENDED: 1}


@pytest.mark.parametrize("chunk_rows", [None, 1])
def test_a_copy_known_earlier_leaves_an_unreadable_time_of_another_row_for_the_check(
    tmp_path: Path, chunk_rows: int | None
) -> None:
    head = "order_id,customer_id,ordered_at,amount,recorded_at\n"
    (tmp_path / "a.csv").write_text(head + "1,ann,2024-01-02,10,2024-01-03\n")
    (tmp_path / "b.csv").write_text(head + "3,ann,2024-01-05,30,soon\n1,ann,2024-01-02,10,2024-02-03\n")
    listed = [{"path": str(tmp_path / name)} for name in ("a.csv", "b.csv")]
    rows, attrs = loaded(listed, chunk_rows)
    told = dict(zip(rows["order_id"].astype(str), rows["recorded_at"].astype(str), strict=True))
    assert told["3"] == "soon" and told["1"][:10] == "2024-01-03" and attrs[LEFT_OUT] == {COPIES: 1}


def test_a_copy_is_one_where_a_column_of_one_entry_became_text(tmp_path: Path) -> None:
    head = "order_id,customer_id,ordered_at,amount\n"
    (tmp_path / "a.csv").write_text(head + "1,ann,2024-01-02,10\n2,ann,2024-01-05T10:00,2.5\n")
    (tmp_path / "b.csv").write_text(head + "1,ann,2024-01-02,10\n2,ann,2024-01-05T10:00,2.50\n3,ann,someday,x\n")
    rows, attrs = loaded([{"path": str(tmp_path / name)} for name in ("a.csv", "b.csv")], None)
    assert len(rows) == 3 and attrs[LEFT_OUT] == {COPIES: 2}


@pytest.mark.parametrize("time", ["ordered_at", "recorded_at"])
def test_midnight_is_one_time_where_one_entry_has_no_other_and_the_next_has(tmp_path: Path, time: str) -> None:
    columns = ["order_id", "customer_id", "ordered_at", "recorded_at", "amount"]
    old = [["1", "ann", "2024-01-30", "2024-02-01", 10], ["2", "bob", "2024-01-31", "2024-02-01", 20]]
    new = [["1", "ann", "2024-01-30", "2024-02-01", 11], ["2", "bob", "2024-01-31", "2024-02-01", 20]]
    new.append(["3", "eve", "2024-02-03", "2024-02-04", 30])
    for name, rows in (("old", old), ("new", new)):
        frame = pd.DataFrame(rows, columns=columns)
        frame[time] += "T00:00:00Z"
        frame.loc[frame["order_id"] == "3", time] = "2024-02-05T10:00:00Z"
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    for earlier, later in (("old", "new"), ("new", "old")):
        listed = [{"path": str(tmp_path / f"{name}.csv")} for name in (earlier, later)]
        rows, attrs = loaded(listed, None)
        assert sorted(rows["order_id"].astype(str)) == ["1", "2", "3"]
        assert rows.set_index(rows["order_id"].astype(str)).loc["1", "amount"] == (11 if later == "new" else 10)
        assert attrs[LEFT_OUT] == {COPIES: 1, AMENDED: 1}
