"""Gaps: stretches of days without rows that the business's own rhythm does not explain.

A day is *quiet* if it has at most a tenth of the rows that its weekday usually has around then. A run of quiet days is
a gap if all of this holds:

- it lasts at least `MIN_DAYS` days, more than twice as long as the pauses that the business makes anyway (its
  `USUAL_PAUSES` longest others);
- at the pace of the `WEEKS_BESIDE` weeks before it and after it (of both the slower), the missing rows are more than
  chance explains, given how much weeks differ;
- it begins and ends abruptly: the weeks at its edges are as busy as those beyond them, so that no season fades out;
- a year before or after there is no such pause at that time of the year.

Stretches that the business says it was closed (``quality.closed``) are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

MIN_DAYS, MIN_HISTORY_DAYS = 7, 56
QUIET, FAINT = 0.1, 0.25
MAX_DAYS_AFTER = 3660  # the end of a gap after the newest row, if the data is said to go on for longer
WEEKS_BESIDE, USUAL_PAUSES = 8, 3
MIN_MISSING = 9.0  # rows that chance would have to lose, in units of the spread of weekly counts
ABRUPT = 0.5
SEASON_DAYS = 10
GAP_TABLES = ("orders", "subscriptions", "interactions")  # contacts come in campaigns, customers as they will


@dataclass(frozen=True)
class Gap:
    """Days without the rows that are usual.

    Attributes
    ----------
    table
        Where they are missing.
    begins, ends
        First day, and the day after the last one, UTC.
    missing
        About how many rows are missing.
    at_end
        The data should go on and does not.
    """

    table: str
    begins: datetime
    ends: datetime
    missing: float
    at_end: bool = False

    @property
    def days(self) -> int:
        """How long it lasts."""
        return (self.ends - self.begins).days

    @property
    def text(self) -> str:
        """It in words."""
        last = self.ends - timedelta(days=1)
        which = "the last " if self.at_end else ""
        return (
            f"{which}{self.days} days from {self.begins:%Y-%m-%d} to {last:%Y-%m-%d} have (almost) no rows, where "
            f"about {self.missing:,.0f} are usual"
        )


def find_gaps(
    table: str, days: pd.Series, until: datetime | None = None, closed: Iterable[Sequence[date]] = ()
) -> list[Gap]:
    """Find the gaps of one table.

    Parameters
    ----------
    table
        Name of the table.
    days
        Rows a day: counts by day (midnight, UTC without a zone); days without a row may be missing.
    until
        The data is said to be complete up to here (exclusive, UTC): days from the newest row on are judged, too; rows
        of later days, such as contracts that were booked ahead, do not count.
    closed
        First and last days on which the business was closed.

    Returns
    -------
    list of Gap
        In their order.
    """
    days = days[(days > 0) & (days.index < (pd.Timestamp.max if until is None else until))].sort_index()
    if days.empty:
        return []
    first, last = days.index[0], days.index[-1]
    end = last
    if until is not None:
        limit = last.to_pydatetime() + timedelta(days=MAX_DAYS_AFTER)
        end = max(last, pd.Timestamp(min(until, limit)).floor("D") - pd.Timedelta(days=1))
    counts = days.reindex(pd.date_range(first, end), fill_value=0).to_numpy(float)
    begins = first.to_pydatetime()
    shut = _closed(begins, len(counts), closed)
    if len(counts) - int(shut.sum()) < MIN_HISTORY_DAYS:
        return []
    weekday = _weekday_shares(counts, begins)
    runs = [run for run in _quiet_runs(counts, weekday) if not shut[run[0] : run[1]].all()]
    gaps = []
    for run in runs:
        missing = _missing(counts, weekday, run, runs)
        if missing:
            start, stop = (begins + timedelta(days=int(k)) for k in run)
            gaps.append(Gap(table, start, stop, missing, run[1] == len(counts)))
    return gaps


def _closed(begins: datetime, length: int, closed: Iterable[Sequence[date]]) -> np.ndarray:
    """True on days on which the business was closed, shape (length,)."""
    shut = np.zeros(length, dtype=bool)
    for one, last in closed:
        start, stop = (one - begins.date()).days, (last - begins.date()).days + 1
        shut[max(start, 0) : max(stop, 0)] = True
    return shut


def _weekday_shares(counts: np.ndarray, begins: datetime) -> np.ndarray:
    """The share of a week's rows that is usual on each day, shape (n,)."""
    places = (np.arange(len(counts)) + begins.weekday()) % 7
    sums = np.bincount(places, counts, minlength=7)
    return (sums / sums.sum())[places]


def _quiet_runs(counts: np.ndarray, weekday: np.ndarray) -> list[tuple[int, int]]:
    """Stretches of quiet days, each with its first place and the one after its last."""
    weeks = pd.Series(counts).rolling(7 * WEEKS_BESIDE + 1, center=True, min_periods=1).sum().to_numpy()
    spans = pd.Series(np.ones(len(counts))).rolling(7 * WEEKS_BESIDE + 1, center=True, min_periods=1).sum().to_numpy()
    usual = weeks / spans * 7 * weekday
    quiet = np.concatenate([[False], counts <= QUIET * usual, [False]])
    edges = np.flatnonzero(quiet[1:] != quiet[:-1])
    return list(zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True))


def _missing(
    counts: np.ndarray, weekday: np.ndarray, run: tuple[int, int], runs: Sequence[tuple[int, int]]
) -> float | None:
    """About how many rows a run of quiet days lacks; None if it is no gap."""
    start, stop = run
    others = sorted((b - a for a, b in runs if (a, b) != run), reverse=True)
    pause = others[USUAL_PAUSES - 1] if len(others) >= USUAL_PAUSES else 0
    if start == 0 or stop - start < max(MIN_DAYS, 2 * pause + 1):
        return None
    sides = [side for side in (_weeks(counts, start, -1), _weeks(counts, stop, 1)) if len(side)]
    if not sides or any(len(side) < 2 or np.median(side[:2]) < ABRUPT * np.median(side) for side in sides):
        return None
    pace = min(float(np.median(side)) for side in sides)
    expected = pace * float(weekday[start:stop].sum())
    spread = max(1.0, float(np.mean([_dispersion(side) for side in sides])))
    found = float(counts[start:stop].sum())
    if found > QUIET * expected or (expected - found) / spread < MIN_MISSING:
        return None
    return None if _seasonal(counts, weekday, run) else expected - found


def _weeks(counts: np.ndarray, place: int, direction: int) -> np.ndarray:
    """Rows of the whole weeks before (-1) or from a place on (1), the nearest first."""
    days = (
        counts[max(place - 7 * WEEKS_BESIDE, 0) : place][::-1] if direction < 0 else counts[place:][: 7 * WEEKS_BESIDE]
    )
    whole = len(days) // 7
    return days[: 7 * whole].reshape(whole, 7).sum(axis=1)


def _dispersion(weeks: np.ndarray) -> float:
    """Variance of weekly counts over their mean, by the steps from week to week: a trend is no spread."""
    if len(weeks) < 3 or not weeks.any():
        return 1.0
    return float(np.median(np.abs(np.diff(weeks))) ** 2 / (2 * 0.4549 * np.mean(weeks)))


def _seasonal(counts: np.ndarray, weekday: np.ndarray, run: tuple[int, int]) -> bool:
    """True if the same days of another year, give or take some, are about as quiet against the weeks around them."""
    length = run[1] - run[0]
    for years in (-3, -2, -1, 1, 2, 3):
        for off in range(-SEASON_DAYS, SEASON_DAYS + 1):
            start = run[0] + 364 * years + off
            stop = start + length
            if start < 7 or stop > len(counts) - 7:
                continue
            around = np.concatenate([_weeks(counts, start, -1), _weeks(counts, stop, 1)])
            usual = float(np.median(around)) * float(weekday[start:stop].sum())
            if usual and counts[start:stop].sum() <= FAINT * usual:
                return True
    return False


def gaps_of(
    counts: Mapping[str, pd.Series], until: datetime | None, closed: Iterable[Sequence[date]] = ()
) -> list[Gap]:
    """The gaps of all tables whose rows come day by day, from their rows a day."""
    closed = list(closed)
    return [gap for name in GAP_TABLES if name in counts for gap in find_gaps(name, counts[name], until, closed)]
