"""A business's orders by day -> the levels whose season is learned: of value, and of falling silent.

Levels are those of the labels, taken every day: what the customers known at a day bring in the days ahead, beside what
all brought in the days before; how much rarer their orders become; and how many of the active customers order nothing
in the days ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pandas as pd

from features.labels.gaps import Gap
from features.seasons.index import Levels
from features.windows import is_purchase, known

Array = npt.NDArray[np.float64]

LEAST_ORDERS = 10
HALF = 0.5  # of a customer or order more: the logarithm of none is infinite
TRAILING_DAYS = 90


@dataclass(frozen=True)
class History:
    """Orders of a business by day, as far as they were known at one moment.

    Attributes
    ----------
    first
        The day of the first order, UTC without a zone.
    days
        Whole days from it to the moment.
    orders
        One row for each day of an order and day on which its customers came to be known: ``day, known`` (numbers of
        days since the first), ``amount, squares, orders``.
    steps
        One row for each day with a purchase and the same customer's next one: ``day, next`` (NaN: none),
        ``customers``.
    missing
        True for days that are missing in the data, shape (days,).
    """

    first: datetime
    days: int
    orders: pd.DataFrame
    steps: pd.DataFrame
    missing: npt.NDArray[np.bool_]

    @property
    def revenue(self) -> Array:
        """Net revenue of each day, shape (days,); NaN of days that are missing in the data."""
        own = np.bincount(self.orders["day"], self.orders["amount"], self.days)[: self.days]
        return np.where(self.missing, np.nan, own)


def read_history(tables: Mapping[str, ir.Table], first: datetime, as_of: datetime, gaps: Iterable[Gap] = ()) -> History:
    """Read the orders that were known at the beginning of the day of a moment.

    Parameters
    ----------
    tables
        ``orders`` and ``customers``, checked.
    first, as_of
        The first order and the moment, UTC without a zone.
    gaps
        Stretches without orders: no level whose days touch one is known.
    """
    begins, until = midnight(first), midnight(as_of)
    orders, customers = known(tables["orders"], "ordered_at", until), tables["customers"]
    known_at = ibis.greatest(customers.signed_up_at, customers.recorded_at.fill_null(customers.signed_up_at))
    rows = orders.mutate(is_purchase=is_purchase(orders), day=orders.ordered_at.truncate("D"))
    rows = rows.inner_join(customers.select("customer_id", known=known_at.truncate("D")), "customer_id")
    by_day = rows.group_by("day", "known").agg(
        amount=rows.amount.sum(), squares=(rows.amount * rows.amount).sum(), orders=rows.is_purchase.sum()
    )
    visits = rows.filter(rows.is_purchase).select("customer_id", "day").distinct()
    own = ibis.window(group_by=visits.customer_id, order_by=visits.day)
    visits = visits.mutate(next=visits.day.lead().over(own))
    steps = visits.group_by("day", "next").agg(customers=visits.count())
    days = (until - begins).days
    missing = np.zeros(max(days, 0), dtype=bool)
    for gap in gaps:
        start, end = ((time - begins).days for time in (gap.begins, gap.ends))
        missing[max(start, 0) : max(end, 0)] = True
    return History(begins, days, _numbered(by_day, begins), _numbered(steps, begins), missing)


def comes_late(orders: ir.Table) -> bool:
    """Whether any order was recorded after the day on which it was placed."""
    late = orders.recorded_at > orders.ordered_at.truncate("D") + ibis.interval(days=1)
    return bool(late.fill_null(False).any().fill_null(False).execute())


def value_levels(history: History, horizon_days: int) -> Levels:
    """Logarithm of net revenue a day ahead, of the customers known at the day, over that of the days before it.

    A level of few orders is none.
    """
    rows, days = history.orders, history.days
    day, known_day = rows["day"].to_numpy(np.int64), rows["known"].to_numpy(np.int64)
    windows = {
        "ahead": (np.maximum(known_day + 1, day - horizon_days + 1), day),
        "before": (day + 1, day + TRAILING_DAYS),
    }
    logs, noise = np.zeros((2, days))
    enough = _complete(history, TRAILING_DAYS, horizon_days)
    for sign, (name, length) in zip((1, -1), (("ahead", horizon_days), ("before", TRAILING_DAYS)), strict=True):
        begins, ends = windows[name]
        amount, squares, orders = (
            _over_windows(begins, ends, rows[c].to_numpy(np.float64), days) for c in ("amount", "squares", "orders")
        )
        there = (orders >= LEAST_ORDERS) & (amount > 0)
        safe = np.where(there, amount, 1.0)
        logs += sign * np.log(safe / length)
        noise += np.where(there, np.maximum(squares, 0.0) / safe**2, 0.0)
        enough &= there
    return Levels(np.where(enough, logs, np.nan), noise, horizon_days)


def revenue_levels(history: History, horizon_days: int) -> Levels:
    """Logarithm of net revenue a day ahead, of all customers; its trend over the years is to be taken out."""
    rows, days = history.orders, history.days
    day = rows["day"].to_numpy(np.int64)
    amount, squares, orders = (
        _over_windows(day - horizon_days + 1, day, rows[c].to_numpy(np.float64), days)
        for c in ("amount", "squares", "orders")
    )
    there = (orders >= LEAST_ORDERS) & (amount > 0) & _complete(history, 0, horizon_days)
    safe = np.where(there, amount, 1.0)
    logs, noise = np.log(safe / horizon_days), np.where(there, np.maximum(squares, 0.0) / safe**2, 0.0)
    return Levels(np.where(there, logs, np.nan), noise, horizon_days, has_trend=True)


def gap_levels(history: History, horizon_days: int) -> Levels:
    """Logarithm of purchases a day before over those a day ahead, of the customers known at the day.

    That is how much longer the time from order to order becomes. Who forecasts by the orders of the days before is off
    by it, whatever the time of the year; a level of few orders is none.
    """
    rows, days = history.orders, history.days
    day, known_day = rows["day"].to_numpy(np.int64), rows["known"].to_numpy(np.int64)
    orders = rows["orders"].to_numpy(np.float64)
    ahead = _over_windows(np.maximum(known_day + 1, day - horizon_days + 1), day, orders, days)
    before = _over_windows(day + 1, day + TRAILING_DAYS, orders, days)
    enough = _complete(history, TRAILING_DAYS, horizon_days) & (before >= LEAST_ORDERS)
    ahead, before = ahead + HALF, np.where(enough, before + HALF, 1.0)
    logs = np.log(before / TRAILING_DAYS) - np.log(ahead / horizon_days)
    return Levels(np.where(enough, logs, np.nan), 1 / ahead + 1 / before, horizon_days)


def silence_levels(history: History, horizon_days: int, activity_days: int) -> Levels:
    """Log-odds that a customer active at the day orders nothing in the days ahead; of few customers it is none."""
    active, stayed, complete = _counts(history, horizon_days, activity_days)
    return _log_odds(active - stayed, stayed, complete, horizon_days)


def step_levels(history: History, days: int, near_days: int, activity_days: int) -> Levels:
    """The same of the step to a horizon from its neighbour, of those of whom that leaves it open.

    Outwards they have no order until the nearer horizon, inwards they have one, see `training.model.survival`.
    """
    active, stayed, complete = _counts(history, days, activity_days)
    _, stayed_near, complete_near = _counts(history, near_days, activity_days)
    if days > near_days:
        silent, others = active - stayed, stayed - stayed_near
    else:
        silent, others = stayed_near - stayed, stayed
    return _log_odds(silent, others, complete & complete_near, max(days, near_days))


def _counts(history: History, horizon_days: int, activity_days: int) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """By day: active customers, those of them who order in the days ahead, and whether all of these days are there."""
    rows, days = history.steps, history.days
    day, weight = rows["day"].to_numpy(np.int64), rows["customers"].to_numpy(np.float64)
    following = rows["next"].fillna(days + horizon_days + activity_days).to_numpy(np.int64)
    last = np.minimum(following, day + activity_days)
    active = _over_windows(day + 1, last, weight, days)
    stayed = _over_windows(np.maximum(day + 1, following - horizon_days + 1), last, weight, days)
    return active, stayed, _complete(history, activity_days, horizon_days)


def _log_odds(left: Array, stayed: Array, complete: npt.NDArray[np.bool_], ahead_days: int) -> Levels:
    enough = complete & (left + stayed >= 2 * LEAST_ORDERS)  # by their sum: a season shows where few do one of both
    left, stayed = left + HALF, stayed + HALF
    return Levels(np.where(enough, np.log(left / stayed), np.nan), 1 / left + 1 / stayed, ahead_days)


def _over_windows(begins: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], weight: Array, days: int) -> Array:
    """Sum of the weights of all windows ``[begin, end]`` that hold each day, shape (days,)."""
    some = (begins <= ends) & (begins < days)
    change = np.zeros(days + 1)
    np.add.at(change, np.clip(begins[some], 0, days), weight[some])
    np.add.at(change, np.clip(ends[some] + 1, 0, days), -weight[some])
    return np.cumsum(change)[:days]


def _complete(history: History, before: int, ahead: int) -> npt.NDArray[np.bool_]:
    """True for days that have all days of both windows in the data."""
    sums = np.concatenate([[0], np.cumsum(history.missing)])
    day = np.arange(history.days)
    begins, ends = np.maximum(day - before, 0), np.minimum(day + ahead, history.days)
    return np.asarray((day >= before) & (sums[ends] == sums[begins]))


def _numbered(table: ir.Table, begins: datetime) -> pd.DataFrame:
    """A table with its days as numbers of days since the first one, in a fixed order."""
    frame = table.to_pandas()
    for name in ("day", "known", "next"):
        if name in frame:
            frame[name] = (pd.to_datetime(frame[name]) - pd.Timestamp(begins)).dt.days
    return frame.sort_values(list(frame.columns), ignore_index=True)


def midnight(time: datetime) -> datetime:
    """The beginning of the day of a time."""
    return time.replace(hour=0, minute=0, second=0, microsecond=0)
