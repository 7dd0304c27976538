"""Gaps: stretches of days without rows that the business's own rhythm does not explain.

A day is *quiet* if it has at most a tenth of the rows that its weekday usually has around then. A run of quiet days is
a gap if all of this holds:

- it lasts at least `MIN_DAYS` days, more than twice as long as the pauses that the business makes anyway (its
  `USUAL_PAUSES` longest others, holidays at the same time of each year aside);
- at the pace of the `WEEKS_BESIDE` weeks before it and after it (of both the slower), the missing rows are more than
  chance explains in all of the history, given how much weeks differ;
- it begins and ends abruptly: the weeks at its edges are as busy as those beyond them, so that no season fades out;
  a side of less than two whole weeks, at the beginning or the end of the data, is judged by the days there are, by
  their weekday shares, against the pace of the other side;
- a year before or after there is no such pause at that time of the year.

Stretches that the business says it was closed (``quality.closed``, ``calendar.closures``) are none.
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
WHOLE_WEEKS = 2  # of fewer, a side is judged by its days against the pace of the other side
BY_CHANCE = 0.01  # in so many histories at most, rows that come by chance make such a pause somewhere
MIN_BEFORE = 9.0  # rows expected of a beginning that is shorter than two weeks, to tell that it is one
ABRUPT = 0.5
SEASON_DAYS = 10
HOLIDAYS_A_YEAR = 4  # more long pauses are a rhythm
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
    if start == 0 or stop - start < MIN_DAYS or stop - start < 2 * _usual_pause(counts, weekday, run, runs) + 1:
        return None
    open_days = _without_long_runs(len(counts), [one for one in runs if one != run])
    sides = [_weeks(counts, weekday * open_days, place, way) for place, way in ((start, -1), (stop, 1))]
    whole = [side for side in sides if len(side) >= WHOLE_WEEKS]
    if not whole:
        return None
    spread = _dispersion(whole)
    pace = min(_sure_pace(side, spread) for side in whole)
    if any(_is_less(side[:2].sum(), 2 * float(np.median(side[2:])), spread) for side in whole if len(side) > 2):
        return None
    if len(sides[0]) < WHOLE_WEEKS and not _begins_at_once(counts[:start], weekday[:start], pace, spread):
        return None
    if len(sides[1]) < WHOLE_WEEKS and _fades(counts[stop:], weekday[stop:], pace, spread):
        return None
    expected = pace * float(weekday[start:stop].sum())
    found = float(counts[start:stop].sum())
    chances = max(len(counts) * pace / 7, 1.0)  # about so many rows could have begun such a pause
    if found > QUIET * expected or _surprise(expected - found, spread) < np.log(chances / BY_CHANCE):
        return None
    return None if _seasonal(counts, weekday, run) else expected - found


def _sure_pace(side: np.ndarray, spread: float) -> float:
    """Rows a week of the weeks on one side, less what chance may have added."""
    pace = float(min(np.median(side), np.mean(side)))
    return max(pace - 0.5 * np.sqrt(spread * pace / len(side)), 0.0)


def _usual_pause(counts: np.ndarray, weekday: np.ndarray, run: tuple[int, int], runs: Sequence[tuple[int, int]]) -> int:
    """How long the pauses are that the business makes now and then, holidays at their time of the year aside; days."""
    others = [one for one in runs if one != run]
    long = [one for one in others if one[1] - one[0] >= MIN_DAYS]
    if len(long) <= HOLIDAYS_A_YEAR * max(len(counts) / 365, 1.0):
        holidays = {one for one in long if _seasonal(counts, weekday, one)}
        others = [one for one in others if one not in holidays]
    lengths = sorted((stop - start for start, stop in others), reverse=True)
    return lengths[USUAL_PAUSES - 1] if len(lengths) >= USUAL_PAUSES else 0


def _without_long_runs(length: int, runs: Iterable[tuple[int, int]]) -> np.ndarray:
    """1 on each day, 0 on those of the long quiet runs, which say nothing of the pace, shape (length,)."""
    out = np.ones(length)
    for start, stop in runs:
        if stop - start >= MIN_DAYS:
            out[start:stop] = 0
    return out


def _is_less(found: float, expected: float, spread: float) -> bool:
    """True if rows are less than `ABRUPT` of what is expected, by more than chance explains."""
    least = ABRUPT * expected
    return bool(found < least - 1.5 * np.sqrt(spread * least))


def _surprise(missing: float, spread: float) -> float:
    """Minus the logarithm of the chance that no row comes where `missing` are expected (negative binomial)."""
    return missing * (1.0 if spread < 1.01 else float(np.log(spread) / (spread - 1)))


def _begins_at_once(counts: np.ndarray, weekday: np.ndarray, pace: float, spread: float) -> bool:
    """True if the few days before a run show a business at its pace, and not one that is about to begin."""
    expected = pace * float(weekday.sum())
    return len(counts) >= 7 and expected / spread >= MIN_BEFORE and float(counts.sum()) >= ABRUPT * expected


def _fades(counts: np.ndarray, weekday: np.ndarray, pace: float, spread: float) -> bool:
    """True if the few days behind a run show a business that comes back slowly or not at all.

    The very last day says little: it may hold one late row, or the export may have been taken in its morning.
    """
    return len(counts) == 1 or _is_less(float(counts[:-1].sum()), pace * float(weekday[:-1].sum()), spread)


def _weeks(counts: np.ndarray, shares: np.ndarray, place: int, direction: int) -> np.ndarray:
    """Rows of the whole weeks before (-1) or from a place on (1), the nearest first.

    A week of which at least half counts (`shares` of its days, 0 for a day that does not) is scaled to a whole one.
    """
    length = 7 * WEEKS_BESIDE
    beside = slice(max(place - length, 0), place) if direction < 0 else slice(place, place + length)
    days, of_week = counts[beside][::direction], shares[beside][::direction]
    whole = len(days) // 7
    there = of_week[: 7 * whole].reshape(whole, 7)
    sums = (days[: 7 * whole].reshape(whole, 7) * (there > 0)).sum(axis=1)
    parts = there.sum(axis=1)
    return sums[parts >= 0.5] / np.minimum(parts[parts >= 0.5], 1.0)


def _dispersion(sides: Sequence[np.ndarray]) -> float:
    """Variance of weekly counts over their mean, at least 1, by the steps from week to week: a trend is no spread."""
    steps = [np.abs(np.diff(side)) / np.sqrt(np.maximum(side[1:] + side[:-1], 1.0)) for side in sides]
    all_steps = np.concatenate(steps)
    return max(1.0, float(np.median(all_steps)) ** 2 / 0.4549) if len(all_steps) > 1 else 1.0


def _seasonal(counts: np.ndarray, weekday: np.ndarray, run: tuple[int, int]) -> bool:
    """True if the same days of another year, give or take some, are about as quiet against the weeks around them."""
    length = run[1] - run[0]
    for years in (-3, -2, -1, 1, 2, 3):
        for off in range(-SEASON_DAYS, SEASON_DAYS + 1):
            start = run[0] + 364 * years + off
            stop = start + length
            if start < 7 or stop > len(counts) - 7:
                continue
            around = np.concatenate([_weeks(counts, weekday, start, -1), _weeks(counts, weekday, stop, 1)])
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
