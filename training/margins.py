"""How far a metric can be trusted: its standard error over customers, and that of its difference between two models.

Each metric is linearised: to first order, what a row adds to it is its influence, and the influences of a customer's
rows, added up, are what independent customers contribute. The square root of the sum of their squares is the standard
error (cluster-robust sandwich: Liang and Zeger, Biometrika 73, 1986). The difference of two models on the same rows has
the difference of their influences, so that what is hard in the rows themselves falls out. Against drawing customers
again some hundred times it gives the same interval, the same for every seed, for the price of a sort.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata, t

from training.metrics import CLIP, known, log_losses

Array = NDArray[np.float64]
Influence = tuple[float, Array]
RANKS = ("auc", "normalised_gini")
LEAST_SHARE = 0.01


@dataclass(frozen=True)
class Margin:
    """A metric, or the difference of two, with its uncertainty.

    Attributes
    ----------
    value
        What was measured; NaN if it is not defined on these rows.
    error
        Its standard error over customers; NaN where too few have an outcome of their own to tell one.
    degrees
        Degrees of freedom of that error: few where a few customers make most of it.
    customers
        How many there are; 0 without rows, or where a forecast is not finite. Of some whose `value` is NaN, all have
        one outcome.
    """

    value: float
    error: float
    degrees: float
    customers: int

    def reach(self, level: float) -> float:
        """How far the interval that holds the true value with probability `level` goes to either side.

        >>> round(Margin(0.0, 1.0, 1e9, 100).reach(0.95), 2)
        1.96
        """
        return float(t.ppf((1 + level) / 2, self.degrees)) * self.error if self.error > 0 else self.error

    def interval(self, level: float) -> tuple[float, float]:
        """Lower and upper bound; (NaN, NaN) where the metric is not defined."""
        reach = self.reach(level)
        return self.value - reach, self.value + reach

    def customers_to_tell(self, distance: float, level: float) -> float:
        """About how many such customers would show a `distance` from the true value at this level; inf for none.

        >>> Margin(0.01, 0.02, 1e9, 100).customers_to_tell(0.01, 0.95)
        1536.6
        """
        if not distance:
            return math.inf
        return round(self.customers * (self.reach(level) / distance) ** 2, 1)


def margin(
    metric: str, y: ArrayLike, forecast: ArrayLike, customers: ArrayLike, other: ArrayLike | None = None
) -> Margin:
    """Measure a metric of forecasts, or by how much it exceeds that of others on the same rows.

    Parameters
    ----------
    metric
        ``auc``, ``log_loss``, ``normalised_gini``, ``mae`` or ``rmse``, as in `training.metrics`; or ``deviance``, see
        `_deviance`.
    y
        Outcomes, shape (n,); NaN: unknown, left out.
    forecast, other
        Forecasts, shape (n,); `other` None: the metric itself.
    customers
        Whose row each is, shape (n,): rows of one customer are one fact.

    Notes
    -----
    The degrees of freedom are Satterthwaite's (Biometrics Bulletin 2, 1946) with the fourth moment of what customers
    contribute: an interval that rests on one large customer is a wide one. At most they are one less than the customers
    whose outcome is not the commonest: what few leavers or buyers show is as uncertain as so few are, and of one alone
    no error of an order can be told (it is NaN); a mean loss that many customers raise alike is told all the same.
    """
    whose = pd.factorize(np.asarray(customers))[0][~np.isnan(np.asarray(y, dtype=np.float64))]
    outcome, *forecasts = known(y, *([forecast] if other is None else [forecast, other]))
    if not len(outcome):
        return Margin(math.nan, math.nan, math.nan, 0)
    measured = [INFLUENCES[metric](outcome, f) for f in forecasts]
    value = measured[0][0] - (measured[1][0] if other is not None else 0.0)
    if math.isnan(value):
        return Margin(math.nan, math.nan, math.nan, len(np.unique(whose)))
    influence = measured[0][1] - (measured[1][1] if other is not None else 0.0)
    values, place, often = np.unique(outcome, return_inverse=True, return_counts=True)
    rare = np.unique(whose[place != often.argmax()])
    informative = len(rare) if len(values) > 1 else len(np.unique(whose))
    if informative < 2 and metric not in RANKS:
        informative = _differing(influence, whose)
    return _clustered(value, influence, whose, informative)


def _differing(influence: Array, whose: NDArray[np.intp]) -> int:
    """How many customers contribute something else than most do: those that a mean loss rests on."""
    _, often = np.unique(np.bincount(whose, weights=influence), return_counts=True)
    return int(often.sum() - often.max())


def _clustered(value: float, influence: Array, whose: NDArray[np.intp], informative: int) -> Margin:
    """The margin of rows with an influence each, whose mean is zero."""
    _, codes = np.unique(whose, return_inverse=True)
    squares = np.bincount(codes, weights=influence) ** 2
    customers, total = len(squares), float(squares.sum())
    if customers < 2 or informative < 2:
        return Margin(value, math.nan, math.nan, customers)
    spread = float((squares**2).sum()) - total**2 / customers
    degrees = min(informative - 1.0, 2 * total**2 / spread if spread > 0 else math.inf)
    error = math.sqrt(total * informative / (informative - 1)) / len(influence)
    return Margin(value, error, degrees, customers)


def _mean(losses: Array) -> Influence:
    mean = float(losses.mean())
    return mean, losses - mean


def _log_loss(y: Array, p: Array) -> Influence:
    p = np.clip(p, CLIP, 1 - CLIP)
    return _mean(log_losses(y, p))


def _mae(y: Array, expected: Array) -> Influence:
    return _mean(np.abs(expected - y))


def _rmse(y: Array, expected: Array) -> Influence:
    mean, influence = _mean((expected - y) ** 2)
    root = math.sqrt(mean)
    return root, influence / (2 * root) if root else influence


def _deviance(y: Array, expected: Array) -> Influence:
    """Half the mean Poisson deviance but for what is the same of every forecast, in units of the mean outcome.

    Least, on the whole, for the mean of each outcome, as the squared error is, but led by no few largest ones; the
    absolute error is least for the median (Gneiting, "Making and evaluating point forecasts", JASA 106, 2011). A
    forecast under a hundredth of the mean outcome counts as that. NaN unless the outcomes sum to more than zero.
    """
    mean = float(y.mean())
    if mean <= 0:
        return math.nan, np.zeros(len(y))
    forecast = np.maximum(expected / mean, LEAST_SHARE)
    return _mean(forecast - y / mean * np.log(forecast))


def _auc(y: Array, p: Array) -> Influence:
    """Placements of each leaver among the stayers and the reverse: DeLong et al., Biometrics 44 (1988).

    Sums over a customer's rows are Obuchowski's extension to clustered data, Biometrics 53 (1997).
    """
    left = y == 1
    n, n_left = len(y), int(left.sum())
    if n_left in (0, n):
        return math.nan, np.zeros(n)
    ranks, placement = rankdata(p), np.empty(n)
    placement[left] = (ranks[left] - rankdata(p[left])) / (n - n_left)
    placement[~left] = 1 - (ranks[~left] - rankdata(p[~left])) / n_left
    area = float(placement[left].mean())
    share = np.where(left, n_left / n, 1 - n_left / n)
    return area, (placement - area) / share


def _normalised_gini(y: Array, expected: Array) -> Influence:
    """The ratio of two covariances of value and rank, each a U-statistic (Hoeffding 1948)."""
    if np.ptp(y) == 0:
        return math.nan, np.zeros(len(y))
    (by_forecast, above), (by_itself, below) = _rank_covariance(y, expected), _rank_covariance(y, y)
    ratio = by_forecast / by_itself
    return ratio, (above - ratio * below) / by_itself


def _rank_covariance(y: Array, order: Array) -> Influence:
    """The mean of value's deviation times rank share, and what each row adds to it."""
    n, deviation = len(y), y - y.mean()
    ranks = rankdata(order) / n
    covariance = float(deviation @ ranks) / n
    _, place = np.unique(order, return_inverse=True)
    tied = np.bincount(place, weights=deviation)
    above = tied[::-1].cumsum()[::-1] - tied / 2  # what rows of higher order deviate by; ties count half
    influence = deviation * (ranks - ranks.mean()) + above[place] / n
    return covariance, influence - influence.mean()


INFLUENCES: dict[str, Callable[[Array, Array], Influence]] = {
    "auc": _auc,
    "log_loss": _log_loss,
    "normalised_gini": _normalised_gini,
    "mae": _mae,
    "rmse": _rmse,
    "deviance": _deviance,
}
