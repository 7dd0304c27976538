"""The figures of a training's run: each is drawn if it can be, and left out with the reason if not."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from optuna.importance import get_param_importances
from optuna.trial import TrialState

from configs.errors import StaycastError
from configs.settings import Settings
from training.fit.search import SearchResult
from training.judge import plots
from training.judge.examination import Examination
from training.judge.profit import Backtest
from training.model.bundle import Bundle

SAMPLE = 1000
UNDRAWABLE = (StaycastError, ValueError, ArithmeticError, LookupError)  # of figures; a full disk stops a training
Draw = Callable[[], Figure]


def draw(figures: Mapping[str, Draw], take: Callable[[Figure, str], Any]) -> dict[str, str]:
    """Draw figures and hand each over with its place; no figure stops a training.

    Parameters
    ----------
    figures
        What draws each, by its place among the run's artifacts.
    take
        Stores a figure at its place.

    Returns
    -------
    dict
        Why a figure could not be drawn, by its place; empty: all were.
    """
    left_out = {}
    for path, drawn in figures.items():
        try:
            take(drawn(), path)
        except UNDRAWABLE as error:
            left_out[path] = str(error) or type(error).__name__
    return left_out


def hold_out_figures(
    judged: Bundle, examination: Examination, rows: pd.DataFrame, settings: Settings
) -> dict[str, Draw]:
    """What draws the figures of the hold-out, whose rows are given."""
    y, p, base = (examination.rows[c].to_numpy() for c in ("label", "forecast", "baseline"))
    figures: dict[str, Draw] = {"plots/shap_summary.png": partial(_effects, judged, rows, settings)}
    if judged.task == "churn":
        name = examination.baseline_name.capitalize()
        return figures | {
            "plots/calibration.png": partial(plots.calibration, y, p),
            "plots/gains.png": partial(plots.gains, y, p, base, name),
        }
    unit, coverage = settings.value_unit, settings.clv.coverage
    low, high = examination.rows["low"].to_numpy(), examination.rows["high"].to_numpy()
    return figures | {
        "plots/decile_bars.png": partial(plots.decile_bars, y, p, unit),
        "plots/interval.png": partial(plots.interval_plot, y, p, low, high, coverage, unit),
    }


def campaign_figures(campaign: Backtest, settings: Settings) -> dict[str, Draw]:
    """What draws the profit of a campaign on the hold-out."""
    return {"plots/profit.png": partial(plots.profit, campaign.curve, campaign.facts, settings.currency)}


def search_figures(search: SearchResult) -> dict[str, Draw]:
    """What draws how the loss fell over the trials, which parameters mattered, the contest; none without a search."""
    study = search.study
    ended = study.get_trials(states=[TrialState.COMPLETE])  # a pruned one has the loss of fewer folds
    losses = [(trial.number, trial.value) for trial in ended if trial.value is not None]
    if not losses:
        return {}
    figures: dict[str, Draw] = {
        "search/history.png": partial(plots.search_history, *map(list, zip(*losses, strict=True)))
    }
    if len(losses) > 1:
        figures["search/importance.png"] = partial(_importance, search)
    if search.contest:
        figures["search/contest.png"] = partial(plots.contest, search.contest)
    return figures


def _effects(judged: Bundle, rows: pd.DataFrame, settings: Settings) -> Figure:
    sample = rows.sample(min(len(rows), SAMPLE), random_state=settings.tuning.seed)
    effects = judged.explain(judged.encode(sample)).effects
    unit = "probability points" if judged.task == "churn" else settings.value_unit
    return plots.shap_summary(effects, sample[list(judged.features)], unit)


def _importance(search: SearchResult) -> Figure:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shares = get_param_importances(search.study)
    return plots.param_importance(shares)
