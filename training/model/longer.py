"""Value within horizons beyond the main one, anchored on the main forecast.

A longer forecast is the main one and, for each step further, what the law of growth (`training.priors.growth`) says
follows, at the level that past moments showed, and no more than its law allows. So it never falls with the horizon, and
neither do the ends of its interval: who has paid cannot have paid less. The upper end lies at least as far above what
is expected as that of a shorter horizon: what comes later makes a total no surer. A lower end may be that of a shorter
horizon: the few who bring least have left before it ends, and bring nothing more.

An interval rests on outcomes of that length at past moments, and is ``examined`` where these bear it out. Where they do
not, or the history is too short so that it rests on what the law draws (``unexamined``), it reaches at least as far as
the main interval grown by the square root of the expected value, as the sum of independent months would; but its lower
end never lies under that of a shorter horizon, even where that is negative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from training.model.intervals import Interval, load_interval
from training.priors import growth as laws
from training.priors.growth import Growth

ANCHOR_FLOOR = 1e-9
LongerBasis = Literal["examined", "unexamined"]


@dataclass(frozen=True)
class Amounts:
    """A value and its interval, in currency, shape (n,) each; ``basis`` is that of the interval."""

    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray
    basis: LongerBasis = "examined"


class Level(NamedTuple):
    """At what level the steps of a law come: by how much their logarithm is raised, and the most that one can be."""

    shift: float = 0.0
    most: float | None = None

    def of(self, increments: np.ndarray) -> np.ndarray:
        """Steps at this level, as multiples of the main value, shape (n,).

        >>> Level(np.log(2), most=1.5).of(np.array([0.5, 1.0])).tolist()
        [1.0, 1.5]
        """
        raised = increments * np.exp(self.shift)
        return raised if self.most is None else np.minimum(raised, self.most)


@dataclass(frozen=True)
class LongerHorizon:
    """One horizon beyond the main one.

    Attributes
    ----------
    days
        How far ahead.
    level
        Logarithm of what the step to it came to at past moments over what the law says.
    interval
        Of the value within it.
    basis
        What the interval rests on.
    most
        The largest multiple of the main value that the step can be; None: nothing bounds it.
    """

    days: int
    level: float
    interval: Interval
    basis: LongerBasis
    most: float | None = None

    @property
    def step(self) -> Level:
        """The level of the step to it."""
        return Level(self.level, self.most)


@dataclass(frozen=True)
class LongerValue:
    """How the value of the main horizon goes on.

    Attributes
    ----------
    main_days
        The main horizon.
    growth
        What follows it, as a multiple.
    horizons
        The nearest first.
    """

    main_days: int
    growth: Growth
    horizons: tuple[LongerHorizon, ...]

    @property
    def ends_at_one_rate(self) -> bool:
        """Whether contracts end at the rate of all: where orders count, or may, no forecast tells a customer's own."""
        growth = self.growth.growth if isinstance(self.growth, laws.SeasonalGrowth) else self.growth
        return isinstance(growth, laws.ContractGrowth) and not growth.by_forecast

    def __call__(self, x: np.ndarray, main: Amounts, known_days: np.ndarray | None) -> dict[int, Amounts]:
        """Value within each longer horizon, by days.

        Parameters
        ----------
        x
            The columns of the law of growth, shape (n, columns).
        main
            The forecast of the main horizon.
        known_days
            Since when each customer has been known, shape (n,); None: the data does not tell.
        """
        days = (self.main_days, *(h.days for h in self.horizons))
        totals = anchored(
            main.expected, self.growth.increments(x, main.expected, days), [h.step for h in self.horizons]
        )
        out, before = {}, main
        for horizon, expected in zip(self.horizons, totals, strict=True):
            low, high = horizon.interval(expected, known_days)
            if horizon.basis == "unexamined":
                growth = np.sqrt(np.maximum(expected, ANCHOR_FLOOR) / np.maximum(main.expected, ANCHOR_FLOOR))
                low = np.minimum(low, expected - (main.expected - main.low) * growth)
                high = np.maximum(high, expected + (main.high - main.expected) * growth)
            further = np.maximum(before.high, expected + (before.high - before.expected))
            low, high = np.maximum(low, before.low), np.maximum(high, further)
            before = Amounts(expected, np.minimum(low, expected), np.maximum(high, expected), horizon.basis)
            out[horizon.days] = before
        return out

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        horizons = [{**vars(h), "interval": asdict(h.interval)} for h in self.horizons]
        return {"main_days": self.main_days, "growth": laws.dump(self.growth), "horizons": horizons}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> LongerValue:
        """The inverse of `to_dict`."""
        horizons = [LongerHorizon(**{**h, "interval": load_interval(h["interval"])}) for h in content["horizons"]]
        return cls(content["main_days"], laws.load(content["growth"]), tuple(horizons))


def anchored(expected: np.ndarray, increments: np.ndarray, levels: Sequence[Level]) -> list[np.ndarray]:
    """Totals within longer horizons: each adds its step, a multiple of the main value, at its level.

    >>> [total.tolist() for total in anchored(np.array([10.0]), np.array([[1.0, 2.0]]), [Level(), Level()])]
    [[20.0], [40.0]]
    """
    steps = np.stack([level.of(step) for level, step in zip(levels, increments.T, strict=True)], axis=1)
    return list((expected[:, None] + np.cumsum(np.maximum(expected, 0.0)[:, None] * steps, axis=1)).T)
