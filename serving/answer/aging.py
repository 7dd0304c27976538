"""Which columns move by themselves as time passes, and a customer's row as it would be if nothing new had come.

    clocks     days since and days until something: a day more, or less, with each day
    derived    what follows from clocks and from what stands still: a share, a ratio, a rate
    windows    what looks at a span of days that moves on: rows leave it, though none comes
    season     what the calendar says of the whole business

All other columns change only by what becomes known. How far a window moves on cannot be told from two rows once
something new came: then its change counts as what came. Where nothing came, all change of its table is that of time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from features.columns.column import Column, columns_of
from features.schema import MODULES, SEASON_COLUMNS

Row = Mapping[str, Any]
SECOND = 1 / 86_400  # in days: as exact as clocks are
CLOCKS = {
    **dict.fromkeys(("days_since_last_order", "tenure_days", "days_since_last_return"), 1),
    **dict.fromkeys(("days_since_last_visit", "days_since_last_complaint", "days_since_last_activity"), 1),
    **dict.fromkeys(("days_since_last_campaign", "days_since_last_redemption"), 1),
    **dict.fromkeys(("subscribed_days", "contract_tenure_days", "days_since_contract_end"), 1),
    **dict.fromkeys(("days_since_price_rise",), 1),
    **dict.fromkeys(("days_to_renewal", "days_to_end"), -1),
}
FIRST = ("tenure_days", "subscribed_days")  # clocks that nothing new sets back: they tell how long passed
DERIVED: dict[str, Callable[[Row, Row], float]] = {  # of the row before, and of that with its clocks moved on
    "silent_share": lambda row, aged: aged["days_since_last_order"] / aged["tenure_days"],
    "gap_ratio": lambda row, aged: aged["days_since_last_order"] / row["median_gap_days"],
    "gap_to_max": lambda row, aged: aged["days_since_last_order"] / row["max_gap_days"],
    "gap_z": lambda row, aged: (aged["days_since_last_order"] - row["mean_gap_days"]) / row["sd_gap_days"],
    "orders_per_30d": lambda row, aged: (
        row["orders_per_30d"] * max(row["tenure_days"], 1.0) / max(aged["tenure_days"], 1.0)
    ),
}
OVER_ALL = (  # windows over all rows, or beside all rows: none of their columns says how far back it looks
    "recent_gap_days",
    *(f"orders_pace_{days}d" for days in (30, 90)),
    *(f"spend_pace_{days}d" for days in (30, 90)),
    *(f"orders_year_ago_{days}d" for days in (30, 90)),
    *(f"spend_year_ago_{days}d" for days in (30, 90)),
    "order_size_trend_30d",
    "discount_change_30d",
    "visits_per_30d",
    "visits_missed",
    "activity_per_30d",
    "activity_missed",
    "paid_total",
)
NEVER_RISING = ("tickets_30d", "tickets_90d", "failed_payments_30d", "failed_payments_90d")  # no total tells of these


def aged(before: Row, after: Row, days: float) -> dict[str, Any]:
    """What would be other in a customer's row some days later, if nothing new had come.

    Parameters
    ----------
    before, after
        The columns of the customer at two moments; the later row tells the calendar, and of which tables nothing came.
    days
        Between the moments. Where it is negative or 0, no time passed, and nothing would be other.

    Returns
    -------
    dict
        The columns that would differ from the row before, with their values.

    Examples
    --------
    >>> before = {"days_since_last_order": 9.0, "tenure_days": 50.0, "orders_total": 4.0, "silent_share": 9 / 50}
    >>> aged(before, before | {"days_since_last_order": 1.0, "tenure_days": 60.0, "orders_total": 5.0}, 10.0)
    {'days_since_last_order': 19.0, 'tenure_days': 60.0, 'silent_share': 0.31666666666666665}
    """
    if days <= 0:
        return {}
    found = {name: after[name] for name in SEASON_COLUMNS if name in before and name in after}
    passed = _passed(before, after, days)
    for table, columns in _by_table().items():
        names = [column.name for column in columns if column.name in before and column.name in after]
        if _stands_still(names, before, after, days):
            found |= {name: after[name] for name in names if moves_by_itself(name)}
        else:
            found |= _moved_on(names, before, passed.get(table, max([*passed.values()], default=days)))
    return {name: value for name, value in found.items() if not _same(value, before[name])}


@cache
def moves_by_itself(name: str) -> bool:
    """Whether a column can change as time passes, though nothing new comes.

    >>> moves_by_itself("days_since_last_order"), moves_by_itself("orders_30d"), moves_by_itself("orders_total")
    (True, True, False)
    """
    column = next((c for columns in _by_table().values() for c in columns if c.name == name), None)
    in_window = column is not None and column.reach_days is not None
    return name in CLOCKS or name in DERIVED or name in OVER_ALL or name in SEASON_COLUMNS or in_window


def _passed(before: Row, after: Row, days: float) -> dict[str, float]:
    """How much time passed for the rows of a table, where a clock tells: they may be known only up to their load."""
    by_name = {c.name: c.table for columns in _by_table().values() for c in columns}
    steps = {by_name[name]: _number(after, name) - _number(before, name) for name in FIRST}
    return {table: step for table, step in steps.items() if -SECOND <= step <= days + SECOND}


def _stands_still(names: list[str], before: Row, after: Row, days: float) -> bool:
    """Whether all that two rows tell of a table is as if nothing new had come: its clocks moved on, and no more."""
    if any(not moves_by_itself(name) and not _same(before[name], after[name]) for name in names):
        return False
    if any(_number(after, name) > _number(before, name) for name in names if name in NEVER_RISING):
        return False
    clocks = [name for name in names if name in CLOCKS]
    if any(math.isnan(_number(before, name)) != math.isnan(_number(after, name)) for name in clocks):
        return False
    steps = [CLOCKS[name] * (_number(after, name) - _number(before, name)) for name in clocks]
    known = [step for step in steps if not math.isnan(step)]
    return not known or (min(known) >= -SECOND and max(known) <= days + SECOND and max(known) - min(known) <= SECOND)


def _moved_on(names: list[str], before: Row, days: float) -> dict[str, Any]:
    """The clocks of a table some days later, and what follows from them."""
    found: dict[str, Any] = {n: max(_number(before, n) + CLOCKS[n] * days, 0.0) for n in names if n in CLOCKS}
    found = {name: value for name, value in found.items() if not math.isnan(_number(before, name))}
    for name in names:
        if name in DERIVED and not math.isnan(_number(before, name)):
            try:
                found[name] = DERIVED[name](before, {**before, **found})
            except (KeyError, TypeError, ZeroDivisionError):
                continue  # what it follows from is no part of the row
    return found


def _number(row: Row, name: str) -> float:
    """A value as a number; NaN where it is not known, or none."""
    value = row.get(name)
    return math.nan if value is None or isinstance(value, str) else float(value)


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one, but for what sums in another order differ by; unknown is unknown."""
    if isinstance(one, str) or isinstance(other, str) or one is None or other is None:
        return bool(one == other)
    return (one != one and other != other) or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


@cache
def _by_table() -> dict[str, list[Column]]:
    """The columns of customers by the table that they are computed from."""
    found: dict[str, list[Column]] = {}
    for column in (c for module in MODULES for c in columns_of(module)):
        if column.name not in SEASON_COLUMNS:
            found.setdefault(column.table, []).append(column)
    return found
