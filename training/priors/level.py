"""How far a prior's level is off: learned from the few moments whose outcome is known, believed as far as they tell.

A model of orders needs no outcome, but its law may not be the company's: of regular customers it expects too many to
fall silent. Each past moment shows one shift, off by chance (few customers) and by what moments differ. The shift that
is applied is the posterior mean under a normal prior about 0 (a random-effects meta-analysis; the variance between
moments after DerSimonian and Laird, "Meta-analysis in clinical trials", 1986, and never under a tenth squared).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit

PRIOR_SD = 0.5
LEAST_SD_BETWEEN = 0.1
MAX_MOMENTS = 6
Shift = tuple[float, float]


def level_shift(
    moments: Sequence[pd.Timestamp], horizon_days: int, shift_at: Callable[[Any], Shift | None]
) -> tuple[float, float]:
    """The shift of the raw score that past moments ask for, and its standard deviation at a moment to come.

    Parameters
    ----------
    moments
        As-of dates whose outcome is known.
    horizon_days
        Length of an outcome; of moments closer together than that, which tell the same twice, one is taken.
    shift_at
        Gives the shift at a moment and its variance by chance; None where it cannot be told.
    """
    chosen = apart(moments, pd.Timedelta(days=horizon_days), MAX_MOMENTS)
    shifts = [shift for shift in map(shift_at, chosen) if shift is not None]
    return shrunk(np.asarray([s for s, _ in shifts]), np.asarray([v for _, v in shifts]))


def apart(moments: Iterable[Any], gap: Any, most: int) -> list[Any]:
    """The newest moments that lie at least a gap apart, newest first: dates by a time delta, or numbers by a number.

    >>> apart([0, 30, 60, 90, 120, 150], 60, 2)
    [150, 90]
    """
    chosen: list[Any] = []
    for moment in sorted(moments, reverse=True):
        if not chosen or chosen[-1] - moment >= gap:
            chosen.append(moment)
    return chosen[:most]


def shrunk(shifts: np.ndarray, variances: np.ndarray) -> tuple[float, float]:
    """Posterior mean of the common shift, and the standard deviation of the shift of one further moment.

    Without a moment nothing is known of the level but the prior, which is the least sure of all.

    >>> mean, sd = shrunk(np.zeros(0), np.zeros(0))
    >>> mean, round(sd, 2)
    (0.0, 0.51)
    >>> mean, sd = shrunk(np.array([0.4, 0.4]), np.array([0.001, 0.001]))
    >>> 0.35 < mean < 0.4 and 0.1 < sd < 0.2
    True
    """
    between = LEAST_SD_BETWEEN**2
    if len(shifts) > 1:
        weight = 1 / variances
        mean = np.average(shifts, weights=weight)
        excess = weight @ (shifts - mean) ** 2 - (len(shifts) - 1)
        between = max(between, float(excess / (weight.sum() - weight @ weight / weight.sum())))
    precision = 1 / (variances + between)
    total = float(precision.sum()) + 1 / PRIOR_SD**2
    mean = float(precision @ shifts) / total
    return mean, float(np.sqrt(1 / total + between))


def unseen_level(shift: Shift | None) -> float:
    """The standard deviation of the level at a moment to come where one alone was seen; without one, the prior's.

    >>> round(unseen_level((0.0, 1e-6)), 2), round(unseen_level(None), 2)
    (0.14, 0.51)
    """
    variance = np.zeros(0) if shift is None else np.array([shift[1]])
    return shrunk(np.zeros(len(variance)), variance)[1]


def smoothed_share(label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The share of ones among labels of shape (n,), with half a row of either kind; it lies within (0, 1)."""
    counts = np.ones(len(label)) if weight is None else weight
    return float((counts @ label + 0.5) / (counts.sum() + 1.0))


def log_odds_level(score: np.ndarray, share: float, weight: np.ndarray | None = None) -> float:
    """What must be added to log-odds of shape (n,) so that their weighted mean probability is a share within (0, 1)."""
    reach = float(np.abs(score).max(initial=0.0)) + abs(float(logit(share))) + 1.0
    return float(brentq(lambda by: float(np.average(expit(score + by), weights=weight)) - share, -reach, reach))


def log_odds_shift(p: np.ndarray, y: np.ndarray) -> Shift | None:
    """By how much log-odds must be raised so that the mean probability is the share of leavers; None without rows."""
    if len(y) < 2:
        return None
    score = logit(np.clip(p, 1e-9, 1 - 1e-9))
    shift = log_odds_level(score, smoothed_share(y))
    fitted = expit(score + shift)
    return shift, 1 / max(float((fitted * (1 - fitted)).sum()), 1e-9)


def log_ratio(expected: np.ndarray, actual: np.ndarray) -> Shift | None:
    """The logarithm of what came over what was expected, and its variance; None where fewer than two customers bought.

    The variance is that of a ratio of sums over customers, and never less than that of the count of buyers.
    """
    came, forecast, buyers = float(actual.sum()), float(expected.sum()), int((actual > 0).sum())
    if came <= 0 or forecast <= 0 or buyers < 2:
        return None
    ratio, n = came / forecast, len(actual)
    variance = n / (n - 1) * float(((actual - ratio * expected) ** 2).sum()) / came**2
    return float(np.log(ratio)), max(variance, 1 / buyers)
