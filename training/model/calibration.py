"""An affine map of a model's raw score: keeps SHAP additive, so what is explained is what is served."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import expit

FLOOR = 0.05
SLOPE_SD, LEVEL_SD = 0.5, 2.0


@dataclass(frozen=True)
class Affine:
    """``slope * score + intercept``; the score is in log-odds (churn) or log-currency (value)."""

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, score: np.ndarray) -> np.ndarray:
        """Map raw scores."""
        return self.slope * score + self.intercept


def fit_log_odds(
    score: np.ndarray,
    label: np.ndarray,
    fold: np.ndarray,
    weight: np.ndarray | None = None,
    learned: np.ndarray | None = None,
) -> Affine:
    """Fit how far log-odds must be stretched or flattened, on later rows than the model was learned from.

    The slope is Platt's (1999), with an own level for every fold: some months are better than others, and a slope that
    had to explain that would be wrong. The level itself is *not* taken from the folds. The few months of the folds say
    little of the level of the next one (their models, learned from less, miss it by more than the months differ), so
    the mean probability stays what all training rows taught. Learning it there made calibration worse on every real
    business it was tried on.

    A weak prior (slope normal about 1, levels normal about 0) gives a finite map from a fold without a single leaver.
    The slope never falls below 0.05: calibration may flatten a score, it must not turn it around.

    Parameters
    ----------
    score
        Raw log-odds of the model, shape (n,).
    label
        1 where the customer left, else 0, shape (n,).
    fold
        Which fold each row is of, shape (n,); whole numbers from 0.
    weight
        How much each row counts, shape (n,); None: all alike.
    learned
        Raw log-odds of the rows that the model was learned from, whose mean probability is kept, shape (m,); None:
        that of `score` is.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> s = rng.normal(size=20_000)
    >>> fitted = fit_log_odds(s, rng.random(20_000) < expit(0.5 * s - 1), np.zeros(20_000, dtype=int))
    >>> round(fitted.slope, 1), round(fitted.intercept, 1)
    (0.5, 0.0)
    """
    folds = int(fold.max()) + 1
    counts = np.ones(len(score)) if weight is None else weight

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        z = theta[0] * score + theta[1:][fold]
        gap = counts * (expit(z) - label)
        prior = np.concatenate([[(theta[0] - 1) / SLOPE_SD**2], theta[1:] / LEVEL_SD**2])
        off = np.concatenate([[(theta[0] - 1) / SLOPE_SD], theta[1:] / LEVEL_SD])
        slope = np.concatenate([[np.sum(gap * score)], np.bincount(fold, gap, folds)])
        return float(np.sum(counts * (np.logaddexp(0, z) - label * z)) + np.sum(off**2) / 2), slope + prior

    start = np.concatenate([[1.0], np.zeros(folds)])
    fitted_slope = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(FLOOR, None)] + [(None, None)] * folds)
    if learned is None:
        return _same_mean(float(fitted_slope.x[0]), score, counts)
    return _same_mean(float(fitted_slope.x[0]), learned, np.ones(len(learned)))


def _same_mean(slope: float, score: np.ndarray, counts: np.ndarray) -> Affine:
    """The affine map of this slope that leaves the mean probability as it is."""
    mean, reach = float(np.average(expit(score), weights=counts)), abs(slope - 1) * float(np.abs(score).max()) + 1.0

    def miss(intercept: float) -> float:
        return float(np.average(expit(slope * score + intercept), weights=counts)) - mean

    return Affine(slope, float(brentq(miss, -reach, reach)))


def fit_level(expected: np.ndarray, actual: np.ndarray) -> Affine:
    """Fit the one shift of a log score that makes the forecasts of the training rows sum to what came of them.

    Boosting on a gamma or Tweedie deviance does not keep the total: its condition weighs customers by a power of their
    expected value, so totals came out a fifth too low on made-up rows. Restoring the balance (Wuethrich 2020; Denuit,
    Charpentier and Trufin 2021) takes the level from all rows that were learned from, for the reason told at
    `fit_log_odds`. The shift is held within a factor of two.

    Parameters
    ----------
    expected, actual
        Forecasts of the rows that the model was learned from, and what came of them, shape (n,), in currency.
    """
    total = expected.sum()
    if total <= 0 or actual.sum() <= 0:
        return Affine()
    return Affine(1.0, float(np.clip(np.log(actual.sum() / total), -np.log(2), np.log(2))))
