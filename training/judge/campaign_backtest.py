"""A campaign on the hold-out of the churn model: its forecasts, the value of each customer, and what came."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from configs.settings import Settings
from configs.workspace import Workspace
from training.judge import plots
from training.judge.baselines import past_rate
from training.judge.profit import Exercise, play
from training.metrics import Array
from training.model.bundle import Bundle
from training.registry import model_registry

MONTHS_A_DAY = 12 / 365.25


def exercise(settings: Settings, workspace: Workspace, rows: pd.DataFrame, probability: Array) -> Exercise | None:
    """Play the planned campaign through on rows that the churn model has not seen.

    Parameters
    ----------
    settings
        Of the business.
    workspace
        Whose value model tells what customers are worth.
    rows
        Labelled feature rows.
    probability
        Of leaving, by a model that has not seen them, shape (n,).

    Returns
    -------
    Exercise or None
        None if no campaign is planned, or nothing tells what customers are worth.
    """
    campaign = settings.decisions.campaign
    told = values(settings, workspace, rows) if campaign.planned else None
    if told is None:
        return None
    value, source = told
    played = rows[["customer_id", "as_of", "label"]].assign(forecast=probability, value=value)
    return play(played, campaign, source, settings.tuning.seed)


def values(settings: Settings, workspace: Workspace, rows: pd.DataFrame) -> tuple[Array, str] | None:
    """What each customer is worth over one value horizon, told without knowing what came; and by what.

    The first of these that there is: the one value set for all; the champion's value model, if all it learned from
    was over by the first of the rows' moments; the past rate; the present price. None without any.
    """
    fixed = settings.decisions.campaign.value_per_customer
    if fixed is not None:
        return np.full(len(rows), fixed), "value_per_customer"
    model = _unseen_value_model(workspace, rows)
    if model is not None:
        name, bundle = model
        return bundle.predict(bundle.encode(rows)), name
    clv = settings.clv
    if {"spend_total", "tenure_days"} <= set(rows.columns):
        return past_rate(rows["spend_total"], rows["tenure_days"], clv.horizon_days, clv.margin), "past rate"
    if "price_now" in rows:
        months = clv.horizon_days * MONTHS_A_DAY
        return np.nan_to_num(rows["price_now"].to_numpy(np.float64)) * months * clv.margin, "present price"
    return None


def picture(played: Exercise, currency: str) -> Figure:
    """The profit curve of an exercise."""
    return plots.profit(played.curve, played.facts, currency)


def told(played: Exercise | None, workspace: Workspace, currency: str) -> dict[str, Any] | None:
    """An exercise for an evaluation, its picture put among the reports; None without one."""
    if played is None:
        return None
    path = plots.save(picture(played, currency), workspace.reports / "churn" / "profit.png")
    return {**played.to_dict(), "picture": str(path)}


def metrics(played: Exercise) -> dict[str, float]:
    """The figures of an exercise that a run records."""
    names = ("share_contacted", "expected_profit", "realised_profit", "break_even_probability", "empc")
    return {f"campaign_{name}": played.facts[name] for name in names}


def _unseen_value_model(workspace: Workspace, rows: pd.DataFrame) -> tuple[str, Bundle] | None:
    present = model_registry.champion(workspace, "clv")
    if present is None:
        return None
    for name, bundle in zip(
        ("", ", as judged"), model_registry.bundles(workspace, "clv", present.version), strict=True
    ):
        days = bundle.info.get("outcome_days", bundle.horizon_days)
        over = pd.Timestamp(bundle.trained_through) + pd.Timedelta(days=days)
        if over <= rows["as_of"].min() and set(bundle.features) <= set(rows.columns):
            return f"clv/{present.version}{name}", bundle
    return None
