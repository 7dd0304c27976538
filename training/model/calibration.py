"""An affine map of a model's raw score: keeps SHAP additive, so what is explained is what is served."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, softmax

from training.priors.level import log_odds_level, smoothed_share

FLOOR = 0.05
SLOPE_SD, LEVEL_SD = 0.5, 2.0
LEAST_AMOUNT = 1e-6
SHARE_PENALTY = 1e-6


@dataclass(frozen=True)
class Affine:
    """``slope * score + intercept``; the score is in log-odds (churn) or log-currency (value)."""

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, score: np.ndarray) -> np.ndarray:
        """Map raw scores."""
        return self.slope * score + self.intercept


@dataclass(frozen=True)
class Learned:
    """Rows that models were learned from: raw ``score`` of shape (m, models); ``label``, ``weight`` of shape (m,)."""

    score: np.ndarray
    label: np.ndarray
    weight: np.ndarray | None = None


def fit_log_odds(
    score: np.ndarray,
    label: np.ndarray,
    fold: np.ndarray,
    weight: np.ndarray | None = None,
    learned: Learned | None = None,
) -> Affine:
    """Fit how far log-odds must be stretched or flattened, see `fit_stack`; here of a single model.

    Parameters
    ----------
    score
        Raw log-odds of the model, shape (n,).
    label, fold, weight, learned
        See `fit_stack`; the raw score in `learned` of shape (m,).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> s = rng.normal(size=20_000)
    >>> fitted = fit_log_odds(s, rng.random(20_000) < expit(0.5 * s), np.zeros(20_000, dtype=int))
    >>> round(fitted.slope, 1), abs(round(fitted.intercept, 1))
    (0.5, 0.0)
    """
    taught = None if learned is None else replace(learned, score=learned.score[:, None])
    return fit_stack(score[:, None], label, fold, weight, taught)[0]


def fit_stack(
    scores: np.ndarray,
    label: np.ndarray,
    fold: np.ndarray,
    weight: np.ndarray | None = None,
    learned: Learned | None = None,
) -> tuple[Affine, ...]:
    """Fit what each model's log-odds count in their sum, on later rows than the models were learned from.

    Of one model it is the slope of Platt (1999); of several, a stacked regression with slopes that are not negative
    (Breiman, "Stacked regressions", 1996). Every fold has its own level: some months are better than others, and a
    slope that had to explain that would be wrong. The level itself is *not* taken from the folds. The few months of the
    folds say little of the level of the next one (their models, learned from less, miss it by more than the months
    differ), so the mean probability is that of all training rows. Learning it from the folds made calibration worse on
    every real business it was tried on.

    A weak prior (slopes normal about 1 by the number of models, levels normal about 0) gives a finite map from a fold
    without a single leaver. The slope of a single model never falls below 0.05: calibration may flatten a score, it
    must not turn it around.

    Parameters
    ----------
    scores
        Raw log-odds of each model, shape (n, models).
    label
        1 where the customer left, else 0, shape (n,).
    fold
        Which fold each row is of, shape (n,); whole numbers from 0.
    weight
        How much each row counts, shape (n,); None: all alike.
    learned
        The rows that the models were learned from, whose share of leavers is kept; None: those of `scores` are.

    Returns
    -------
    tuple of Affine
        One a model, to be added up; the level stands in the first one.
    """
    folds, models = int(fold.max()) + 1, scores.shape[1]
    counts = np.ones(len(scores)) if weight is None else weight

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        z = scores @ theta[:models] + theta[models:][fold]
        gap = counts * (expit(z) - label)
        off = np.concatenate([(theta[:models] - 1 / models) / SLOPE_SD, theta[models:] / LEVEL_SD])
        prior = off / np.repeat([SLOPE_SD, LEVEL_SD], [models, folds])
        gradient = np.concatenate([gap @ scores, np.bincount(fold, gap, folds)])
        return float(np.sum(counts * (np.logaddexp(0, z) - label * z)) + np.sum(off**2) / 2), gradient + prior

    start = np.concatenate([np.full(models, 1 / models), np.zeros(folds)])
    bounds = [(FLOOR if models == 1 else 0.0, None)] * models + [(None, None)] * folds
    slopes = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x[:models]
    rows = learned or Learned(scores, label, weight)
    level = log_odds_level(rows.score @ slopes, smoothed_share(rows.label, rows.weight), rows.weight)
    return tuple(Affine(float(slope), level if place == 0 else 0.0) for place, slope in enumerate(slopes))


def fit_shares(forecasts: np.ndarray, actual: np.ndarray, fold: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Fit how much each of several forecasts of an amount counts in their average, on rows that none learned from.

    The shares have the least Tweedie deviance of power 1.5, each fold at its own level, so that no share is steered by
    a month that was better than the others. As of a stacked regression (Breiman 1996) they are not negative.

    Parameters
    ----------
    forecasts
        Shape (n, models), in currency, above 0.
    actual, fold, weight
        What came; the fold and the weight of each row (None: all alike); shape (n,).

    Returns
    -------
    ndarray
        Shape (models,), the sum is 1.
    """
    models, y = forecasts.shape[1], np.maximum(actual, 0.0)
    counts = np.ones(len(y)) if weight is None else weight
    if models == 1 or not (counts * y).any():
        return np.full(models, 1.0 / models)
    indicator = fold[:, None] == np.arange(int(fold.max()) + 1)
    scale = float(counts @ np.sqrt(np.maximum(forecasts.mean(axis=1), LEAST_AMOUNT)))

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        shares = softmax(theta)
        mean = np.maximum(forecasts @ shares, LEAST_AMOUNT)
        below, root = (counts * y / np.sqrt(mean)) @ indicator, (counts * np.sqrt(mean)) @ indicator
        level = (np.maximum(below, LEAST_AMOUNT) / np.maximum(root, LEAST_AMOUNT))[fold]
        slope = counts * 0.5 * (np.sqrt(level / mean) - y / (np.sqrt(level) * mean**1.5))
        gradient = slope @ forecasts
        deviance = counts @ (y / np.sqrt(level * mean) + np.sqrt(level * mean))
        penalty = SHARE_PENALTY * float(theta @ theta)
        return deviance / scale + penalty, shares * (gradient - gradient @ shares) / scale + 2 * SHARE_PENALTY * theta

    return softmax(minimize(loss, np.zeros(models), jac=True, method="L-BFGS-B").x)


def fit_level(expected: np.ndarray, actual: np.ndarray, weight: np.ndarray | None = None) -> Affine:
    """Fit the one shift of a log score that makes the forecasts of the training rows sum to what came of them.

    Boosting on a gamma or Tweedie deviance does not keep the total: its condition weighs customers by a power of their
    expected value, so totals came out a fifth too low on made-up rows. Restoring the balance (Wuethrich 2020; Denuit,
    Charpentier and Trufin 2021) takes the level from all rows that were learned from, for the reason told at
    `fit_log_odds`. The shift is held within a factor of two of what came without the money paid back; how much of it
    was paid back is known, and counts whole.

    Parameters
    ----------
    expected, actual
        Forecasts of the rows that the model was learned from, and what came of them, shape (n,), in currency.
    weight
        How much each row counts, shape (n,); None: all alike.
    """
    total, came = np.average(expected, weights=weight), np.average(actual, weights=weight)
    if total <= 0 or came <= 0:
        return Affine()
    kept = np.log(came / np.average(np.maximum(actual, 0.0), weights=weight)) if np.min(actual) < 0 else 0.0
    return Affine(1.0, float(np.clip(np.log(came / total), kept - np.log(2), kept + np.log(2))))
