"""Rows as of a date: what lies beyond the reach of a column changes nothing."""

from __future__ import annotations

from datetime import datetime

import ibis.expr.types as ir
import pandas as pd
import pytest

from features.columns.column import Column, columns_of
from features.schema import MODULES
from features.tables import is_return
from features.windows import as_of_table, timestamp

AS_OF = datetime(2024, 3, 1)
REACHING = [c for module in MODULES for c in columns_of(module) if c.reach_days]


def values_of(rows: ir.Table, column: Column) -> pd.Series:
    aggregated = rows.group_by("customer_id").agg(value=column.aggregate(rows).cast("float64")).to_pandas()
    values = aggregated.set_index("customer_id")["value"].reindex([f"c{i}" for i in range(160)])
    return values if column.empty is None else values.fillna(column.empty)


def test_most_columns_with_a_window_say_how_far_back_they_look() -> None:
    names = {c.name for c in REACHING}
    assert {"orders_7d", "spend_180d", "orders_change_90d", "visits_change_30d", "complaints_90d"} <= names
    assert not names & {"orders_total", "orders_pace_30d", "discount_change_30d", "order_size_trend_30d"}


@pytest.mark.slow
@pytest.mark.parametrize("column", REACHING, ids=lambda c: c.name)
def test_rows_beyond_the_reach_of_a_column_change_nothing(edge_tables: dict[str, ir.Table], column: Column) -> None:
    rows = as_of_table(column.table, edge_tables, AS_OF)
    within = values_of(rows.filter(rows.days_ago <= column.reach_days), column)
    pd.testing.assert_series_equal(within, values_of(rows, column), rtol=1e-12)
    assert within.nunique() > 1


@pytest.mark.parametrize(
    ("amount", "quantity", "bought"), [(0, 1, 1), (0, None, 1), (0, -1, 0), (-0.01, 1, 0), (5, -1, 1)]
)
def test_a_return_is_negative_or_zero_for_a_negative_quantity(
    features, shop: dict[str, pd.DataFrame], amount: float, quantity: float | None, bought: int
) -> None:
    row = {"order_id": "x", "customer_id": "new", "ordered_at": "2024-02-29 10:00", "amount": amount}
    orders = pd.concat([shop["orders"], pd.DataFrame([{**row, "quantity": quantity}])], ignore_index=True)
    assert features({**shop, "orders": orders}, AS_OF).loc["new", "orders_total"] == bought
    assert is_return(orders.tail(1)).item() is not bool(bought)


def test_a_redemption_after_the_load_lies_in_the_past_of_the_row_that_knows_it(
    opened, shop: dict[str, pd.DataFrame]
) -> None:
    contact = {"contact_id": "k", "customer_id": "ann", "contacted_at": "2024-01-20", "redeemed_at": "2024-02-10"}
    contacts = pd.DataFrame([contact]).assign(campaign="spring")
    tables = opened({**shop, "contacts": contacts})
    loaded = tables["contacts"].mutate(known_until=timestamp(datetime(2024, 2, 1)))
    rows = as_of_table("contacts", {**tables, "contacts": loaded}, AS_OF).to_pandas()
    assert rows["redeemed_days_ago"].item() == pytest.approx(0, abs=1e-4)
    before = as_of_table("contacts", {**tables, "contacts": loaded}, datetime(2024, 2, 5)).to_pandas()
    assert before["redeemed_days_ago"].isna().all() and before["days_ago"].item() == pytest.approx(12, abs=1e-4)
