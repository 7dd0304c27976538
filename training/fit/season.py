"""How much the season of the business counts: decided on its own folds, before anything is searched.

The index rests on all earlier years and is near 0 where no season repeats (`features.seasons`), while the folds are the
few newest moments: so it counts, unless most folds are forecast worse with it, and all together, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from training.fit.boosters import CHURN, TWEEDIE, Fitted, fit, season_places
from training.fit.search import FIRST_TRIAL, FoldData, forecast_of_fold, loss
from training.model.bundle import Task
from training.priors.prior import Sum
from training.priors.season import Season

TREES = 60
STRENGTH = 1.0


def with_season(task: Task, folds: Sequence[FoldData], seed: int) -> list[FoldData]:
    """The folds, with how much the season counts in all of them: 1, or 0 where it is not known or does harm."""
    seasonal = [fold for fold in folds if season_places(fold.encoder)]
    gains = np.array([_loss(task, fold, 0.0, seed) - _loss(task, fold, STRENGTH, seed) for fold in seasonal])
    harms = gains.sum() < 0 and (gains < 0).mean() > 0.5
    strength = 0.0 if harms or not seasonal else STRENGTH
    return [replace(fold, season=strength) for fold in folds]


def has_season(fitted: Fitted) -> bool:
    """Whether the season of the business counts in a forecast."""
    priors = [prior for own in fitted.priors for prior in (own.priors if isinstance(own, Sum) else [own])]
    return any(isinstance(prior, Season) for prior in priors)


def _loss(task: Task, fold: FoldData, strength: float, seed: int) -> float:
    """The loss of a fold's later rows under plain trees that start from the season, or do not."""
    form = CHURN if task == "churn" else TWEEDIE
    params, trees = {**FIRST_TRIAL, "season": strength}, {form.parts[0].name: TREES}
    fitted = fit(form, fold.train, fold.encoder, params, seed=seed, trees=trees)
    return loss(task, fold.valid.y, forecast_of_fold(task, fitted, fold), fold.valid.weight)
