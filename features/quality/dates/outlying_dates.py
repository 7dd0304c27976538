"""Rows whose date lies far from all others, such as one order of 1970, are set aside: one would make hundreds of dates.

Few rows of a table (at most ``quality.outlying_share``, and one always) with more than ``quality.outlying_gap_days``
without any row between them and all others go to quarantine with that reason. Contracts may be old: for them the gap is
five times as long. A table of fewer than `MIN_ROWS` rows tells nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

import numpy as np
import pandas as pd

from configs.settings import Quality
from features.quality.check import ValidatedTable

EVENTS = ("orders", "subscriptions", "interactions", "contacts")
MIN_ROWS = 10
CONTRACTS_LONGER = 5


def set_outlying_aside(checked: Mapping[str, ValidatedTable], quality: Quality) -> dict[str, ValidatedTable]:
    """The tables with rows of outlying dates in quarantine."""
    return {name: _set_aside(one, quality) if name in EVENTS else one for name, one in checked.items()}


def _set_aside(one: ValidatedTable, quality: Quality) -> ValidatedTable:
    days = quality.outlying_gap_days * (CONTRACTS_LONGER if one.table.name == "subscriptions" else 1)
    times = one.column(one.table.time)
    bounds = usual_span(times, days, quality.outlying_share)
    if bounds is None:
        return one
    return one.set_aside(partial(_reasons, time=one.table.time, bounds=bounds, days=days))


def _reasons(rows: pd.DataFrame, time: str, bounds: tuple[datetime, datetime], days: int) -> pd.Series:
    """A reason against each row (by index) whose date is outlying."""
    far = rows.loc[(rows[time] < bounds[0]) | (rows[time] > bounds[1]), time]
    return f"{time}: '" + far.dt.strftime("%Y-%m-%d") + f"' is more than {days} days from all other rows"


def usual_span(times: pd.Series, gap_days: int, share: float) -> tuple[datetime, datetime] | None:
    """First and last time of the rows that are not outlying; None if all are usual.

    >>> times = pd.Series(pd.to_datetime(["1970-01-01", *pd.date_range("2024-01-01", periods=30)]))
    >>> usual_span(times, 730, 0.005)
    (Timestamp('2024-01-01 00:00:00'), Timestamp('2024-01-30 00:00:00'))
    """
    ordered = np.sort(times.dropna().to_numpy())
    most = max(1, int(share * len(ordered)))
    if len(ordered) < MIN_ROWS:
        return None
    wide = np.timedelta64(gap_days, "D")
    early = np.flatnonzero(np.diff(ordered[: most + 1]) > wide)
    late = np.flatnonzero(np.diff(ordered[len(ordered) - most - 1 :]) > wide)
    first = int(early[-1]) + 1 if len(early) else 0
    last = len(ordered) - most - 1 + int(late[0]) if len(late) else len(ordered) - 1
    if first == 0 and last == len(ordered) - 1:
        return None
    return pd.Timestamp(ordered[first]), pd.Timestamp(ordered[last])
