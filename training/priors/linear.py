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

from training.json_tuples import lists_to_tuples

DEFAULT_STRENGTH = 0.05
STRENGTHS = (0.02, 0.05, 0.2, 1.0, 5.0)
MIN_OF_EACH = 10
MAX_SDS = 3.0
MIN_SD = 1e-9


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
        return self.intercept, _standardised(x, np.asarray(self.means), np.asarray(self.sds)) * np.asarray(self.slopes)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Linear:
        """The inverse of `to_dict`."""
        return cls(**lists_to_tuples(content))


def fit_linear(x: np.ndarray, y: np.ndarray, task: str, categorical: list[int]) -> Linear:
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
    categorical
        Places of columns that are no numbers: codes of categories.
    """
    logs = _signed_log(x)
    known = np.isfinite(logs).any(axis=0)
    means = np.where(known, np.nanmean(np.where(known, logs, 0.0), axis=0), 0.0)
    sds = np.where(known, np.nanstd(np.where(known, logs, 0.0), axis=0), 0.0)
    varying = known & (sds > MIN_SD)
    varying[categorical] = False
    sds = np.where(varying, sds, 1.0)
    z = _standardised(x, means, sds)[:, varying]
    level = float(np.mean(y))
    slopes, intercept = np.zeros(x.shape[1]), float(np.log(max(level, 1e-9)))
    if task == "churn" and (len(np.unique(y)) < 2 or not varying.any()):
        intercept = float(np.log((y.sum() + 0.5) / (len(y) - y.sum() + 0.5)))
    elif task == "churn":
        strength = _best_strength(z, y > 0, _logistic, "neg_log_loss")
        model = _logistic(strength, len(y)).fit(z, y > 0)
        intercept, slopes[varying] = float(model.intercept_[0]), model.coef_[0]
    elif level > 0 and varying.any():
        strength = _best_strength(z, y / level, _poisson, "neg_mean_poisson_deviance")
        model = _poisson(strength, len(y)).fit(z, y / level)
        intercept, slopes[varying] = float(model.intercept_ + np.log(level)), model.coef_
    return Linear(intercept, *(tuple(float(v) for v in values) for values in (slopes, means, sds)))


def _logistic(strength: float, rows: int) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=1000)


def _poisson(strength: float, rows: int) -> PoissonRegressor:
    return PoissonRegressor(alpha=1.0 / (strength * rows), max_iter=1000)


def _best_strength(z: np.ndarray, y: np.ndarray, regression: Callable[[float, int], Any], scoring: str) -> float:
    """How loosely the slopes are held: the best in five folds where each outcome came ten times, else tightly."""
    n_positive = int((y > 0).sum())
    if n_positive < MIN_OF_EACH or (regression is _logistic and len(y) - n_positive < MIN_OF_EACH):
        return DEFAULT_STRENGTH
    losses = {c: -cross_val_score(regression(c, len(y)), z, y, cv=5, scoring=scoring).mean() for c in STRENGTHS}
    return min(losses, key=lambda c: losses[c])


def _signed_log(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.log1p(np.abs(x))


def _standardised(x: np.ndarray, means: np.ndarray, sds: np.ndarray) -> np.ndarray:
    return np.nan_to_num(np.clip((_signed_log(x) - means) / sds, -MAX_SDS, MAX_SDS))
