"""From numbers to words: risk band, value tier, stage of life, and the action that follows. Pure.

Edges of bands and rules of actions are the business's own settings; tiers see `training.model.tiers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from configs.settings import Bands, Churn, Decisions, Rule, Stages
from features.labels.eligibility import numbers
from training.model.ends.known_end import NOTICE_COLUMNS

BANDS = ("low", "watch", "high", "critical")
RECENT_DAYS = 90
NO_CUSTOMER = ("lapsed", "booked", "prospect")  # stages of whom no risk is asked
UNDECIDED = {
    "code": "undecided",
    "text": "No decision: the risk of leaving is not known now",
    "reason": "no model of churn serves, see unserved",
}
VALUE_ALONE = {
    "code": "undecided",
    "text": "No decision: no risk of leaving is forecast",
    "reason": "churn.forecast is false, and no rule of decisions.actions asks for this tier alone",
}
NOT_ASKED = {
    "code": "undecided",
    "text": "No decision: it takes all forecasts of the business",
    "reason": "only some of them were asked for, see targets",
}
ORDER_COLUMNS = ("tenure_days", "days_since_last_order", "spend_90d", "spend_total")
CONTRACT_COLUMNS = ("contracts_active", "contracts_booked", "subscribed_days", "price_now", "price_change")


def stage_columns(churn: Churn) -> tuple[str, ...]:
    """The feature columns from which an answer is told beside the models: the stage, who is a customer, a known end."""
    return {"inactivity": ORDER_COLUMNS, "contract": CONTRACT_COLUMNS + NOTICE_COLUMNS, "label": ()}[churn.kind]


def bands(probability: np.ndarray, edges: Bands) -> list[str]:
    """Risk band of each probability, shape (n,); an edge belongs to the band above it.

    Examples
    --------
    >>> bands(np.array([0.09, 0.1, 0.3, 0.9]), Bands(watch=0.1, high=0.25, critical=0.5))
    ['low', 'watch', 'high', 'critical']
    """
    positions = np.searchsorted([edges.watch, edges.high, edges.critical], probability, side="right")
    return [BANDS[i] for i in positions]


def order_stages(frame: pd.DataFrame, edges: Stages, activity_days: int) -> list[str]:
    """Stage of life of each customer with orders.

    The spend per day of the last 90 days is compared with the spend per day before, which counts as zero where
    returns outweighed it.

    ========= ==================================================================
    lapsed    ordered once, but not within `activity_days`
    prospect  never ordered, however long ago the sign-up was
    new       first order less than `new_days` ago
    growing   spends at least `growing_ratio` times as much per day as before
    declining spends less than `declining_ratio` times as much
    mature    else; also who has fewer than 90 days before the last 90 to compare with
    ========= ==================================================================

    Examples
    --------
    >>> frame = pd.DataFrame({"tenure_days": [180.0] * 2, "days_since_last_order": [5.0, 200.0],
    ...                       "spend_90d": [60.0, 0.0], "spend_total": [100.0, 100.0]})
    >>> order_stages(frame, Stages(new_days=60, growing_ratio=1.25, declining_ratio=0.75), activity_days=90)
    ['growing', 'lapsed']
    """
    tenure, recency = numbers(frame, "tenure_days"), numbers(frame, "days_since_last_order")
    recent, before = _spend_rates(frame, tenure)
    return np.select(
        [
            recency > activity_days,
            np.isnan(recency),
            tenure < edges.new_days,
            (recent > 0) & (recent >= edges.growing_ratio * before),
            recent < edges.declining_ratio * before,
        ],
        ["lapsed", "prospect", "new", "growing", "declining"],
        "mature",
    ).tolist()


def contract_stages(frame: pd.DataFrame, edges: Stages) -> list[str]:
    """Stage of life of each customer with contracts.

    ========= ==================================================================
    booked    has no contract now, but one that begins later
    lapsed    had a contract once, has none now and none that is booked
    prospect  never had a contract, and none is booked
    new       first contract began less than `new_days` ago
    growing   the current contract costs at least `growing_ratio` times the one before
    declining it costs less than `declining_ratio` times the one before
    mature    else
    ========= ==================================================================
    """
    active, booked = numbers(frame, "contracts_active"), numbers(frame, "contracts_booked")
    days = numbers(frame, "subscribed_days")
    price, change = numbers(frame, "price_now"), numbers(frame, "price_change")
    before = price - change
    return np.select(
        [
            ~(active > 0) & (booked > 0),
            ~np.isnan(days) & ~(active > 0),
            ~(active > 0),
            np.isnan(days) | (days < edges.new_days),
            (change > 0) & (price >= edges.growing_ratio * before),
            price < edges.declining_ratio * before,
        ],
        ["booked", "lapsed", "prospect", "new", "growing", "declining"],
        "mature",
    ).tolist()


def stages(frame: pd.DataFrame, edges: Stages, churn: Churn) -> Sequence[str | None]:
    """Stage of life of each customer by the kind of business; None for all where nothing is dated."""
    if churn.kind == "label":
        return [None] * len(frame)
    return (
        contract_stages(frame, edges) if churn.kind == "contract" else order_stages(frame, edges, churn.activity_days)
    )


def decision(
    decisions: Decisions,
    band: str | None,
    tier: str | None,
    stage: str | None,
    campaign: Mapping[str, Any] | None,
    currency: str,
    risk_is_told: bool = True,
    risk_is_forecast: bool = True,
) -> dict[str, str]:
    """What to do, and why: one decision, which the campaign and the rules share.

    Parameters
    ----------
    decisions
        The business's own rules.
    band, tier, stage
        What the customer is; None: not known, or no customer now.
    campaign
        What contacting is expected to bring, see `serving.answer.campaign`; None: no campaign decides.
    currency
        Of the campaign's amounts.
    risk_is_told
        Whether a model of churn serves: without, nothing is decided of a customer whom the risk is asked of.
    risk_is_forecast
        Whether the business forecasts it at all: without, rules that ask for a tier decide, and no other.

    Returns
    -------
    dict
        ``code`` and ``text`` of the action, and its ``reason`` in words.

    Examples
    --------
    >>> from configs.settings import load
    >>> pays = {"contact": False, "expected_profit": -2.5, "low": -3.0, "high": -1.0}
    >>> found = decision(load("default").decisions, "critical", "silver", "declining", pays, "EUR")
    >>> found["code"], found["reason"]
    ('low_cost_reminder', 'critical risk, silver, declining; a contact is expected to bring -2.50 EUR (-3.00 to -1.00)')
    """
    if not risk_is_told and risk_is_forecast and stage not in NO_CUSTOMER:
        return dict(UNDECIDED)
    contact = campaign["contact"] if campaign else None
    rule = action(decisions.actions, band, tier, stage, contact) or decisions.campaign.action
    if not risk_is_forecast and rule == decisions.actions[-1]:
        return dict(VALUE_ALONE)
    facts = ", ".join(filter(None, (f"{band} risk" if band else "", tier, stage))) or "nothing is known of the customer"
    if campaign:
        profit, low, high = (f"{campaign[name]:z.2f}" for name in ("expected_profit", "low", "high"))
        facts += f"; a contact is expected to bring {profit} {currency} ({low} to {high})"
    return {"code": rule.code, "text": rule.text, "reason": facts}


def action(
    rules: Sequence[Rule], band: str | None, tier: str | None, stage: str | None, contact: bool | None = None
) -> Rule | None:
    """The first rule that matches; an empty list matches all, any other never what the customer does not have.

    Where contacting the customer pays (`contact`), of the rules that may be contacts, None if none of them matches;
    where it does not, of those that may be none; None: no campaign says, and all rules count.
    """
    return next(
        (
            r
            for r in rules
            if (contact is None or r.contact in (contact, None))
            and (not r.band or band in r.band)
            and (not r.tier or tier in r.tier)
            and (not r.stage or stage in r.stage)
        ),
        None,
    )


def _spend_rates(frame: pd.DataFrame, tenure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spend per day in the last 90 days, and before them; the latter NaN where that time is shorter than 90 days."""
    recent, total = numbers(frame, "spend_90d"), numbers(frame, "spend_total")
    days = tenure - RECENT_DAYS
    before = np.divide(total - recent, days, out=np.full_like(days, np.nan), where=days >= RECENT_DAYS)
    return recent / RECENT_DAYS, np.maximum(before, 0)
