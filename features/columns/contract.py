"""The contract: how long, until when, at what price, and what changed.

The current contract of a customer is the one alive that started last. A customer without one keeps the columns that
look back; those of the current contract are unknown.
"""

from __future__ import annotations

import ibis.expr.types as ir

from features.columns.column import column
from features.windows import within

NONE = "No contract now"


@column("subscriptions", "{value:count contract} now", empty=0)
def contracts_active(s: ir.Table) -> ir.Value:
    """Contracts alive at the moment, as far as was known."""
    return s.count(where=s.alive)


@column("subscriptions", "{value:count contract} so far", empty=0)
def contracts_total(s: ir.Table) -> ir.Value:
    """Contracts that began before the moment."""
    return s.count()


@column("subscriptions", "First contract {value:days} ago", "Never had a contract")
def subscribed_days(s: ir.Table) -> ir.Value:
    """Days since the first contract began."""
    return s.days_ago.max()


@column("subscriptions", "Current contract began {value:days} ago", NONE)
def contract_tenure_days(s: ir.Table) -> ir.Value:
    """Days since the current contract began."""
    return s.days_ago.min(where=s.is_current)


@column("subscriptions", "Contract is up for renewal in {value:days}", "No renewal date agreed")
def days_to_renewal(s: ir.Table) -> ir.Value:
    """Days to the next agreed end of a contract alive."""
    return s.renews_in_days.min(where=s.alive & ~s.notice)


@column("subscriptions", "Contracts under notice: {value:.0f}", empty=0)
def contracts_under_notice(s: ir.Table) -> ir.Value:
    """Contracts alive whose end was known already: cancelled, or ending without renewal."""
    return s.count(where=s.alive & s.notice)


@column("subscriptions", "Contracts paused: {value:.0f}", empty=0)
def contracts_paused(s: ir.Table) -> ir.Value:
    """Contracts alive that are paused: they are no churn."""
    return s.count(where=s.is_paused)


@column("subscriptions", "Contract ends in {value:days}", "No end known")
def days_to_end(s: ir.Table) -> ir.Value:
    """Days to the known end of a contract alive that is under notice."""
    return s.ends_in_days.min(where=s.alive & s.notice)


@column("subscriptions", "Last contract ended {value:days} ago", "No contract has ended")
def days_since_contract_end(s: ir.Table) -> ir.Value:
    """Days since a contract last ended."""
    return (-s.ends_in_days).min(where=~s.alive)


@column("subscriptions", "Cancelled {value:count contract} before", empty=0)
def cancelled_before(s: ir.Table) -> ir.Value:
    """Contracts that were cancelled, and have ended."""
    return s.count(where=~s.alive & s.cancelled)


@column("subscriptions", "Pays {value:money} a month", NONE)
def price_now(s: ir.Table) -> ir.Value:
    """Price a month of all contracts alive together."""
    return s.price_per_month.sum(where=s.alive)


@column("subscriptions", "Price changed by {value:change} a month with the current contract", "No price before")
def price_change(s: ir.Table) -> ir.Value:
    """Price a month of the current contract less that of the one before it."""
    return (s.price_per_month - s.price_before).max(where=s.is_current)


@column("subscriptions", "{value:count price rise} so far", empty=0)
def price_rises(s: ir.Table) -> ir.Value:
    """Contracts dearer than the one before."""
    return s.count(where=s.price_per_month > s.price_before)


@column("subscriptions", "Price rose {value:days} ago", "Price never rose")
def days_since_price_rise(s: ir.Table) -> ir.Value:
    """Days since a contract began that was dearer than the one before."""
    return s.days_ago.min(where=s.price_per_month > s.price_before)


@column("subscriptions", "{value:count plan change} so far", empty=0)
def plan_changes(s: ir.Table) -> ir.Value:
    """Contracts with another plan than the one before."""
    return s.count(where=s.plan != s.plan_before)


@column("subscriptions", "Plan: {value}", NONE, dtype="string")
def plan_now(s: ir.Table) -> ir.Value:
    """Plan of the current contract."""
    return s.plan.max(where=s.is_current)


@column("subscriptions", "Paid {value:money} so far", empty=0)
def paid_total(s: ir.Table) -> ir.Value:
    """Price a month times the months that contracts were alive before the moment."""
    return s.paid.sum()


@column("trials", "{value:count trial} not converted", empty=0)
def trials_lost(t: ir.Table) -> ir.Value:
    """Trials that ended without a contract: they are no churn."""
    return t.count(where=t.is_lost)


@column("bookings", "{value:count contract} booked to begin", empty=0)
def contracts_booked(b: ir.Table) -> ir.Value:
    """Contracts that were booked and have not begun."""
    return b.count()


@column("interactions", "{value:count failed payment} in the last {days} days", windows=(30, 90), reach=1, empty=0)
def failed_payments(i: ir.Table, days: int) -> ir.Value:
    """Payments that failed in the last `days` days."""
    return i.count(where=(i.kind == "payment_failed") & within(i, days))
