"""How much: net revenue, size of an order, returns."""

from __future__ import annotations

import ibis.expr.types as ir

from features.columns.column import column
from features.windows import within


@column(
    "orders",
    "Spent {value:money} in the last {days} days",
    windows=(30, 60, 90, 180),
    reach=1,
    empty=0,
    of_amounts=True,
    counted="{value:count order} in the last {days} days",
)
def spend(o: ir.Table, days: int) -> ir.Value:
    """Net revenue in the last `days` days, returns subtracted."""
    return o.amount.sum(where=within(o, days))


@column("orders", "Spent {value:money} so far", empty=0, of_amounts=True, counted="{value:count order} so far")
def spend_total(o: ir.Table) -> ir.Value:
    """Net revenue on record, returns subtracted."""
    return o.amount.sum()


@column("orders", "An order is worth {value:money} on average", "No order on record", of_amounts=True)
def mean_order(o: ir.Table) -> ir.Value:
    """Mean amount of a purchase."""
    return o.amount.mean(where=o.is_purchase)


@column(
    "orders",
    "An order of the last {days} days was worth {value:money}",
    "No order in {days} days",
    windows=(90,),
    reach=1,
    of_amounts=True,
)
def mean_order_recent(o: ir.Table, days: int) -> ir.Value:
    """Mean amount of a purchase in the last `days` days."""
    return o.amount.mean(where=o.is_purchase & within(o, days))


@column("orders", "Largest order: {value:money}", "No order on record", of_amounts=True)
def max_order(o: ir.Table) -> ir.Value:
    """Largest amount of a purchase."""
    return o.amount.max(where=o.is_purchase)


@column("orders", "Order amounts vary by {value:money}", "Too few orders to tell how amounts vary", of_amounts=True)
def sd_order(o: ir.Table) -> ir.Value:
    """Standard deviation of the amount of a purchase; unknown below two."""
    return o.amount.std(where=o.is_purchase, how="sample")


@column("orders", "Bought {value:count unit} in the last {days} days", windows=(90,), reach=1, empty=0)
def units(o: ir.Table, days: int) -> ir.Value:
    """Units bought, less those returned, in the last `days` days."""
    return o.quantity.sum(where=within(o, days))


@column("orders", "{value:count return} in the last {days} days", windows=(90,), reach=1, empty=0, of_amounts=True)
def returns(o: ir.Table, days: int) -> ir.Value:
    """Returns in the last `days` days."""
    return o.count(where=~o.is_purchase & within(o, days))


@column("orders", "Returned goods for {value:percent} of what was bought", "No order on record", of_amounts=True)
def return_share(o: ir.Table) -> ir.Value:
    """Money returned as a share of money spent."""
    returned = -o.amount.sum(where=~o.is_purchase)
    return returned.fill_null(0) / o.amount.sum(where=o.is_purchase).nullif(0)
