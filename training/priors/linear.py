"""A ridge regression as a prior: what can be learned from few customers whose orders the data does not tell.

Contracts and ready exports have no orders, so no probabilistic model of orders can speak. With few rows a strongly
held linear model is hard to beat (Hastie, Tibshirani and Friedman 2009, chapter 3.4). It is linear in the logarithm of
amounts and counts, so its split between columns is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.model_selection import cross_val_score

from training.json_tuples import tuples

HELD = 0.05
STRENGTHS = (0.02, 0.05, 0.2, 1.0, 5.0)
LEAST_OF_EACH = 10
FARTHEST = 3.0
FLAT = 1e-9


@dataclass(frozen=True)
class Linear:
    """``intercept + sum of slope * standardised column``; a missing value adds nothing.

    Attributes
    ----------
    intercept
        Raw score of the mean customer.
    slopes, means, sds
        One a column of the matrix, of its signed logarithm; a slope of 0 for a column that is left out.
    """

    kind: ClassVar[str] = "linear"

    intercept: float
    slopes: tuple[float, ...]
    means: tuple[float, ...]
    sds: tuple[float, ...]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The raw score, shape (n,)."""
        base, effects = self.split(x)
        return base + effects.sum(axis=1)

    def split(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The raw score as a base and one effect a column, shape (n, columns)."""
        return self.intercept, _standard(x, np.asarray(self.means), np.asarray(self.sds)) * np.asarray(self.slopes)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Linear:
        """The inverse of `to_dict`."""
        return cls(**tuples(stored))


def fit_linear(x: np.ndarray, y: np.ndarray, task: str, left_out: list[int]) -> Linear:
    """Fit a logistic regression (churn), or a Poisson regression of the amount with a log link (value).

    Values lie at most three standard deviations from the mean: a single far customer must not steer few others.

    Parameters
    ----------
    x
        Matrix of the rows, shape (n, columns).
    y
        1 who left; or not negative amounts in currency; shape (n,).
    task
        ``churn`` or ``clv``. Where nobody, or everybody, left, or no number varies, the rate alone is told, with half a
        customer of either.
    left_out
        Places of columns that are no numbers: codes of categories.
    """
    logs = _logs(x)
    known = np.isfinite(logs).any(axis=0)
    means = np.where(known, np.nanmean(np.where(known, logs, 0.0), axis=0), 0.0)
    sds = np.where(known, np.nanstd(np.where(known, logs, 0.0), axis=0), 0.0)
    usable = known & (sds > FLAT)
    usable[left_out] = False
    sds = np.where(usable, sds, 1.0)
    z = _standard(x, means, sds)[:, usable]
    level = float(np.mean(y))
    slopes, intercept = np.zeros(x.shape[1]), float(np.log(max(level, 1e-9)))
    if task == "churn" and (len(np.unique(y)) < 2 or not usable.any()):
        intercept = float(np.log((y.sum() + 0.5) / (len(y) - y.sum() + 0.5)))
    elif task == "churn":
        held = _strength(z, y > 0, _logistic, "neg_log_loss")
        made = _logistic(held, len(y)).fit(z, y > 0)
        intercept, slopes[usable] = float(made.intercept_[0]), made.coef_[0]
    elif level > 0 and usable.any():
        held = _strength(z, y / level, _poisson, "neg_mean_poisson_deviance")
        made = _poisson(held, len(y)).fit(z, y / level)
        intercept, slopes[usable] = float(made.intercept_ + np.log(level)), made.coef_
    return Linear(intercept, *(tuple(float(v) for v in values) for values in (slopes, means, sds)))


def _logistic(strength: float, rows: int) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=1000)


def _poisson(strength: float, rows: int) -> PoissonRegressor:
    return PoissonRegressor(alpha=1.0 / (strength * rows), max_iter=1000)


def _strength(z: np.ndarray, y: np.ndarray, make: Callable[[float, int], Any], scoring: str) -> float:
    """How loosely the slopes are held: the best in five folds where each outcome came ten times, else tightly."""
    came = int((y > 0).sum())
    if came < LEAST_OF_EACH or (make is _logistic and len(y) - came < LEAST_OF_EACH):
        return HELD
    losses = {c: -cross_val_score(make(c, len(y)), z, y, cv=5, scoring=scoring).mean() for c in STRENGTHS}
    return min(losses, key=lambda c: losses[c])


def _logs(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.log1p(np.abs(x))


def _standard(x: np.ndarray, means: np.ndarray, sds: np.ndarray) -> np.ndarray:
    return np.nan_to_num(np.clip((_logs(x) - means) / sds, -FARTHEST, FARTHEST))
