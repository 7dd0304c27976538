"""A ridge regression: what can be learned from few customers, or of columns whose effects simply add up.

Contracts and ready exports have no orders, so no probabilistic model of orders can speak. With few rows a strongly
held linear model is hard to beat (Hastie, Tibshirani and Friedman 2009, chapter 3.4). It is linear in the logarithm of
amounts and counts, in an indicator of every common level of a category, and in one of every column that is sometimes
missing, so its split between columns is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from training.json_tuples import lists_to_tuples
from training.priors.level import smoothed_share

DEFAULT_STRENGTH = 0.05
STRENGTHS = (0.001, 0.01, 0.05, 0.2, 1.0, 5.0)
MIN_OF_EACH = 10
MAX_SDS = 3.0
MIN_SD = 1e-9
FOLDS = 5
MAX_ROWS_TO_CHOOSE = 6_000
MAX_LEVELS = 64
MIN_ROWS_OF_INDICATOR = 5
MAX_NEWTON_COLUMNS = 300


@dataclass(frozen=True)
class Linear:
    """``intercept + sum of slope * standardised column + effect of a level + effect of a missing value - centre``.

    Attributes
    ----------
    intercept
        Mean raw score of the rows that were learned from.
    slopes, means, sds
        One a column of the matrix, of its signed logarithm; a slope of 0 for a column that is left out, and for
        categories. A missing number counts as the mean.
    missing
        What a missing value adds, one a column; empty: nothing anywhere.
    levels
        What each level of a category adds, by its code: a pair of the column's place and the effects, one a level.
    centres
        Mean effect of each column over the rows that were learned from, so that effects are told against it; empty: 0.
    """

    kind: ClassVar[str] = "linear"

    intercept: float
    slopes: tuple[float, ...]
    means: tuple[float, ...]
    sds: tuple[float, ...]
    missing: tuple[float, ...] = ()
    levels: tuple[tuple[int, tuple[float, ...]], ...] = ()
    centres: tuple[float, ...] = ()

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The raw score, shape (n,)."""
        base, effects = self.split(x)
        return base + effects.sum(axis=1)

    def split(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The raw score as a base and one effect a column, shape (n, columns)."""
        means, sds, slopes, missing, centres = self._arrays
        effects = _standardised(x, means, sds) * slopes
        if self.missing:
            effects = effects + np.isnan(x) * missing
        for place, of_level in self.levels:
            beyond = len(of_level)  # a missing value, or a level that was not among those learned from
            codes = np.clip(np.nan_to_num(x[:, place], nan=beyond), 0, beyond).astype(int)
            effects[:, place] += np.append(of_level, 0.0)[codes]
        return self.intercept, effects - centres

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, ...]:
        """Means, standard deviations, slopes, what missing values add, and centres: one a column."""
        return tuple(map(np.asarray, (self.means, self.sds, self.slopes, self.missing, self.centres or 0.0)))

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Linear:
        """The inverse of `to_dict`."""
        levels = tuple((place, tuple(effects)) for place, effects in content.get("levels", ()))
        return cls(**{**lists_to_tuples(content), "levels": levels})


def fit_linear(
    x: np.ndarray,
    y: np.ndarray,
    task: str,
    categorical: list[int],
    customers: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Linear:
    """Fit a logistic regression (churn), or a Poisson regression of the amount with a log link (value).

    Values lie at most three standard deviations from the mean: a single far customer must not steer few others. How
    loosely the slopes are held is what forecasts other customers best, in five folds.

    Parameters
    ----------
    x
        Matrix of the rows, shape (n, columns).
    y
        1 who left; or not negative amounts in currency; shape (n,).
    task
        ``churn`` or ``clv``. Where nobody, or everybody, left, or nothing varies, the rate alone is told, with half a
        customer of either.
    categorical
        Places of columns that are no numbers: codes of categories. A level that fewer than five rows have adds
        nothing; of a category with more than 64 levels, none does.
    customers
        Number of the customer of each row, shape (n,): all rows of one go to one fold. None: every row is its own.
    weight
        How much each row counts, shape (n,); None: all alike.
    """
    with threadpool_limits(1, "blas"):  # so small that threads only wait, and sums come in one order
        return _fit_linear(x, y, task, categorical, customers, weight)


def _fit_linear(
    x: np.ndarray,
    y: np.ndarray,
    task: str,
    categorical: list[int],
    customers: np.ndarray | None,
    weight: np.ndarray | None,
) -> Linear:
    y = (y > 0).astype(np.float64) if task == "churn" else y
    means, sds, numbers = _scales(x, categorical)
    design, places = _design(x, means, sds, numbers, categorical)
    counts = np.ones(len(y)) if weight is None else weight
    level = float(np.average(y, weights=counts))
    coefficients, intercept = np.zeros(design.shape[1]), float(np.log(max(level, 1e-9)))
    if task == "churn" and (len(np.unique(y)) < 2 or not places):
        intercept = float(logit(smoothed_share(y, counts)))
    elif places and (task == "churn" or level > 0):
        kind = _logistic if task == "churn" else _poisson
        target, shift = (y > 0, 0.0) if task == "churn" else (y / level, np.log(level))
        strength = _best_strength(design, target, kind, counts, customers)
        model = kind(strength, design.shape).fit(design, target, sample_weight=counts)
        intercept, coefficients = float(np.ravel(model.intercept_)[0] + shift), np.ravel(model.coef_)
    return _centred(_linear(intercept, coefficients, places, means, sds, x.shape[1]), x, counts)


def _scales(x: np.ndarray, categorical: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and standard deviation of the logarithm of every column, and which columns are numbers that vary."""
    logs = _signed_log(x)
    known = np.isfinite(logs).any(axis=0)
    means = np.where(known, np.nanmean(np.where(known, logs, 0.0), axis=0), 0.0)
    sds = np.where(known, np.nanstd(np.where(known, logs, 0.0), axis=0), 0.0)
    varying = known & (sds > MIN_SD)
    varying[categorical] = False
    return means, np.where(varying, sds, 1.0), varying


def _design(
    x: np.ndarray, means: np.ndarray, sds: np.ndarray, numbers: np.ndarray, categorical: list[int]
) -> tuple[np.ndarray, list[tuple[str, int, int]]]:
    """The regression's columns, and what each is: ``(kind, place, code)`` of a number, a missing value or a level."""
    z, absent = _standardised(x, means, sds), np.isnan(x)
    columns, places = [z[:, numbers]], [("number", int(p), 0) for p in np.flatnonzero(numbers)]
    for column in np.flatnonzero(_is_common(absent)).tolist():
        columns.append(absent[:, [column]])
        places.append(("missing", column, 0))
    for place in categorical:
        codes = np.nan_to_num(x[:, place], nan=-1).astype(int)
        if codes.max(initial=-1) >= MAX_LEVELS:
            continue
        indicators = codes[:, None] == np.arange(codes.max(initial=-1) + 1)
        common = np.flatnonzero(_is_common(indicators)).tolist()
        columns.append(indicators[:, common])
        places += [("level", place, code) for code in common]
    return np.hstack(columns).astype(np.float64), places


def _is_common(indicators: np.ndarray) -> np.ndarray:
    """Which indicators, shape (n, k), at least five rows have, and at least five have not."""
    count = indicators.sum(axis=0)
    return (count >= MIN_ROWS_OF_INDICATOR) & (count <= len(indicators) - MIN_ROWS_OF_INDICATOR)


def _linear(
    intercept: float,
    coefficients: np.ndarray,
    places: list[tuple[str, int, int]],
    means: np.ndarray,
    sds: np.ndarray,
    columns: int,
) -> Linear:
    slopes, missing = np.zeros(columns), np.zeros(columns)
    levels: dict[int, dict[int, float]] = {}
    for (kind, place, code), effect in zip(places, coefficients, strict=True):
        if kind == "number":
            slopes[place] = effect
        elif kind == "missing":
            missing[place] = effect
        else:
            levels.setdefault(place, {})[code] = float(effect)
    tables = tuple((p, tuple(of.get(c, 0.0) for c in range(MAX_LEVELS))) for p, of in levels.items())
    slopes_, means_, sds_, missing_ = (tuple(float(v) for v in values) for values in (slopes, means, sds, missing))
    return Linear(intercept, slopes_, means_, sds_, missing_, tables)


def _centred(model: Linear, x: np.ndarray, weight: np.ndarray) -> Linear:
    """The same forecasts, with effects whose mean over these rows is 0."""
    base, effects = model.split(x)
    centres = np.average(effects, axis=0, weights=weight)
    return replace(model, intercept=base + float(centres.sum()), centres=tuple(float(c) for c in centres))


def _logistic(strength: float, shape: tuple[int, ...]) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=200, solver=_solver(shape))


def _poisson(strength: float, shape: tuple[int, ...]) -> PoissonRegressor:
    return PoissonRegressor(alpha=1.0 / (strength * shape[0]), max_iter=200, solver=_solver(shape))


def _solver(shape: tuple[int, ...]) -> Any:
    """Newton's steps are few, but their cost grows with the square of the columns."""
    return "newton-cholesky" if shape[1] <= MAX_NEWTON_COLUMNS else "lbfgs"


def _best_strength(
    design: np.ndarray,
    y: np.ndarray,
    regression: Callable[[float, tuple[int, ...]], Any],
    weight: np.ndarray,
    customers: np.ndarray | None,
) -> float:
    """How loosely the slopes are held: the best in five folds where each outcome came ten times, else tightly.

    Of many rows an even sample chooses: how loosely is told by thousands as well as by all.
    """
    groups = np.arange(len(y)) if customers is None else customers
    step = -(-len(y) // MAX_ROWS_TO_CHOOSE)
    kept = np.flatnonzero(groups % step == 0)
    design, y, weight, groups = design[kept], y[kept], weight[kept], groups[kept]
    n_positive = int((y > 0).sum())
    if n_positive < MIN_OF_EACH or (regression is _logistic and len(y) - n_positive < MIN_OF_EACH):
        return DEFAULT_STRENGTH
    if len(np.unique(groups)) < FOLDS:
        return DEFAULT_STRENGTH
    splits = list(GroupKFold(FOLDS).split(design, y, groups))
    if any(not _learnable(y[train], regression) for train, _ in splits):
        return DEFAULT_STRENGTH
    losses = {c: _loss(regression, c, design, y, weight, splits) for c in STRENGTHS}
    return min(losses, key=lambda c: losses[c])


def _learnable(y: np.ndarray, regression: Callable[[float, tuple[int, ...]], Any]) -> bool:
    return len(np.unique(y)) > 1 if regression is _logistic else bool(y.sum() > 0)


def _loss(
    regression: Callable[[float, tuple[int, ...]], Any],
    strength: float,
    design: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    splits: list[tuple[np.ndarray, np.ndarray]],
) -> float:
    """Sum over the folds of the negative log-likelihood, but for what the forecast does not change."""
    total = 0.0
    for train, valid in splits:
        model = regression(strength, design[train].shape).fit(design[train], y[train], sample_weight=weight[train])
        score = design[valid] @ np.ravel(model.coef_) + np.ravel(model.intercept_)[0]
        likelihood = np.logaddexp(0, score) if regression is _logistic else np.exp(score)
        total += float(weight[valid] @ (likelihood - y[valid] * score))
    return total


def _signed_log(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.log1p(np.abs(x))


def _standardised(x: np.ndarray, means: np.ndarray, sds: np.ndarray) -> np.ndarray:
    return np.nan_to_num(np.clip((_signed_log(x) - means) / sds, -MAX_SDS, MAX_SDS))
