"""How good a forecast is: one function a number, arrays in, a float out.

Two rules hold for every metric here.

- A row whose outcome is unknown (NaN) is left out, as nothing can be said about it.
- A metric that is not defined is NaN, never an error or a warning: no rows, one class only, no revenue at all,
  or a forecast that is not a finite number. A gate never lets NaN pass.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincc, xlogy
from scipy.stats import rankdata
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import average_precision_score

from configs.errors import DataError

Array = NDArray[np.float64]
UNKNOWN = "unknown"
CLIP = 1e-15
MOST_LOTS, LOTS_AT_ONCE = 10_000_000, 1_000_000


def known(y: ArrayLike, *forecasts: ArrayLike) -> tuple[Array, ...]:
    """Keep the rows whose outcome is known.

    Parameters
    ----------
    y
        Outcomes, shape (n,); NaN where unknown.
    forecasts
        Arrays of shape (n,) that belong to them.

    Returns
    -------
    tuple of ndarray
        `y` and the forecasts as float64, without the unknown rows. All are empty if a remaining forecast is not
        finite: no metric is defined for such a model.

    Raises
    ------
    DataError
        The arrays are not one-dimensional or not of one length.
    """
    arrays = [np.asarray(a, dtype=np.float64) for a in (y, *forecasts)]
    if any(a.ndim != 1 or len(a) != len(arrays[0]) for a in arrays):
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise DataError(f"metrics: expected one forecast an outcome, got arrays of shapes {shapes}; pass equal lengths")
    observed = [a[~np.isnan(arrays[0])] for a in arrays]
    finite = all(np.isfinite(a).all() for a in observed)
    return tuple(observed if finite else (a[:0] for a in observed))


def quantile_bins(values: ArrayLike, n_bins: int = 10) -> NDArray[np.intp]:
    """Number the quantile bin of each value, lowest values first.

    Equal values always share a bin, so the order of the rows does not matter and bins may be unequal or empty.
    The edges are those of :func:`sklearn.calibration.calibration_curve` with ``strategy="quantile"``.

    >>> quantile_bins([0.1, 0.2, 0.3, 0.4], n_bins=2)
    array([0, 0, 1, 1])
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) == 0:
        return np.zeros(0, dtype=np.intp)
    inner_edges = np.quantile(values, np.linspace(0, 1, n_bins + 1)[1:-1])
    return np.searchsorted(inner_edges, values)


def wilson_interval(successes: ArrayLike, n: ArrayLike, level: float = 0.95) -> tuple[Array, Array]:
    """Bound a rate by Wilson's score interval, which stays sound for small n and for rates near 0 or 1.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Parameters
    ----------
    successes, n
        Counts, of one shape; they need not be whole.
    level
        Share of samples whose interval holds the true rate.

    Returns
    -------
    tuple of ndarray
        Lower and upper bounds within [0, 1]; NaN where n is 0.

    >>> low, high = wilson_interval(5, 10)
    >>> print(f"{low:.3f} {high:.3f}")
    0.237 0.763
    """
    from statsmodels.stats.proportion import proportion_confint

    n = np.asarray(n, dtype=np.float64)
    n = np.where(n > 0, n, np.nan)
    rate = np.asarray(successes, dtype=np.float64) / n
    low, high = proportion_confint(rate * n, n, 1 - level, method="wilson")
    return np.where(rate == 0, 0.0, low), np.where(rate == 1, 1.0, high)


def auc(y: ArrayLike, p: ArrayLike) -> float:
    """Chance that a leaver is given a higher probability than a stayer; ties count half. NaN with one class only.

    From the sum of the leavers' ranks, as of Mann and Whitney (1947): sklearn's curve takes ten times as long on some
    hundred rows, and an interval asks hundreds of times.
    """
    y, p = known(y, p)
    leavers = y == 1
    n = int(leavers.sum())
    if n in (0, len(y)):
        return np.nan
    return float((rankdata(p)[leavers].sum() - n * (n + 1) / 2) / (n * (len(y) - n)))


def average_precision(y: ArrayLike, p: ArrayLike) -> float:
    """Mean precision over the leavers, from the highest probability down. NaN with one class only."""
    y, p = known(y, p)
    return float(average_precision_score(y, p)) if _both_classes(y) else np.nan


def log_loss(y: ArrayLike, p: ArrayLike) -> float:
    """Mean negative log-likelihood in nats; `p` is clipped to [1e-15, 1 - 1e-15]. NaN without rows."""
    y, p = known(y, p)
    return _mean(log_losses(y, np.clip(p, CLIP, 1 - CLIP)))


def log_losses(y: Array, p: Array) -> Array:
    """Negative log-likelihood of each outcome (0 or 1) in nats, shape (n,); `p` lies between 0 and 1."""
    return np.asarray(-(xlogy(y, p) + xlogy(1 - y, 1 - p)))


def brier(y: ArrayLike, p: ArrayLike) -> float:
    """Mean squared distance of probability and outcome. NaN without rows."""
    y, p = known(y, p)
    return _mean((p - y) ** 2)


def expected_calibration_error(y: ArrayLike, p: ArrayLike, n_bins: int = 10) -> float:
    """Mean distance between what was forecast and what came, over bins of about equally many customers.

    The sum over the bins of (rows in the bin / rows) x abs(mean outcome - mean probability). NaN without rows.
    Source: Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015; the bins here
    are quantiles, as most churn probabilities crowd near zero.
    """
    y, p = known(y, p)
    gaps = np.bincount(quantile_bins(p, n_bins), weights=p - y, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(y)) if len(y) else np.nan


def debiased_calibration_error(y: ArrayLike, p: ArrayLike, n_bins: int = 10) -> float:
    """Root of the mean squared distance between forecast and outcome over bins, less what chance adds to it.

    In each bin the squared distance of the means is too large, on the whole by the variance of the mean outcome, which
    is taken out: so the sum of the squares is free of that bias, and where it is below zero, the error is 0. True
    probabilities of few customers show no error that more customers would not. NaN without rows.
    Source: the debiased estimator of Kumar, Liang and Ma, "Verified uncertainty calibration", NeurIPS 2019.
    """
    y, p = known(y, p)
    if not len(y):
        return np.nan
    bins = quantile_bins(p, n_bins)
    rows, left, gaps = (np.bincount(bins, weights=w, minlength=n_bins) for w in (np.ones_like(y), y, p - y))
    many = rows > 1
    rows, left, gaps = rows[many], left[many], gaps[many]
    chance = left / rows * (1 - left / rows) / (rows - 1)
    squared = (rows * ((gaps / rows) ** 2 - chance)).sum() / len(y)
    return float(np.sqrt(max(0.0, squared)))


def calibration_error_by_chance(
    p: ArrayLike, customers: ArrayLike, n_bins: int = 10, draws: int = 4000, seed: int = 0
) -> tuple[float, float]:
    """The calibration error that chance alone makes of true probabilities: its mean, and its 99.75 % quantile.

    Outcomes are drawn from the forecasts themselves (consistency resampling: Broecker and Smith, "Increasing the
    reliability of reliability diagrams", Weather and Forecasting 22, 2007). One lot decides of all rows of a customer,
    which is the most that outcomes at several moments can go together: chance is not made too small.

    Parameters
    ----------
    p
        Forecasts, shape (n,), at least one.
    customers
        Whose row each is, shape (n,).
    n_bins
        As of `expected_calibration_error`.
    draws
        How many sets of outcomes; of many rows, where chance makes little, a tenth do.
    seed
        The same seed gives the same numbers.
    """
    p = np.asarray(p, dtype=np.float64)
    rng, bins = np.random.default_rng(seed), quantile_bins(p, n_bins)
    whose, ids = pd.factorize(np.asarray(customers))
    by_bin = np.argsort(bins, kind="stable")
    starts = np.flatnonzero(np.diff(bins[by_bin], prepend=-1))
    forecast, whose = p[by_bin].astype(np.float32), whose[by_bin]
    expected = np.add.reduceat(p[by_bin], starts)
    draws = int(np.clip(MOST_LOTS / len(p), draws / 10, draws))
    errors, step = [], max(1, LOTS_AT_ONCE // len(p))
    for first in range(0, draws, step):
        lots = rng.random((min(step, draws - first), len(ids)), dtype=np.float32)
        came = np.add.reduceat(lots[:, whose] < forecast, starts, axis=1, dtype=np.float64)
        errors.append(np.abs(expected - came).sum(axis=1) / len(p))
    chance = np.concatenate(errors)
    return float(chance.mean()), float(np.quantile(chance, 0.9975))


def top_decile_lift(y: ArrayLike, p: ArrayLike) -> float:
    """Churn rate of the tenth with the highest probability, over the churn rate of all.

    The tenth is rounded up to whole customers. Where equal probabilities straddle its edge, the tied customers count
    with their mean outcome, so that the order of the rows does not matter. NaN without a leaver.

    >>> top_decile_lift([1, 0, 0, 0, 0, 0, 0, 0, 0, 1], [0.9, 0, 0, 0, 0, 0, 0, 0, 0, 0.1])
    5.0
    """
    y, p = known(y, p)
    if not y.any():
        return np.nan
    size = int(np.ceil(len(y) / 10))
    edge = np.sort(p)[-size]
    above, tied = y[p > edge], y[p == edge]
    hits = above.sum() + tied.mean() * (size - len(above))
    return float(hits / size / y.mean())


def empc(
    y: ArrayLike,
    p: ArrayLike,
    *,
    value: float = 200.0,
    offer_cost: float = 10.0,
    contact_cost: float = 1.0,
    alpha: float = 6.0,
    beta: float = 14.0,
) -> float:
    """Expected maximum profit of a retention campaign, a customer: how well the order serves whom to contact.

    For each success rate the customers are contacted down to the best place of this order; the mean over the rates is
    taken by their beta distribution. The defaults are those of the source, so that figures can be compared.

    Parameters
    ----------
    y
        1 left, 0 stayed, NaN unknown; shape (n,).
    p
        Scores, higher for likelier leavers, shape (n,); only their order counts.
    value
        What is lost with a customer who leaves, in units of currency; more than `offer_cost`.
    offer_cost, contact_cost
        Of an offer that is taken, and of a contact.
    alpha, beta
        Of the success rate's distribution.

    Returns
    -------
    float
        Units of currency for each of the n customers. NaN with one class only, or if no customer is worth an offer.

    Notes
    -----
    The best place always lies on the convex hull of the ROC curve, whose segments are the steps that isotonic
    regression finds (Fawcett and Niculescu-Mizil, "PAV and the ROC convex hull", 2007). A step in which the share r
    leaves is contacted from the rate ``t = (contact + offer (1 - r)) / ((value - offer) r)`` on, and its profit is
    linear in the rate, so the integral is a sum of incomplete beta functions.
    Source: Verbraken, Verbeke and Baesens, "A novel profit maximizing metric for measuring classification performance
    of customer churn prediction models", IEEE TKDE 25 (2013). It stays own code: `empulse` computes the same (a test
    holds the two together), but its licence is the AGPL, and it needs SymPy.
    """
    y, p = known(y, p)
    gain = value - offer_cost
    if not _both_classes(y) or gain <= 0:
        return np.nan
    share = IsotonicRegression().fit_transform(rankdata(p, "dense"), y)
    cost = contact_cost + offer_cost * (1 - share)
    edge = np.divide(cost, gain * share, out=np.ones_like(share), where=gain * share > cost)
    rates_above = alpha / (alpha + beta) * betaincc(alpha + 1, beta, edge)
    return float(np.mean(gain * share * rates_above - cost * betaincc(alpha, beta, edge)))


def churn_metrics(y: ArrayLike, p: ArrayLike) -> dict[str, float]:
    """Measure churn probabilities.

    Parameters
    ----------
    y
        1 left, 0 stayed, NaN unknown; shape (n,).
    p
        Probabilities of leaving, shape (n,).

    Returns
    -------
    dict
        ``n`` (rows with a known outcome), ``churn_rate``, ``mean_predicted``, and each churn metric of this module
        under its function's name.
    """
    outcome, probability = known(y, p)
    facts = {"n": _count(y), "churn_rate": _mean(outcome), "mean_predicted": _mean(probability)}
    return facts | {metric.__name__: metric(y, p) for metric in CHURN_METRICS}


def total_error(y: ArrayLike, expected: ArrayLike) -> float:
    """Signed error of the sum: (forecast - actual) / actual; 0.1 is ten per cent too much. NaN unless actual > 0."""
    y, expected = known(y, expected)
    total = y.sum()
    return float((expected.sum() - total) / total) if total > 0 else np.nan


def mae(y: ArrayLike, expected: ArrayLike) -> float:
    """Mean absolute error, in units of currency. NaN without rows."""
    y, expected = known(y, expected)
    return _mean(np.abs(expected - y))


def rmse(y: ArrayLike, expected: ArrayLike) -> float:
    """Root of the mean squared error, in units of currency. NaN without rows."""
    y, expected = known(y, expected)
    return float(np.sqrt(_mean((expected - y) ** 2)))


def spearman(y: ArrayLike, expected: ArrayLike) -> float:
    """Rank correlation of forecast and actual; ties take their mean rank. NaN if either is constant."""
    y, expected = known(y, expected)
    if _constant(y) or _constant(expected):
        return np.nan
    return float(np.corrcoef(rankdata(y), rankdata(expected))[0, 1])


def normalised_gini(y: ArrayLike, expected: ArrayLike) -> float:
    """Gini of the actual values ordered by forecast, over their Gini ordered by themselves.

    1 is the perfect order, 0 a random one, -1 the reverse. The Gini of an order is 2 cov(value, rank) / (n mean), so
    the ratio is one of two covariances; tied forecasts take their mean rank. For outcomes of 0 and 1 it is
    2 AUC - 1. NaN if all actual values are equal, as when there is no revenue.
    Source: Lerman and Yitzhaki, "A note on the calculation and interpretation of the Gini index" (1984).
    """
    y, expected = known(y, expected)
    if _constant(y):
        return np.nan
    deviation = y - y.mean()
    return float(deviation @ rankdata(expected) / (deviation @ rankdata(y)))


def decile_calibration_error(y: ArrayLike, expected: ArrayLike) -> float:
    """Mean over the forecast's deciles of abs(mean forecast - mean actual) / mean actual.

    A decile whose actual values do not sum to more than zero is left out, as it has no percentage; see `total_error`
    and `mae` for what was forecast there. NaN if no decile is left.
    """
    y, expected = known(y, expected)
    bins = quantile_bins(expected)
    actual, forecast = np.bincount(bins, weights=y), np.bincount(bins, weights=expected)
    earned = actual > 0
    return _mean(np.abs(forecast[earned] - actual[earned]) / actual[earned])


def coverage(y: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of actual values within [low, high], both ends included. NaN without rows."""
    y, low, high = known(y, low, high)
    return _mean((low <= y) & (y <= high))


def mean_interval_width(y: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Mean of high - low over the rows with a known outcome, in units of currency. NaN without rows."""
    _, low, high = known(y, low, high)
    return _mean(high - low)


def value_metrics(
    y: ArrayLike, expected: ArrayLike, low: ArrayLike | None = None, high: ArrayLike | None = None
) -> dict[str, float]:
    """Measure forecasts of customer value.

    Parameters
    ----------
    y
        Actual value, NaN unknown; shape (n,), in units of currency.
    expected
        Forecast value, shape (n,).
    low, high
        The forecast's interval, shape (n,); both or neither.

    Returns
    -------
    dict
        ``n`` (rows with a known outcome), ``mean_actual``, ``mean_expected``, and each value metric of this module
        under its function's name; ``coverage`` and ``mean_interval_width`` only with an interval.
    """
    actual, forecast = known(y, expected)
    facts = {"n": _count(y), "mean_actual": _mean(actual), "mean_expected": _mean(forecast)}
    points = {metric.__name__: metric(y, expected) for metric in VALUE_METRICS}
    if low is None or high is None:
        return facts | points
    return facts | points | {metric.__name__: metric(y, low, high) for metric in INTERVAL_METRICS}


CHURN_METRICS = (
    auc,
    average_precision,
    log_loss,
    brier,
    expected_calibration_error,
    debiased_calibration_error,
    top_decile_lift,
    empc,
)
VALUE_METRICS = (total_error, mae, rmse, spearman, normalised_gini, decile_calibration_error)
INTERVAL_METRICS = (coverage, mean_interval_width)


def by_slice(
    frame: pd.DataFrame, by: str | Sequence[str], metric_fn: Callable[[pd.DataFrame], dict[str, float]]
) -> pd.DataFrame:
    """Measure each slice of the customers apart.

    Parameters
    ----------
    frame
        One row a customer and as-of date.
    by
        The column, or columns, whose values make the slices; a missing value makes the slice "unknown".
    metric_fn
        Takes the rows of a slice and returns named numbers, such as
        ``lambda rows: churn_metrics(rows["churned"], rows["probability"])``.

    Returns
    -------
    DataFrame
        One row a slice, in order of its values: the columns of `by`, ``n`` (rows) and the metrics.
    """
    keys = [by] if isinstance(by, str) else list(by)
    named = [named_groups(frame[key]) for key in keys]
    rows = []
    for values, part in frame.groupby(named, sort=True):
        rows.append(dict(zip(keys, values, strict=True)) | {"n": len(part)} | metric_fn(part))
    return pd.DataFrame(rows, columns=None if rows else [*keys, "n"])


def named_groups(values: pd.Series) -> pd.Series:
    """Name each row's group as text; a missing value is the group "unknown".

    >>> named_groups(pd.Series(["a", None])).tolist()
    ['a', 'unknown']
    """
    return values.astype(object).where(values.notna(), UNKNOWN).astype(str)


def bootstrap_interval(
    fn: Callable[..., float],
    *arrays: ArrayLike,
    seed: int,
    groups: Sequence[Hashable] | ArrayLike | None = None,
    n: int = 200,
    level: float = 0.95,
) -> tuple[float, float]:
    """Bound a metric by drawing the customers again, with replacement (percentile bootstrap).

    Parameters
    ----------
    fn
        The metric: takes resampled `arrays`, returns a float.
    arrays
        Arrays of one length, a row each.
    seed
        The same seed gives the same interval.
    groups
        The customer of each row. All rows of a customer are drawn together, as two dates of one customer are not
        two independent facts; a row apart is the default.
    n
        Number of draws.
    level
        Share of samples whose interval holds the true value.

    Returns
    -------
    tuple of float
        Lower and upper bound. Draws in which the metric is undefined are left out; (NaN, NaN) if they are half or
        more, or if there are no rows.
    """
    columns = [np.asarray(a) for a in arrays]
    rows = np.arange(len(columns[0]))
    if len(rows) == 0:
        return np.nan, np.nan
    customer = rows if groups is None else pd.factorize(np.asarray(groups))[0]
    rng = np.random.default_rng(seed)
    draws = np.array([fn(*(c[again] for c in columns)) for again in _draws(customer, n, rng)], dtype=np.float64)
    defined = draws[~np.isnan(draws)]
    if len(defined) <= n / 2:
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def margin_interval(
    metric: Callable[..., float],
    y: ArrayLike,
    forecast: ArrayLike,
    baseline: ArrayLike,
    *,
    seed: int,
    groups: Sequence[Hashable] | ArrayLike | None = None,
    n: int = 200,
) -> tuple[float, float]:
    """Bound by how much a metric of forecasts exceeds that of a baseline, both measured on the same draws.

    Parameters
    ----------
    metric
        Takes outcomes and forecasts, returns a float.
    y, forecast, baseline
        Outcomes and the two forecasts, shape (n,).
    seed, groups, n
        See `bootstrap_interval`.

    Returns
    -------
    tuple of float
        Lower and upper 95 % bound of ``metric(y, forecast) - metric(y, baseline)``.
    """

    def margin(y: Array, forecast: Array, baseline: Array) -> float:
        return metric(y, forecast) - metric(y, baseline)

    return bootstrap_interval(margin, y, forecast, baseline, seed=seed, groups=groups, n=n)


def _draws(customer: NDArray[np.intp], n: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Row numbers of each draw: all rows of a customer as often as the customer was drawn."""
    rows, size = np.arange(len(customer)), customer.max() + 1
    for _ in range(n):
        times = np.bincount(rng.integers(size, size=size), minlength=size)
        yield np.repeat(rows, times[customer])


def _both_classes(y: Array) -> bool:
    return bool((y == 1).any() and (y == 0).any())


def _constant(values: Array) -> bool:
    return len(values) == 0 or bool(np.ptp(values) == 0)


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else np.nan


def _count(y: ArrayLike) -> float:
    return float(np.sum(~np.isnan(np.asarray(y, dtype=np.float64))))
