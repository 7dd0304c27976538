"""What marks returns asks nothing where the amounts say the same; a mark of rows that brought money is asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from features.sources.files import load
from features.tables import UNREAD

LINES = ("o1,a,2024-03-01,{sale},Livre", "o2,a,2024-03-02,{back},Remboursement", "o3,b,2024-03-03,{sale},Livre")


def orders(folder: Path, sale: str, back: str, column: str = "Concepto", **mapping: Any) -> tuple[Any, list[str]]:
    text = "\n".join([f"order_id,customer_id,ordered_at,amount,{column}", *LINES]).format(sale=sale, back=back)
    (folder / "o.csv").write_text(text + "\n", "utf-8")
    attrs = load({"orders": {"path": str(folder / "o.csv"), **mapping}})["orders"].attrs
    return attrs[UNREAD], [note for note in attrs["notes"] if "returns" in note]


@pytest.mark.slow
@pytest.mark.parametrize("back", ["-24.90", "(24.90)", '"-1,024.90 €"', "24.90-", "-€ 24.90"])
@pytest.mark.parametrize("column", ["Concepto", "Type"])
def test_rows_of_a_mark_that_are_all_negative_are_returns(tmp_path: Path, back: str, column: str) -> None:
    unread, notes = orders(tmp_path, "10.50", back, column)
    assert unread == {} and "all rows with 'Remboursement' (1) have negative amounts" in notes[0]


def test_a_mark_of_positive_amounts_is_asked_about_and_turned_signs_are_turned(tmp_path: Path) -> None:
    unread, notes = orders(tmp_path, "10.50", "24.90")
    assert unread == {"Concepto": {"Livre": 2, "Remboursement": 1}} and notes == []
    turned = {"numbers": {"amount": {"scale": -1}}}
    assert orders(tmp_path, "-10.50", "24.90", **turned)[0] == {}
    assert orders(tmp_path, "-10.50", "-24.90", **turned)[0] != {}
