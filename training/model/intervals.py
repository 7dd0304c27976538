"""The interval of a value and its quantiles, as multiples of a unit; learned by `training.model.conformal`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from training.json_tuples import lists_to_tuples

KNOWN = ("tenure_days", "subscribed_days")
LEVELS = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Interval:
    """Lower and upper end, and three quantiles, by bin of the expected value.

    Attributes
    ----------
    coverage
        Share of customers whose true value the interval promises to hold.
    edges
        Inner bin edges of the expected value, rising, shape (bins - 1,), in currency: those of the tiers among them.
    low, high
        Lower and upper end as a multiple of the unit ``|expected| + offset``, shape (bins,).
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
    quantiles
        For each of `LEVELS` its quantile as a multiple of the unit, shape (levels, bins); empty: not learned.
    from_zero
        True: the multiples stand for themselves, so that all who bring nothing lie at one multiple, 0, whatever was
        expected of them; and an expected value on an edge belongs to the bin below, as to the tier below. False, as in
        older models: they are added to the expected value, and one on an edge belongs to the bin above.
    steps
        The edges of tiers among `edges`: between them no amount above nothing falls as the expected value rises. None,
        as in older models: right of an edge it may fall.
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
    quantiles: tuple[tuple[float, ...], ...] = ()
    from_zero: bool = False
    steps: tuple[float, ...] | None = None

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

    def at_levels(self, expected: np.ndarray, known_days: np.ndarray | None = None) -> np.ndarray | None:
        """Quantiles of `LEVELS` for expected values, shape (n, levels), rising, in currency; None: not learned.

        The allowance moves the outer two as it moves the ends: both then lie as far out as the past could not show.
        """
        if not self.quantiles:
            return None
        at = self._quantiles(expected)
        if self.newcomers is None or known_days is None:
            return at
        return np.where((known_days < self.new_days)[:, None], self.newcomers._quantiles(expected), at)

    def _ends(self, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, high = self._amounts(slice(0, 2), expected)
        low, high = low - self.allowance * np.abs(low), high + self.allowance * np.abs(high)
        return np.minimum(np.maximum(low, self.floor), expected), np.maximum(high, expected)

    def _quantiles(self, expected: np.ndarray) -> np.ndarray:
        amounts = self._amounts(slice(2, None), expected).T
        out = amounts + np.abs(amounts) * self.allowance * np.sign(np.asarray(LEVELS) - 0.5)
        return np.maximum(out, self.floor)

    def _amounts(self, which: slice, expected: np.ndarray) -> np.ndarray:
        """Some of lower end, upper end and quantiles, shape (some, n).

        Larger customers have smaller multiples as a rule, so at an edge the amounts of its two bins differ: above
        nothing they are told midway between the nearest above and below that never fall within a tier.
        """
        bins = self._edges.searchsorted(expected, side="left" if self.from_zero else "right")
        unit, base = np.abs(expected) + self.offset, 0.0 if self.from_zero else expected
        multiples, least, most = (each[which][:, bins] for each in self._bounded)
        amounts = multiples * unit
        if self.steps is None:
            return base + amounts
        rising = 0.5 * (np.maximum(amounts, least) + np.minimum(amounts, most))
        return np.where(multiples < 0, amounts, rising)

    @cached_property
    def _edges(self) -> np.ndarray:
        return np.asarray(self.edges, dtype=np.float64)

    @cached_property
    def _bounded(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Multiples, and the most that bins before and the least that bins after tell in a tier; (2 + levels, bins)."""
        multiples = np.array([self.low, self.high, *self.quantiles])
        tier = np.concatenate([[0], np.cumsum(np.isin(self.edges, self.steps or ()))])
        before = (tier[:, None] == tier) & np.tri(len(tier), k=-1, dtype=bool)
        at_edge = np.abs(self.edges) + self.offset
        left, right = (np.maximum(each, 0.0) * at_edge for each in (multiples[:, :-1], multiples[:, 1:]))
        least = np.where(before[:, :-1], left[:, None], 0.0).max(axis=2, initial=0.0)
        most = np.where(before.T[:, 1:], right[:, None], np.inf).min(axis=2, initial=np.inf)
        return multiples, least, most


def known_days(matrix: np.ndarray, features: Sequence[str]) -> np.ndarray | None:
    """Since when each customer has been known, in days, shape (n,); None where the data does not tell."""
    places = [features.index(name) for name in KNOWN if name in features]
    return matrix[:, places[0]] if places else None


def load_interval(content: Mapping[str, Any]) -> Interval:
    """An interval from its fields as JSON gives them back."""
    newcomers = load_interval(content["newcomers"]) if content["newcomers"] else None
    return Interval(**{**lists_to_tuples(content), "newcomers": newcomers})
