"""What is about an erased person leaves files and reports; everything else stays as it was."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from features.erasure import drop_rows, remove_entries


def test_a_parquet_file_keeps_its_other_rows_types_and_order(tmp_path: Path, shop: dict[str, pd.DataFrame]) -> None:
    path = tmp_path / "orders.parquet"
    shop["orders"].to_parquet(path, index=False, row_group_size=2)
    assert drop_rows(path, {"nobody"}) == 0
    assert drop_rows(path, {"ann"}) == 6
    pd.testing.assert_frame_equal(
        pd.read_parquet(path), shop["orders"].query("customer_id == 'bob'").reset_index(drop=True)
    )


def test_in_quarantine_a_row_is_found_by_whatever_column_names_the_person(tmp_path: Path) -> None:
    path = tmp_path / "orders.parquet"
    rows = pd.DataFrame(
        {
            "customer_id": [" 7 ", "7.0", "17", "None", "None"],
            "shop": ["a", "b", "c", "7", "d"],
            "reason": ["x", "x", "x", "x", "row 9: 2 fields: '7;1'"],
        }
    )
    rows.to_parquet(path, index=False)
    assert drop_rows(path, {"7"}, in_quarantine=True) == 4
    assert pd.read_parquet(path)["customer_id"].tolist() == ["17"]


def test_what_is_cleaned_is_not_changed_itself() -> None:
    content = {"a": [{"customer_id": "ann"}, {"b": [{"alias": "ann"}, 1]}]}
    assert remove_entries(content, {"ann"}) == ({"a": [{"b": [1]}]}, 2)
    assert content == {"a": [{"customer_id": "ann"}, {"b": [{"alias": "ann"}, 1]}]}


def test_what_another_customers_row_holds_is_no_mention(tmp_path: Path) -> None:
    path = tmp_path / "orders.parquet"
    rows = pd.DataFrame(
        {
            "order_id": ["o1", "o2", "1", "o4", "o5", "1"],
            "customer_id": ["1", "ben", "cyd", "None", "?", "?"],
            "quantity": ["1", "1", "1", "1", "1", "2"],
            "channel": ["web", "1", "1", "web", "web", "web"],
            "reason": [
                "amount: '1' is not a number",
                "amount: '1' is not a number",
                "amount: '1' is not a number",
                "customer_id: is empty",
                "customer_id: '?' is no known customer",
                "customer_id: '?' is no known customer",
            ],
        }
    )
    rows.to_parquet(path, index=False)
    assert drop_rows(path, {"1"}, in_quarantine=True) == 2
    assert pd.read_parquet(path)["order_id"].tolist() == ["o1", "o2", "1", "o4", "o5", "1"][1:5]
