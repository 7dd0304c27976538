"""How much only for a discount.

Where nothing says what was taken off, these columns are unknown, and not 0: a business whose files have no discounts
has none of them, instead of columns that tell only whether there was an order.
"""

from __future__ import annotations

import ibis.expr.types as ir

from features.columns.column import column
from features.windows import within


def _share(o: ir.Table, where: ir.Value, saved: ir.Value | None = None) -> ir.Value:
    saved = o.discount.sum(where=where) if saved is None else saved
    return saved / (saved + o.amount.sum(where=where)).nullif(0)


@column(
    "orders",
    "Discounts took {value:percent} off in the last {days} days",
    "No order with a known discount in {days} days",
    windows=(30, 90),
    reach=1,
)
def discount_share(o: ir.Table, days: int) -> ir.Value:
    """Discount as a share of the list price in the last `days` days."""
    return _share(o, o.is_purchase & within(o, days))


@column("orders", "Discounts took {value:percent} off so far", "No order with a known discount on record")
def discount_share_total(o: ir.Table) -> ir.Value:
    """Discount as a share of the list price of all purchases."""
    return _share(o, o.is_purchase)


@column(
    "orders",
    "{value:percent} of the orders of the last {days} days had a discount",
    "No order with a known discount in {days} days",
    windows=(90,),
    reach=1,
)
def discounted_orders_share(o: ir.Table, days: int) -> ir.Value:
    """Share of purchases with a discount in the last `days` days."""
    return (o.discount > 0).cast("float64").mean(where=o.is_purchase & within(o, days))


@column(
    "orders",
    "Discounts {value:shift} in the last {days} days",
    "No order with a known discount in {days} days",
    windows=(30,),
)
def discount_change(o: ir.Table, days: int) -> ir.Value:
    """Discount share of the last `days` days less that of all purchases."""
    recent = o.is_purchase & within(o, days)
    return _share(o, recent, o.discount.sum(where=recent).fill_null(0)) - _share(o, o.is_purchase)
