"""Contacts by the customer that are no orders: logins and visits."""

from __future__ import annotations

import ibis.expr.types as ir

from features.column import column
from features.windows import within


def _visits(i: ir.Table) -> ir.Value:
    return i.kind.isin(["login", "visit"])


@column("interactions", "{value:count visit} in the last {days} days", windows=(7, 30, 90), reach=1, empty=0)
def visits(i: ir.Table, days: int) -> ir.Value:
    """Logins and visits in the last `days` days."""
    return i.count(where=_visits(i) & within(i, days))


@column("interactions", "Last visit {value:days} ago", "No visit on record")
def days_since_last_visit(i: ir.Table) -> ir.Value:
    """Days since the last login or visit."""
    return i.days_ago.min(where=_visits(i))


@column("interactions", "{value:+.0f} visits against the {days} days before", windows=(30,), reach=2, empty=0)
def visits_change(i: ir.Table, days: int) -> ir.Value:
    """Visits of the last `days` days less those of as many days before."""
    recent = i.count(where=_visits(i) & within(i, days))
    return recent - i.count(where=_visits(i) & within(i, 2 * days) & ~within(i, days))
