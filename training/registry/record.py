"""What a training leaves in MLflow: parameters, metrics, documents and figures of its run, and a new version."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

import pandas as pd

from configs.settings import Settings
from configs.workspace import Workspace
from training.data import treatment
from training.data.dataset import Dataset
from training.data.split import AsOfs, Plan
from training.fit.assembly import FittedModels
from training.fit.recipe import search_facts
from training.fit.search import history
from training.fit.value.longer import longer_metrics
from training.judge import campaign_backtest, gates
from training.judge.examination import HEADLINE, Examination
from training.model.bundle import Task
from training.model.catalog import Version
from training.registry import figures, model_registry
from training.registry.runs import Run, open_run

ROWS = "state/features"
FIGURES_LEFT_OUT = "figures_left_out"  # a version's tag: what could not be drawn, and why
METRIC_NAMES = {
    "auc": "AUC",
    "log_loss": "log loss",
    "normalised_gini": "normalised Gini",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
}


def record(
    settings: Settings,
    workspace: Workspace,
    data: Dataset,
    models: FittedModels,
    examination: Examination | None,
    decision: gates.Decision,
    started_at: datetime,
) -> Version:
    """Write all that is known of a training into a run, and register the model.

    Parameters
    ----------
    settings, workspace
        Of the business.
    data
        The labelled rows.
    models
        What was fitted.
    examination
        Of the judged model on the hold-out; None: nothing has matured to judge by.
    decision
        Of the gates.
    started_at
        When the training began: the run lasts as long as it did.

    Returns
    -------
    Version
        The new version; whether it serves is decided elsewhere.
    """
    result, final = models.search, models.final
    tags = {"task": data.task, "schema_hash": data.schema.hash, "data_fingerprint": data.fingerprint}
    with open_run(workspace, settings.name, _run_name(data.task, models), started_at) as run:
        run.tags(tags)
        run.params({**result.params, "form": result.form.name, **{f"trees_{k}": v for k, v in result.trees.items()}})
        run.params({"horizon_days": final.horizon_days, "features": len(final.features), "seed": settings.tuning.seed})
        run.params({"basis": final.basis, "full_season": final.full_season})
        run.data_set(data.frame[["customer_id", "as_of", *data.schema.names, "label"]], data.fingerprint, ROWS)
        run.document(settings.model_dump(mode="json"), "settings.json")
        run.document(search_facts(result), "search.json")
        if data.task == "churn" and models.judged:
            run.params(treatment.params(final.info, settings))
            run.document(treatment.report(models.judged.info, final.info, settings), "treatment.json")
        if examination and models.plan and models.judged:
            run.document(_plan_dates(models.plan), "plan.json")
            left_out = _record_examination(run, settings, workspace, data.at(models.plan.holdout), models, examination)
            if left_out:
                tags |= {FIGURES_LEFT_OUT: "; ".join(f"{path}: {why}" for path, why in left_out.items())}
        run.document(decision.to_dict(), "gates.json")
        run.trials(history(result.study))
        tags |= {"gates": "passed" if decision.passed else "failed"}
        if not decision.passed:
            tags |= {"gate_reasons": "; ".join(decision.reasons)}
        description = _description(models, examination, decision, settings)
        number = run.register(final, models.judged or final, tags, description)
    return Version(data.task, number, run.run_id, (), tags)


def _run_name(task: Task, models: FittedModels) -> str:
    """What the run is: ``churn 2017-12 24 trials``; the month is that of the newest as-of date learned from."""
    trials = len(history(models.search.study))
    searched = f"{trials} trial{'' if trials == 1 else 's'}" if trials else models.final.basis
    return f"{task} {pd.Timestamp(models.final.trained_through):%Y-%m} {searched}"


def _description(
    models: FittedModels, examination: Examination | None, decision: gates.Decision, settings: Settings
) -> str:
    """The main figures of a version in a sentence or two, for the registry's page."""
    if examination is None or models.plan is None:
        return f"Rests on a {models.final.basis}; nothing has matured yet to judge it by."
    figures = ", ".join(
        f"{METRIC_NAMES[name]} {examination.model[name]:.4g} (baseline {examination.baseline[name]:.4g})"
        for name in HEADLINE[models.final.task]
        if name in examination.model and name in examination.baseline
    )
    held_out = ", ".join(_plan_dates(models.plan)["holdout"])
    failed = "Serves, as nothing else could answer" if decision.promote else "Refused"
    verdict = decision.summary.capitalize() if decision.passed else f"{failed}: {'; '.join(decision.reasons)}"
    return f"Horizon {models.final.horizon_days} days. Held out ({held_out}): {figures}. {verdict}."


def _record_examination(
    run: Run,
    settings: Settings,
    workspace: Workspace,
    rows: pd.DataFrame,
    models: FittedModels,
    examination: Examination,
) -> dict[str, str]:
    """What the judged model showed on the hold-out rows, at every horizon, and its figures; why some are left out."""
    searched = {} if models.search.loss is None else {"search_loss": models.search.loss}
    baseline = {f"baseline_{k}": v for k, v in examination.baseline.items()}
    horizons = {
        f"{name}_{days}_days": value
        for days, metrics in examination.horizons.items()
        for name, value in metrics.items()
    }
    run.metrics({**examination.model, **baseline, **horizons, **longer_metrics(examination.longer), **searched})
    assert models.judged is not None  # noqa: S101 - an examination is of a judged model
    drawable = figures.hold_out_figures(models.judged, examination, rows, settings)
    drawable |= figures.search_figures(models.search)
    if models.judged.task == "churn":
        values = partial(model_registry.named_champion_bundles, workspace, "clv")
        forecast = examination.rows["forecast"].to_numpy()
        level_sd = models.judged.level_sd
        campaign = campaign_backtest.backtest_campaign(settings, values, rows, forecast, level_sd)
        if campaign is not None:
            run.metrics(campaign_backtest.metrics(campaign))
            run.document(campaign.to_dict(), "campaign.json")
            drawable |= figures.campaign_figures(campaign, settings)
    left_out = figures.draw(drawable, run.figure)
    run.document({**examination.to_dict(), FIGURES_LEFT_OUT: left_out}, "evaluation.json")
    return left_out


def _plan_dates(plan: Plan) -> dict[str, Any]:
    def days(as_ofs: AsOfs) -> list[str]:
        return [f"{m:%Y-%m-%d}" if isinstance(m, pd.Timestamp) else f"customers of part {m}" for m in as_ofs]

    return {
        "folds": [{"train": days(f.train), "valid": days((f.valid,))[0]} for f in plan.folds],
        "train_for_holdout": days(plan.train_for_holdout),
        "holdout": days(plan.holdout),
        "final": days(plan.final),
    }
