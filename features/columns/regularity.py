"""The own rhythm: the usual gap between days with a purchase, against the gap that is open now."""

from __future__ import annotations

import ibis.expr.types as ir

from features.columns.column import column

FEW = "Too few orders to tell a usual gap"


@column("orders", "Usually orders every {value:days}", FEW)
def median_gap_days(o: ir.Table) -> ir.Value:
    """Median gap between days with a purchase."""
    return o.gap_days.median()


@column("orders", "Orders every {value:days} on average", FEW)
def mean_gap_days(o: ir.Table) -> ir.Value:
    """Mean gap between days with a purchase."""
    return o.gap_days.mean()


@column("orders", "Gaps between orders vary by {value:days}", FEW)
def sd_gap_days(o: ir.Table) -> ir.Value:
    """Standard deviation of the gaps; unknown below two gaps."""
    return o.gap_days.std(how="sample")


@column("orders", "Longest gap so far: {value:days}", FEW)
def max_gap_days(o: ir.Table) -> ir.Value:
    """Longest gap between days with a purchase."""
    return o.gap_days.max()


@column("orders", "Gaps of the last 90 days: {value:days} on average", "No gap closed in the last 90 days")
def recent_gap_days(o: ir.Table) -> ir.Value:
    """Mean of the gaps that ended in the last 90 days."""
    return o.gap_days.mean(where=o.days_ago <= 90)


@column("orders", "Silent for {value:times} the usual gap of {median_gap_days:days}", FEW)
def gap_ratio(o: ir.Table) -> ir.Value:
    """Open gap over the median gap."""
    return o.days_ago.min(where=o.is_purchase) / o.gap_days.median()


@column("orders", "Silent for {value:percent} of the longest gap so far ({max_gap_days:days})", FEW)
def gap_to_max(o: ir.Table) -> ir.Value:
    """Open gap over the longest gap."""
    return o.days_ago.min(where=o.is_purchase) / o.gap_days.max()


@column(
    "orders",
    "Silent for {days_since_last_order:days}; usually {mean_gap_days:days}, give or take {sd_gap_days:days}",
    FEW,
)
def gap_z(o: ir.Table) -> ir.Value:
    """Open gap less the mean gap, in standard deviations of the gaps."""
    return (o.days_ago.min(where=o.is_purchase) - o.gap_days.mean()) / o.gap_days.std(how="sample").nullif(0)


@column("orders", "Gaps vary by {value:percent} of their mean", FEW)
def gap_cv(o: ir.Table) -> ir.Value:
    """Coefficient of variation of the gaps."""
    return o.gap_days.std(how="sample") / o.gap_days.mean()
