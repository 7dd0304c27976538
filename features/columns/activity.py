"""Any sign of life: orders, visits and requests as one, and how unusual it is that none came.

A customer who orders once a quarter but visits every other day has long been gone after a month without either, which
neither the silence of orders nor that of visits tells by itself.
"""

from __future__ import annotations

import ibis.expr.types as ir

from features.columns.column import column
from features.windows import rows_per_day

NONE = "Nothing heard so far"


@column("activity", "Nothing heard for {value:days}", NONE)
def days_since_last_activity(a: ir.Table) -> ir.Value:
    """Days since the last order, visit or request."""
    return a.days_ago.min()


@column("activity", "Heard of {value:.1f} times a month on average", NONE)
def activity_per_30d(a: ir.Table) -> ir.Value:
    """Orders, visits and requests per 30 days since the first."""
    return rows_per_day(a) * 30


@column("activity", "In the {days_since_last_activity:days} of silence {value:.1f} signs of life would be usual", NONE)
def activity_missed(a: ir.Table) -> ir.Value:
    """Orders, visits and requests that the usual pace would have brought since the last."""
    return rows_per_day(a) * a.days_ago.min()
