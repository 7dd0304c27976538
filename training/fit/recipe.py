"""Search and fit: all of a training that data, settings and seed decide. Nothing is judged or recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from configs.errors import NotEnoughDataError
from configs.settings import Settings
from configs.workspace import Workspace
from features.labels.ready_label import known_to_have_left
from features.seasons.curve import load_curve
from training.data import treatment
from training.data.dataset import Dataset, require_enough, shortage
from training.data.preconditions import informative_folds, require_learnable
from training.data.split import Plan
from training.data.task_rows import (
    feature_rows,
    labels_of,
    newest_judged,
    plan_if_any,
    plan_of,
    search_folds,
    shortened,
)
from training.fingerprints import training_fingerprint
from training.fit import assembly, search
from training.fit.assembly import FittedModels
from training.fit.level.own_levels import with_levels_of_horizons, with_shorter_level
from training.fit.level.unjudged import in_season, unjudged_season, with_lent_season, with_season_facts
from training.fit.reactivation import with_reactivation
from training.fit.small_data import fit_small_data, rows_asked_about
from training.fit.value.longer import with_longer_values
from training.fit.value.recent import History, recent_level
from training.model.bundle import Bundle, Task

OnProgress = Callable[[str, int, int], None]


def search_and_fit(
    settings: Settings,
    workspace: Workspace,
    data: Dataset,
    on_progress: OnProgress,
    search_in: Workspace,
    chosen: search.SearchResult | None = None,
) -> FittedModels:
    """Search for hyperparameters and fit the model that is judged and the one that serves.

    Parameters
    ----------
    settings
        Of the business.
    workspace
        Holds the features.
    data
        The labelled rows of one task, see `training.data.task_rows.labelled`.
    on_progress
        Called with what is being done, and how far it is.
    search_in
        Holds the search's storage: one that was cut off goes on there.
    chosen
        What a search chose already; None: search.

    Raises
    ------
    NotEnoughDataError
        There is too little for trees, and ``minimum.below`` lets no prior answer; or even for a prior, see
        `training.fit.small_data`.
    DataError
        There is nothing to learn, see `training.data.preconditions`.
    """
    try:
        require_enough(data, settings.minimum)
        plan, early, folds = prepare(data, settings)
    except NotEnoughDataError as error:
        if settings.minimum.below != "prior":
            raise
        return fit_prior(settings, workspace, data, "; ".join(shortage(data, settings.minimum)) or str(error))
    name = training_fingerprint(settings, workspace, data.task)
    result = chosen or search.search(
        data.task, folds, settings.tuning, search_in, name, lambda done, of: on_progress("search", done, of)
    )
    on_progress("fit", 0, 3)
    whole = treatment.with_treatment_weights(data, plan.final, settings)
    whole = with_lent_season(whole, workspace)
    season = unjudged_season(whole, plan.final, settings, load_curve(workspace.features).weights)
    judged, final = _fit((early, whole), plan, folds, (result, season), settings, workspace, on_progress)
    why = "" if data.by == "customer_part" else "; ".join(shortened(plan, data, settings))  # its bundles say it
    facts = {"why": why, "contest": list(result.contest)}
    final = with_season_facts(assembly.with_facts(final, **facts), whole, season)
    models = FittedModels(plan, result, judged, final, season)
    return told_further(models, replace(data, lent=whole.lent), settings, workspace)


def told_further(models: FittedModels, data: Dataset, settings: Settings, workspace: Workspace) -> FittedModels:
    """The models with what they tell beside the main forecast."""
    return with_longer_values(with_reactivation(models, settings, workspace), data, settings, workspace)


def fit_prior(settings: Settings, workspace: Workspace, data: Dataset, why: str) -> FittedModels:
    """Fit a prior alone, see `fit_prior_to_compare`, and what is told beside the main forecast."""
    models = fit_prior_to_compare(settings, workspace, data, why)
    return told_further(models, with_lent_season(data, workspace), settings, workspace)


def fit_prior_to_compare(settings: Settings, workspace: Workspace, data: Dataset, why: str = "") -> FittedModels:
    """The main forecast of a prior alone, see `training.fit.small_data`; `why`: why no trees answer, for people."""
    rows, data = rows_of_stayers(workspace), with_lent_season(data, workspace)
    models = fit_small_data(settings, data, plan_if_any(data, settings), rows, why)
    if data.task != "churn":
        return models
    labels = labels_of(workspace)
    if data.frame.empty:
        asked = rows_asked_about(rows, "churn", settings)
        models = replace(models, final=with_shorter_level(models.final, settings, rows, labels, asked))
    return with_levels_of_horizons(models, settings, rows, labels)


def prepare(data: Dataset, settings: Settings) -> tuple[Plan, Dataset, list[search.FoldData]]:
    """What each as-of date is for, the rows as known before the hold-out, and the folds of the search.

    Raises
    ------
    NotEnoughDataError
        No as-of date can be held out that another was known before, or those before it hold one outcome alone.
    DataError
        There is nothing to learn, see `training.data.preconditions`.
    """
    plan = plan_of(data, settings)
    begins = min(plan.holdout) if data.by == "as_of" else None
    early = treatment.with_treatment_weights(data, plan.train_for_holdout, settings, begins)
    require_learnable(early, plan.train_for_holdout)
    if not plan.folds:
        rows = replace(early, frame=early.at(plan.train_for_holdout))
        parts, folds = search_folds(rows, (), settings)
        return plan, early, assembly.fold_data(parts, informative_folds(parts, folds), settings)
    plan = replace(plan, folds=informative_folds(early, plan.folds))
    return plan, early, assembly.fold_data(early, plan.folds, settings)


def search_facts(result: search.SearchResult) -> dict[str, Any]:
    """What a search came to, as JSON can hold it: the choice, its loss, and how many configurations were tried."""
    members = [{"form": m.form.name, "params": dict(m.params), "trees": dict(m.trees)} for m in result.members]
    facts = {name: value for name, value in vars(result).items() if name != "study"}
    return {**facts, "members": members, "contest": list(result.contest), "trials": len(search.history(result.study))}


def _fit(
    data: tuple[Dataset, Dataset],
    plan: Plan,
    folds: list[search.FoldData],
    chosen: tuple[search.SearchResult, Mapping[str, float] | None],
    settings: Settings,
    workspace: Workspace,
    on_progress: OnProgress,
) -> tuple[Bundle, Bundle]:
    """The model that is judged on the hold-out, and the one that serves: refitted on all labelled as-of dates.

    `data` comes twice: with what rows teach as far as was known before the hold-out, and as far as is known. What the
    search chose comes with the season that no moment could judge, for the model that serves.
    """
    (early, whole), (result, season) = data, chosen
    seed, stayers = settings.tuning.seed, rows_of_stayers(workspace)
    scale_rows = rows_asked_about(stayers, whole.task, settings)
    # so the tiers of the model that is judged are those that it would have served
    then = rows_asked_about(stayers, whole.task, settings, newest_judged(whole, plan))
    earlier = assembly.validation_scores(folds, result, seed)
    on_progress("fit", 1, 3)
    fitted, encoder = assembly.learn(early, plan.train_for_holdout, result, settings)
    begins = min(plan.holdout) if whole.by == "as_of" else None
    history = History.of(stayers, workspace, whole, settings)
    move = partial(recent_level, history, fitted, begins)
    judged = assembly.assemble(fitted, encoder, earlier, early, plan.train_for_holdout, begins, then, settings, move)
    later = earlier + assembly.score_rows(fitted, encoder, whole.training_rows(plan.holdout))
    on_progress("fit", 2, 3)
    fitted, encoder = assembly.learn(whole, plan.final, in_season(result, season), settings)
    move = partial(recent_level, history, fitted, None)
    final = assembly.assemble(fitted, encoder, later, whole, plan.final, None, scale_rows, settings, move)
    on_progress("fit", 3, 3)
    return judged, final


def population(workspace: Workspace, task: Task, settings: Settings) -> pd.DataFrame:
    """Feature rows of the newest as-of date whose customers the model is asked about; who has left is not."""
    return rows_asked_about(rows_of_stayers(workspace), task, settings)


def rows_of_stayers(workspace: Workspace) -> pd.DataFrame:
    """All feature rows but those of who has left by a ready label."""
    rows = feature_rows(workspace)
    return rows[~rows["customer_id"].isin(known_to_have_left(workspace.features))]
