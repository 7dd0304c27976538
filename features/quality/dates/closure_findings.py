"""A history that ends in a closure: forecasts as of then take closed days for silence. Days are those of UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

import pandas as pd

from configs.settings import Settings
from features.labels.by_kind import data_end
from features.quality.anomalies import RULES, Finding
from features.quality.check import ValidatedTable
from features.quality.dates.load_facts import newest_times
from features.sources.proposal.business import middle_gaps
from features.tables import is_return

RULE = "ends_in_closure"
FEW_DAYS = 3  # closed at the end, no silence yet


def closure_findings(checked: Mapping[str, ValidatedTable], settings: Settings, now: datetime) -> list[Finding]:
    """A finding where orders end in closed days, more than a few and no fewer than usually lie between two orders."""
    one = checked.get("orders")
    end = data_end(settings, newest_times(checked), now)
    if one is None or not one.table_rows or end is None or not settings.closed_days:
        return []
    last = (end - timedelta(microseconds=1)).date()
    begins = _closed_since(last, settings)
    closed = (last - begins).days + 1
    if closed <= FEW_DAYS:
        return []
    days = _purchase_days(one)
    begins = max(begins, days["day"].max().date() + timedelta(days=1))  # somebody may have ordered all the same
    closed = (last - begins).days + 1
    usual = usual_gap(days)
    if closed <= FEW_DAYS or closed < usual:
        return []
    severity, todo = RULES[RULE]
    severity = "warn" if RULE in settings.quality.accept_rules else severity
    got = (
        f"the history ends in a closure of {closed} days, {begins} to {last}, and half of the customers order every "
        f"{usual:.0f} days or oftener: forecasts as of then take closed days for silence"
    )
    todo = f"say data_until: {begins}T00:00:00Z, the end of the last open day; {todo}"
    return [Finding("orders", one.table.time, RULE, severity, got, "a history that ends on an open day", todo)]


def usual_gap(days: pd.DataFrame) -> float:
    """Days between two purchases, the middle of the customers' own middle gaps; 0 where nobody has two.

    Examples
    --------
    >>> days = pd.to_datetime(["2024-01-01", "2024-01-08", "2024-01-02"])
    >>> usual_gap(pd.DataFrame({"customer_id": ["ann", "ann", "bob"], "day": days}))
    7.0
    """
    middles = middle_gaps(days["customer_id"], days["day"])
    return float(middles.median()) if len(middles) else 0.0


def _closed_since(last: date, settings: Settings) -> date:
    """The first of the closed days that `last` ends; the day after `last`, if that was open."""
    begins, one = last + timedelta(days=1), timedelta(days=1)
    while any(first <= begins - one <= until for first, until in settings.closed_days):
        begins -= one
    return begins


def _purchase_days(orders: ValidatedTable) -> pd.DataFrame:
    """``customer_id, day``: one row a customer and day with a purchase."""
    names = [n for n in ("customer_id", orders.table.time, "amount", "quantity") if n in orders.used.columns]
    parts = []
    for part in orders.parts(names):
        bought = part.loc[~is_return(part)]
        days = pd.DataFrame({"customer_id": bought["customer_id"], "day": bought[orders.table.time].dt.normalize()})
        parts.append(days.drop_duplicates())
    return pd.concat(parts, ignore_index=True).drop_duplicates()
