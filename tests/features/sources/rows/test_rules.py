from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from configs.errors import ConfigError, DataError
from features.quality.check import check_table
from features.sources import database, files
from features.sources.rows.rules import RowRule
from features.sources.staging import ChunkedTable
from features.tables import LEFT_OUT, ORDERS

NOW = datetime(2025, 1, 1, tzinfo=UTC)
ORDERS_CSV = (
    "order_id,customer_id,ordered_at,amount,État\n"
    "o1,ann,2024-01-01,10,payé\n"
    "o2,ann,2024-01-02,20, PAYE\u0301 \n"
    "o3,bob,2024-01-03,30,Annulée\n"
    "o4,bob,2024-01-04,oops,annulée\n"
    "o5,bob,2024-01-05,50,\n"
)
Read = Callable[..., pd.DataFrame]


def ids(frame: pd.DataFrame) -> list[str]:
    return list(frame["order_id"])


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (["payé"], ["o1", "o2"]),
        ("Payé", ["o1", "o2"]),
        (["payé", None], ["o1", "o2", "o5"]),
        ({"not": ["annulée"]}, ["o1", "o2", "o5"]),
        ({"not": ["annulée", None]}, ["o1", "o2"]),
        ({"empty": True}, ["o5"]),
        ({"empty": False, "not": ["payé"]}, ["o3", "o4"]),
        ({"not": []}, ["o1", "o2", "o3", "o4", "o5"]),
    ],
)
def test_a_rule_keeps_rows_whatever_the_case_and_the_unicode_form(read: Read, rule: Any, kept: list[str]) -> None:
    assert ids(read(ORDERS_CSV, where={"État": rule})) == kept


def test_rows_left_out_are_counted_and_neither_used_nor_in_quarantine(read: Read) -> None:
    raw = read(ORDERS_CSV, where={"État": {"not": ["annulée"]}, "amount": {"not": ["50"]}})
    assert raw.attrs[LEFT_OUT] == {"where: État": 2, "where: amount": 1}
    checked = check_table(ORDERS, raw, NOW, {"ann", "bob"})
    assert (checked.rows_read, checked.rows_used, checked.rows_quarantined, checked.rows_left_out) == (5, 2, 0, 3)
    assert checked.valid_share == 1.0


def test_in_chunks_the_same_rows_are_kept_and_counted(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text(ORDERS_CSV)
    options = {"orders": {"path": str(tmp_path / "o.csv"), "where": {"État": {"not": ["annulée"]}}}}
    with files.opened(options, 1) as tables:
        chunked = tables["orders"]
        assert isinstance(chunked, ChunkedTable)
        assert [i for frame in chunked.read() for i in frame["order_id"]] == ["o1", "o2", "o5"]
        assert chunked.attrs[LEFT_OUT] == {"where: État": 2}


def test_rules_hold_for_databases_and_their_booleans(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.executescript(
            "create table orders (order_id, customer_id, ordered_at, amount, test integer);"
            "insert into orders values (1, 'ann', '2024-01-01', 1, 0), (2, 'ann', '2024-01-02', 1, 1);"
        )
    tables = {"orders": {"table": "orders", "where": {"test": 0}}}
    options = {"url": f"sqlite:///{tmp_path / 'shop.db'}", "tables": tables}
    assert ids(database.load(options)["orders"]) == ["1"]
    frame = pd.DataFrame({"order_id": ["1", "2"], "customer_id": "a", "ordered_at": "2024-01-01", "amount": 1.0})
    frame.assign(test=[True, False]).to_parquet(tmp_path / "o.parquet")
    kept = files.load({"orders": {"path": str(tmp_path / "o.parquet"), "where": {"test": False}}})["orders"]
    assert ids(kept) == ["2"]


def test_a_value_that_no_row_has_is_said(read: Read) -> None:
    notes = read(ORDERS_CSV, where={"État": {"not": ["cancelled", "annulée"]}}).attrs["notes"]
    assert [note for note in notes if "where" in note] == [
        "where: no row has 'cancelled' in 'État'; 'État' holds 'annulée' (2), 'payé' (2), '' (1)"
    ]


def test_rules_that_leave_no_row_stop_with_the_values_there_are(read: Read) -> None:
    with pytest.raises(DataError, match=r"orders: where leaves no row: 'État' holds 'annulée' \(2\)"):
        read(ORDERS_CSV, where={"État": ["completed"]})


def test_a_file_without_the_column_is_refused(read: Read) -> None:
    with pytest.raises(DataError, match=r"where: o.csv has no column 'Etat'.*État"):
        read(ORDERS_CSV, where={"Etat": ["payé"]})


@pytest.mark.parametrize("given", [{}, {"is": ["paid"]}, {"values": ["paid"]}, [["paid"]]])
def test_a_rule_that_cannot_be_understood_is_refused(read: Read, given: Any) -> None:
    with pytest.raises(ConfigError, match="where"):
        read(ORDERS_CSV, where={"État": given})
    with pytest.raises(ValidationError):
        RowRule.model_validate(given)
