"""What it is worth to contact a customer before he leaves. Pure: numbers or arrays in, the same out.

The model is that of Neslin, Gupta, Kamakura, Lu and Mason, "Defection detection: measuring and understanding the
predictive accuracy of customer churn models", Journal of Marketing Research 43 (2006), which Verbraken, Verbeke and
Baesens, "A novel profit maximizing metric for measuring classification performance of customer churn prediction
models", IEEE TKDE 25 (2013), take over. For one customer with

====== =========================== ====================================================================
p      probability                 of leaving within the churn horizon, calibrated
L      at stake                    revenue that is lost if the customer leaves, see `at_stake`
m      ``margin``                  share of it that is profit
c      ``contact_cost``            paid for everybody who is contacted
d      ``offer_cost``              paid for everybody who takes the offer
g      ``success_rate``            share of those about to leave whom the offer keeps
====== =========================== ====================================================================

contacting brings ``p g (m L - d) - (1 - p) d - c``, on four assumptions: who would stay takes the offer, stays, and
gains the company nothing (its cost ``d`` is spent for nothing); who would leave takes it only if it keeps him; the
offer drives nobody away and makes nobody buy more; and the success rate is one for all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from configs.settings import Campaign

Array = NDArray[np.float64]
LEAST_SHARE = 0.1


def at_stake(probability: ArrayLike, expected: ArrayLike, campaign: Campaign) -> Array:
    """Revenue that is lost if a customer leaves, over one value horizon.

    With ``value_per_customer`` it is that. Else it follows from the forecast: the expected value counts both fates,
    ``expected = (1 - p) S + p k S``, where S is the value if the customer stays and k, ``leaver_value_share``, what a
    leaver still brings of it (by inactivity some come back after the churn horizon, within the longer one of the
    value). Lost is ``(1 - k) S = expected (1 - k) / (1 - p + p k)``. A kept customer is credited with the revenue of
    one value horizon (``clv.horizon_days``) from the moment of the forecast and no more: beyond that nothing is
    forecast, and nothing could be checked. A negative expectation has nothing at stake.

    ``1 - p + p k``, the share of S that is expected, is never taken to be less than a tenth (``LEAST_SHARE``), so S is
    at most ten times the forecast. Of a smaller share neither part is known well enough to be divided: a p of .98 that
    should be .96 halves S, and what little value is forecast for an almost certain leaver is mostly error. Unbounded,
    such customers would lead every list. The bound is met only where k is under .1 and p over .9 (at k = 0).

    Parameters
    ----------
    probability
        Of leaving, in [0, 1]; a number, or an array.
    expected
        Expected value as forecast, of the same shape; not looked at with ``value_per_customer``.
    campaign
        Gives ``leaver_value_share`` and ``value_per_customer``.

    Examples
    --------
    >>> from configs.settings import load
    >>> half = load("default").decisions.campaign.model_copy(update={"leaver_value_share": 0.5})
    >>> float(at_stake(0.5, 75.0, half))  # stays: 100, leaves: 50
    50.0
    >>> none = half.model_copy(update={"leaver_value_share": 0.0})
    >>> at_stake([0.5, 0.9, 0.98, 1.0], [60.0] * 4, none).round(6).tolist()
    [120.0, 600.0, 600.0, 600.0]
    """
    p = np.asarray(probability, dtype=np.float64)
    if campaign.value_per_customer is not None:
        return np.full_like(p, campaign.value_per_customer)
    share = campaign.leaver_value_share
    stays = np.maximum(np.asarray(expected, dtype=np.float64), 0.0) / np.maximum(1 - p + p * share, LEAST_SHARE)
    return stays * (1 - share)


def expected_profit(probability: ArrayLike, stake: ArrayLike, campaign: Campaign) -> Array:
    """What contacting a customer is expected to bring, in units of currency: ``p g (m L - d) - (1 - p) d - c``.

    Parameters
    ----------
    probability
        Of leaving, p.
    stake
        What is lost if the customer leaves, L, see `at_stake`; of the same shape.
    campaign
        A planned one: costs are given.

    Examples
    --------
    >>> from configs.settings import load
    >>> costs = {"contact_cost": 1.0, "offer_cost": 10.0, "success_rate": 0.3}
    >>> plan = load("default").decisions.campaign.model_copy(update=costs)
    >>> round(float(expected_profit(0.5, 200.0, plan)), 6)  # 0.5 x 0.3 x 190 - 0.5 x 10 - 1
    22.5
    """
    p = np.asarray(probability, dtype=np.float64)
    return p * retention_profit(stake, campaign) - (1 - p) * campaign.offer - campaign.contact


def retention_profit(stake: ArrayLike, campaign: Campaign) -> Array:
    """What the offer to one who would leave is expected to bring, the contact apart: ``g (m L - d)``."""
    share = 1.0 if campaign.margin is None else campaign.margin
    return campaign.success * (share * np.asarray(stake, dtype=np.float64) - campaign.offer)


def break_even(stake: ArrayLike, campaign: Campaign) -> Array:
    """The probability of leaving above which a contact pays: ``(c + d) / (g (m L - d) + d)``; inf where none does."""
    gain = np.asarray(retention_profit(stake, campaign) + campaign.offer)
    cost = campaign.contact + campaign.offer
    needed = np.divide(cost, gain, out=np.full_like(gain, np.inf), where=gain > 0)
    return np.where(needed <= 1, needed, np.inf)
