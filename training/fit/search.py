"""The search for hyperparameters: Optuna on time-ordered folds, pruned, seeded, and resumable after a crash.

Several processes may search together, see `training.fit.workers`; then the order of trials is left to chance.

A trial learns on the earlier as-of dates of each fold and is judged on its later one. It is given up early when
its mean loss falls behind the others' at the same fold.

Trees cost time at every answer: of all trials whose loss is within a thousandth of the least, the one with the fewest
trees is taken. What the search found then competes with priors and regressions, see `training.fit.contest`.

Probabilities may come from extremely randomised trees (Geurts, Ernst and Wehenkel 2006), whose cuts are drawn by lot:
noise of the outcome moves them less. For amounts they were no better, and are not tried.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from configs.settings import Tuning
from configs.workspace import Workspace
from training.data.dataset import Encoder
from training.fit import workers
from training.fit.boosters import (
    Fitted,
    Form,
    Member,
    Params,
    ScoredRows,
    balance,
    fit,
    form_by_name,
    forms,
    joined_form,
    predict,
)
from training.fit.contest import WORTH_TREES, contest, row_losses
from training.fit.folds import FoldData
from training.model.bundle import Task
from training.model.calibration import Affine

FIRST_TRIAL = {
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.8,
    "lambda_l2": 1.0,
    "extra_trees": True,
}
FIRST = FIRST_TRIAL | {"few_columns": False, "max_cat_to_onehot": 4}
SLOW = FIRST | {"learning_rate": 0.03, "num_leaves": 15, "lambda_l2": 10.0, "extra_trees": False}
FEW_COLUMNS = 12
FEW_LEVELS, MANY_LEVELS = 4, 64
KINDS = 3


@dataclass(frozen=True)
class SearchResult:
    """What the search chose.

    Attributes
    ----------
    members
        The model that is fitted, or the several whose weighted average is; ``trees`` of each is the mean of what early
        stopping found on the folds.
    loss
        Mean loss over the folds: log loss (churn), Tweedie deviance of power 1.5 (value); None: nothing was searched.
    least_loss
        That of the best trial, before the contest with priors and regressions.
    study
        All trials.
    contest
        What every contender showed on the folds, see `training.fit.contest.contest`.
    """

    members: tuple[Member, ...]
    loss: float | None
    least_loss: float | None
    study: optuna.Study
    contest: tuple[dict[str, Any], ...] = ()

    @property
    def form(self) -> Form:
        """How the boosters make the forecast."""
        return joined_form(self.members)

    @property
    def params(self) -> Params:
        """The LightGBM parameters of the member with the most trees."""
        return max(self.members, key=lambda member: sum(member.trees.values())).params

    @property
    def trees(self) -> dict[str, int]:
        """Number of trees of each part of the form that has some."""
        counts = [m.trees.get(part.name, 0) for m in self.members for part in m.form.parts]
        return {part.name: n for part, n in zip(self.form.parts, counts, strict=True) if part.objective}


def search(
    task: Task,
    folds: Sequence[FoldData],
    settings: Tuning,
    workspace: Workspace,
    name: str,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> SearchResult:
    """Find the best form and parameters for a task.

    Parameters
    ----------
    task
        ``churn`` or ``clv``.
    folds
        Time-ordered folds, oldest first.
    settings
        Number of trials over all processes, time limit, tree limit and seed; where the storage is, and how many
        processes search here.
    workspace
        Holds Optuna's storage, unless ``tuning.storage`` does: a search that was cut off goes on where it stood.
    name
        Names the data and settings; another name is another search.
    on_progress
        Called with how many trials are done, of how many.
    """
    candidates = forms(task, [fold.encoder for fold in folds])
    shared, until = workers.is_shared(settings), time.time() + settings.timeout_seconds
    study = _study(task, candidates, folds[0].encoder, settings, workspace, name)
    objective = partial(_loss_of_trial, task=task, candidates=candidates, folds=folds, settings=settings)
    if settings.workers > 1 and workers.count_ended(study) < settings.trials:
        with workers.helper_processes(
            settings.workers, _search_along, (task, candidates, folds, settings, workspace, name, until)
        ) as busy:
            while busy():
                on_progress(workers.count_ended(study), settings.trials)
                time.sleep(workers.WAIT_SECONDS)
    workers.run_trials(study, objective, settings.trials, until, shared, on_progress)
    trials = [t for t in study.trials if t.state == TrialState.COMPLETE]
    members, table = contest(task, folds, tree_members(trials), settings.seed)
    chosen = next(row for row in table if row["chosen"])
    return SearchResult(members, chosen["loss"], float(study.best_value), study, table)


def tree_members(trials: Sequence[FrozenTrial]) -> list[Member]:
    """The best trials of different kinds, the best kind first: with all columns or few, and of the other forms."""
    kinds: dict[tuple[str, bool], list[FrozenTrial]] = {}
    for trial in sorted(trials, key=lambda t: (_value(t), t.number)):
        kinds.setdefault((trial.user_attrs["form"], "columns" in trial.user_attrs["params"]), []).append(trial)
    best = [fewest_trees(of_kind) for of_kind in list(kinds.values())[:KINDS]]
    return [Member(form_by_name(t.user_attrs["form"]), t.user_attrs["params"], t.user_attrs["trees"]) for t in best]


def fewest_trees(trials: Sequence[FrozenTrial]) -> FrozenTrial:
    """Of the trials whose loss exceeds the least by at most a thousandth of it, the one with the fewest trees."""
    limit = min(_value(t) for t in trials) * (1 + WORTH_TREES)
    close = [t for t in trials if _value(t) <= limit]
    return min(close, key=lambda t: (sum(t.user_attrs["trees"].values()), _value(t), t.number))


def _value(trial: FrozenTrial) -> float:
    return math.inf if trial.value is None else trial.value


def loss(task: Task, y: np.ndarray, forecast: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The loss that is minimised, see `training.fit.contest.row_losses`; rows count by their weight, if any."""
    return float(np.average(row_losses(task, y, forecast), weights=weight))


def no_search() -> optuna.Study:
    """An empty study, where nothing was searched."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study()


def _study(
    task: Task, candidates: Sequence[Form], encoder: Encoder, settings: Tuning, workspace: Workspace, name: str
) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage, seeded = workers.open_storage(settings, workspace), settings.workers == 1
    if workers.is_shared(settings):
        seeded = seeded and not any(s.study_name == f"{task}-{name}" for s in optuna.get_all_study_summaries(storage))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(
            study_name=f"{task}-{name}",
            storage=storage,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=6),
            load_if_exists=True,
        )
        study.sampler = optuna.samplers.TPESampler(
            # a search that was cut off goes on with other draws than those it began with
            seed=(settings.seed + workers.count_ended(study)) % 2**32 if seeded else None,
            multivariate=True,
            group=True,
            n_startup_trials=8,
            constant_liar=workers.is_shared(settings),
        )
    if not study.trials:
        for form in candidates:
            study.enqueue_trial(FIRST | {"form": form.name}, skip_if_exists=True)
        others = [SLOW]
        others += [SLOW | {"few_columns": True}] if len(encoder.features) > FEW_COLUMNS else []
        others += [FIRST | {"extra_trees": False}] if task == "churn" else []
        for other in others:
            study.enqueue_trial(other | {"form": candidates[0].name}, skip_if_exists=True)
    return study


def _search_along(
    task: Task,
    candidates: Sequence[Form],
    folds: Sequence[FoldData],
    settings: Tuning,
    workspace: Workspace,
    name: str,
    until: float,
) -> None:
    """What a further process of this machine does: takes trials of the search until it ends."""
    study = _study(task, candidates, folds[0].encoder, settings, workspace, name)
    objective = partial(_loss_of_trial, task=task, candidates=candidates, folds=folds, settings=settings)
    workers.run_trials(study, objective, settings.trials, until, True, lambda done, of: None)


def _loss_of_trial(
    trial: optuna.Trial, task: Task, candidates: Sequence[Form], folds: Sequence[FoldData], settings: Tuning
) -> float:
    names = [candidate.name for candidate in candidates]
    form = form_by_name(trial.suggest_categorical("form", names)) if len(names) > 1 else candidates[0]
    params = _suggest(trial, form, folds[0].encoder) | dict(folds[0].season_params)
    limit = {p.name: settings.max_trees for p in form.parts if p.objective}
    losses, trees = [], []
    for number, fold in enumerate(folds):
        fitted = fit(
            form,
            fold.train,
            fold.encoder,
            params,
            seed=settings.seed,
            trees=limit,
            valid=fold.valid,
            stop_after=settings.early_stopping_trees,
            expectation=fold.expectation,
            linear=fold.linear,
        )
        losses.append(loss(task, fold.valid.y, _forecast(task, fitted, fold), fold.valid.weight))
        trees.append(fitted.trees)
        trial.report(float(np.mean(losses)), number)
        if number < len(folds) - 1 and trial.should_prune():
            raise optuna.TrialPruned
    trial.set_user_attr("form", form.name)
    trial.set_user_attr("params", params)
    trial.set_user_attr("trees", {name: max(1, round(np.mean([t[name] for t in trees]))) for name in limit})
    return float(np.mean(losses))


def _forecast(task: Task, fitted: Fitted, fold: FoldData) -> np.ndarray:
    """What would be served of the validation rows, before a probability's slope is mended: that needs later folds."""
    if task == "churn":
        return predict(fitted.form, fitted.raw(fold.valid.x), (Affine(),))
    trained = ScoredRows(fitted.raw(fold.train.x), fold.train.y, np.zeros(len(fold.train.y), dtype=int))
    return predict(fitted.form, fitted.raw(fold.valid.x), balance(fitted.form, trained))


def _suggest(trial: optuna.Trial, form: Form, encoder: Encoder) -> dict[str, Any]:
    params: dict[str, Any] = {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 3, 31, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 20, 300, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.3, 1.0),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 1e-2, 100.0, log=True),
    }
    if len(encoder.features) > FEW_COLUMNS and trial.suggest_categorical("few_columns", [False, True]):
        params["columns"] = FEW_COLUMNS
    if any(len(levels) > FEW_LEVELS for levels in encoder.categories.values()):
        params["max_cat_to_onehot"] = trial.suggest_categorical("max_cat_to_onehot", [FEW_LEVELS, MANY_LEVELS])
    if any(part.objective == "binary" for part in form.parts):
        params["extra_trees"] = trial.suggest_categorical("extra_trees", [True, False])
    if any(part.objective == "quantile" for part in form.parts):
        params["alpha"] = trial.suggest_float("alpha", 0.5, 0.9)
    if any(part.objective == "tweedie" for part in form.parts):
        params["tweedie_variance_power"] = trial.suggest_float("tweedie_variance_power", 1.1, 1.9)
    if any(part.prior == "credibility" for part in form.parts):
        params["prior_days"] = trial.suggest_float("prior_days", 15.0, 240.0, log=True)
    return params


def history(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that ended, in their order."""
    return [t for t in study.trials if t.state in workers.ENDED]
