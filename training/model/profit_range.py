"""How far the profit of a campaign may lie from what is expected of it. Pure.

Three things are known only so well, and are drawn here:

- the **probability** of leaving: the level of all customers, in log-odds, misses by ``level_sd`` from one moment to the
  next, as it did on the later moments of the folds; the same miss for all customers of a draw;
- the **success rate** of the offer: a beta distribution about the planned rate, as wide as the prior of
  ``success_alpha`` and ``success_beta`` says; the same for all customers of a draw;
- the **value** of a customer: two half-normal sides that meet the ends of the value's interval, with the expected value
  as their mean (a split normal of equal weights; Wallis, "The two-piece normal", Statistical Science 29, 2014);
  customers apart.

Of one customer the range is that of the *expected* profit: whether this customer leaves, and is kept, stays averaged
out. Of a whole campaign it is that of the sum which comes: each customer's fate is drawn, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, expit, logit, ndtri

from configs.campaign import at_stake, expected_profit
from configs.settings import Campaign
from training.metrics import Array
from training.priors.level import log_odds_level, smoothed_share

COVERAGE = 0.9
DRAWS = 400
EDGES = ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)
PLACES = [round(edge * (DRAWS - 1)) for edge in EDGES]
CERTAIN = 1e-9
PLASTIC = 1.2207440846057596
SIDE_MEAN = float(np.sqrt(2 / np.pi) / 2)


@dataclass(frozen=True)
class ValueRange:
    """The interval of each customer's value: ends of shape (n,), and the share of customers it holds."""

    low: ArrayLike
    high: ArrayLike
    coverage: float


def success_rates(mean: float, size: float, uniform: Array) -> Array:
    """Success rates at uniform numbers: a beta about the planned rate, as concentrated as the prior (alpha + beta).

    >>> success_rates(0.3, 20.0, np.array([0.05, 0.5, 0.95])).round(2).tolist()  # beta(6, 14)
    [0.15, 0.29, 0.48]
    """
    if not 0 < mean < 1:
        return np.full(len(uniform), mean)
    return np.asarray(betaincinv(mean * size, (1 - mean) * size, uniform))


def value_draws(expected: Array, values: ValueRange | None, z: Array) -> Array:
    """Values at standard normal numbers `z` of shape (n, draws), with the expected value of each row as their mean."""
    expected = np.asarray(expected, dtype=np.float64)[:, None]
    if values is None:
        return np.broadcast_to(expected, z.shape)
    low, high = (np.asarray(end, dtype=np.float64)[:, None] for end in (values.low, values.high))
    reach = float(ndtri((1 + values.coverage) / 2))
    share = SIDE_MEAN / reach
    middle = (expected - share * (high + low)) / (1 - 2 * share) if share < 0.5 else expected
    middle = np.clip(middle, low, high)
    below, above = (middle - low) / reach, (high - middle) / reach
    drawn = middle + np.where(z < 0, below, above) * z
    shifted = drawn + (expected - middle - SIDE_MEAN * (above - below))
    over_low = np.maximum(drawn - low, 0.0)  # far above the mean at times, else little: no value lies under the low end
    mean = np.maximum(over_low.mean(axis=1, keepdims=True), 1e-12)
    return np.where(middle <= low, low + over_low * (expected - low) / mean, shifted)


def profit_ranges(
    probability: ArrayLike, expected: ArrayLike, values: ValueRange | None, level_sd: float, campaign: Campaign
) -> tuple[Array, Array]:
    """Ends of the 90 % range of each customer's expected profit, shape (n,) both; they hold the expected profit.

    Parameters
    ----------
    probability, expected
        Of leaving; expected value; shape (n,).
    values
        What is known of the values; None: they are taken as they are.
    level_sd
        How far the level of the probability misses, in log-odds; 0: it is taken as it is.
    campaign
        A planned one.
    """
    p, value = (np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (probability, expected))
    level, success, z = _draws(campaign.success, campaign.success_alpha + campaign.success_beta, level_sd)
    drawn_p, stake = _probabilities(p, level), _stakes(p, value, values, np.broadcast_to(z, (len(p), DRAWS)), campaign)
    profit = _gain(stake, success, campaign) * drawn_p - (1 - drawn_p) * campaign.offer - campaign.contact
    low, high = np.partition(profit, PLACES, axis=1)[:, PLACES].T
    best = expected_profit(p, at_stake(p, value, campaign), campaign)
    return np.minimum(low, best), np.maximum(high, best)


class CampaignTotal:
    """Draws of what a list of contacts brings in all, customers added chunk by chunk.

    Parameters
    ----------
    level_sd, campaign
        See `profit_ranges`.
    seed
        The same seed and customers, in the same chunks, give the same range.
    """

    def __init__(self, level_sd: float, campaign: Campaign, seed: int) -> None:
        self._campaign, self._rng = campaign, np.random.default_rng(seed)
        size = campaign.success_alpha + campaign.success_beta
        self._level, self._success, _ = _draws(campaign.success, size, level_sd)
        self._totals, self._expected = np.zeros(DRAWS), 0.0

    def add(self, probability: ArrayLike, expected: ArrayLike, values: ValueRange | None) -> None:
        """Add customers who are contacted, shape (n,)."""
        p, value = (np.asarray(v, dtype=np.float64) for v in (probability, expected))
        shape, campaign = (len(p), DRAWS), self._campaign
        stake = _stakes(p, value, values, self._rng.standard_normal(shape), campaign)
        leaves = self._rng.random(shape) < _probabilities(p, self._level)
        kept = leaves & (self._rng.random(shape) < self._success)
        share = 1.0 if campaign.margin is None else campaign.margin
        brings = np.where(kept, share * stake, 0.0) - np.where(kept | ~leaves, campaign.offer, 0.0) - campaign.contact
        self._totals = self._totals + brings.sum(axis=0)
        self._expected += float(expected_profit(p, at_stake(p, value, campaign), campaign).sum())

    def range(self) -> tuple[float, float]:
        """Ends of the 90 % range of the sum; it holds the expected sum."""
        low, high = np.quantile(self._totals, EDGES)
        return min(float(low), self._expected), max(float(high), self._expected)


def rests_on(level_sd: float, values: ValueRange | None, campaign: Campaign) -> str:
    """What a range of profit counts in, and what it takes as it is, in words."""
    counted = {
        "the success rate of the offer": 0 < campaign.success < 1,
        "the value of the customer": values is not None and campaign.value_per_customer is None,
        "the level of the probability of leaving, as it missed at later moments": level_sd > 0,
    }
    within, given = ([name for name, is_in in counted.items() if is_in is wanted] for wanted in (True, False))
    parts = {"Counts in how unsure these are": within, "taken as they are": given}
    return "; ".join(f"{text}: {', '.join(names)}" for text, names in parts.items() if names) + "."


def level_miss(probability: Array, left: Array, fold: Array, weight: Array | None = None) -> float:
    """How far the level of probabilities missed what came, in log-odds: root mean square over folds of later rows.

    The miss of a fold is the shift at which its mean probability is its share of leavers (with half a row of either);
    what chance did in the fold is in it.

    >>> p, fold = np.full(400, 0.5), np.repeat([0, 1], 200)
    >>> left = np.tile([1.0, 1.0, 1.0, 0.0], 100)
    >>> round(level_miss(p, left, fold), 2)  # log 3, but for the half rows
    1.09
    """
    counts = np.ones(len(left)) if weight is None else weight
    z = logit(np.clip(probability, CERTAIN, 1 - CERTAIN))

    def shift(rows: NDArray[np.bool_]) -> float:
        return log_odds_level(z[rows], smoothed_share(left[rows], counts[rows]), counts[rows])

    shifts = [shift(fold == number) for number in np.unique(fold) if counts[fold == number].sum() > 0]
    return float(np.sqrt(np.mean(np.square(shifts)))) if shifts else 0.0


@lru_cache(maxsize=8)
def _draws(success: float, size: float, level_sd: float) -> tuple[Array, Array, Array]:
    """Misses of the level and success rates, shape (draws,); normal numbers of a value, shape (1, draws).

    Evenly spread and the same each time: an additive recurrence by powers of the plastic constant of three dimensions
    (Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018).
    """
    level, uniform, value = (np.arange(1, DRAWS + 1)[:, None] * PLASTIC ** -np.arange(1.0, 4.0) % 1.0).T
    return level_sd * ndtri(level), success_rates(success, size, uniform), ndtri(value)[None, :]


def _probabilities(p: Array, level: Array) -> Array:
    return np.asarray(expit(logit(np.clip(p, CERTAIN, 1 - CERTAIN))[:, None] + level))


def _stakes(p: Array, value: Array, values: ValueRange | None, z: Array, campaign: Campaign) -> Array:
    """Stakes of drawn values, shape (n, draws); without a range, or with one value for all, that of the forecast."""
    return at_stake(np.broadcast_to(p[:, None], z.shape), value_draws(value, values, z), campaign)


def _gain(stake: Array, success: Array, campaign: Campaign) -> Array:
    share = 1.0 if campaign.margin is None else campaign.margin
    return success * (share * stake - campaign.offer)
