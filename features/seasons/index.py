"""A seasonal index: by how much a level differs from the usual at this time of the year, as far as it is believed.

A *level* is a number a day, on a logarithmic scale: the logarithm of what the days ahead bring over what the days
before brought, or the log-odds of falling silent. Its *deviation* is what it has above its mean over a year around it,
so that a level that is always high, or that grows, is no season. The index of a day is the mean of the deviations at
the same time of all earlier years, times a weight: the slope by which such means forecast the deviations that came
after them, made smaller by how unsure that slope is (the non-negative garrote, Breiman 1995) and by the share of the
deviations that chance alone explains. Where no season repeats the weight, and with it the index, is 0.

Nothing after the day of knowledge counts: a level is known once the days it looks ahead at are over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

YEAR = 365.25
YEAR_DAYS = 365
MIN_HISTORY_DAYS = 730
MIN_KNOWN_SHARE = 0.8
DOUBT = 2.0  # of the garrote: a slope with a squared t of this is not believed at all
LARGEST = 2.0  # no index is larger, in logarithms: seven times the usual


@dataclass(frozen=True)
class Levels:
    """A level of each day since the first one.

    Attributes
    ----------
    values
        The level of each day, shape (days,); NaN where there is none.
    noise
        Its variance by chance alone, shape (days,).
    ahead_days
        How many days ahead it looks: from this many days later on it is known.
    has_trend
        Whether growth from year to year is taken out of it.
    """

    values: Array
    noise: Array
    ahead_days: int
    has_trend: bool = False


@dataclass(frozen=True)
class Season:
    """What was learned of a season by one day.

    Attributes
    ----------
    deviations
        From the yearly mean, by day since the first one, shape (days,); NaN where not known.
    weight
        How far they are believed, within [0, 1].
    """

    deviations: Array
    weight: float

    def index(self, days: npt.NDArray[np.int64]) -> Array:
        """The index of each of these days since the first one, shape (n,); 0 where nothing is known."""
        usual = _mean_of_earlier_years(self.deviations, days)
        return np.asarray(np.clip(np.nan_to_num(self.weight * usual), -LARGEST, LARGEST))


def learn_season(levels: Levels, known: int) -> Season:
    """Learn the season from all levels known before a day.

    Parameters
    ----------
    levels
        From the first day on.
    known
        The day, counted from the first one; what happened on it is not known.

    Examples
    --------
    >>> day = np.arange(5 * 365)
    >>> levels = Levels(0.5 * np.sin(2 * np.pi * day / 365.25), np.zeros(len(day)), 30)
    >>> learn_season(levels, 4 * 365).index(np.array([4 * 365 + 91])).round(1).tolist()
    [0.5]
    >>> learn_season(levels, 2 * 365 - 1).index(np.array([2 * 365 + 91])).tolist()
    [0.0]
    """
    values = levels.values[: max(known - levels.ahead_days + 1, 0)]
    deviations = _deviations(_without_trend(values) if levels.has_trend else values)
    if known < MIN_HISTORY_DAYS:
        return Season(deviations, 0.0)
    return Season(deviations, _weight(deviations, levels.noise[: len(values)], levels.ahead_days))


def step_seasons(index: Array, days: int, horizons: Sequence[int]) -> list[Array]:
    """For each step from a horizon to the next: logarithm of a day's usual level in it over one of the first horizon.

    Parameters
    ----------
    index
        Of the first horizon's days ahead of each day, shape (days + the longest horizon,).
    days
        How many days are asked about, from the first on.
    horizons
        Rising.

    Examples
    --------
    >>> index = np.log(np.repeat([3.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.0], 90))
    >>> [np.exp(step[[0, 90]]).round(2).tolist() for step in step_seasons(index, 91, (90, 180, 360))]
    [[0.33, 1.0], [0.33, 2.0]]
    """
    out = []
    for begins, ends in pairwise(horizons):
        windows = max(round((ends - begins) / horizons[0]), 1)
        starts = np.linspace(begins, max(ends - horizons[0], begins), windows).round().astype(int)
        level = np.mean([np.exp(index[start : start + days]) for start in starts], axis=0)
        out.append(np.asarray(np.log(level) - index[:days]))
    return out


def _without_trend(values: Array) -> Array:
    """Values less the growth of a day, which is the mean of all steps from a day to the same day a year later."""
    steps = values[YEAR_DAYS:] - values[:-YEAR_DAYS]
    steps = steps[np.isfinite(steps)]
    growth = float(steps.mean()) / YEAR_DAYS if len(steps) else 0.0
    return values - growth * np.arange(len(values))


def _deviations(values: Array) -> Array:
    """Values less their mean over the year around each, or over the first or last whole year that is known."""
    known = np.flatnonzero(np.isfinite(values))
    out = np.full(len(values), np.nan)
    if not len(known) or known[-1] - known[0] + 1 < YEAR_DAYS:
        return out
    begins = np.clip(known - YEAR_DAYS // 2, known[0], known[-1] + 1 - YEAR_DAYS)
    sums = np.concatenate([[0.0], np.cumsum(np.nan_to_num(values))])
    counts = np.concatenate([[0], np.cumsum(np.isfinite(values))])
    n = counts[begins + YEAR_DAYS] - counts[begins]
    mean = (sums[begins + YEAR_DAYS] - sums[begins]) / n
    out[known] = np.where(n >= MIN_KNOWN_SHARE * YEAR_DAYS, values[known] - mean, np.nan)
    return out


def _mean_of_earlier_years(deviations: Array, days: npt.NDArray[np.int64]) -> Array:
    """Mean of the deviations at the same time of all earlier years, shape (n,); NaN where none is known."""
    years = int(days.max(initial=0) // YEAR) if len(deviations) else 0
    sums, counts = np.zeros(len(days)), np.zeros(len(days))
    for year in range(1, years + 1):
        place = days - round(year * YEAR)
        there = (place >= 0) & (place < len(deviations))
        own = np.where(there, deviations[np.where(there, place, 0)], np.nan)
        sums += np.nan_to_num(own)
        counts += np.isfinite(own)
    return np.divide(sums, counts, out=np.full(len(days), np.nan), where=counts > 0)


def _weight(deviations: Array, noise: Array, ahead_days: int) -> float:
    """How far deviations of earlier years are believed, within [0, 1]."""
    days = np.arange(len(deviations))
    usual = _mean_of_earlier_years(deviations, days)
    both = np.isfinite(usual) & np.isfinite(deviations)
    independent = both.sum() / (ahead_days + 30.0)
    if independent <= 1:
        return 0.0
    x, y = usual[both], deviations[both]
    power = float(np.mean(x**2))
    if power <= 0:
        return 0.0
    slope = float(np.mean(x * y)) / power
    left = float(np.mean((y - slope * x) ** 2)) * independent / (independent - 1)
    doubt = DOUBT * left / max(slope**2 * power * independent, 1e-12)
    real = 1 - float(np.mean(noise[both]) / np.mean(y**2))
    return float(np.clip(slope, 0, 1) * np.clip(1 - doubt, 0, 1) * np.clip(real, 0, 1))
