"""Learning intervals that keep their promise: split conformal prediction, within bins of the expected value.

The ends are quantiles of what came, as multiples of what was expected, of forecasts of moments that the model had not
seen (Vovk et al. 2005). Bins hold the edges of the tiers, so that the promise holds for each tier and not only over all
(Mondrian bins: Vovk, Lindsay, Nouretdinov and Gammerman 2003), and new customers have bins of their own.

- The moments are pooled: the next is one more of their kind. They differ in level, and few of them show less of that
  than the next will, least where their horizons overlap. What lacks is put in: each outcome stands twice, as it would
  have been had its moment been that much better, and that much worse (`level_spread`).
- Ends and quantiles never fall within a tier as the expected value rises: bins between whose typical customers they
  fall become one, and at the edge of two bins their amounts meet (`Interval`).
- A bin with few rows borrows the nearest ones of its neighbours.
- The interval holds the expected value, which is a mean: of a skewed law it may lie beyond the quantile that is asked,
  as where nine in ten bring nothing. Then at least a tenth of the outcomes beyond the expected value lie inside, which
  covers more than was promised, and never more than such customers force.
- A tail in which nothing can lie, under the floor or beyond a full price, leaves its share to the other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from configs.errors import NotEnoughDataError
from training.model.intervals import LEVELS, Interval

MIN_PER_BIN = 50
ROWS_PER_BIN = 150
BINS_PER_TIER = 3
BINS = 9
MIN_BEYOND = 10
INSIDE = 0.1
MOST_SPREAD = 0.25


@dataclass(frozen=True)
class Outcomes:
    """Forecasts of moments that the model had not seen, and what came; shape (n,) each.

    Attributes
    ----------
    expected, actual
        In currency.
    known_days
        Since when each customer had been known; None: the data does not tell.
    customers
        Who it was; None: everyone stands once.
    days
        When it was, in days since any; None: all at one moment.
    """

    expected: np.ndarray
    actual: np.ndarray
    known_days: np.ndarray | None = None
    customers: np.ndarray | None = None
    days: np.ndarray | None = None


def fit_intervals(
    seen: Outcomes,
    coverage: float,
    *,
    horizon_days: float,
    new_days: float = 0.0,
    allowance: float = 0.0,
    tier_edges: Sequence[float] = (),
    min_rows: int = MIN_PER_BIN,
    least_spread: float = 0.0,
) -> Interval:
    """Learn the interval of all, and that of new customers apart where at least 50 were seen; fewer share that of all.

    Parameters
    ----------
    seen
        Of several moments, if possible.
    new_days
        A customer known for fewer days is new.
    horizon_days
        How far ahead the forecasts look.
    coverage, allowance, tier_edges, min_rows
        See `fit_interval`.
    least_spread
        How unsure the level is known to be otherwise, see `level_spread`.
    """
    expected, actual, known = seen.expected, seen.actual, seen.known_days
    spread = max(level_spread(expected, actual, seen.days, horizon_days), least_spread)
    alike = rows_alike(expected, actual, seen.customers)

    def fit(part: np.ndarray) -> Interval:
        return fit_interval(expected[part], actual[part], coverage, allowance, min_rows, tier_edges, spread, alike)

    new = np.zeros(len(expected), dtype=bool) if known is None else known < new_days
    if not MIN_PER_BIN <= new.sum() <= len(new) - MIN_PER_BIN:
        return fit(np.ones(len(new), dtype=bool))
    return replace(fit(~new), newcomers=fit(new), new_days=new_days)


def fit_interval(
    expected: np.ndarray,
    actual: np.ndarray,
    coverage: float,
    allowance: float = 0.0,
    min_rows: int = MIN_PER_BIN,
    tier_edges: Sequence[float] = (),
    spread: float = 0.0,
    alike: float = 1.0,
) -> Interval:
    """Learn the interval from forecasts and what came, on rows that the model was not learned from.

    Parameters
    ----------
    expected, actual
        Forecast and true value of each customer, shape (n,), in currency.
    coverage
        Share of true values that shall lie inside, between 0.5 and 1.
    allowance
        See `Interval`.
    min_rows
        The fewest rows that tails are learned from; with few rows the ends are the farthest seen.
    tier_edges
        Expected values at which tiers begin, in currency, in any order: bins never lie across one.
    spread
        How much higher or lower the next moment may be than these show, in logarithms, see `level_spread`.
    alike
        How many rows tell as much as one, as a customer's rows are alike, see `rows_alike`.

    Raises
    ------
    NotEnoughDataError
        Fewer rows.
    """
    if len(expected) < min_rows:
        raise NotEnoughDataError(
            f"a value interval needs at least {min_rows} matured forecasts, found {len(expected)}: "
            "wait for more months to pass, or widen the history"
        )
    order = np.argsort(expected, kind="stable")
    expected, actual = expected[order], actual[order]
    offset = _offset(actual)
    unit, floor = np.abs(expected) + offset, float(min(actual.min(), 0.0))
    rows = _Rows(unit, expected / unit, actual / unit, floor, spread, alike)
    edges, bins = _rising(rows, expected, bin_edges(expected, tier_edges), tier_edges, coverage)
    low, high, *quantiles = zip(*bins, strict=True)
    return Interval(
        coverage=coverage,
        edges=tuple(float(e) for e in edges),
        low=low,
        high=high,
        offset=offset,
        floor=floor,
        allowance=allowance,
        quantiles=tuple(quantiles),
        from_zero=True,
        steps=tuple(float(e) for e in edges if e in tier_edges),
    )


def level_spread(
    expected: np.ndarray, actual: np.ndarray, moments: np.ndarray | None, horizon_days: float = 0.0
) -> float:
    """How much further than these moments show the level of the next may lie, as a standard deviation of logarithms.

    The level of a moment is what came over what was expected, in total. Two moments whose horizons overlap share days,
    and so differ by less: were the levels of days independent, by a share ``d = min(days apart / horizon, 1)`` of the
    variance ``2 s^2`` of two far ones. With the mean D of d over all pairs, M moments spread by ``s^2 D (M - 1) / M``
    around their mean, the next by ``s^2 (2 - D (M - 1) / M)``; the square of what is returned is the difference.
    ``s^2`` itself is the variance between the moments over D, less that by the chance of who ordered. 0 with one
    moment, which tells nothing of others; at most a quarter.
    """
    if moments is None:
        return 0.0
    days, place = np.unique(moments, return_inverse=True)
    came, forecast = (np.bincount(place, weights=column) for column in (actual, expected))
    if len(days) < 2 or (came <= 0).any() or (forecast <= 0).any():
        return 0.0
    ratio = came / forecast
    chance = np.bincount(place, weights=(actual - ratio[place] * expected) ** 2) / came**2
    apart = np.abs(days[:, None] - days) / max(horizon_days, 1e-9)
    overlap = float(np.minimum(apart, 1.0)[~np.eye(len(days), dtype=bool)].mean())
    between = max(float(np.var(np.log(ratio), ddof=1)) / overlap - float(np.mean(chance)), 0.0)
    return float(min(np.sqrt(2 * between * (1 - overlap * (1 - 1 / len(days)))), MOST_SPREAD))


def rows_alike(expected: np.ndarray, actual: np.ndarray, customers: np.ndarray | None) -> float:
    """How many rows tell as much as one: the design effect of a customer's rows (Kish 1965), at least 1.

    Horizons of moments overlap, and who brings far more than was expected at one does so at the next: what counts is
    how alike the rows of one customer are in lying among the twentieth that brought most for what was expected.
    """
    if customers is None:
        return 1.0
    _, code, size = np.unique(customers, return_inverse=True, return_counts=True)
    if size.max() < 2:
        return 1.0
    ratio, far = actual / (np.abs(expected) + _offset(actual)), np.zeros(len(actual))
    for part in np.array_split(np.argsort(expected, kind="stable"), min(BINS, len(expected))):
        far[part] = ratio[part] > np.quantile(ratio[part], 0.95)
    far -= far.mean()
    total = np.bincount(code, weights=far)
    pairs = float((size * (size - 1)).sum())
    correlation = float(total @ total - far @ far) / pairs / max(float(np.mean(far**2)), 1e-12)
    return 1.0 + max(correlation, 0.0) * (pairs / len(ratio))


def bin_edges(expected: np.ndarray, tier_edges: Sequence[float] = ()) -> np.ndarray:
    """The tiers' edges, and quantiles of the expected value between them where a tier has many rows; rising.

    An edge has rows on either side: a tier without rows shares the nearest bin. Tiers' edges come before quantiles.
    """
    ordered = np.sort(expected)
    tiers = [e for e in np.unique(np.asarray(tier_edges, dtype=np.float64)) if ordered[0] <= e < ordered[-1]]
    stops = [0, *np.searchsorted(ordered, tiers, side="right").tolist(), len(ordered)]
    inner: list[float] = list(tiers)
    for start, stop in pairwise(stops):
        bins = int(np.clip((stop - start) // ROWS_PER_BIN, 1, BINS_PER_TIER if tiers else BINS))
        inner += np.quantile(ordered[start:stop], np.linspace(0, 1, bins + 1)[1:-1]).tolist() if stop > start else []
    kept = np.empty(0)
    for edge in inner:
        edges = np.unique([*kept, edge])
        counts = np.diff([0, *np.searchsorted(ordered, edges, side="right"), len(ordered)])
        kept = edges if (counts > 0).all() else kept
    return kept


def _rising(
    rows: _Rows, expected: np.ndarray, edges: np.ndarray, tier_edges: Sequence[float], coverage: float
) -> tuple[np.ndarray, list[tuple[float, ...]]]:
    """The edges and multiples of bins in which no end and no quantile falls as the expected value rises.

    Neighbours of one tier become one bin where the typical customer of the upper one would be told less than that of
    the lower one, as in the pooling of adjacent violators: where nine in ten bring nothing, chance alone decides on
    which side of it a bin comes to lie. An end below nothing may fall: larger customers may give back more.
    """
    while True:
        starts = [0, *np.searchsorted(expected, edges, side="right").tolist(), len(expected)]
        bins = [rows.bin(start, stop, coverage) for start, stop in pairwise(starts)]
        units = np.array([rows.unit[start:stop].mean() for start, stop in pairwise(starts)])
        typical = np.asarray(bins) * units[:, None]
        falls = ((np.diff(typical, axis=0) < 0) & (typical[:-1] > 0)).any(axis=1) & ~np.isin(edges, tier_edges)
        if not falls.any():
            return edges, bins
        edges = np.delete(edges, np.flatnonzero(falls)[0])


@dataclass(frozen=True)
class _Rows:
    """Forecasts in rising order and what came, both as multiples of the unit, shape (n,) each."""

    unit: np.ndarray
    forecast: np.ndarray
    ratio: np.ndarray
    floor: float
    spread: float
    alike: float

    def bin(self, start: int, stop: int, coverage: float) -> tuple[float, ...]:
        """Lower end, upper end and quantiles of one bin, as multiples of the unit."""
        near = self._around(start, stop, MIN_PER_BIN)
        ratio, tail = self.ratio[near], (1 - coverage) / 2
        low = min(self._quantile(ratio, tail), self._inner(start, stop, below=True))
        under = self._missed(ratio < low, ratio <= low, tail)
        high = max(self._quantile(ratio, coverage + under), self._inner(start, stop, below=False))
        left = 1 - coverage - self._missed(ratio > high, ratio >= high, 1 - coverage - under)
        if left > tail:
            low = max(low, min(self._quantile(ratio, left), self._inner(start, stop, below=True)))
        return low, high, *(self._quantile(ratio, level) for level in LEVELS)

    def _around(self, start: int, stop: int, rows: int) -> slice:
        """The rows of a bin, and as many of its neighbours as it lacks, from either side."""
        lacking = max(0, rows - (stop - start))
        start, stop = start - lacking // 2, stop + lacking - lacking // 2
        start, stop = start - max(0, stop - len(self.ratio)), stop + max(0, -start)
        return slice(max(0, start), min(len(self.ratio), stop))

    def _inner(self, start: int, stop: int, below: bool) -> float:
        """The multiple up to which a tenth of the outcomes lie that are beyond all expected values of the bin.

        Of its neighbours, too, if few do; infinite, and so no bound, if none do.
        """
        rows, most = max(MIN_PER_BIN, stop - start), len(self.ratio)
        while True:
            near = self._around(start, stop, rows)
            beyond = self.ratio[near] < self.forecast[start] if below else self.ratio[near] > self.forecast[stop - 1]
            if beyond.sum() >= MIN_BEYOND or rows >= most:
                break
            rows *= 2
        if not beyond.any():
            return np.inf if below else -np.inf
        return float(np.quantile(self.ratio[near][beyond], 1 - INSIDE if below else INSIDE))

    def _quantile(self, ratio: np.ndarray, level: float) -> float:
        """The conformal quantile: of n outcomes the ``(n + 1) level``-th, between two of them interpolated.

        Weibull's plotting position. The next rank above, which promises *at least* the coverage, gives clearly more of
        it in bins of fifty: 96 % where 90 % was asked. Each outcome stands twice where moments differ in level.
        """
        both = np.concatenate([ratio * np.exp(self.spread), ratio * np.exp(-self.spread)]) if self.spread else ratio
        share = np.clip(level + (level - 0.5) * self.alike / len(ratio), 0.0, 1.0)
        return float(np.quantile(both, share, method="hazen"))

    def _missed(self, outside: np.ndarray, reached: np.ndarray, most: float) -> float:
        """The chance that the next outcome lies outside an end, as those seen tell; at most what the end was made for.

        Less where many outcomes tie at the end, as the many who bring nothing. Whether they are as many is in doubt
        where few rows tell, so until they are more by a standard error, a part of them counts as missed.
        """
        n, spare = len(reached), float(reached.mean()) - most
        doubt = 1 - spare / np.sqrt(most * self.alike / n) if spare >= 0 and most > 0 else 0.0
        return float(min(most, max((outside.sum() + 1) / (n + 1), most * doubt)))


def _offset(actual: np.ndarray) -> float:
    """A twentieth of the mean outcome, or, where few bring most of it, of the median of who brings anything."""
    size = np.abs(actual)
    some = size[size > 0]
    return max(0.05 * min(float(size.mean()), float(np.median(some))), 1e-9) if len(some) else 1e-9
