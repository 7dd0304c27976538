"""What became of contracts after an as-of date: who left, and what the contracts brought.

A customer leaves on the day the last contract alive ends, unless another begins within `grace_days` of that end: a
renewal, a change of plan or a late signature is no leaving. So the outcome of a date is known only once the
horizon *and* the grace have passed. What was written down after `data_until` counts for nothing.
"""

from __future__ import annotations

import math
from datetime import datetime

import ibis
import ibis.expr.types as ir

from configs.settings import Churn, Clv
from features.contract_terms import with_terms
from features.labels.inactivity import DAYS_A_YEAR, outcomes, value_column, value_horizons, with_contacted
from features.windows import (
    DAYS_A_MONTH,
    ENDLESS,
    SECONDS_A_DAY,
    contracts_recorded_by,
    days_before,
    in_order,
    subscriptions_as_of,
    timestamp,
)


def contract_labels_as_of(
    customers: ir.Table,
    subscriptions: ir.Table,
    as_of: datetime,
    data_until: datetime,
    churn: Churn,
    clv: Clv,
    contacts: ir.Table | None = None,
    recorded_until: datetime | None = None,
) -> ir.Table:
    """Labels as of one date. One row per customer: ``customer_id, active, churned, clv, contacted``.

    Parameters
    ----------
    subscriptions
        All checked contracts.
    customers, as_of, data_until, churn, clv
        See `features.labels.inactivity.labels_as_of`.
    contacts
        All checked contacts, if there are any. One within the grace, after the horizon, does not count: such a one
        often goes to those who have left, because they have.
    recorded_until
        What was recorded up to here counts; None: up to `data_until`.

    Returns
    -------
    ibis.expr.types.Table
        ``active`` (bool): a contract was alive, as far as was known then; ``churned`` (0/1): all contracts
        ended in ``[as_of, as_of + horizon)`` at one time or another with none following within the grace, null if
        not active or not yet known; ``clv``: what contracts cost over the horizon, null if not yet known, or if a
        contract alive then has no price; ``clv_<days>`` the same over other horizons; ``contacted``, see
        `features.labels.inactivity.with_contacted`; and ``churned_<days>`` for every other horizon.
    """
    recorded = contracts_recorded_by(subscriptions, recorded_until or data_until)
    alive = subscriptions_as_of(subscriptions, as_of)
    active = alive.filter(alive.alive).select("customer_id").distinct().mutate(active=True)
    rows = customers.select("customer_id").left_join(active, "customer_id").drop("customer_id_right")
    rows = rows.left_join(_leaves(recorded, as_of, churn.grace_days), "customer_id").drop("customer_id_right")
    rows = rows.left_join(_values(recorded, as_of, clv), "customer_id").drop("customer_id_right")
    none = ibis.null("float64")
    costs = {
        days: ibis.ifelse(rows[f"unpriced_{days}"].fill_null(False), none, rows[value_column(days)].fill_null(0.0))
        for days in value_horizons(clv)
    }

    def left(days: int) -> ir.BooleanValue:
        return (rows.leaves_in < days).fill_null(False)

    labels = outcomes(rows, left, costs, as_of, data_until, churn, clv, churn.grace_days)
    return with_contacted(labels, contacts, as_of, data_until, churn, recorded_until)


def _ends(subscriptions: ir.Table) -> ir.Table:
    """Contracts, trials aside, with ``begins_at`` and the ``end`` they came to, or will; never: `ENDLESS`."""
    s = with_terms(subscriptions)
    return s.filter(s.is_contract).mutate(end=s.ends_at.fill_null(timestamp(ENDLESS)))


def leaving_times(subscriptions: ir.Table, grace_days: int) -> ir.Table:
    """When contracts, in their order, break off for longer than the grace. One row a break: ``customer_id, end``."""
    rows = _ends(subscriptions)
    order = in_order(rows)
    so_far = ibis.cumulative_window(group_by=rows.customer_id, order_by=order)
    following = ibis.window(group_by=rows.customer_id, order_by=order)
    rows = rows.mutate(end=rows.end.max().over(so_far), begins=rows.begins_at.lead().over(following))
    gap = (rows.begins.epoch_seconds() - rows.end.epoch_seconds()) / SECONDS_A_DAY
    return rows.filter(rows.begins.isnull() | (gap > grace_days)).select("customer_id", "end")


def _leaves(subscriptions: ir.Table, as_of: datetime, grace_days: int) -> ir.Table:
    """Days from the as-of date until contracts first break off."""
    breaks = leaving_times(subscriptions, grace_days)
    breaks = breaks.filter(breaks.end >= timestamp(as_of))
    return breaks.group_by("customer_id").agg(leaves_in=-days_before(breaks.end, as_of).max())


def _values(subscriptions: ir.Table, as_of: datetime, clv: Clv) -> ir.Table:
    """Price times months alive and not paused within each horizon, times margin, each instant discounted to the date.

    One column a horizon, ``clv_<days>``, and ``unpriced_<days>``: true where a contract alive in it has no price.

    From day ``a`` to day ``b`` after it, at ``k = ln(1 + rate) / 365.25``, a price of 1 a day is worth the
    integral of ``exp(-k u)`` over ``[a, b]``: ``(exp(-k a) - exp(-k b)) / k``, or ``b - a`` if the rate is 0.
    """
    rows = _ends(subscriptions)
    rows = rows.select(
        "customer_id",
        "price_per_month",
        begins_in=(-days_before(rows.begins_at, as_of)).clip(lower=0.0),
        ends_in=-days_before(rows.end, as_of),
        pause_in=-days_before(rows.paused_at, as_of),
        resume_in=-days_before(rows.resumes_at, as_of),
    )
    k = math.log1p(clv.annual_discount_rate) / DAYS_A_YEAR

    def days(start: ir.Value, end: ir.Value) -> ir.Value:
        return ((-k * start).exp() - (-k * end).exp()) / k if k else end - start

    values: dict[str, ir.Value] = {}
    for horizon in value_horizons(clv):
        until = rows.ends_in.clip(upper=float(horizon))
        pause = rows.pause_in.clip(lower=rows.begins_in, upper=until)
        resume = rows.resume_in.fill_null(float(horizon)).clip(lower=rows.begins_in, upper=until)
        paused = ibis.ifelse(resume > pause, days(pause, resume), 0.0).fill_null(0.0)
        worth = rows.price_per_month / DAYS_A_MONTH * (days(rows.begins_in, until) - paused) * clv.margin
        alive = until > rows.begins_in
        values[value_column(horizon)] = worth.sum(where=alive)
        values[f"unpriced_{horizon}"] = rows.price_per_month.isnull().any(where=alive)
    return rows.group_by("customer_id").agg(**values)
