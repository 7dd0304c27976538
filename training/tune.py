"""The search for hyperparameters: Optuna on time-ordered folds, pruned, seeded, and resumable after a crash.

A trial learns on the earlier moments of each fold and is judged on its later one. It is given up early when
its mean loss falls behind the others' at the same fold.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from sklearn.metrics import log_loss, mean_tweedie_deviance

from configs.settings import Tuning
from configs.workspace import Workspace
from training.bundle import Task
from training.dataset import Encoder, Matrix
from training.explain import link
from training.models import FORMS, Form, fit, form

optuna.logging.set_verbosity(optuna.logging.WARNING)
VALUE_POWER = 1.5
DONE = (TrialState.COMPLETE, TrialState.PRUNED)
FIRST = {
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.8,
    "lambda_l2": 1.0,
}


@dataclass(frozen=True)
class FoldData:
    """Encoded rows of one fold, with the encoder that its training rows taught."""

    train: Matrix
    valid: Matrix
    encoder: Encoder


@dataclass(frozen=True)
class Found:
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
        Mean loss over the folds: log loss (churn), Tweedie deviance of power 1.5 (value).
    study
        All trials.
    """

    form: Form
    params: dict[str, Any]
    trees: dict[str, int]
    loss: float
    study: optuna.Study


def search(
    task: Task,
    folds: Sequence[FoldData],
    settings: Tuning,
    workspace: Workspace,
    mark: str,
    step: Callable[[int, int], None] = lambda done, of: None,
) -> Found:
    """Find the best form and parameters for a task.

    Parameters
    ----------
    task
        ``churn`` or ``clv``.
    folds
        Time-ordered folds, oldest first.
    settings
        Number of trials, time limit, tree limit and seed.
    workspace
        Holds Optuna's storage: a search that was cut off goes on where it stood.
    mark
        Names the data and settings; another mark is another search.
    step
        Told how many trials are done, of how many.
    """
    study = _study(task, settings, workspace, mark)
    todo = settings.trials - sum(t.state in DONE for t in study.trials)
    step(settings.trials - todo, settings.trials)
    if todo > 0:
        study.optimize(
            lambda trial: _loss_of_trial(trial, task, folds, settings),
            n_trials=todo,
            timeout=settings.timeout_seconds,
            callbacks=[lambda s, _: step(sum(t.state in DONE for t in s.trials), settings.trials)],
        )
    best = study.best_trial
    return Found(
        form(best.user_attrs["form"]),
        best.user_attrs["params"],
        best.user_attrs["trees"],
        float(best.value or 0.0),
        study,
    )


def loss(task: Task, y: np.ndarray, forecast: np.ndarray) -> float:
    """The loss that is minimised: log loss (churn), or Tweedie deviance of power 1.5 (value).

    Both are proper: the true probability, and the true mean, have the least. Net revenue under zero counts as zero.
    """
    if task == "churn":
        return float(log_loss(y, forecast, labels=[0, 1]))
    return float(mean_tweedie_deviance(np.maximum(y, 0), np.maximum(forecast, 1e-6), power=VALUE_POWER))


def _study(task: Task, settings: Tuning, workspace: Workspace, mark: str) -> optuna.Study:
    workspace.tuning.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(
            study_name=f"{task}-{mark}",
            storage=f"sqlite:///{workspace.tuning}",
            sampler=optuna.samplers.TPESampler(seed=settings.seed, multivariate=True, group=True, n_startup_trials=8),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=6),
            load_if_exists=True,
        )
    if not study.trials:
        for which in FORMS[task]:
            study.enqueue_trial(FIRST | ({"form": which.name} if len(FORMS[task]) > 1 else {}))
    return study


def _loss_of_trial(trial: optuna.Trial, task: Task, folds: Sequence[FoldData], settings: Tuning) -> float:
    which = _suggest_form(trial, task)
    params = _suggest(trial, which)
    limit = {p.name: settings.max_trees for p in which.parts}
    losses, trees = [], []
    for number, fold in enumerate(folds):
        fitted = fit(
            which,
            fold.train,
            fold.encoder,
            params,
            seed=settings.seed,
            trees=limit,
            valid=fold.valid,
            stop_after=settings.early_stopping_trees,
        )
        losses.append(loss(task, fold.valid.y, link(which.link, fitted.raw(fold.valid.x))))
        trees.append(fitted.trees)
        trial.report(float(np.mean(losses)), number)
        if number < len(folds) - 1 and trial.should_prune():
            raise optuna.TrialPruned
    trial.set_user_attr("form", which.name)
    trial.set_user_attr("params", params)
    trial.set_user_attr("trees", {p.name: max(1, round(np.mean([t[p.name] for t in trees]))) for p in which.parts})
    return float(np.mean(losses))


def _suggest_form(trial: optuna.Trial, task: Task) -> Form:
    forms = FORMS[task]
    return forms[0] if len(forms) == 1 else form(trial.suggest_categorical("form", [f.name for f in forms]))


def _suggest(trial: optuna.Trial, which: Form) -> dict[str, Any]:
    params = {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 3, 31, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 20, 300, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.3, 1.0),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 1e-2, 100.0, log=True),
    }
    if which.name == "tweedie":
        params["tweedie_variance_power"] = trial.suggest_float("tweedie_variance_power", 1.1, 1.9)
    return params


def history(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that ended, in their order."""
    return [t for t in study.trials if t.state in DONE]
