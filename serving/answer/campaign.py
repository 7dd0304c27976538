"""Whether it pays to contact a customer, from what the answer holds already. Pure."""

from __future__ import annotations

from typing import Any

from configs.campaign import at_stake, expected_profit
from configs.settings import Campaign


def campaign_decision(
    churn: dict[str, Any] | None, clv: dict[str, Any] | None, campaign: Campaign
) -> dict[str, Any] | None:
    """What contacting a customer is expected to bring, and whether the customer is on the best list.

    The best list is everybody with an expected profit above zero, so each customer is decided apart from the others.

    Parameters
    ----------
    churn, clv
        The parts ``churn`` and ``clv`` of the answer; None: not a customer now, no value model.
    campaign
        The business's own.

    Returns
    -------
    dict or None
        ``expected_profit`` (units of currency) and ``contact``. None if no campaign is planned, if there is nobody to
        leave, or if nothing tells the value.
    """
    if not campaign.planned or churn is None or (clv is None and campaign.value_per_customer is None):
        return None
    probability = churn["probability"]
    stake = at_stake(probability, clv["expected"] if clv else 0.0, campaign)
    profit = float(expected_profit(probability, stake, campaign))
    return {"expected_profit": profit, "contact": profit > 0}
