"""What came after a moment: who left, and what each customer brought.

Labels look at ``[as_of, as_of + horizon)``. A horizon that has not fully passed by `data_until` gives an unknown
label (NaN), never "stayed" and never a smaller value. An order counts only if it had been recorded by `data_until`:
what is written down later does not change a label that was told before.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir

from configs.settings import Churn, Clv
from features.windows import after, days_before, orders_as_of, recorded_by, within

DAYS_A_YEAR = 365.25


def labels_as_of(
    customers: ir.Table, orders: ir.Table, as_of: datetime, data_until: datetime, churn: Churn, clv: Clv
) -> ir.Table:
    """Labels at one moment. One row per customer: ``customer_id, active, churned, clv``.

    Parameters
    ----------
    customers
        The customers known at the moment, one row each.
    orders
        All checked orders.
    as_of, data_until
        The moment, and the end of what is known, UTC without a zone.
    churn, clv
        What counts as leaving, and as value.

    Returns
    -------
    ibis.expr.types.Table
        ``active`` (bool): ordered within `activity_days` before; ``churned`` (0/1): ordered nothing within the
        horizon, null if not active or not yet known; ``clv``: net revenue over the horizon, null if not yet known;
        and ``churned_<days>`` for every further horizon.
    """
    written = recorded_by(orders, data_until)
    rows = customers.select("customer_id")
    rows = rows.left_join(_active(orders, as_of, churn), "customer_id").drop("customer_id_right")
    rows = rows.left_join(_next_order(written, as_of), "customer_id").drop("customer_id_right")
    rows = rows.left_join(_value(written, as_of, clv), "customer_id").drop("customer_id_right")
    active, none = rows.active.fill_null(False), ibis.null("float64")
    value = rows.value.fill_null(0.0)

    def silent(days: int) -> ir.Value:
        came_back = (rows.comes_in < days).fill_null(False)
        told = ibis.ifelse(active, ibis.ifelse(came_back, 0.0, 1.0), none)
        return told if matured(as_of, days, data_until) else none

    return rows.select(
        "customer_id",
        active=active,
        churned=silent(churn.horizon_days),
        clv=value if matured(as_of, clv.horizon_days, data_until) else none,
        **{further(days): silent(days) for days in churn.all_horizons if days != churn.horizon_days},
    )


def further(days: int | str) -> str:
    """The label column of a horizon beside the main one.

    >>> further(60)
    'churned_60'
    """
    return f"churned_{days}"


def matured(as_of: datetime, horizon_days: int, data_until: datetime) -> bool:
    """True if the label window of a moment has fully passed: its end is not after `data_until`."""
    return as_of + timedelta(days=horizon_days) <= data_until


def _active(orders: ir.Table, as_of: datetime, churn: Churn) -> ir.Table:
    seen = orders_as_of(orders, as_of)
    return (
        seen.filter(seen.is_purchase & within(seen, churn.activity_days))
        .select("customer_id")
        .distinct()
        .mutate(active=True)
    )


def _next_order(orders: ir.Table, as_of: datetime) -> ir.Table:
    """Days from the moment to the first purchase from then on."""
    coming = orders.filter(orders.ordered_at >= ibis.literal(as_of, type="timestamp(6)"), orders.amount >= 0)
    return coming.group_by("customer_id").agg(comes_in=-days_before(coming.ordered_at, as_of).max())


def _value(orders: ir.Table, as_of: datetime, clv: Clv) -> ir.Table:
    """Net revenue times margin, each order discounted to the moment: ``amount * margin / (1 + rate) ** years``."""
    coming = after(orders, "ordered_at", as_of, clv.horizon_days)
    years = -days_before(coming.ordered_at, as_of) / DAYS_A_YEAR
    worth = coming.amount * clv.margin * (-(ibis.literal(1 + clv.annual_discount_rate).ln()) * years).exp()
    return coming.group_by("customer_id").agg(value=worth.sum())
