"""A column that the business's files do not have carries nothing into its features."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pandas as pd
import pytest

from features.build import features_as_of
from features.schema import describe, feature_columns
from features.windows import as_of_table

AS_OF = datetime(2024, 3, 1)
READERS = {"quantity": 1, "channel": 1, "category": 1, "discount": 5}


@pytest.mark.parametrize(("table", "name"), [*(("orders", n) for n in READERS), ("interactions", "value")])
def test_features_of_a_wholly_empty_column_are_alike_for_all(
    edge_tables: dict[str, ir.Table], table: str, name: str
) -> None:
    empty = ibis.null(edge_tables[table][name].type())
    tables = {**edge_tables, table: edge_tables[table].mutate(**{name: empty})}
    rows = as_of_table(table, tables, AS_OF)
    own = [c for c in feature_columns([table], ()) if c.table == table]
    read = {c.name: rows.aggregate(x=c.aggregate(rows)).op().find(ops.Field) for c in own}
    columns = [c for c in own if any(f.name == name and f.rel == rows.op() for f in read[c.name])]
    assert len(columns) == READERS.get(name, 5)
    frame = features_as_of(tables, columns, AS_OF).to_pandas().drop(columns="customer_id")
    assert [c for c in frame if frame[c].nunique(dropna=False) > 1] == []
    assert name != "discount" or frame.isna().all(axis=None)


def test_what_was_taken_off_counts_beside_orders_without_a_discount(
    features: Callable[..., pd.DataFrame], shop: dict[str, pd.DataFrame]
) -> None:
    orders = shop["orders"].assign(discount=[None, 5.0, None, 10.0, None, None, None])
    rows = features({**shop, "orders": orders}, AS_OF)
    assert rows.loc["ann", "discount_share_total"] == pytest.approx(15 / 115)
    assert rows.loc["bob", ["discount_share_total", "discount_change_30d"]].isna().all()
    assert describe("discount_share_30d", {}) == "No order with a known discount in 30 days"
