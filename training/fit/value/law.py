"""The law by which value goes on after the main horizon, as what was known at a moment tells it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from configs.errors import NotEnoughDataError
from configs.settings import Settings
from training.data.dataset import Encoder, has_fees
from training.data.split import matured
from training.fit.assembly import expectation_of
from training.priors.expectation import COLUMNS
from training.priors.growth import ContractGrowth, OrderGrowth
from training.priors.level import smoothed_share

HAZARD_MOMENTS = 12
NOTHING_GOES_ON = "neither orders nor prices of contracts stand in the features, which a longer horizon rests on"
ENDS_UNLABELLED = (
    "prices of contracts count in the value, and how long contracts are paid is learned from their ends, which "
    "churn.kind inactivity does not label: set churn.kind to contract, or clv.contracts to orders"
)
NOBODY_ORDERED = "nobody had ordered by {moment:%Y-%m-%d}"
NO_END_KNOWN = (
    "how long contracts are paid is learned from their ends, and by {moment:%Y-%m-%d} the outcome of leaving was known "
    "of no moment: wait until a horizon has passed"
)


def growth_at(
    moment: pd.Timestamp, rows: pd.DataFrame, labels: pd.DataFrame, settings: Settings
) -> OrderGrowth | ContractGrowth:
    """The law of growth as of a moment.

    Of contracts the end of each is told by the share of its price that the forecast expects, where fees alone make the
    value. Where orders count beside them, or may, the share is not known, and contracts end at the rate of all.

    Parameters
    ----------
    rows, labels
        Feature rows and labels of all customers at all as-of dates; none that was not known at the moment is looked at.

    Raises
    ------
    NotEnoughDataError
        The features hold nothing that tells, or nothing yet.
    """
    priced, has_orders = has_fees(rows), set(COLUMNS) <= set(rows)
    if has_orders and (not priced or settings.counts_orders or settings.clv.contracts == "orders"):
        growth = order_growth_at(moment, rows, settings)
        if growth is None:
            raise NotEnoughDataError(NOBODY_ORDERED.format(moment=moment))
        return growth
    if not priced:
        raise NotEnoughDataError(NOTHING_GOES_ON)
    if settings.churn.kind != "contract":
        raise NotEnoughDataError(ENDS_UNLABELLED)
    hazard = _rate_of_ends(moment, labels, settings) + np.log1p(settings.clv.annual_discount_rate) / 365.25
    fees_alone = settings.clv.contracts == "fees" or not has_orders
    return ContractGrowth(float(hazard), settings.clv.margin, by_forecast=fees_alone)


def order_growth_at(moment: pd.Timestamp, rows: pd.DataFrame, settings: Settings) -> OrderGrowth | None:
    """The law by which value of orders goes on, as of a moment; None where nobody had ordered."""
    orders = expectation_of(rows[rows["as_of"] == moment], "clv", Encoder(COLUMNS, {}), settings)
    return None if orders is None else OrderGrowth(orders.model, settings.clv.annual_discount_rate)


def _rate_of_ends(moment: pd.Timestamp, labels: pd.DataFrame, settings: Settings) -> float:
    """The share of contracts that end in a day, at the newest moments whose outcome was known."""
    known = matured(labels["as_of"].unique(), settings.outcome_days("churn"), by=moment)[-HAZARD_MOMENTS:]
    left = labels.loc[labels["as_of"].isin(known), "churned"].dropna().to_numpy(np.float64)
    if not len(left):
        raise NotEnoughDataError(NO_END_KNOWN.format(moment=moment))
    return float(-np.log1p(-smoothed_share(left)) / settings.churn.horizon_days)
