"""The gates of one training: what was measured on the hold-out, held against the baseline and the champion."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from configs.errors import RegistryError
from configs.settings import Settings
from training.data.dataset import Dataset
from training.data.split import Plan
from training.fit import assembly
from training.fit.assembly import FittedModels
from training.judge import gates
from training.judge.examination import Examination, interval_coverage_by_group, measure_rows
from training.metrics import calibration_error_by_chance
from training.model.bundle import Bundle

Champion = tuple[Bundle, Bundle]
CONTRACT_BASELINES = ("present price", "price and past rate")


def judge(
    data: Dataset,
    models: FittedModels,
    examination: Examination | None,
    champion: Champion | None,
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
    champion
        The model that serves now, and the one of the same recipe that was judged; None: there is none.
    settings
        Of the business.
    """
    if models.plan is None or examination is None or models.final.basis == "prior":
        is_prior = None if champion is None else champion[0].basis == "prior"
        return gates.judge_small_data(_margins(examination), is_prior, examination.baseline_name if examination else "")
    metrics, baseline, name = examination.model, examination.baseline, examination.baseline_name
    before = _champion_metrics(champion, data, models.plan, settings)
    if data.task == "churn":
        rows = examination.rows
        chance = calibration_error_by_chance(rows["forecast"], rows["customer_id"], seed=settings.tuning.seed)
        return gates.judge_churn(metrics, baseline, before, settings.gates, name, chance)
    error: Literal["mae", "rmse"] = "rmse" if name in CONTRACT_BASELINES else "mae"
    groups = interval_coverage_by_group(examination)
    return gates.judge_value(metrics, baseline, before, settings.gates, settings.clv.coverage, name, error, groups)


def _margins(examination: Examination | None) -> dict[str, tuple[float, float]]:
    """Those that judge where little was learned; of two errors of a value the one that `gates.judge_value` takes."""
    if examination is None:
        return {}
    other = "mae" if examination.baseline_name in CONTRACT_BASELINES else "rmse"
    return {name: interval for name, interval in examination.margins.items() if name != other}


def _champion_metrics(
    champion: Champion | None, data: Dataset, plan: Plan, settings: Settings
) -> dict[str, float] | None:
    """Metrics of the champion on the hold-out rows, by a model of it that has not seen them; None without one."""
    if champion is None:
        return None
    serving, judged = champion
    if data.by == "part":
        unseen = [judged] if judged.info.get("holdout") == assembly.holdout_rule(settings) else []
    else:
        unseen = [b for b in (serving, judged) if b.learned_until <= min(plan.holdout)]
    for bundle in unseen:
        if set(bundle.features) <= set(data.frame.columns):
            return measure_rows(assembly.forecast(bundle, data.at(plan.holdout)), data.task)
    return None


def require_unseen(judged: Bundle, held_out: pd.DataFrame, name: str, settings: Settings) -> None:
    """Check that a model has not learned from the rows that it is about to be examined on.

    Raises
    ------
    RegistryError
        It has, or it may have; `name` is in the message.
    """
    if settings.churn.kind == "label":
        rule = assembly.holdout_rule(settings)
        if judged.info["holdout"] != rule:
            raise RegistryError(
                f"{name} held out customers by '{judged.info['holdout']}', the settings say '{rule}': it may have "
                "learned from those to be examined; train again"
            )
    elif judged.learned_until > held_out["as_of"].min():
        raise RegistryError(
            f"{name} learned from outcomes up to {judged.learned_until:%Y-%m-%d}, the hold-out starts at "
            f"{held_out['as_of'].min():%Y-%m-%d}: features were rebuilt on less data; train again"
        )
