"""Whether it pays to contact a customer, from what the answer holds already. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from configs.campaign import at_stake, expected_profit
from configs.settings import Campaign
from training.model.profit_range import COVERAGE, ValueRange, profit_ranges, rests_on


def campaign_decision(
    churn: dict[str, Any] | None, clv: dict[str, Any] | None, campaign: Campaign, level_sd: float = 0.0
) -> dict[str, Any] | None:
    """What contacting a customer is expected to bring, and whether the customer is on the best list.

    The best list is everybody with an expected profit above zero, so each customer is decided apart from the others.

    Parameters
    ----------
    churn, clv
        The parts ``churn`` and ``clv`` of the answer; None: not a customer now, no value model.
    campaign
        The business's own.
    level_sd
        How far the level of the probability missed at later moments, in log-odds; 0: not known.

    Returns
    -------
    dict or None
        ``expected_profit`` (units of currency), the ends ``low`` and ``high`` of its range, its ``coverage`` and, in
        words, its ``basis``, see `training.model.profit_range`; and ``contact``. None if no campaign is
        planned, if there is nobody to leave, or if nothing tells the value.
    """
    if not campaign.planned or churn is None or (clv is None and campaign.value_per_customer is None):
        return None
    probability = churn["probability"]
    stake = at_stake(probability, clv["expected"] if clv else 0.0, campaign)
    profit = float(expected_profit(probability, stake, campaign))
    values = value_range([clv]) if clv else None
    low, high = profit_ranges([probability], [clv["expected"] if clv else 0.0], values, level_sd, campaign)
    return {
        "expected_profit": profit,
        "low": float(low[0]),
        "high": float(high[0]),
        "coverage": COVERAGE,
        "basis": rests_on(level_sd, values, campaign),
        "contact": profit > 0,
    }


def value_range(clv: Sequence[dict[str, Any]]) -> ValueRange | None:
    """The intervals of values that answers hold, one a customer; None where a model told none."""
    if not clv or any(part.get("coverage") is None for part in clv):
        return None
    return ValueRange([part["low"] for part in clv], [part["high"] for part in clv], clv[0]["coverage"])
