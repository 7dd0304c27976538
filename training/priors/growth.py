"""How value grows with the horizon: what comes after the main horizon, as a multiple of what comes in it.

The main model forecasts one horizon. Further out its forecast is continued by a law that knows every horizon:

- orders: the model of orders (`training.priors.order_model`). A customer who may have left, or who orders ever less,
  brings less in the second half year than in the first.
- contracts: a customer pays the same until the contract ends, and that at a constant rate a day. The rate is the
  customer's own, from the share of a full price that the main model expects: where the end is near, little follows.
  Whose price is not known ends contracts at the rate of all; so does everyone where the forecast holds orders, too.

Neither knows a season. Where the business has one that counts in the main forecast, each step is raised or lowered by
what its days usually bring beside those of the main horizon (`SeasonalGrowth`).

All give increments, one for each step from a horizon to the next, never negative: no later total is smaller. A rate
that never rises bounds a step by its length, before the season. Past moments may show more: customers who order ever
more bring it, so of orders nothing bounds what they show. Fees alone are bounded by their price (`Growth.most`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, ClassVar, Protocol

import numpy as np

from training.priors.expectation import COLUMNS, summary_arrays, summary_of
from training.priors.order_model import DISCOUNT_STEPS, OrderModel
from training.priors.purchases import YEAR

DAYS_A_MONTH = YEAR / 12
LEAST_EXPECTED = 1e-300
MOST_HAZARD = 50.0


class Growth(Protocol):
    """What comes after the main horizon, as a multiple of what comes in it."""

    kind: ClassVar[str]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it goes by."""

    def increments(self, x: np.ndarray, expected: np.ndarray, days: Sequence[int]) -> np.ndarray:
        """For each step between rising horizons its multiple of the first horizon's value, shape (n, len(days) - 1).

        Parameters
        ----------
        x
            The `columns` of the customers, shape (n, columns).
        expected
            Their value within the first horizon, in currency, shape (n,).
        days
            Horizons, the main one first.
        """

    def most(self, days: Sequence[int]) -> tuple[float | None, ...]:
        """For each step the largest multiple that it can be of any customer; None: nothing bounds it."""

    def drawable(self, x: np.ndarray) -> np.ndarray:
        """Who can be drawn for, a mask of shape (n,)."""

    def draws(
        self, x: np.ndarray, expected: np.ndarray, days: tuple[int, int], levels: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Who can be drawn for, see `drawable`, and what may come of each, as a multiple of what is expected.

        The multiples are quantiles at `levels` of the value within the second of two horizons, shape (drawn, levels).
        """

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""


@dataclass(frozen=True)
class OrderGrowth:
    """Growth by the model of orders.

    Attributes
    ----------
    model
        Fitted to all customers of a moment.
    annual_discount_rate
        Of the value.
    """

    kind: ClassVar[str] = "orders"
    columns: ClassVar[tuple[str, ...]] = COLUMNS

    model: OrderModel
    annual_discount_rate: float = 0.0

    def increments(self, x: np.ndarray, expected: np.ndarray, days: Sequence[int]) -> np.ndarray:
        """See `Growth`; who never ordered grows as a customer who ordered once, just now."""
        summary = summary_arrays(_as_buyers(x))
        rate = self.annual_discount_rate
        ends = np.asarray(days, dtype=np.float64)
        finer = (*np.linspace(0.0, ends[0], 4), *np.linspace(ends[0], ends[-1], DISCOUNT_STEPS)) if rate else (0.0,)
        grid = np.unique([*finer, *ends])
        orders = np.diff(self.model.expected_orders(summary, grid), axis=1)
        worth = orders * (1.0 + rate) ** (-0.5 * (grid[1:] + grid[:-1]) / YEAR)
        totals = np.cumsum(worth, axis=1)[:, np.searchsorted(grid, ends) - 1]
        step = np.diff(totals, axis=1) / np.maximum(totals[:, :1], LEAST_EXPECTED)
        return np.clip(np.nan_to_num(step), 0.0, np.diff(ends) / ends[0])

    def most(self, days: Sequence[int]) -> tuple[float | None, ...]:
        """See `Growth`: who orders ever more may bring any."""
        return (None,) * (len(days) - 1)

    def drawable(self, x: np.ndarray) -> np.ndarray:
        """See `Growth`: who has ordered."""
        return np.asarray(np.nan_to_num(x[:, 0]) >= 1)

    def draws(
        self, x: np.ndarray, expected: np.ndarray, days: tuple[int, int], levels: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Growth`: orders and their values are drawn, and how unsure the law itself is."""
        known = self.drawable(x)
        summary = summary_of(x[known])
        if not known.any():
            return known, np.zeros((0, len(levels)))
        mean = self.model.value(summary, days[1])
        quantiles = self.model.value_quantiles(summary, days[1], levels)
        return known, quantiles / np.maximum(mean, LEAST_EXPECTED)[:, None]

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"model": self.model.to_dict(), "annual_discount_rate": self.annual_discount_rate}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> OrderGrowth:
        """The inverse of `to_dict`."""
        return cls(OrderModel.from_dict(content["model"]), content["annual_discount_rate"])


@dataclass(frozen=True)
class ContractGrowth:
    """Growth by what is left of contracts.

    Attributes
    ----------
    hazard
        Share of contracts that end in a day, of all customers; discounting included.
    margin
        Of the value.
    by_forecast
        Whether the forecast holds fees alone, so that its share of a full price tells the customer's own rate.
    """

    kind: ClassVar[str] = "contracts"
    columns: ClassVar[tuple[str, ...]] = ("price_now",)

    hazard: float
    margin: float = 1.0
    by_forecast: bool = True

    def increments(self, x: np.ndarray, expected: np.ndarray, days: Sequence[int]) -> np.ndarray:
        """See `Growth`."""
        hazard, ends = self._hazards(x, expected, days[0]), np.asarray(days, dtype=np.float64)
        totals = np.stack([paid_days(hazard, end) for end in ends], axis=1)
        steps = np.maximum(np.diff(totals, axis=1), 0.0)  # where all have ended, rounding alone is left
        return steps / np.maximum(totals[:, :1], LEAST_EXPECTED)

    def most(self, days: Sequence[int]) -> tuple[float | None, ...]:
        """See `Growth`: the price of its days, where the forecast holds fees alone."""
        return tuple((end - begin) / days[0] if self.by_forecast else None for begin, end in pairwise(days))

    def drawable(self, x: np.ndarray) -> np.ndarray:
        """See `Growth`: everyone."""
        return np.ones(len(x), dtype=bool)

    def draws(
        self, x: np.ndarray, expected: np.ndarray, days: tuple[int, int], levels: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Growth`: the end of each contract is drawn."""
        hazard = self._hazards(x, expected, days[0])
        life = -np.log1p(-np.asarray(levels))[None, :] / np.maximum(hazard, 1e-9)[:, None]
        return self.drawable(x), np.minimum(life, days[1]) / paid_days(hazard, days[1])[:, None]

    def _hazards(self, x: np.ndarray, expected: np.ndarray, days: float) -> np.ndarray:
        if not self.by_forecast:
            return np.full(len(expected), self.hazard)
        full = np.nan_to_num(x[:, 0]) * self.margin * days / DAYS_A_MONTH
        share = np.clip(expected / np.where(full > 0, full, 1.0), 0.0, 1.0)
        own = np.interp(-share, -PAID_SHARES, HAZARDS) / days
        return np.where(full > 0, own, self.hazard)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ContractGrowth:
        """The inverse of `to_dict`."""
        return cls(**content)


@dataclass(frozen=True)
class SeasonalGrowth:
    """Growth without a season, with that of each step beside the main horizon.

    The main forecast over the season of its days, continued as if there were none, times the season of a step's days,
    is the step without a season times the ratio of both.

    Attributes
    ----------
    growth
        Without a season.
    season
        By step the column of the logarithm of that ratio, see `features.seasons`; later steps have none.
    share
        How much of it the main forecast holds.
    """

    kind: ClassVar[str] = "seasonal"

    growth: OrderGrowth | ContractGrowth
    season: tuple[str, ...]
    share: float

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the growth, then those of the season."""
        return (*self.growth.columns, *self.season)

    def increments(self, x: np.ndarray, expected: np.ndarray, days: Sequence[int]) -> np.ndarray:
        """See `Growth`."""
        own = len(self.growth.columns)
        out = self.growth.increments(x[:, :own], expected, days)
        steps = min(out.shape[1], len(self.season))
        out[:, :steps] *= np.exp(self.share * np.nan_to_num(x[:, own : own + steps]))
        return out

    def most(self, days: Sequence[int]) -> tuple[float | None, ...]:
        """See `Growth`: a season may raise a step by any."""
        return (None,) * (len(days) - 1)

    def drawable(self, x: np.ndarray) -> np.ndarray:
        """See `Growth`."""
        return self.growth.drawable(x[:, : len(self.growth.columns)])

    def draws(
        self, x: np.ndarray, expected: np.ndarray, days: tuple[int, int], levels: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Growth`: multiples of what is expected have no season."""
        return self.growth.draws(x[:, : len(self.growth.columns)], expected, days, levels)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"growth": dump(self.growth), "season": list(self.season), "share": self.share}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> SeasonalGrowth:
        """The inverse of `to_dict`."""
        growth = load(content["growth"])
        if isinstance(growth, SeasonalGrowth):
            raise TypeError("growth with a season stands within growth with a season")
        return cls(growth, tuple(content["season"]), content["share"])


def paid_days(hazard: np.ndarray, days: float) -> np.ndarray:
    """Expected days that are paid of so many, where contracts end at a rate a day, shape (n,).

    >>> paid_days(np.array([0.0, 0.1]), 10).round(2).tolist()
    [10.0, 6.32]
    """
    return days * _paid_share(np.asarray(hazard) * days)


def _paid_share(hazard: np.ndarray) -> np.ndarray:
    """``(1 - exp(-z)) / z`` and 1 at 0, which falls."""
    z = np.maximum(hazard, 1e-12)
    return -np.expm1(-z) / z


def _as_buyers(x: np.ndarray) -> np.ndarray:
    """The four columns, with one order just now in place of none."""
    never = ~(np.nan_to_num(x[:, 0]) >= 1)
    return np.where(never[:, None], np.array([[1.0, 0.0, 0.5, 0.0]]), x)


HAZARDS = np.concatenate([[0.0], np.geomspace(1e-6, MOST_HAZARD, 400)])
PAID_SHARES = _paid_share(HAZARDS)
KINDS: dict[str, type[OrderGrowth] | type[ContractGrowth] | type[SeasonalGrowth]] = {
    g.kind: g for g in (OrderGrowth, ContractGrowth, SeasonalGrowth)
}


def dump(growth: Growth) -> dict[str, Any]:
    """As JSON can hold it, with its kind."""
    return {"kind": growth.kind, **growth.to_dict()}


def load(content: Mapping[str, Any]) -> OrderGrowth | ContractGrowth | SeasonalGrowth:
    """The inverse of `dump`."""
    return KINDS[content["kind"]].from_dict({name: value for name, value in content.items() if name != "kind"})
