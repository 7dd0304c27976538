"""The recipe of a training, on one screen: read, search and fit, judge, record, decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from configs.errors import DataError, NotReadyError, RegistryError
from configs.settings import Settings
from configs.workspace import Workspace
from features.quality import quality_verdict
from training.data.dataset import Dataset, require_enough, shortage, with_open_label
from training.data.preconditions import require_values
from training.data.task_rows import holdout, labelled, plan_if_any
from training.fingerprints import training_fingerprint
from training.fit import search
from training.fit.assembly import FittedModels, with_facts
from training.fit.reactivation import examine_returns_at
from training.fit.recipe import OnProgress, fit_prior_to_compare, prepare, search_and_fit, told_further
from training.judge import campaign_backtest, gates
from training.judge.examination import Examination, examine
from training.judge.gates import is_in_doubt
from training.judge.verdict import judge, lean_to_prior, require_unseen, why_unjudged
from training.model import catalog
from training.model.bundle import Basis, Task
from training.model.catalog import Version
from training.registry import model_registry, overrides, record, runs


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes
    ----------
    version
        The candidate, whether it serves or not.
    examination
        Of its judged twin on the hold-out; None: nothing has matured to judge by.
    decision
        Of the gates.
    basis
        What its forecasts rest on.
    horizons_left_out
        Days of which the model tells nothing, and why.
    stand_in
        The prior that answers in its place, where it was refused and no model that learned serves.
    """

    version: Version
    examination: Examination | None
    decision: gates.Decision
    basis: Basis
    stand_in: Trained | None = None
    horizons_left_out: Mapping[str, str] = field(default_factory=dict)


def train(
    settings: Settings,
    workspace: Workspace,
    task: Task,
    by: str,
    on_progress: OnProgress = lambda name, done, of: None,
    accepted_leaks: Sequence[str] = (),
    reason: str = "",
) -> Trained:
    """Learn, judge and register a model of one task, and make it the champion if it passes the gates.

    A refused one leaves the champion in place. Where there is none, or a prior that answers in place of one, a prior of
    today's data is judged and takes its place (`minimum.below`), so that the service always has an answer.

    Parameters
    ----------
    settings
        Of the business.
    workspace
        Holds the features; gets the MLflow run, the version and the ledger's entry.
    task
        ``churn`` or ``clv``.
    by
        Who asked for it, for the ledger.
    on_progress
        Called with what is being done, and how far it is.
    accepted_leaks, reason
        Columns to learn from although they look as if they knew the label, and why; the ledger keeps both.

    Raises
    ------
    NotReadyError, NotEnoughDataError, DataError
        No features of the current load were built yet, too little to learn from, or nothing that can be, see
        `training.data.preconditions`.
    RegistryError
        The registry cannot be read: said before the search.
    ConfigError
        A leak is accepted that is none, or without a reason.
    LeakError
        A column predicts the label too well to be honest, and is not accepted.
    QualityError
        The newest load is not good enough, and nobody accepted it (`training.registry.overrides.accept_quality`).
    """
    started_at = datetime.now(UTC)
    quality_verdict.require(workspace)
    quality_verdict.require_newest_features(workspace)
    catalog.versions(workspace, task)  # a registry that cannot be read is said now, not after the search
    if workspace.registry.is_file():
        runs.open_experiment(workspace, settings.name)  # and one that cannot be written to
    on_progress("read", 0, 1)
    data = labelled(settings, workspace, task)
    require_values(data)
    enough = data.by == "part" or not shortage(data, settings.minimum)
    asked = with_open_label(data, settings) if enough else data
    overrides.check_leaks(settings, workspace, asked, by, accepted_leaks, reason, by_values=enough)
    models = search_and_fit(settings, workspace, data, on_progress, workspace)
    on_progress("record", 0, 1)
    prior_once = cache(partial(fit_prior_to_compare, settings, workspace, data))  # it may answer in the place, too
    trained = _judge_and_record(settings, workspace, data, models, by, started_at, prior_once)
    if not trained.decision.promote and _may_stand_in(settings, workspace, task, models):
        why = f"{trained.version.label} was refused: {'; '.join(trained.decision.reasons)}"
        prior = replace(prior_once(), final=with_facts(prior_once().final, why=why))
        prior = told_further(prior, data, settings, workspace)
        stand_in = _judge_and_record(settings, workspace, data, prior, by, datetime.now(UTC), prior_once)
        trained = replace(trained, stand_in=stand_in)
    on_progress("record", 1, 1)
    return trained


def _judge_and_record(
    settings: Settings,
    workspace: Workspace,
    data: Dataset,
    models: FittedModels,
    by: str,
    started_at: datetime,
    prior_once: Callable[[], FittedModels],
) -> Trained:
    """Examine and judge what was fitted, register it, and let it serve if it may.

    `prior_once` fits the prior that one in doubt is held against; it is asked for there alone.
    """
    examination, champions = None, model_registry.champions_of_a_year(workspace, data.task, started_at)
    if models.plan and models.judged:
        held_out, seen = data.at(models.plan.holdout), data.at(models.plan.train_for_holdout)
        examination = examine(models.judged, held_out, seen, settings)
        returns = examine_returns_at(models.judged, held_out, workspace, settings)
        examination = replace(examination, reactivation=returns, longer=models.final.info.get("longer", {}))
    decision = judge(data, models, examination, champions, settings)
    if examination and models.final.basis != "prior" and settings.minimum.below == "prior" and is_in_doubt(decision):
        try:
            decision = lean_to_prior(decision, data, models, examination, prior_once())
        except DataError as error:
            decision = replace(decision, reasons=(*decision.reasons, f"no prior could stand beside it: {error}"))
    version = record.record(settings, workspace, data, models, examination, decision, started_at)
    model_registry.apply_decision(workspace, version, decision, by)
    left_out = models.final.info.get("horizons_left_out", {})
    return Trained(version, examination, decision, models.final.basis, None, left_out)


def _may_stand_in(settings: Settings, workspace: Workspace, task: Task, refused: FittedModels) -> bool:
    """Whether a prior may answer in place of a refused candidate: nothing serves, or another prior does."""
    if settings.minimum.below != "prior" or refused.search.loss is None:
        return False
    champion = model_registry.champion_bundles(workspace, task)
    return champion is None or not champion[0].chosen_on_folds


def join_search(settings: Settings, workspace: Workspace, task: Task, on_progress: OnProgress) -> dict[str, Any]:
    """Take part in the search for a model, or begin it; nothing is fitted, judged or recorded.

    It is the same search wherever code, feature files and settings are the same, and the storage is.

    Returns
    -------
    dict
        ``search`` its name, ``trials`` that have ended over all processes, ``of`` how many, ``least_loss``.

    Raises
    ------
    NotReadyError, NotEnoughDataError, DataError, QualityError
        As in `train`; there is no search where priors answer.
    """
    quality_verdict.require(workspace)
    quality_verdict.require_newest_features(workspace)
    name = training_fingerprint(settings, workspace, task)
    data = labelled(settings, workspace, task)
    if training_fingerprint(settings, workspace, task) != name:  # who holds the lock may be the search to join
        raise NotReadyError("the feature files were made anew while they were read: run `staycast tune` again")
    require_values(data)
    require_enough(data, settings.minimum)
    _, _, folds = prepare(data, settings)
    result = search.search(task, folds, settings.tuning, workspace, name, lambda done, of: on_progress(task, done, of))
    ended = len(search.history(result.study))
    return {"search": name, "trials": ended, "of": settings.tuning.trials, "least_loss": result.least_loss}


def examine_champion(settings: Settings, workspace: Workspace, task: Task) -> dict[str, Any]:
    """Examine the champion's judged model on the hold-out rows of today's data, beside the baseline.

    Returns
    -------
    dict
        ``version, basis``, and what the examination shows; ``unjudged`` instead where what judges today cannot judge
        this champion: why, and the way on; neither where nothing has matured.

    Raises
    ------
    RegistryError
        There is no champion, or it has seen these rows.
    """
    version = catalog.champion(workspace, task)
    if version is None:
        raise RegistryError(f"{task}: there is no champion to examine; run `staycast train`, or see `staycast models`")
    serving, judged = model_registry.bundles(workspace, task, version.version)
    result: dict[str, Any] = {"version": f"{task}/{version.version}", "basis": serving.basis}
    result["horizons_left_out"] = serving.info.get("horizons_left_out", {})
    if serving.basis == "prior" and plan_if_any(labelled(settings, workspace, task), settings) is None:
        return result
    held_out, seen = holdout(settings, workspace, task)
    if why := why_unjudged(serving, judged, held_out, settings):
        return result | {"unjudged": why}
    require_unseen(judged, held_out, f"{task}/{version.version}", settings)
    examination = examine(judged, held_out, seen, settings)
    returns = examine_returns_at(judged, held_out, workspace, settings)
    examination = replace(examination, reactivation=returns, longer=serving.info.get("longer", {}))
    result |= examination.to_dict()
    if task == "churn":
        forecast = examination.rows["forecast"].to_numpy()
        values = partial(model_registry.named_champion_bundles, workspace, "clv")
        campaign = campaign_backtest.backtest_campaign(settings, values, held_out, forecast, judged.level_sd)
        picture = workspace.reports / "churn" / "profit.png"
        result["campaign"] = campaign and campaign_backtest.report(campaign, picture, settings.currency)
    return result
