"""The search for hyperparameters: Optuna on time-ordered folds, pruned, seeded, and resumable after a crash.

Several processes may search together, see `training.fit.workers`; then the order of trials is left to chance.

A trial learns on the earlier as-of dates of each fold and is judged on its later one. It is given up early when
its mean loss falls behind the others' at the same fold.

Trees cost time at every answer, so the search does not take the least loss at any price: of all trials within one
standard error of the best, the one with the fewest trees is taken (Breiman et al. 1984). The error is that of the
*difference* to the best on the same customers; the error of one loss alone, mostly common to all trials, would let
clearly worse models pass.

Probabilities may come from extremely randomised trees (Geurts, Ernst and Wehenkel 2006), whose cuts are drawn by lot:
noise of the outcome moves them less. For amounts they were no better, and are not tried.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from configs.settings import Tuning
from configs.workspace import Workspace
from training.data.dataset import Encoder, Matrix
from training.fit import workers
from training.fit.boosters import Fitted, Form, ScoredRows, balance, fit, form_by_name, forms, joined_weights, predict
from training.metrics import log_losses
from training.model.bundle import Task
from training.model.calibration import Affine
from training.priors.expectation import Expectation

VALUE_POWER = 1.5
BLOCKS = 50
FIRST_TRIAL = {
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.8,
    "lambda_l2": 1.0,
    "extra_trees": True,
}


@dataclass(frozen=True)
class FoldData:
    """Encoded rows of one fold, with the encoder that was learned from its training rows.

    ``block`` puts every customer of the validation rows into one of 50 blocks, the same in all folds, shape (n,).
    ``expectation`` is the model of orders of the training rows, where orders are known. ``keys`` names the customer and
    the as-of date of each validation row. ``season`` is how much the season
    of the business counts, see `training.fit.season`.
    """

    train: Matrix
    valid: Matrix
    encoder: Encoder
    block: np.ndarray
    expectation: Expectation | None = None
    keys: pd.DataFrame | None = None
    season: float = 0.0


@dataclass(frozen=True)
class SearchResult:
    """What the search chose.

    Attributes
    ----------
    form
        Which boosters make the forecast.
    params
        Their LightGBM parameters.
    trees
        Number of trees of each part: the mean of what early stopping found on the folds.
    loss
        Mean loss over the folds: log loss (churn), Tweedie deviance of power 1.5 (value); None: nothing was searched.
    least_loss
        That of the best trial: the one taken has fewer trees and is within one standard error of it.
    study
        All trials.
    """

    form: Form
    params: dict[str, Any]
    trees: dict[str, int]
    loss: float | None
    least_loss: float | None
    study: optuna.Study


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
    study = _study(task, candidates, settings, workspace, name)
    objective = partial(_loss_of_trial, task=task, candidates=candidates, folds=folds, settings=settings)
    if settings.workers > 1 and workers.count_ended(study) < settings.trials:
        with workers.helper_processes(
            settings.workers, _search_along, (task, candidates, folds, settings, workspace, name, until)
        ) as busy:
            while busy():
                on_progress(workers.count_ended(study), settings.trials)
                time.sleep(workers.WAIT_SECONDS)
    workers.run_trials(study, objective, settings.trials, until, shared, on_progress)
    chosen = fewest_trees([t for t in study.trials if t.state == TrialState.COMPLETE])
    return SearchResult(
        form_by_name(chosen.user_attrs["form"]),
        chosen.user_attrs["params"],
        chosen.user_attrs["trees"],
        float(chosen.value or 0.0),
        float(study.best_value),
        study,
    )


def fewest_trees(trials: Sequence[FrozenTrial]) -> FrozenTrial:
    """Of the trials within one standard error of the least loss, the one with the fewest trees.

    The error is that of the difference to the best trial, over blocks of customers.
    """
    best = min(trials, key=lambda t: (t.value, t.number))
    least = np.asarray(best.user_attrs["blocks"])

    def within_one_error(trial: FrozenTrial) -> bool:
        excess = np.asarray(trial.user_attrs["blocks"]) - least
        if len(excess) < 2:
            return False
        return bool(excess.mean() <= excess.std(ddof=1) / np.sqrt(len(excess)))

    close = [t for t in trials if t is best or within_one_error(t)]
    return min(close, key=lambda t: (sum(t.user_attrs["trees"].values()), t.value, t.number))


def blocks_of(customer_ids: Sequence[str]) -> np.ndarray:
    """The block of each customer, by a hash of the id, shape (n,)."""
    return (pd.util.hash_array(np.asarray(customer_ids, dtype=object)) % BLOCKS).astype(int)


def loss(task: Task, y: np.ndarray, forecast: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The loss that is minimised: log loss (churn), or Tweedie deviance of power 1.5 (value).

    Both are proper: the true probability, and the true mean, have the least. Net revenue under zero counts as zero.
    Rows count by their weight, if there is one.
    """
    return float(np.average(_losses(task, y, forecast), weights=weight))


def _losses(task: Task, y: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    """The loss of each row, shape (n,).

    The deviance is that of Jorgensen, "The theory of dispersion models" (1997), chapter 4.
    """
    if task == "churn":
        least = np.finfo(np.float64).eps
        return log_losses(y, np.clip(forecast, least, 1 - least))
    y, mean, a, b = np.maximum(y, 0), np.maximum(forecast, 1e-6), 1 - VALUE_POWER, 2 - VALUE_POWER
    return np.asarray(2 * (y**b / (a * b) - y * mean**a / a + mean**b / b))


def _block_losses(task: Task, folds: Sequence[FoldData], forecasts: Sequence[np.ndarray]) -> list[float]:
    """Mean loss of each block of customers over all folds; blocks without a customer are left out."""
    block = np.concatenate([fold.block for fold in folds])
    y, forecast = np.concatenate([fold.valid.y for fold in folds]), np.concatenate(forecasts)
    weight = joined_weights([fold.valid.weight for fold in folds], [len(fold.valid.y) for fold in folds])
    rows = pd.Series(1.0 if weight is None else weight, index=block)
    sums = (rows * _losses(task, y, forecast)).groupby(level=0).sum()
    return (sums / rows.groupby(level=0).sum()).tolist()


def no_search() -> optuna.Study:
    """An empty study, where nothing was searched."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study()


def _study(task: Task, candidates: Sequence[Form], settings: Tuning, workspace: Workspace, name: str) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage, seeded = workers.open_storage(settings, workspace), settings.workers == 1
    if workers.is_shared(settings):
        seeded = seeded and not any(s.study_name == f"{task}-{name}" for s in optuna.get_all_study_summaries(storage))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(
            study_name=f"{task}-{name}",
            storage=storage,
            sampler=optuna.samplers.TPESampler(
                seed=settings.seed if seeded else None,
                multivariate=True,
                group=True,
                n_startup_trials=8,
                constant_liar=workers.is_shared(settings),
            ),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=6),
            load_if_exists=True,
        )
    if not study.trials:
        for form in candidates:
            named = {"form": form.name} if len(candidates) > 1 else {}
            study.enqueue_trial(FIRST_TRIAL | named, skip_if_exists=True)
        if task == "churn":
            study.enqueue_trial(FIRST_TRIAL | {"extra_trees": False}, skip_if_exists=True)
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
    study = _study(task, candidates, settings, workspace, name)
    objective = partial(_loss_of_trial, task=task, candidates=candidates, folds=folds, settings=settings)
    workers.run_trials(study, objective, settings.trials, until, True, lambda done, of: None)


def _loss_of_trial(
    trial: optuna.Trial, task: Task, candidates: Sequence[Form], folds: Sequence[FoldData], settings: Tuning
) -> float:
    names = [candidate.name for candidate in candidates]
    form = form_by_name(trial.suggest_categorical("form", names)) if len(names) > 1 else candidates[0]
    params = _suggest(trial, form) | ({"season": folds[0].season} if folds[0].season else {})
    limit = {p.name: settings.max_trees for p in form.parts if p.objective}
    losses, trees, forecasts = [], [], []
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
        )
        forecasts.append(_forecast(task, fitted, fold))
        losses.append(loss(task, fold.valid.y, forecasts[-1], fold.valid.weight))
        trees.append(fitted.trees)
        trial.report(float(np.mean(losses)), number)
        if number < len(folds) - 1 and trial.should_prune():
            raise optuna.TrialPruned
    trial.set_user_attr("form", form.name)
    trial.set_user_attr("params", params)
    trial.set_user_attr("blocks", _block_losses(task, folds, forecasts))
    trial.set_user_attr("trees", {name: max(1, round(np.mean([t[name] for t in trees]))) for name in limit})
    return float(np.mean(losses))


def _forecast(task: Task, fitted: Fitted, fold: FoldData) -> np.ndarray:
    """What would be served of the validation rows, before a probability's slope is mended: that needs later folds."""
    if task == "churn":
        return predict(fitted.form, fitted.raw(fold.valid.x), (Affine(),))
    trained = ScoredRows(fitted.raw(fold.train.x), fold.train.y, np.zeros(len(fold.train.y), dtype=int))
    return predict(fitted.form, fitted.raw(fold.valid.x), balance(fitted.form, trained))


def _suggest(trial: optuna.Trial, form: Form) -> dict[str, Any]:
    params = {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 3, 31, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 20, 300, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.3, 1.0),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 1e-2, 100.0, log=True),
    }
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
