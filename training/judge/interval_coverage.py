"""How many outcomes an interval held, and what such a share can show: of few rows, of one customer, of ties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import beta

from training.metrics import quantile_bins
from training.model.intervals import LEVELS

ROWS_A_BIN = 50
MOST_BINS = 10


@dataclass(frozen=True)
class Coverage:
    """The share of outcomes that an interval held.

    Attributes
    ----------
    share
        Of the rows, both ends of the interval included.
    rows
        How many.
    independent
        As how many independent rows they count, see `coverage_of`.
    least
        The least share, not under the promised one, that intervals with these ends could hold; see `least_coverage`.
    """

    share: float
    rows: int
    independent: float
    least: float

    def interval(self, level: float) -> tuple[float, float]:
        """Bound the true share by the exact binomial interval (Clopper and Pearson, Biometrika 26, 1934).

        >>> low, high = Coverage(22 / 30, 30, 30.0, 0.9).interval(0.95)
        >>> print(f"{low:.3f} {high:.3f}")
        0.541 0.877
        """
        n, held, tail = self.independent, self.share * self.independent, (1 - level) / 2
        low = float(beta.ppf(tail, held, n - held + 1)) if self.share > 0 else 0.0
        high = float(beta.ppf(1 - tail, held + 1, n - held)) if self.share < 1 else 1.0
        return low, high


def coverage_of(rows: pd.DataFrame, target: float) -> Coverage:
    """Measure how many outcomes lie within their interval.

    Parameters
    ----------
    rows
        ``customer_id, label, forecast, low, high``; a label of NaN is left out.
    target
        The share that was promised.

    Notes
    -----
    Rows of one customer at several moments are not independent: they count as the number of rows at which independent
    ones would spread as much (Korn and Graubard, Survey Methodology 24, 1998), which is at most their number, and at
    least what it is if one lot decides of all rows of a customer.
    """
    y = rows["label"].to_numpy(np.float64)
    known = ~np.isnan(y)
    y, low, high = y[known], *(rows.loc[known, c].to_numpy(np.float64) for c in ("low", "high"))
    if not len(y):
        return Coverage(np.nan, 0, 0.0, target)
    held = (low <= y) & (y <= high)
    share, n = float(held.mean()), len(y)
    whose = pd.factorize(rows.loc[known, "customer_id"].to_numpy())[0]
    fewest = n**2 / float((np.bincount(whose) ** 2).sum())
    spread = float((np.bincount(whose, weights=held - share) ** 2).sum())
    as_many = share * (1 - share) * n**2 / spread if spread > 0 else fewest
    least = least_coverage(y, rows.loc[known, "forecast"].to_numpy(np.float64), low, high, target)
    return Coverage(share, n, float(np.clip(as_many, fewest, n)), least)


def least_coverage(
    y: NDArray[np.float64],
    forecast: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    target: float,
) -> float:
    """The least coverage from `target` on that narrower intervals could have: more is no fault of theirs.

    Where many outcomes have one value (nothing bought, one price), an interval holds all of them or none. It cannot be
    narrowed if without its end it would hold less than the target; and if the values at one end alone are more than
    the target, no interval with them holds less. Both are looked at among rows of like forecasts, as a group's rows
    differ.

    Parameters
    ----------
    y, forecast, low, high
        Outcomes, forecasts and ends of the intervals, shape (n,), n at least one.
    target
        The share that was promised.

    >>> nothing = np.zeros(100)
    >>> least_coverage(nothing, nothing, nothing, nothing + 5.0, 0.9)
    1.0
    >>> spent = np.linspace(1.0, 99.0, 100)
    >>> least_coverage(spent, nothing, nothing, nothing + 100.0, 0.9)
    0.9
    """
    bins = quantile_bins(forecast, int(np.clip(len(y) // ROWS_A_BIN, 1, MOST_BINS)))
    total = 0.0
    for number in np.unique(bins):
        part = bins == number
        held = float(((low <= y) & (y <= high))[part].mean())
        at_low, at_high = float((y == low)[part].mean()), float((y == high)[part].mean())
        narrowest = held if held - min(at_low, at_high) < target else max(at_low, at_high)
        total += part.sum() * max(target, narrowest)
    return float(total / len(y))


def coverage_by_group(rows: pd.DataFrame, target: float, new: str) -> dict[str, Coverage]:
    """The coverage in each tier, and of the customers whose ``custom`` is `new`; empty without an interval."""
    if "low" not in rows:
        return {}
    groups = {str(tier): part for tier, part in rows.groupby("tier")}
    if "custom" in rows and (rows["custom"] == new).any():
        groups[new] = rows[rows["custom"] == new]
    return {name: coverage_of(part, target) for name, part in groups.items()}


def shares_at_quantiles(rows: pd.DataFrame) -> dict[str, float]:
    """The shares of outcomes below, and up to, each quantile ``q10, q50, q90`` of the rows; none without quantiles.

    A quantile is calibrated where its level lies between them: ``P(y < q) <= level <= P(y <= q)`` (Gneiting and
    others, Model diagnostics and forecast evaluation for quantiles, Annual Review of Statistics 10, 2023). They are one
    where no outcome equals its quantile. Where many do, as the many who bring nothing, both are told: neither alone
    says whether the quantile is right, and how far they lie apart says how little the level then tells.

    >>> rows = pd.DataFrame({"label": [0.0, 0.0, 0.0, 9.0], "q10": 0.0, "q50": 4.0, "q90": 8.0})
    >>> found = shares_at_quantiles(rows)
    >>> found["share_below_q10"], found["share_up_to_q10"]
    (0.0, 0.75)
    >>> found["share_below_q90"], found["share_up_to_q90"]
    (0.75, 0.75)
    """
    known = rows[rows["label"].notna()]
    names = [f"q{round(100 * level)}" for level in LEVELS]
    if known.empty or not set(names) <= set(rows):
        return {}
    y, out = known["label"], dict[str, float]()
    for name in names:
        out[f"share_below_{name}"] = float((y < known[name]).mean())
        out[f"share_up_to_{name}"] = float((y <= known[name]).mean())
    return out
