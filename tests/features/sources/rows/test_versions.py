from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from features.sources import files
from features.sources.rows.versions import AMENDED, COPIES
from features.tables import LEFT_OUT

HEADER = "order_id,customer_id,ordered_at,amount,status,recorded_at\n"


def loaded(folder: Path, *months: str, **mapping: Any) -> pd.DataFrame:
    for number, rows in enumerate(months):
        (folder / f"o{number}.csv").write_text(HEADER + rows)
    return files.load({"orders": {"path": str(folder / "o*.csv"), **mapping}})["orders"]


def test_exact_copies_count_once_and_the_newest_file_amends(tmp_path: Path) -> None:
    orders = loaded(
        tmp_path,
        "1,ann,2024-01-02,10,paid,\n2,ann,2024-01-30,20,paid,\n3,bob,2024-01-31,30,paid,\n",
        "2,ann,2024-01-30,20,paid,\n3,bob,2024-01-31,33,paid,\n4,bob,2024-02-03,40,paid,\n",
    )
    assert orders[["order_id", "amount"]].to_numpy().tolist() == [["1", 10], ["2", 20], ["3", 33], ["4", 40]]
    assert orders.attrs[LEFT_OUT] == {COPIES: 1, AMENDED: 1}


def test_recorded_at_tells_the_newest_version_whatever_the_order_of_files(tmp_path: Path) -> None:
    orders = loaded(tmp_path, "1,ann,2024-01-02,99,paid,2024-03-01\n", "1,ann,2024-01-02,10,paid,2024-01-03\n")
    assert orders["amount"].tolist() == [99]
    assert orders["recorded_at"].tolist() == [pd.Timestamp("2024-03-01")]


def test_versions_in_one_file_are_told_by_recorded_at(tmp_path: Path) -> None:
    orders = loaded(tmp_path, "1,ann,2024-01-02,10,paid,2024-01-03\n1,ann,2024-01-02,12,paid,2024-02-03\n")
    assert orders["amount"].tolist() == [12]


def test_a_copy_is_known_since_the_first_of_its_like(tmp_path: Path) -> None:
    orders = loaded(tmp_path, "1,ann,2024-01-02,10,paid,2024-01-03\n", "1,ann,2024-01-02,10,paid,2024-02-01\n")
    assert orders["recorded_at"].tolist() == [pd.Timestamp("2024-01-03")]
    assert orders.attrs[LEFT_OUT] == {COPIES: 1}


def test_an_order_cancelled_in_a_later_export_is_left_out_whole(tmp_path: Path) -> None:
    months = ("1,ann,2024-01-02,10,paid,\n2,bob,2024-01-03,5,paid,\n", "1,ann,2024-01-02,10,cancelled,\n")
    orders = loaded(tmp_path, *months, where={"status": {"not": ["cancelled"]}})
    assert orders["order_id"].tolist() == ["2"]
    assert orders.attrs[LEFT_OUT] == {AMENDED: 1, "where: status": 1}


def test_of_an_order_of_lines_those_of_the_newest_file_count(tmp_path: Path) -> None:
    first = "1,ann,2024-01-02,10,a,\n1,ann,2024-01-02,10,a,\n"
    orders = loaded(tmp_path, first, first + "1,ann,2024-01-02,5,b,\n", lines={"amount": "sum"})
    assert orders["amount"].tolist() == [25]


def test_rows_of_one_file_that_nothing_puts_in_order_stay_for_the_check(tmp_path: Path) -> None:
    orders = loaded(tmp_path, "1,ann,2024-01-02,10,paid,\n1,bob,2024-01-05,12,paid,\n")
    assert orders["amount"].tolist() == [10, 12]
    assert orders.attrs[LEFT_OUT] == {}


def test_numbers_that_begin_anew_each_month_are_no_versions(tmp_path: Path) -> None:
    orders = loaded(tmp_path, "1,ann,2024-01-02,10,paid,\n", "1,bob,2024-02-02,12,paid,\n")
    assert orders["amount"].tolist() == [10, 12]
    assert orders.attrs[LEFT_OUT] == {}
    lines = loaded(tmp_path, "1,ann,2024-01-02,10,a,\n", "1,ann,2024-02-02,12,b,\n", lines={"amount": "sum"})
    assert lines["amount"].tolist() == [10, 12]
