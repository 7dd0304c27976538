"""Moments at which customers are looked at, and which days lie in no label window between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

import pandas as pd

from configs.errors import NotEnoughDataError
from configs.settings import AsOf, naive_utc
from features.windows import whole_second

LONGEST_MONTH = 31  # days between two firsts of the month at most


def as_of_dates(first: datetime, until: datetime, settings: AsOf) -> list[datetime]:
    """Moments at which customers are looked at: firsts of a month, of which is learned, and the end of the data.

    The end is the first whole second not before `until`: what is asked of all customers is answered as of where the
    data ends, and not of a day up to a month before. Where ``as_of.last`` says another end, there is no such moment: it
    would be learned from, in the middle of a month.

    Raises
    ------
    NotEnoughDataError
        None of them has enough history before it.

    Examples
    --------
    >>> from configs.settings import load
    >>> [m.strftime("%m-%d") for m in as_of_dates(datetime(2017, 1, 1), datetime(2017, 4, 9), load("test").as_of)]
    ['02-01', '03-01', '04-01', '04-09']
    """
    start = max(first + pd.Timedelta(days=settings.min_history_days), naive_utc(settings.first or datetime.min))
    last = naive_utc(settings.last or datetime.max)
    end = min(whole_second(until), last)
    months = pd.date_range(first.date(), end, freq="MS", unit="us")
    newest_first = [m.to_pydatetime() for m in months if start <= m <= end][::-1]
    moments = newest_first[:: settings.every_months][::-1]
    if start <= end < last and end not in moments:
        moments.append(end)
    if not moments:
        raise NotEnoughDataError(
            f"data from {first:%Y-%m-%d} to {until:%Y-%m-%d} hold no moment with {settings.min_history_days} days of "
            "history before it, between as_of.first and as_of.last: give a longer history, or a smaller "
            "as_of.min_history_days"
        )
    return moments


def days_apart(moments: Sequence[datetime]) -> int:
    """How many days the moments lie apart at most; 0 of a single one.

    >>> days_apart([datetime(2024, 1, 1), datetime(2024, 2, 1), datetime(2024, 3, 1)])
    31
    """
    return max((-((before - after).days) for before, after in pairwise(moments)), default=0)


def between_windows(times: pd.Series, moments: Sequence[datetime], days: int, back: bool = False) -> pd.Series:
    """True for times from the first moment on and before the last that lie in no window of any moment.

    Parameters
    ----------
    times
        UTC without a zone, shape (n,).
    moments
        In ascending order, at least two.
    days
        How long windows are.
    back
        True: they are ``[moment - days, moment)``; else ``[moment, moment + days)``.

    Examples
    --------
    >>> ends = pd.Series(pd.to_datetime(["2024-01-30", "2024-01-31", "2024-02-01", "2024-03-01"]))
    >>> moments = [datetime(2024, 1, 1), datetime(2024, 2, 1), datetime(2024, 3, 1)]
    >>> between_windows(ends, moments, 30).tolist()
    [False, True, False, False]
    >>> between_windows(ends - pd.Timedelta(days=30), moments, 30, back=True).tolist()
    [False, True, False, False]
    """
    starts, width = pd.DatetimeIndex(list(moments)).as_unit("us"), pd.Timedelta(days=days)
    within = times[(times >= starts[0]) & (times < starts[-1])]
    following = starts.searchsorted(within, side="right")
    outside = starts[following] - within > width if back else within - starts[following - 1] >= width
    return pd.Series(outside, index=within.index).reindex(times.index, fill_value=False)
