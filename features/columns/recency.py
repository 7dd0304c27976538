"""How long ago: the first and the last order."""

from __future__ import annotations

import ibis.expr.types as ir

from features.columns.column import column


@column(
    "orders",
    "Last order {value:days} ago; usual gap is {median_gap_days:days}",
    "Last order {value:days} ago",
    "No order on record",
)
def days_since_last_order(o: ir.Table) -> ir.Value:
    """Days since the last purchase."""
    return o.days_ago.min(where=o.is_purchase)


@column("orders", "Customer for {value:days}", "No order on record")
def tenure_days(o: ir.Table) -> ir.Value:
    """Days since the first purchase."""
    return o.days_ago.max(where=o.is_purchase)


@column("orders", "Silent for {value:percent} of the time as a customer", "No order on record")
def silent_share(o: ir.Table) -> ir.Value:
    """Days since the last purchase as a share of the days since the first."""
    return o.days_ago.min(where=o.is_purchase) / o.days_ago.max(where=o.is_purchase).nullif(0)


@column("orders", "Last return {value:days} ago", "Never returned anything")
def days_since_last_return(o: ir.Table) -> ir.Value:
    """Days since the last return."""
    return o.days_ago.min(where=~o.is_purchase)
