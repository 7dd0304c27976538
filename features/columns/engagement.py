"""Contacts by the customer that are no orders: logins and visits."""

from __future__ import annotations

import ibis.expr.types as ir

from features.columns.column import column
from features.windows import rows_per_day, within

NONE = "No visit on record"


def _visits(i: ir.Table) -> ir.Value:
    return i.kind.isin(["login", "visit"])


@column("interactions", "{value:count visit} in the last {days} days", windows=(7, 30, 90), reach=1, empty=0)
def visits(i: ir.Table, days: int) -> ir.Value:
    """Logins and visits in the last `days` days."""
    return i.count(where=_visits(i) & within(i, days))


@column("interactions", "Last visit {value:days} ago", NONE)
def days_since_last_visit(i: ir.Table) -> ir.Value:
    """Days since the last login or visit."""
    return i.days_ago.min(where=_visits(i))


@column("interactions", "{value:count visit} so far", empty=0)
def visits_total(i: ir.Table) -> ir.Value:
    """Logins and visits on record."""
    return i.count(where=_visits(i))


@column("interactions", "{value:.1f} visits a month on average", NONE)
def visits_per_30d(i: ir.Table) -> ir.Value:
    """Logins and visits per 30 days since the first."""
    return rows_per_day(i, _visits(i)) * 30


@column("interactions", "No visit for {days_since_last_visit:days}, in which {value:.1f} would be usual", NONE)
def visits_missed(i: ir.Table) -> ir.Value:
    """Logins and visits that the usual pace would have brought since the last."""
    return rows_per_day(i, _visits(i)) * i.days_ago.min(where=_visits(i))


@column("interactions", "{value:+.0f} visits against the {days} days before", windows=(30,), reach=2, empty=0)
def visits_change(i: ir.Table, days: int) -> ir.Value:
    """Visits of the last `days` days less those of as many days before."""
    recent = i.count(where=_visits(i) & within(i, days))
    return recent - i.count(where=_visits(i) & within(i, 2 * days) & ~within(i, days))
