"""Intervals that keep their promise: split conformal prediction, within bins of the expected value.

The width is learned from forecasts of months that the model had not seen (Vovk et al. 2005; Mondrian bins as
in Vovk, Lindsay, Nouretdinov and Gammerman 2003, so that the promise holds for small and large customers alike).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from configs.errors import NotEnoughDataError

MIN_PER_BIN = 50
MAX_BINS = 8


@dataclass(frozen=True)
class Interval:
    """Lower and upper end as the expected value plus a multiple of its size, by bin of the expected value.

    Attributes
    ----------
    coverage
        Share of customers whose true value the interval promises to hold.
    edges
        Inner bin edges of the expected value, rising, shape (bins - 1,), in currency.
    low, high
        Relative residual at the lower and upper end, shape (bins,); the unit is ``expected + offset``.
    offset
        Keeps the unit above zero for customers of little value, in currency.
    floor
        No lower end lies under this, in currency: 0, or less where returns made negative totals.
    """

    coverage: float
    edges: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    offset: float
    floor: float

    def __call__(self, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper ends for expected values of shape (n,), in currency."""
        bins = np.searchsorted(np.asarray(self.edges), expected, side="right")
        unit = np.abs(expected) + self.offset
        low = np.maximum(expected + np.asarray(self.low)[bins] * unit, self.floor)
        high = expected + np.asarray(self.high)[bins] * unit
        return np.minimum(low, expected), np.maximum(high, expected)


def fit_interval(expected: np.ndarray, actual: np.ndarray, coverage: float) -> Interval:
    """Learn the interval from forecasts and what came, on rows that the model was not learned from.

    Parameters
    ----------
    expected, actual
        Forecast and true value of each customer, shape (n,), in currency.
    coverage
        Share of true values that shall lie inside, between 0.5 and 1.

    Raises
    ------
    NotEnoughDataError
        Fewer than 50 rows: the tails of the interval could not be told.
    """
    if len(expected) < MIN_PER_BIN:
        raise NotEnoughDataError(
            f"a value interval needs at least {MIN_PER_BIN} matured forecasts, found {len(expected)}: "
            "wait for more months to pass, or widen the history"
        )
    offset = float(max(np.mean(np.abs(actual)) * 0.05, 1e-9))
    ratio = (actual - expected) / (np.abs(expected) + offset)
    edges = _edges(expected)
    bins = np.searchsorted(edges, expected, side="right")
    tail = (1 - coverage) / 2
    groups = [ratio[bins == b] for b in range(len(edges) + 1)]
    return Interval(
        coverage=coverage,
        edges=tuple(float(e) for e in edges),
        low=tuple(-_conformal(-g, tail) for g in groups),
        high=tuple(_conformal(g, tail) for g in groups),
        offset=offset,
        floor=float(min(actual.min(), 0.0)),
    )


def _edges(expected: np.ndarray) -> np.ndarray:
    bins = int(np.clip(len(expected) // MIN_PER_BIN, 1, MAX_BINS))
    edges = np.unique(np.quantile(expected, np.linspace(0, 1, bins + 1)[1:-1]))
    return edges[_each_bin_filled(expected, edges)] if len(edges) else edges


def _each_bin_filled(expected: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counts = np.diff([0, *np.searchsorted(np.sort(expected), edges, side="left"), len(expected)])
    filled = [min(a, b) > 0 for a, b in pairwise(counts)]
    return np.asarray(filled, dtype=bool)


def _conformal(ratio: np.ndarray, tail: float) -> float:
    """The upper conformal quantile: the ceil((n + 1)(1 - tail))-th smallest of n, at most the largest."""
    rank = int(np.ceil((len(ratio) + 1) * (1 - tail)))
    return float(np.sort(ratio)[min(rank, len(ratio)) - 1])
