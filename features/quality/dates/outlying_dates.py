"""Rows whose date lies far from all others, such as one order of 1970, are set aside: one would make hundreds of dates.

Few rows of a table (at most ``quality.outlying_share``, and one always) with more than ``quality.outlying_gap_days``
without any row between them and all others go to quarantine with that reason. Contracts may be old: for them the gap is
five times as long. A table of fewer than `MIN_ROWS` rows tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial

import numpy as np
import pandas as pd

from configs.settings import Quality
from features.numbers.extremes import ends_of
from features.quality.check import ValidatedTable

EVENTS = ("orders", "subscriptions", "interactions", "contacts")
MIN_ROWS = 10
CONTRACTS_LONGER = 5


def set_outlying_aside(checked: Mapping[str, ValidatedTable], quality: Quality) -> dict[str, ValidatedTable]:
    """The tables with rows of outlying dates in quarantine."""
    return {name: _set_aside(one, quality) if name in EVENTS else one for name, one in checked.items()}


def _set_aside(one: ValidatedTable, quality: Quality) -> ValidatedTable:
    days = quality.outlying_gap_days * (CONTRACTS_LONGER if one.table.name == "subscriptions" else 1)
    times = (part[one.table.time] for part in one.parts([one.table.time]))
    bounds = usual_span(times, one.table_rows, days, quality.outlying_share)
    if bounds is None:
        return one
    return one.set_aside(partial(_reasons, time=one.table.time, bounds=bounds, days=days))


def _reasons(rows: pd.DataFrame, time: str, bounds: tuple[datetime, datetime], days: int) -> pd.Series:
    """A reason against each row (by index) whose date is outlying."""
    far = rows.loc[(rows[time] < bounds[0]) | (rows[time] > bounds[1]), time]
    return f"{time}: '" + far.dt.strftime("%Y-%m-%d") + f"' is more than {days} days from all other rows"


def usual_span(times: Iterable[pd.Series], rows: int, gap_days: int, share: float) -> tuple[datetime, datetime] | None:
    """First and last time of the rows that are not outlying; None if all are usual.

    Parameters
    ----------
    times
        In any order, in one part or several.
    rows
        How many there are, at least.
    gap_days, share
        See ``quality.outlying_gap_days`` and ``quality.outlying_share``.

    Examples
    --------
    >>> times = pd.Series(pd.to_datetime(["1970-01-01", *pd.date_range("2024-01-01", periods=30)]))
    >>> usual_span([times], 31, 730, 0.005)
    (Timestamp('2024-01-01 00:00:00'), Timestamp('2024-01-30 00:00:00'))
    """
    filled, low, high = ends_of((part.to_numpy() for part in times), max(1, int(share * rows)) + 1)
    most = max(1, int(share * filled))
    if filled < MIN_ROWS:
        return None
    low, high = low[: most + 1], high[-most - 1 :]
    wide = np.timedelta64(gap_days, "D")
    early, late = (np.flatnonzero(np.diff(end) > wide) for end in (low, high))
    if not len(early) and not len(late):
        return None
    first = low[early[-1] + 1] if len(early) else low[0]
    last = high[late[0]] if len(late) else high[-1]
    return pd.Timestamp(first), pd.Timestamp(last)
