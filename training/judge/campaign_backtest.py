"""A campaign on the hold-out of the churn model: its forecasts, the value of each customer, and what came."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from configs.settings import Settings
from training.fit.assembly import held_out_alike
from training.judge import plots
from training.judge.baselines import past_rate
from training.judge.profit import Backtest, backtest
from training.metrics import Array
from training.model.bundle import Bundle
from training.model.catalog import AS_JUDGED

MONTHS_A_DAY = 12 / 365.25
NamedBundle = tuple[str, Bundle]
ValueModels = Callable[[], Sequence[NamedBundle]]


def backtest_campaign(
    settings: Settings, value_models: ValueModels, rows: pd.DataFrame, probability: Array, level_sd: float = 0.0
) -> Backtest | None:
    """Play the planned campaign through on rows that the churn model has not seen.

    Parameters
    ----------
    settings
        Of the business.
    value_models
        Gives the models that may tell what customers are worth, each with its name, the first choice first; called only
        where it is asked.
    rows
        Labelled feature rows.
    probability
        Of leaving, by a model that has not seen them, shape (n,).
    level_sd
        How far that model's level missed at later moments, in log-odds.

    Returns
    -------
    Backtest or None
        None if no campaign is planned, or nothing tells what customers are worth.
    """
    campaign = settings.decisions.campaign
    valued = values(settings, value_models, rows) if campaign.planned else None
    if valued is None:
        return None
    value, source = valued
    forecasts = rows[["customer_id", "as_of", "label"]].assign(forecast=probability, value=value)
    interval = next((bundle for name, bundle in value_models() if name == source and bundle.interval), None)
    coverage = None
    if interval is not None and interval.interval is not None:
        low, high = interval.bounds(value, interval.encode(rows))
        forecasts, coverage = forecasts.assign(low=low, high=high), interval.interval.coverage
    return backtest(forecasts, campaign, source, settings.tuning.seed, coverage=coverage, level_sd=level_sd)


def values(settings: Settings, value_models: ValueModels, rows: pd.DataFrame) -> tuple[Array, str] | None:
    """What each customer is worth over one value horizon, told without knowing what came; and by what.

    The first of these that there is: the one value set for all; a value model, if all it learned from was over by the
    first as-of date of the rows, or where nothing is dated, if it left the same customers out; the past rate of orders
    and the present price of contracts, as ``clv.contracts`` says which count, and left out, whichever is more. None
    without any.
    """
    fixed = settings.decisions.campaign.value_per_customer
    if fixed is not None:
        return np.full(len(rows), fixed), "value_per_customer"
    for name, bundle in value_models():
        if _is_unseen(name, bundle, rows, settings) and set(bundle.features) <= set(rows.columns):
            return bundle.predict(bundle.encode(rows)), name
    if settings.churn.kind == "label":
        return None
    clv, known = settings.clv, {}
    if {"spend_total", "tenure_days"} <= set(rows.columns):
        known["orders"] = past_rate(rows["spend_total"], rows["tenure_days"], clv.horizon_days, clv.margin)
    if "price_now" in rows:
        months = clv.horizon_days * MONTHS_A_DAY
        known["fees"] = np.nan_to_num(rows["price_now"].to_numpy(np.float64)) * months * clv.margin
    if not known:
        return None
    chosen = next(iter(known)) if len(known) == 1 else clv.contracts
    if chosen in known:
        return known[chosen], {"orders": "past rate", "fees": "present price"}[chosen]
    if clv.contracts == "both":
        return known["orders"] + known["fees"], "price and past rate"
    return np.maximum(known["orders"], known["fees"]), "price or past rate"


def _is_unseen(name: str, bundle: Bundle, rows: pd.DataFrame, settings: Settings) -> bool:
    """Whether all that a model learned from was over by the first date of rows; without dates, if it left them out."""
    if settings.churn.kind == "label":
        return name.endswith(AS_JUDGED) and held_out_alike(bundle, settings)
    return bool(bundle.learned_until <= rows["as_of"].min())


def report(result: Backtest, picture: Path, currency: str) -> dict[str, Any]:
    """A campaign for an evaluation; its profit curve is drawn into `picture`."""
    plots.save(plots.profit(result.curve, result.facts, currency), picture)
    return {**result.to_dict(), "picture": str(picture)}


def metrics(result: Backtest) -> dict[str, float]:
    """The figures of a campaign that a run records."""
    names = ("share_contacted", "expected_profit", "realised_profit", "break_even_probability", "empc")
    ends = ("expected_low", "expected_high", "realised_low", "realised_high")
    return {f"campaign_{name}": result.facts[name] for name in (*names, *ends)}
