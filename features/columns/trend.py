"""More or less than before: a recent window against the time before it."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.columns.column import column
from features.windows import within

NOTHING = 1e-4  # in currency: a smaller sum of amounts is none


def _orders(o: ir.Table, new: int, old: int) -> ir.Value:
    return o.count(where=o.is_purchase & (o.days_ago <= old) & (o.days_ago > new)).cast("float64")


def _tenure(o: ir.Table) -> ir.Value:
    """Days since the first purchase, at least one: nobody has a pace within minutes."""
    return o.days_ago.max(where=o.is_purchase).clip(lower=1.0)


def _spend(o: ir.Table, new: int, old: int) -> ir.Value:
    return o.amount.sum(where=(o.days_ago <= old) & (o.days_ago > new)).fill_null(0)


@column("orders", "{value:+.0f} orders against the {days} days before", windows=(14, 30, 90), reach=2, empty=0)
def orders_change(o: ir.Table, days: int) -> ir.Value:
    """Purchases of the last `days` days less those of as many days before."""
    return _orders(o, 0, days) - _orders(o, days, 2 * days)


@column(
    "orders",
    "Spend changed by {value:change} against the {days} days before",
    windows=(30, 90),
    reach=2,
    empty=0,
    of_amounts=True,
)
def spend_change(o: ir.Table, days: int) -> ir.Value:
    """Net revenue of the last `days` days less that of as many days before."""
    return _spend(o, 0, days) - _spend(o, days, 2 * days)


@column(
    "orders",
    "Orders of the last {days} days: {value:percent} of the usual pace",
    "No order on record",
    windows=(30, 90),
)
def orders_pace(o: ir.Table, days: int) -> ir.Value:
    """Purchases a day in the last `days` days over purchases a day since the first."""
    usual = o.count(where=o.is_purchase) / _tenure(o)
    return _orders(o, 0, days) / _tenure(o).clip(upper=float(days)) / usual


@column(
    "orders",
    "Spend of the last {days} days: {value:percent} of the usual pace",
    "No spend on record",
    windows=(30, 90),
    of_amounts=True,
)
def spend_pace(o: ir.Table, days: int) -> ir.Value:
    """Net revenue a day in the last `days` days over net revenue a day since the first purchase.

    Unknown where returns took back all: a sum of amounts that should be 0 is often a little off.
    """
    total = o.amount.sum()
    usual = ibis.ifelse(total.abs() < NOTHING, ibis.null("float64"), total) / _tenure(o)
    return _spend(o, 0, days) / _tenure(o).clip(upper=float(days)) / usual


@column(
    "orders",
    "Orders of the last {days} days are worth {value:percent} of the usual",
    "No order in {days} days",
    windows=(30,),
    of_amounts=True,
)
def order_size_trend(o: ir.Table, days: int) -> ir.Value:
    """Mean purchase of the last `days` days over the mean of all."""
    return o.amount.mean(where=o.is_purchase & within(o, days)) / o.amount.mean(where=o.is_purchase).nullif(0)
