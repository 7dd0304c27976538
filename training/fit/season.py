"""How much the season of the business counts: learned at its own past moments, before anything is searched.

The index says how the days ahead differ from those before (`features.seasons`). Customers' columns look back further,
and tell some of it themselves, so that trees need only a part of it. Plain trees forecast up to eight past moments
twice, once from the index and once without, each from what was known then; between their errors of the level lies the
share that brings them nearest to 0, by least squares, held to a half as far as few moments tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.special import logit

from configs.settings import Settings
from features.schema import SEASON_COLUMNS
from training.data.dataset import Dataset, learn_encoder
from training.data.split import matured
from training.fit.boosters import CHURN, TWEEDIE, Fitted, ScoredRows, balance, fit, predict
from training.fit.search import FIRST_TRIAL
from training.model.calibration import Affine
from training.priors.level import smoothed_share
from training.priors.prior import terms
from training.priors.season import Season

TREES, MOMENTS, MOST_ROWS = 60, 8, 20_000
USUAL, SD = 0.5, 0.3
LEAST_DATES = 3


def season_strength(data: Dataset, as_ofs: Iterable[Any], settings: Settings) -> float:
    """The share of the index that counts, within [0, 1]; 0 where no season is known, or where it brings nothing.

    Parameters
    ----------
    data
        Labelled rows.
    as_ofs
        The dates that may be learned from.
    settings
        Of the business.
    """
    column = SEASON_COLUMNS[data.task == "churn"]
    if data.by != "as_of" or column not in data.frame:
        return 0.0
    rows = data.at(as_ofs)
    index = rows.groupby("as_of")[column].first()
    if not index.any():
        return 0.0
    wait = settings.outcome_days(data.task)
    known = {v: matured(list(index.index), wait, by=v) for v in index.index[index != 0]}
    asked = [v for v, dates in known.items() if index[list(dates)].nunique() >= LEAST_DATES]
    places = np.unique(np.linspace(0, len(asked) - 1, min(MOMENTS, len(asked))).round().astype(int))
    errors = [_errors(data, known[asked[i]], asked[i], settings.tuning.seed) for i in places]
    return share(np.array(errors).reshape(-1, 2))


def share(errors: np.ndarray) -> float:
    """The share of the index that brings errors of the level nearest to 0.

    Parameters
    ----------
    errors
        Of each moment, without the index and with all of it, shape (moments, 2).

    Examples
    --------
    >>> share(np.array([[0.4, 0.0], [-0.4, 0.0], [0.2, 0.0]])), share(np.array([[0.1, 0.4], [-0.1, -0.4]]))
    (1.0, 0.0)
    >>> share(np.empty((0, 2)))
    0.5
    """
    without = errors[:, 0]
    gain = without - errors[:, 1]
    if not len(errors):
        return USUAL
    best = float(without @ gain) / max(float(gain @ gain), 1e-12)
    left = float(np.mean((without - np.clip(best, 0, 1) * gain) ** 2))
    held = left / SD**2
    strength = float(np.clip((without @ gain + held * USUAL) / max(float(gain @ gain) + held, 1e-12), 0, 1))
    helps = np.sum((without - strength * gain) ** 2) < np.sum(without**2)
    return round(strength, 2) if helps else 0.0


def has_season(fitted: Fitted) -> bool:
    """Whether the season of the business counts in a forecast."""
    return any(isinstance(term, Season) for prior in fitted.priors for term in terms(prior))


def _errors(data: Dataset, train: Iterable[Any], valid: Any, seed: int) -> tuple[float, float]:
    """How far plain trees are off in the level at a moment, without the index and with it; in raw scores."""
    rows = data.training_rows(train)
    rows = rows.sample(min(len(rows), MOST_ROWS), random_state=seed)
    encoder = learn_encoder(rows, data.schema)
    learned, later = encoder(rows), encoder(data.training_rows([valid]))
    form = CHURN if data.task == "churn" else TWEEDIE
    out = []
    for strength in (0.0, 1.0):
        params, trees = {**FIRST_TRIAL, "season": strength}, {form.parts[0].name: TREES}
        fitted = fit(form, learned, encoder, params, seed=seed, trees=trees)
        trained = ScoredRows(fitted.raw(learned.x), learned.y, np.zeros(len(learned.y), dtype=int))
        affine = (Affine(),) if data.task == "churn" else balance(form, trained)
        out.append(_level_error(data.task, predict(form, fitted.raw(later.x), affine), later.y))
    return out[0], out[1]


def _level_error(task: str, forecast: np.ndarray, y: np.ndarray) -> float:
    if task == "churn":
        return float(logit(np.mean(forecast)) - logit(smoothed_share(y)))
    total = float(np.maximum(y, 0.0).sum())
    return float(np.log(forecast.sum() / total)) if total > 0 else 0.0
