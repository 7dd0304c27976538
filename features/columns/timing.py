"""When: hour of the day and day of the week, in the customers' time zone."""

from __future__ import annotations

import ibis.expr.types as ir

from features.columns.column import column

NONE = "No order on record"


def _share(o: ir.Table, where: ir.Value) -> ir.Value:
    return where.cast("float64").mean(where=o.is_purchase)


@column("orders", "{value:percent} of the orders fall on a weekend", NONE)
def weekend_share(o: ir.Table) -> ir.Value:
    """Share of purchases on Saturday or Sunday."""
    return _share(o, o.local_weekday >= 5)


@column("orders", "{value:percent} of the orders come before noon", NONE)
def morning_share(o: ir.Table) -> ir.Value:
    """Share of purchases between 5 and 12 o'clock."""
    return _share(o, (o.local_hour >= 5) & (o.local_hour < 12))


@column("orders", "{value:percent} of the orders come in the evening", NONE)
def evening_share(o: ir.Table) -> ir.Value:
    """Share of purchases at or after 18 o'clock."""
    return _share(o, o.local_hour >= 18)


@column("orders", "Usually orders around {value:.0f} o'clock", NONE)
def mean_hour(o: ir.Table) -> ir.Value:
    """Mean hour of the day of a purchase."""
    return o.local_hour.cast("float64").mean(where=o.is_purchase)


@column("orders", "Order times vary by {value:.1f} hours", "Too few orders to tell how times vary")
def sd_hour(o: ir.Table) -> ir.Value:
    """Standard deviation of the hour of the day of a purchase."""
    return o.local_hour.cast("float64").std(where=o.is_purchase, how="sample")


@column("orders", "Orders on {value:count day} of the week", empty=0)
def weekdays(o: ir.Table) -> ir.Value:
    """Different days of the week with a purchase."""
    return o.local_weekday.nunique(where=o.is_purchase)
