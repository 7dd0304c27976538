"""How often: orders, and days and weeks with orders."""

from __future__ import annotations

import ibis.expr.types as ir

from features.columns.column import column
from features.windows import rows_per_day, within


@column("orders", "{value:count order} in the last {days} days", windows=(7, 14, 30, 60, 90, 180), reach=1, empty=0)
def orders(o: ir.Table, days: int) -> ir.Value:
    """Purchases in the last `days` days."""
    return o.count(where=o.is_purchase & within(o, days))


@column("orders", "{value:count order} so far", empty=0)
def orders_total(o: ir.Table) -> ir.Value:
    """Purchases on record."""
    return o.count(where=o.is_purchase)


@column("orders", "Ordered on {value:count day} of the last {days}", windows=(30, 90), reach=1, empty=0)
def order_days(o: ir.Table, days: int) -> ir.Value:
    """Different days with a purchase in the last `days` days."""
    return o.local_day.nunique(where=o.is_purchase & within(o, days))


@column("orders", "Ordered in {value:count week} of the last {days} days", windows=(90,), reach=1, empty=0)
def order_weeks(o: ir.Table, days: int) -> ir.Value:
    """Different weeks, counted back from the moment, with a purchase in the last `days` days."""
    return (o.days_ago / 7).floor().nunique(where=o.is_purchase & within(o, days))


@column("orders", "{value:.1f} orders a month on average", "No order on record")
def orders_per_30d(o: ir.Table) -> ir.Value:
    """Purchases per 30 days since the first, counted as at least a day ago."""
    return rows_per_day(o, o.is_purchase) * 30
