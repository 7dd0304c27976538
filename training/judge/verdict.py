"""The gates of one training: what was measured on the hold-out, held against the baseline and the champions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pandas as pd

from configs.errors import RegistryError
from configs.settings import Settings
from training.data.dataset import Dataset
from training.data.split import Plan
from training.fit import assembly
from training.fit.assembly import FittedModels
from training.judge import gates
from training.judge.examination import NEW, Examination, measure_rows
from training.judge.interval_coverage import coverage_by_group, coverage_of
from training.margins import Margin, margin
from training.metrics import calibration_error_by_chance
from training.model.bundle import Bundle

Champion = tuple[str, Bundle, Bundle]  # its name; the model that serves, or did; the one of its recipe that was judged
# Baselines beside which the squared error judges, least for the mean: where most pay one known price, or bring nothing,
# the absolute error is least for a forecast of that price or of nothing, and refuses a perfect forecast of the mean.
MEAN_BASELINES = ("present price", "price and past rate", "Poisson regression")


def judge(
    data: Dataset,
    models: FittedModels,
    examination: Examination | None,
    champions: Sequence[Champion],
    settings: Settings,
) -> gates.Decision:
    """Decide whether a candidate may serve.

    Parameters
    ----------
    data
        The labelled rows of the task.
    models
        What was fitted.
    examination
        Of the judged model on the hold-out; None: nothing has matured to judge by.
    champions
        The one that serves now, then those that did within a year; empty: there is none.
    settings
        Of the business.
    """
    if models.plan is None or examination is None or models.search.loss is None:
        is_prior = not champions[0][1].chosen_on_folds if champions else None
        return gates.judge_small_data(_margins(examination), is_prior, examination.baseline_name if examination else "")
    error = error_of(data.task, examination.baseline_name)
    before = _champions_on(examination.rows, champions, error, data, models.plan, settings)
    return judge_examined(data.task, examination, before, settings)


def judge_examined(
    task: str, examination: Examination, champions: Sequence[gates.Champion], settings: Settings
) -> gates.Decision:
    """Decide on what a model showed on the hold-out, beside the baseline and the champions on the same rows."""
    rows, metrics, baseline = examination.rows, examination.model, examination.baseline
    name = examination.baseline_name
    error = error_of(task, name)
    rising = "auc" if task == "churn" else "normalised_gini"
    margins = {f"beats_baseline_{metric}": _margin(metric, rows, rows["baseline"]) for metric in (rising, error)}
    if task == "churn":
        margins["min_auc"] = _margin("auc", rows)
        chance = calibration_error_by_chance(rows["forecast"], rows["customer_id"], seed=settings.tuning.seed)
        return gates.judge_churn(metrics, baseline, champions, settings.gates, name, chance, margins)
    margins["deviance_less_baseline"] = _margin("deviance", rows, rows["baseline"])
    margins["min_gini"] = _margin("normalised_gini", rows)
    promised = settings.clv.coverage
    return gates.judge_value(
        metrics,
        baseline,
        champions,
        settings.gates,
        promised,
        rule_name=name,
        error="rmse" if error == "rmse" else "mae",
        coverage=coverage_of(rows, promised),
        groups=coverage_by_group(rows, promised, NEW),
        margins=margins,
    )


def lean_to_prior(
    decision: gates.Decision, data: Dataset, models: FittedModels, examination: Examination, prior: FittedModels
) -> gates.Decision:
    """The decision on a candidate beside a prior of the same plan: in doubt, the simpler of smaller loss answers.

    The loss of a value is its deviance, which is least for the mean, see `training.margins`.
    """
    if models.plan is None or prior.judged is None:
        return decision
    other = assembly.forecast(prior.judged, data.at(models.plan.holdout))["forecast"]
    metric = "log_loss" if data.task == "churn" else gates.DEVIANCE
    return gates.lean_to_simpler(decision, _margin(metric, examination.rows, other))


def error_of(task: str, baseline_name: str) -> Literal["log_loss", "mae", "rmse"]:
    """The loss that judges: of a value, the one that `gates.judge_value` takes beside this baseline."""
    if task == "churn":
        return "log_loss"
    return "rmse" if baseline_name in MEAN_BASELINES else "mae"


def _margin(metric: str, rows: pd.DataFrame, other: pd.Series | None = None) -> Margin:
    return margin(metric, rows["label"], rows["forecast"], rows["customer_id"], other)


def _margins(examination: Examination | None) -> dict[str, tuple[float, float]]:
    """Those that judge where little was learned; of two errors of a value the one that `error_of` names."""
    if examination is None:
        return {}
    other = "mae" if examination.baseline_name in MEAN_BASELINES else "rmse"
    intervals = {name: interval for name, interval in examination.margins.items() if name != other}
    if "mae" in intervals:
        intervals[gates.DEVIANCE] = _margin("deviance", examination.rows, examination.rows["baseline"]).interval(0.95)
    return intervals


def _champions_on(
    rows: pd.DataFrame, champions: Sequence[Champion], error: str, data: Dataset, plan: Plan, settings: Settings
) -> list[gates.Champion]:
    """The champions on the hold-out rows, each by a model of it that has not seen them; those without one are left out.

    `rows` are those of the examination, in the order of the hold-out.
    """
    held_out, judges = data.at(plan.holdout), []
    for name, *models in champions:
        if data.by != "as_of":
            models = models[-1:]  # the one that serves has learned from the customers held out, too
        unseen = [model for model in models if _may_judge(model, data, plan, settings)]
        if unseen:
            forecasts = assembly.forecast(unseen[0], held_out)
            loss = measure_rows(forecasts, data.task)[error]
            judges.append(gates.Champion(name, loss, _margin(error, rows, forecasts["forecast"])))
    return judges


def _may_judge(model: Bundle, data: Dataset, plan: Plan, settings: Settings) -> bool:
    """Whether a champion's model has not learned from the hold-out, forecasts the same, and finds its columns."""
    is_same = model.horizon_days == getattr(settings, data.task).horizon_days
    return (
        has_not_seen(model, data.at(plan.holdout), settings)
        and is_same
        and set(model.features) <= set(data.frame.columns)
    )


def has_not_seen(judged: Bundle, held_out: pd.DataFrame, settings: Settings) -> bool:
    """Whether a model has not learned from the rows held out: from none of their customers, or nothing so late."""
    if _customers_judge(held_out, settings) and assembly.held_out_alike(judged, settings):
        return True
    return settings.churn.kind != "label" and bool(judged.learned_until <= held_out["as_of"].min())


def why_unjudged(serving: Bundle, judged: Bundle, held_out: pd.DataFrame, settings: Settings) -> str:
    """Why a champion cannot be judged on the rows held out today, though nothing is wrong; empty: it can, or it is.

    What judges changes as a history grows: nothing at first, then customers held out, then later moments. A model of an
    earlier state has learned from what judges now. What is wrong, `require_unseen` says.
    """
    rule, again = judged.info.get("holdout"), "run `staycast train` for a model that can be judged"
    if has_not_seen(judged, held_out, settings):
        return ""
    if _customers_judge(held_out, settings):
        return "" if rule else f"it held out no customers, and those who judge today may have taught it: {again}"
    until = f"it learned from outcomes up to {judged.learned_until:%Y-%m-%d}"
    now = f"moments from {held_out['as_of'].min():%Y-%m-%d} on can judge now, and {until}: {again}"
    if rule:
        return f"customers held out judged it, as no later moment could; {now}"
    is_without_twin = judged.trained_through == serving.trained_through  # so it is when nothing could judge it
    return f"nothing could judge it when it was trained; {now}" if is_without_twin else ""


def require_unseen(judged: Bundle, held_out: pd.DataFrame, name: str, settings: Settings) -> None:
    """Check that a model has not learned from the rows that it is about to be examined on.

    Raises
    ------
    RegistryError
        It has, or it may have; `name` is in the message.
    """
    if has_not_seen(judged, held_out, settings):
        return
    rule = judged.info.get("holdout") or "as-of date"
    if _customers_judge(held_out, settings):
        raise RegistryError(
            f"{name} held out customers by '{rule}', the settings say '{assembly.holdout_rule(settings)}': it may have "
            "learned from those to be examined; train again"
        )
    raise RegistryError(
        f"{name} learned from outcomes up to {judged.learned_until:%Y-%m-%d}, the hold-out starts at "
        f"{held_out['as_of'].min():%Y-%m-%d}: features were rebuilt on less data, or more "
        "moments are held out; train again"
    )


def _customers_judge(held_out: pd.DataFrame, settings: Settings) -> bool:
    return settings.churn.kind == "label" or "customer_part" in held_out
