"""Exact copies of customers count once, whatever else the table holds."""

from __future__ import annotations

import pandas as pd

from features.sources.rows.copies import without_copies


def test_only_lists_of_customers_are_looked_at_and_nothing_is_changed_in_place() -> None:
    people = pd.DataFrame({"customer_id": ["a", "a", None, None], "signed_up_at": ["2024-01-01"] * 4})
    orders = pd.DataFrame({"order_id": ["1", "1"], "customer_id": ["a", "a"]})
    before = people.copy()
    once = without_copies({"customers": people, "orders": orders})
    assert once["customers"]["customer_id"].isna().tolist() == [False, True, True]
    assert once["orders"] is orders
    pd.testing.assert_frame_equal(people, before)
    assert "notes" not in people.attrs


def test_a_row_with_a_reason_against_it_is_no_copy() -> None:
    rows = pd.DataFrame({"customer_id": ["a", "a"], "source_reason": ["x: is odd", "x: is odd"]})
    assert len(without_copies({"profiles": rows})["profiles"]) == 2
