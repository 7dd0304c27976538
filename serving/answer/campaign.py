"""Whether it pays to contact a customer, from what the answer holds already. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from configs.campaign import at_stake, expected_profit
from configs.settings import Campaign
from training.model.profit_range import COVERAGE, ValueRange, profit_ranges, rests_on


def campaign_decisions(
    churn: Sequence[Mapping[str, Any] | None],
    clv: Sequence[dict[str, Any] | None],
    campaign: Campaign,
    level_sd: float = 0.0,
) -> list[dict[str, Any] | None]:
    """What contacting each customer is expected to bring, and whether the customer is on the best list.

    The best list is everybody with an expected profit above zero, so each customer is decided apart from the others.

    Parameters
    ----------
    churn, clv
        The parts ``churn`` and ``clv`` of each answer; None: not a customer now, no value model.
    campaign
        The business's own.
    level_sd
        How far the level of the probability missed at later moments, in log-odds; 0: not known.

    Returns
    -------
    list of dict or None
        ``expected_profit`` (units of currency), the ends ``low`` and ``high`` of its range, its ``coverage`` and, in
        words, its ``basis``, see `training.model.profit_range`; and ``contact``. None if no campaign is
        planned, if there is nobody to leave, or if nothing tells the value.
    """
    out: list[dict[str, Any] | None] = [None] * len(churn)
    if not campaign.planned:
        return out
    given = [i for i, risk in enumerate(churn) if risk and (clv[i] or campaign.value_per_customer is not None)]
    for valued in (True, False):
        places = [i for i in given if (clv[i] is not None) is valued]
        values = [part for i in places if (part := clv[i])]
        for i, decided in zip(
            places, _decide([churn[i] or {} for i in places], values, campaign, level_sd), strict=True
        ):
            out[i] = decided
    return out


def _decide(
    churn: Sequence[Mapping[str, Any]], clv: Sequence[dict[str, Any]], campaign: Campaign, level_sd: float
) -> list[dict[str, Any]]:
    """Of customers of whom all, or none, have a value."""
    if not churn:
        return []
    probability = np.array([part["probability"] for part in churn])
    expected = np.array([part["expected"] for part in clv] or [0.0] * len(churn))
    profit = expected_profit(probability, at_stake(probability, expected, campaign), campaign)
    values = value_range(clv)
    low, high = profit_ranges(probability, expected, values, level_sd, campaign)
    basis = rests_on(level_sd, values, campaign)
    return [
        {"expected_profit": p, "low": lo, "high": hi, "coverage": COVERAGE, "basis": basis, "contact": p > 0}
        for p, lo, hi in zip(profit.tolist(), low.tolist(), high.tolist(), strict=True)
    ]


def value_range(clv: Sequence[dict[str, Any]]) -> ValueRange | None:
    """The intervals of values that answers hold, one a customer; None where a model told none."""
    if not clv or any(part.get("coverage") is None for part in clv):
        return None
    return ValueRange([part["low"] for part in clv], [part["high"] for part in clv], clv[0]["coverage"])
