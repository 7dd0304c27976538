"""A contract whose end is known, and what that says of leaving and of fees, whatever a model has learned. Pure.

By its label a customer leaves on the day the last contract alive ends, unless another follows. So

- within a horizon that is over by the known end of a contract alive, only those leave who end it earlier after all;
- within one that reaches beyond it, whose only contract it is leaves, but for those who withdraw the notice or begin
  anew;
- until then the fees of contracts that are all under notice run.

How often ends were moved forward, and how often they were kept, is counted among the customers learned from; few of
them leave it near to what the terms of the contract say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
import pandas as pd

from training.model.longer import Amounts

END = "days_to_end"
NOTICE_COLUMNS = ("contracts_active", "contracts_under_notice", "contracts_booked", END)
PAUSED, PRICE = "contracts_paused", "price_now"
END_COLUMNS = (*NOTICE_COLUMNS, PAUSED)
ASSUMED = 10.0  # customers whose ends came as the terms say, but for the shares below
ASSUMED_EARLIER, ASSUMED_KEPT = 0.01, 0.95
WEIGHT = 50.0  # so many outcomes of known ends make a model's own number weigh as much as what they came to
DAYS_A_YEAR = 365.25
ROUNDING = 1e-6


@dataclass(frozen=True)
class Fees:
    """What a price of 1 a month brings: `a_day`, discounted at `annual_rate`."""

    a_day: float
    annual_rate: float = 0.0

    def until(self, days: np.ndarray | float) -> np.ndarray:
        """Worth of the fees of the next days at a price of 1 a month.

        >>> float(Fees(1 / 30.4375).until(30.4375)), round(float(Fees(1.0, 0.1).until(365.25)), 3)
        (1.0, 348.384)
        """
        k, span = math.log1p(self.annual_rate) / DAYS_A_YEAR, np.asarray(days, dtype=np.float64)
        return self.a_day * (-np.expm1(-k * span) / k if k else span)


@dataclass(frozen=True)
class PastEnds:
    """How known ends came true, in customers.

    Attributes
    ----------
    beyond, earlier
        Whose end was known to lie past the horizon, and how many of them left within it.
    within, kept
        Whose only contract was to end within it, and how many left (of value: brought no more than the fees till then).
    """

    beyond: int = 0
    earlier: int = 0
    within: int = 0
    kept: int = 0

    @classmethod
    def of(cls, rows: pd.DataFrame, horizon_days: int, kept: pd.Series) -> Self:
        """Count labelled rows, the newest of each customer; `kept`: whether a row's outcome is that of its end."""
        if not {"customer_id", *NOTICE_COLUMNS} <= set(rows):
            return cls()
        active, noticed, booked, end = (rows[name].to_numpy(np.float64, na_value=np.nan) for name in NOTICE_COLUMNS)
        known = (active > 0) & ~np.isnan(end)
        alone = known & is_alone(active, noticed, booked)

        def count(chosen: np.ndarray) -> tuple[int, int]:
            newest = rows.assign(kept=kept)[chosen].drop_duplicates("customer_id", keep="last")
            return len(newest), int(newest["kept"].sum())

        return cls(*count(known & (end >= horizon_days)), *count(alone & (end < horizon_days)))

    def to_dict(self) -> dict[str, int]:
        """As a model's facts hold it."""
        return asdict(self)

    @property
    def share_kept(self) -> float:
        """Of ends within the horizon, smoothed."""
        return (self.kept + ASSUMED * ASSUMED_KEPT) / (self.within + ASSUMED)

    @property
    def share_earlier(self) -> float:
        """Of ends past the horizon that were moved into it, smoothed; no larger than the share of those kept."""
        return min((self.earlier + ASSUMED * ASSUMED_EARLIER) / (self.beyond + ASSUMED), self.share_kept)


@dataclass(frozen=True)
class KnownEnds:
    """Known ends of the rows of a matrix; shape (n,) each.

    Attributes
    ----------
    days
        Until the first known end of a contract alive; NaN: none is known.
    alone
        Whether it is that of the only contract, and none is booked: the customer leaves with it.
    fees_run
        Whether all contracts alive are under notice and none is paused.
    price
        A month, of all contracts alive; NaN: not known.
    past
        How such ends came true.
    fees
        What a price brings; None: value does not rest on fees alone, and no known end says anything of it.
    """

    days: np.ndarray
    alone: np.ndarray
    fees_run: np.ndarray
    price: np.ndarray
    past: PastEnds
    fees: Fees | None = None

    def probability(self, probability: np.ndarray, horizon_days: int) -> np.ndarray:
        """The probability of leaving within a horizon, as the known end lets it be; shape (n,).

        >>> ends = known_ends(np.array([[1.0, 1.0, 0.0, 45.0]]), NOTICE_COLUMNS, {})
        >>> [round(float(ends.probability(np.array([0.9]), days)[0]), 3) for days in (31, 45, 46, 60)]
        [0.01, 0.01, 0.95, 0.95]
        """
        after = np.where(self.alone, self._mixed(probability, self.past.share_kept), probability)
        before = np.minimum(probability, self.past.share_earlier)
        return np.where(self.days >= horizon_days, before, np.where(np.isnan(self.days), probability, after))

    def value(self, value: np.ndarray, horizon_days: int) -> np.ndarray:
        """The value within a horizon: no less than the fees that run, and near them where it ends; shape (n,)."""
        least, most = self.limits(horizon_days)
        rest = most - least
        target = least + (1 - self.past.share_kept) * np.where(np.isfinite(rest), rest, 0.0)
        mixed = self._mixed(np.clip(value, least, most), target)
        return np.where(np.isfinite(most), mixed, np.maximum(value, least))

    def amounts(self, amounts: Amounts, horizon_days: int) -> Amounts:
        """A value within a horizon with its interval, as the known end lets both be."""
        expected = self.value(amounts.expected, horizon_days)
        return Amounts(expected, *self.within(horizon_days, expected, amounts.low, amounts.high), amounts.basis)

    def within(
        self, horizon_days: int, expected: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ends of an interval of an expected value, neither less nor more than a value can be."""
        low, high = (np.clip(end, *self.limits(horizon_days)) for end in (low, high))
        return np.minimum(low, expected), np.maximum(high, expected)

    def limits(self, horizon_days: int) -> tuple[np.ndarray, np.ndarray]:
        """The least and the most that a value can be, shape (n,) each; infinite where no end is known."""
        if self.fees is None:
            return np.full(len(self.days), -np.inf), np.full(len(self.days), np.inf)
        known = self.fees_run & (self.price > 0) & ~np.isnan(self.days)
        least = np.where(known, self.price * self.fees.until(np.minimum(self.days, horizon_days)), -np.inf)
        return least, np.where(known & self.alone, self.price * self.fees.until(horizon_days), np.inf)

    def _mixed(self, own: np.ndarray, counted: np.ndarray | float) -> np.ndarray:
        """The model's own number and what was counted, by how many such outcomes it learned from."""
        return (self.past.within * own + WEIGHT * counted) / (self.past.within + WEIGHT)


def is_alone(active: np.ndarray, noticed: np.ndarray, booked: np.ndarray) -> np.ndarray:
    """Whether there is one contract, under notice, and none is booked; shape (n,)."""
    return (active == 1) & (noticed == 1) & ~(booked > 0)


def known_ends(
    matrix: np.ndarray, features: Sequence[str], past: Mapping[str, int], fees: Fees | None = None
) -> KnownEnds | None:
    """What the columns of a matrix tell of known ends; None where they tell of none.

    Parameters
    ----------
    matrix, features
        Encoded rows, shape (n, features), and the names of the columns. Where a model did not keep how many contracts
        there are, or are booked, no contract counts as the only one.
    past
        As `PastEnds.to_dict` gives it; empty: nothing was counted.
    fees
        See `KnownEnds`.
    """
    if END not in features:
        return None
    days = matrix[:, features.index(END)]
    if np.isnan(days).all():
        return None
    unknown = np.full(len(matrix), np.nan)
    active, noticed, booked, paused, price = (
        matrix[:, features.index(name)] if name in features else unknown
        for name in (*NOTICE_COLUMNS[:-1], PAUSED, PRICE)
    )
    alone = is_alone(active, noticed, booked) & ~np.isnan(booked)
    days = np.where(active == 0, np.nan, days)
    fees_run = (active > 0) & (noticed == active) & ~(paused > 0)
    return KnownEnds(days, alone, fees_run, price, PastEnds(**past), fees)


def paid_no_more(rows: pd.DataFrame, label: pd.Series, fees: Fees) -> pd.Series:
    """Whether each row brought no more than the fees until its known end."""
    least = rows[PRICE] * fees.until(rows[END].to_numpy(np.float64, na_value=np.nan))
    return label <= least * (1 + ROUNDING)
