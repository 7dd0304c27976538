"""As-of arithmetic: what was known at a moment, and how long ago it was.

Every window is ``[as_of - days, as_of)``: closed at its old end, open at the moment itself. A row counts only
if it happened before the moment and had been recorded by then. All times are UTC without a zone.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir

SECONDS_A_DAY = 86_400.0


def known(table: ir.Table, happened: str, as_of: datetime) -> ir.Table:
    """Keep the rows that happened before `as_of` and were recorded by then; a row without record time was at once."""
    moment = ibis.literal(as_of, type="timestamp(6)")
    rows = table.filter(table[happened] < moment)
    return rows.filter(rows.recorded_at.isnull() | (rows.recorded_at <= moment))


def days_before(time: ir.Value, as_of: datetime) -> ir.Value:
    """Days from a time to the moment, with fractions, to the second."""
    epoch = int((as_of - datetime(1970, 1, 1)).total_seconds())
    return (ibis.literal(epoch, type="int64") - time.epoch_seconds()) / SECONDS_A_DAY


def orders_as_of(orders: ir.Table, as_of: datetime) -> ir.Table:
    """Orders known at the moment. One row per order.

    Beside the table's columns it has

    - ``days_ago``: days from the order to the moment;
    - ``is_purchase``: false for a return (a negative amount);
    - ``gap_days``: whole days since the customer's previous day with a purchase; null on the first such day.
    """
    rows = known(orders, "ordered_at", as_of)
    rows = rows.mutate(days_ago=days_before(rows.ordered_at, as_of), is_purchase=rows.amount >= 0)
    before = ibis.window(group_by=[rows.customer_id, rows.is_purchase], order_by=[rows.ordered_at, rows.order_id])
    gap = (rows.local_day - rows.local_day.lag().over(before)).nullif(0)
    return rows.mutate(gap_days=ibis.ifelse(rows.is_purchase, gap, ibis.null("int64")).cast("float64"))


def interactions_as_of(interactions: ir.Table, as_of: datetime) -> ir.Table:
    """Interactions known at the moment. One row per interaction, with ``days_ago``."""
    rows = known(interactions, "occurred_at", as_of)
    return rows.mutate(days_ago=days_before(rows.occurred_at, as_of))


def contacts_as_of(contacts: ir.Table, as_of: datetime) -> ir.Table:
    """Contacts known at the moment. One row per contact, with ``days_ago`` and ``redeemed_days_ago``.

    A redemption that came after the moment is not known yet, although it stands in the same row.
    """
    rows = known(contacts, "contacted_at", as_of)
    moment = ibis.literal(as_of, type="timestamp(6)")
    redeemed = ibis.ifelse(rows.redeemed_at < moment, rows.redeemed_at, ibis.null("timestamp(6)"))
    return rows.mutate(days_ago=days_before(rows.contacted_at, as_of), redeemed_days_ago=days_before(redeemed, as_of))


AS_OF = {"orders": orders_as_of, "interactions": interactions_as_of, "contacts": contacts_as_of}


def after(table: ir.Table, happened: str, as_of: datetime, horizon_days: int) -> ir.Table:
    """Keep the rows of the label window ``[as_of, as_of + horizon)``."""
    start = ibis.literal(as_of, type="timestamp(6)")
    end = ibis.literal(as_of + timedelta(days=horizon_days), type="timestamp(6)")
    return table.filter(table[happened] >= start, table[happened] < end)


def within(table: ir.Table, days: int) -> ir.Value:
    """True for rows of the window ``[as_of - days, as_of)``."""
    return table.days_ago <= days
