"""Intervals that keep their promise: split conformal prediction, within bins of the expected value.

The width is learned from forecasts of months that the model had not seen (Vovk et al. 2005; Mondrian bins as
in Vovk, Lindsay, Nouretdinov and Gammerman 2003, so that the promise holds for small and large customers alike).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from configs.errors import NotEnoughDataError

MIN_PER_BIN = 50
MAX_BINS = 8
KNOWN = ("tenure_days", "subscribed_days")


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
        No lower end lies under this, in currency, but that of an expected value which itself does: 0, or less where
        returns made negative totals.
    allowance
        Both ends lie further out by this share of themselves, for what the past could not show: a season sells more or
        less by a share. So an end at 0 stays there, and an interval that holds only 0 is not made wider; the lower end
        goes no further than the floor.
    newcomers, new_days
        The interval of customers known for fewer days; None: the same.
    """

    coverage: float
    edges: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    offset: float
    floor: float
    allowance: float = 0.0
    newcomers: Interval | None = None
    new_days: float = 0.0

    def __call__(self, expected: np.ndarray, known_days: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper ends for expected values of shape (n,), in currency.

        Parameters
        ----------
        expected
            In currency, shape (n,).
        known_days
            Since when each customer has been known, shape (n,); None or NaN: long enough.
        """
        low, high = self._ends(expected)
        if self.newcomers is None or known_days is None:
            return low, high
        new = known_days < self.new_days
        lower, higher = self.newcomers._ends(expected)
        return np.where(new, lower, low), np.where(new, higher, high)

    def _ends(self, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        bins = np.searchsorted(np.asarray(self.edges), expected, side="right")
        unit = np.abs(expected) + self.offset
        low, high = (expected + np.asarray(end)[bins] * unit for end in (self.low, self.high))
        low, high = low - self.allowance * np.abs(low), high + self.allowance * np.abs(high)
        return np.minimum(np.maximum(low, self.floor), expected), np.maximum(high, expected)


def known_days(matrix: np.ndarray, features: Sequence[str]) -> np.ndarray | None:
    """Since when each customer has been known, in days, shape (n,); None where the data does not tell."""
    places = [features.index(name) for name in KNOWN if name in features]
    return matrix[:, places[0]] if places else None


def fit_intervals(
    expected: np.ndarray,
    actual: np.ndarray,
    known: np.ndarray | None,
    new_days: float,
    coverage: float,
    allowance: float = 0.0,
) -> Interval:
    """Learn the interval of all, and that of new customers apart where at least 50 were seen.

    Parameters
    ----------
    expected, actual, coverage, allowance
        See `fit_interval`.
    known
        Since when each customer has been known, in days, shape (n,); None: the data does not tell.
    new_days
        A customer known for fewer days is new.
    """
    whole = fit_interval(expected, actual, coverage, allowance)
    new = np.zeros(len(expected), dtype=bool) if known is None else known < new_days
    if not MIN_PER_BIN <= new.sum() <= len(new) - MIN_PER_BIN:
        return whole
    others = fit_interval(expected[~new], actual[~new], coverage, allowance)
    return replace(others, newcomers=fit_interval(expected[new], actual[new], coverage, allowance), new_days=new_days)


def fit_interval(
    expected: np.ndarray, actual: np.ndarray, coverage: float, allowance: float = 0.0, min_rows: int = MIN_PER_BIN
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
    offset = float(max(np.mean(np.abs(actual)) * 0.05, 1e-9))
    ratio = (actual - expected) / (np.abs(expected) + offset)
    edges = _bin_edges(expected)
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
        allowance=allowance,
    )


def _bin_edges(expected: np.ndarray) -> np.ndarray:
    """Quantiles of the expected value that have rows on either side."""
    bins = int(np.clip(len(expected) // MIN_PER_BIN, 1, MAX_BINS))
    edges = np.unique(np.quantile(expected, np.linspace(0, 1, bins + 1)[1:-1]))
    counts = np.diff([0, *np.searchsorted(np.sort(expected), edges, side="left"), len(expected)])
    return edges[np.asarray([min(a, b) > 0 for a, b in pairwise(counts)], dtype=bool)]


def _conformal(ratio: np.ndarray, tail: float) -> float:
    """The upper conformal quantile, the (n + 1)(1 - tail)-th smallest of n, at most the largest.

    Between two ranks it is interpolated (Weibull's plotting position). The next rank above, which promises *at least*
    the coverage, gives clearly more of it in bins of fifty: 96 % where 90 % was asked.
    """
    return float(np.quantile(ratio, 1 - tail, method="weibull"))
