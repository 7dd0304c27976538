"""An affine map of a model's raw score: keeps SHAP additive, so what is explained is what is served."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

FLOOR = 0.05


@dataclass(frozen=True)
class Affine:
    """``slope * score + intercept``; the score is in log-odds (churn) or log-currency (value)."""

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, score: np.ndarray) -> np.ndarray:
        """Map raw scores."""
        return self.slope * score + self.intercept


def fit_log_odds(score: np.ndarray, label: np.ndarray) -> Affine:
    """Fit slope and intercept of calibrated log-odds on a later fold than the model was learned from.

    Platt (1999) scaling with his smoothed targets, so that a fold without a single leaver still gives a
    finite map. The slope never falls below 0.05: calibration may flatten a score, it must not turn it around.

    Parameters
    ----------
    score
        Raw log-odds of the model, shape (n,).
    label
        1 where the customer left, else 0, shape (n,).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> s = rng.normal(size=20_000)
    >>> fitted = fit_log_odds(s, rng.random(20_000) < expit(0.5 * s - 1))
    >>> round(fitted.slope, 1), round(fitted.intercept, 1)
    (0.5, -1.0)
    """
    ones = label.sum()
    zeros = len(label) - ones
    target = np.where(label > 0, (ones + 1) / (ones + 2), 1 / (zeros + 2))

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        z = theta[0] * score + theta[1]
        gap = expit(z) - target
        return float(np.mean(np.logaddexp(0, z) - target * z)), np.array([np.mean(gap * score), np.mean(gap)])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(FLOOR, None), (None, None)])
    return Affine(float(found.x[0]), float(found.x[1]))


def fit_level(expected: np.ndarray, actual: np.ndarray) -> Affine:
    """Fit the one shift of a log score that makes the total of the forecasts equal the total that came.

    The shift is held within a factor of two: a fold that needs more tells of another business, not of a level.
    """
    total = expected.sum()
    if total <= 0 or actual.sum() <= 0:
        return Affine()
    return Affine(1.0, float(np.clip(np.log(actual.sum() / total), -np.log(2), np.log(2))))
