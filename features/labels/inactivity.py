"""What came after an as-of date: who left, and what each customer brought.

Labels look at ``[as_of, as_of + horizon)``. A horizon that has not fully passed by `data_until` gives an unknown
label (NaN), never "stayed" and never a smaller value. An order counts only if it had been recorded by `data_until`:
what is written down later does not change a label that was computed before.

Beside the outcome stands whether the company contacted the customer in the same window: who stayed after a retention
contact need not have stayed without it, see `training.data.treatment`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir

from configs.settings import Churn, Clv, Contacts
from features.windows import after, days_before, is_purchase, orders_as_of, recorded_by, timestamp, within

DAYS_A_YEAR = 365.25
CONTACTED = "contacted"


def labels_as_of(
    customers: ir.Table,
    orders: ir.Table,
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
    customers
        The customers known then, one row each.
    orders
        All checked orders.
    as_of, data_until
        The as-of date, and the end of what is known, UTC without a zone.
    churn, clv
        What counts as leaving, and as value.
    contacts
        All checked contacts, if there are any.
    recorded_until
        What was recorded up to here counts; None: up to `data_until`.

    Returns
    -------
    ibis.expr.types.Table
        ``active`` (bool): ordered within `activity_days` before; ``churned`` (0/1): ordered nothing within the
        horizon, null if not active or not yet known; ``clv``: net revenue over the horizon, null if not yet known;
        ``clv_<days>`` the same over every other of `value_horizons`;
        ``contacted``, see `with_contacted`; and ``churned_<days>`` for every other horizon;
        ``returned_<days>`` (0/1) for every horizon: who had ordered, but was not active, ordered within it, null for
        all others or if not yet known.
    """
    recorded = recorded_by(orders, recorded_until or data_until)
    rows = customers.select("customer_id")
    rows = rows.left_join(_active(orders, as_of, churn), "customer_id").drop("customer_id_right")
    rows = rows.left_join(_next_order(recorded, as_of), "customer_id").drop("customer_id_right")
    rows = rows.left_join(_values(recorded, as_of, clv), "customer_id").drop("customer_id_right")
    rows = rows.left_join(_ordered(orders, as_of), "customer_id").drop("customer_id_right")

    def silent(days: int) -> ir.BooleanValue:
        return ~(rows.comes_in < days).fill_null(False)

    lapsed = rows.ordered.fill_null(False) & ~rows.active.fill_null(False)
    values = {days: rows[value_column(days)].fill_null(0.0) for days in value_horizons(clv)}
    labels = outcomes(rows, silent, values, as_of, data_until, churn, clv, lapsed=lapsed)
    return with_contacted(labels, contacts, as_of, data_until, churn, recorded_until)


def outcomes(
    rows: ir.Table,
    left: Callable[[int], ir.BooleanValue],
    values: Mapping[int, ir.Value],
    as_of: datetime,
    data_until: datetime,
    churn: Churn,
    clv: Clv,
    grace_days: int = 0,
    lapsed: ir.BooleanValue | None = None,
) -> ir.Table:
    """The label columns, with nothing in them that is not known yet.

    Parameters
    ----------
    rows
        One row per customer, with ``active`` (null: no).
    left, values
        Of these rows: who has left within so many days, and what each brings over each of `value_horizons`.
    as_of, data_until, churn, clv
        See `labels_as_of`.
    grace_days
        How long after a horizon it is not yet known who has left.
    lapsed
        Of these rows: who is no customer any more, but may return; None: it is not told who returned.

    Returns
    -------
    ibis.expr.types.Table
        ``customer_id, active, churned, clv``, ``clv_<days>`` and ``churned_<days>``, and with `lapsed`
        ``returned_<days>`` of all horizons, see `labels_as_of`.
    """
    active, none = rows.active.fill_null(False), ibis.null("float64")

    def churned(days: int) -> ir.Value:
        known = active & matured(as_of, days + grace_days, data_until)
        return ibis.ifelse(known, ibis.ifelse(left(days), 1.0, 0.0), none)

    def returned(who: ir.BooleanValue, days: int) -> ir.Value:
        known = who & matured(as_of, days + grace_days, data_until)
        return ibis.ifelse(known, ibis.ifelse(left(days), 0.0, 1.0), none)

    def value(days: int) -> ir.Value:
        return ibis.ifelse(matured(as_of, days, data_until), values[days], none)

    returns = {} if lapsed is None else {returned_column(d): returned(lapsed, d) for d in churn.all_horizons}
    return rows.select(
        "customer_id",
        active=active,
        churned=churned(churn.horizon_days),
        clv=value(clv.horizon_days),
        **{value_column(days): value(days) for days in values if days != clv.horizon_days},
        **{churned_column(days): churned(days) for days in churn.all_horizons if days != churn.horizon_days},
        **returns,
    )


def with_contacted(
    labels: ir.Table,
    contacts: ir.Table | None,
    as_of: datetime,
    data_until: datetime,
    churn: Churn,
    recorded_until: datetime | None = None,
) -> ir.Table:
    """Add to labels whether each customer got a retention contact within each churn horizon.

    The window is ``[as_of, as_of + horizon)``, that of the outcome: a contact at the as-of date itself is in no
    feature yet. A contact that was recorded after `data_until` is not known of.

    Parameters
    ----------
    labels
        One row per customer.
    contacts
        All checked contacts, if there are any.
    as_of, data_until
        The as-of date, and the end of what is known, UTC without a zone.
    churn
        The horizons, and what counts as a retention contact.
    recorded_until
        What was recorded up to here counts; None: up to `data_until`.

    Returns
    -------
    ibis.expr.types.Table
        The labels, with ``contacted`` (0/1) and ``contacted_<days>`` for every other horizon: null if the horizon
        has not passed, or if the business has no table of contacts.
    """
    none, names = ibis.null("float64"), {days: contact_column(days, churn) for days in churn.all_horizons}
    if contacts is None:
        return labels.mutate(**dict.fromkeys(names.values(), none))
    recorded = recorded_by(contacts, recorded_until or data_until)
    coming = recorded.filter(recorded.contacted_at >= timestamp(as_of))
    coming = coming.filter(is_retention(coming, churn.contacts))
    first = coming.group_by("customer_id").agg(contact_in=-days_before(coming.contacted_at, as_of).max())
    rows = labels.left_join(first, "customer_id").drop("customer_id_right")

    def contacted(days: int) -> ir.Value:
        label = ibis.ifelse((rows.contact_in < days).fill_null(False), 1.0, 0.0)
        return ibis.ifelse(matured(as_of, days, data_until), label, none)

    return rows.select(*labels.columns, **{name: contacted(days) for days, name in names.items()})


def contact_column(days: int, churn: Churn) -> str:
    """The column of who was contacted within a horizon: ``contacted``, or ``contacted_60`` of another."""
    return CONTACTED if days == churn.horizon_days else f"{CONTACTED}_{days}"


def is_retention(contacts: ir.Table, settings: Contacts) -> ir.Value:
    """True for the contacts that count: of a campaign that is asked for, and not of an arm that was left alone."""
    patterns = [re.escape(pattern).replace(r"\*", ".*") for pattern in settings.campaigns]
    matches = contacts.campaign.re_search(f"^({'|'.join(patterns)})$")
    untreated = [arm.lower() for arm in settings.untreated_arms]
    return matches & contacts.arm.cast("string").fill_null("").lower().notin(untreated) if untreated else matches


def churned_column(days: int | str) -> str:
    """The label column of a horizon beside the main one.

    >>> churned_column(60)
    'churned_60'
    """
    return f"churned_{days}"


def value_column(days: int | str) -> str:
    """The label column of the value over a horizon beside the main one.

    >>> value_column(180)
    'clv_180'
    """
    return f"clv_{days}"


def value_horizons(clv: Clv) -> tuple[int, ...]:
    """Every horizon that value is counted over, rising: steps within the main one, itself, and longer ones."""
    return (*clv.step_horizons, clv.horizon_days, *clv.longer_horizons)


def returned_column(days: int | str) -> str:
    """The label column of who returned within a horizon.

    >>> returned_column(30)
    'returned_30'
    """
    return f"returned_{days}"


def matured(as_of: datetime, horizon_days: int, data_until: datetime) -> ir.BooleanScalar:
    """True if the label window of an as-of date has fully passed: its end is not after `data_until`.

    Asked in SQL, so that labels are the same statement whatever the date.
    """
    return timestamp(as_of) <= timestamp(data_until - timedelta(days=horizon_days))


def _active(orders: ir.Table, as_of: datetime, churn: Churn) -> ir.Table:
    known = orders_as_of(orders, as_of)
    recent = known.filter(known.is_purchase & within(known, churn.activity_days))
    return recent.select("customer_id").distinct().mutate(active=True)


def _ordered(orders: ir.Table, as_of: datetime) -> ir.Table:
    known = orders_as_of(orders, as_of)
    return known.filter(known.is_purchase).select("customer_id").distinct().mutate(ordered=True)


def _next_order(orders: ir.Table, as_of: datetime) -> ir.Table:
    """Days from the as-of date to the first purchase from then on."""
    coming = orders.filter(orders.ordered_at >= timestamp(as_of), is_purchase(orders))
    return coming.group_by("customer_id").agg(comes_in=-days_before(coming.ordered_at, as_of).max())


def _values(orders: ir.Table, as_of: datetime, clv: Clv) -> ir.Table:
    """Net revenue times margin, each order discounted to the as-of date: ``amount * margin / (1 + rate) ** years``.

    One column a horizon, ``clv_<days>``.
    """
    horizons = value_horizons(clv)
    coming = after(orders, "ordered_at", as_of, max(horizons))
    days_until = -days_before(coming.ordered_at, as_of)
    years = days_until / DAYS_A_YEAR
    worth = coming.amount * clv.margin * (-(ibis.literal(1 + clv.annual_discount_rate).ln()) * years).exp()
    sums = {value_column(days): worth.sum(where=days_until < float(days)) for days in horizons}
    return coming.group_by("customer_id").agg(**sums)
