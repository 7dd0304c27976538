"""The probabilistic model's forecast as a function of four columns of the matrix, so that it can stand in any model.

What `training.priors.order_model` takes of a customer stands in the feature rows already: how many orders, when the
first and the last, and how much they came to. It needs no label, only customers with their orders at one moment.

Its four columns share what it says by the Shapley value (Shapley 1953) against one reference customer, the middle one:
the mean, over all orders in which the columns could become known, of what knowing one adds. With four columns these are
sixteen forecasts, so the split is exact and sums to the forecast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import factorial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.special import logit

from training.priors.order_model import OrderModel, Summary

COLUMNS = ("orders_total", "days_since_last_order", "tenure_days", "spend_total")
MIN_PROBABILITY = 1e-6
MIN_DENOMINATOR = 1e-6
LEAST_SHARE = 0.01  # of the mean value
SIZE = len(COLUMNS)
KNOWN = (np.arange(2**SIZE)[:, None] >> np.arange(SIZE)) & 1 > 0  # the subsets of the columns: bit i tells of column i
SHARES = [factorial(known) * factorial(SIZE - known - 1) / factorial(SIZE) for known in range(SIZE)]  # of all orders
ADDED = np.where(  # how often the forecast of a subset counts for a column, by subset and column
    KNOWN, np.array([0.0, *SHARES])[KNOWN.sum(axis=1)][:, None], -np.array([*SHARES, 0.0])[KNOWN.sum(axis=1)][:, None]
)


@dataclass(frozen=True)
class Expectation:
    """Expected value within a horizon (its logarithm), or the chance of no order within it (its log-odds).

    Attributes
    ----------
    places
        Where `COLUMNS` stand in the matrix.
    task
        ``clv`` or ``churn``.
    horizon_days
        How far ahead.
    model
        Fitted at the newest moment of the training rows.
    nothing
        The raw score of who never ordered: the model knows no such customers.
    reference
        The four values of the middle customer, against whom effects are told.
    margin, annual_discount_rate
        Of the value, see `training.priors.order_model.OrderModel.value`.
    near_days
        Churn: the forecast is conditional on this neighbouring horizon, see `training.model.survival`; None: it is not.
    least_value
        No value lies under it, in currency: a customer of whom nothing is expected still buys at times.
    """

    kind: ClassVar[str] = "expectation"

    places: tuple[int, int, int, int]
    task: str
    horizon_days: int
    model: OrderModel
    nothing: float
    reference: tuple[float, float, float, float]
    margin: float = 1.0
    annual_discount_rate: float = 0.0
    near_days: int | None = None
    least_value: float = MIN_DENOMINATOR

    def conditional_on(self, days: int, near: int) -> Expectation:
        """The forecast of no order until one horizon, given what happened by its neighbour."""
        return replace(self, horizon_days=days, near_days=near)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The raw score, shape (n,)."""
        return self._scores(x[:, list(self.places)])

    def split(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The raw score as a base and one effect a column, shape (n, columns)."""
        mixed = np.where(KNOWN[:, None, :], x[:, list(self.places)], self.reference)
        forecasts = self._scores(np.vstack([*mixed, self.reference]))
        out = np.zeros(x.shape)
        out[:, list(self.places)] = _shapley(forecasts[:-1].reshape(len(KNOWN), len(x)))
        return float(forecasts[-1]), out

    def _scores(self, columns: np.ndarray) -> np.ndarray:
        out = np.full(len(columns), self.nothing)
        has_ordered = columns[:, 0] >= 1
        if has_ordered.any():
            out[has_ordered] = _buyer_scores(self, summary_arrays(columns[has_ordered]))
        return out

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**vars(self), "model": self.model.to_dict()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Expectation:
        """The inverse of `to_dict`."""
        tuples = {name: tuple(content[name]) for name in ("places", "reference")}
        return cls(**{**content, **tuples, "model": OrderModel.from_dict(content["model"])})


def fit_expectation(
    x: np.ndarray,
    places: tuple[int, int, int, int],
    task: str,
    horizon_days: int,
    margin: float = 1.0,
    annual_discount_rate: float = 0.0,
) -> Expectation | None:
    """Fit the model to customers as they stand at one moment; None where nobody has ordered.

    Parameters
    ----------
    x
        Matrix of the rows of one moment, shape (n, columns).
    places
        Where `COLUMNS` stand in it.
    task, horizon_days, margin, annual_discount_rate
        What is forecast, see `Expectation`.
    """
    columns = x[:, list(places)]
    has_ordered = np.nan_to_num(columns[:, 0]) >= 1
    if not has_ordered.any():
        return None
    model = OrderModel.fit(summary_of(columns[has_ordered]))
    median = np.nanmedian(columns[has_ordered], axis=0)
    reference = tuple(float(v) for v in (max(np.rint(median[0]), 1.0), *median[1:]))
    prior = Expectation(places, task, horizon_days, model, 0.0, reference, margin, annual_discount_rate)  # type: ignore[arg-type]
    scores = prior._scores(columns[has_ordered])
    if task == "clv":
        least_value = max(LEAST_SHARE * float(np.exp(scores).mean()), MIN_DENOMINATOR)
        prior, scores = replace(prior, least_value=least_value), np.maximum(scores, np.log(least_value))
    return replace(prior, nothing=float(scores.max() if task == "churn" else scores.min()))


def summary_of(columns: np.ndarray) -> pd.DataFrame:
    """What the probabilistic model takes, from the four columns of customers who ordered, shape (n, 4).

    Orders of one day count apart here, as the columns do not tell them. Where nothing is known of a time it is now.

    >>> summary_of(np.array([[3.0, 10.0, 100.0, 60.0]])).round(1).to_dict("records")[0]["mean_amount"]
    20.0
    """
    return pd.DataFrame(summary_arrays(columns))


def summary_arrays(columns: np.ndarray) -> dict[str, np.ndarray]:
    """As `summary_of`, without the frame, which for one customer costs more than the forecast."""
    orders, days_since_order, tenure, spend = np.nan_to_num(columns).T
    orders, age = np.maximum(orders, 1.0), np.maximum(tenure, 0.5)
    recency = np.where(orders == 1, 0.0, np.clip(age - days_since_order, 0.0, None))
    return {
        "repeats": orders - 1.0,
        "recency_days": recency,
        "age_days": np.maximum(age, recency + 0.5),
        "orders": orders,
        "mean_amount": spend / orders,
    }


def _buyer_scores(prior: Expectation, summary: Summary) -> np.ndarray:
    if prior.task == "churn":
        return np.asarray(logit(np.clip(_p_no_order(prior, summary), MIN_PROBABILITY, 1 - MIN_PROBABILITY)))
    value = prior.model.value(summary, prior.horizon_days, prior.margin, prior.annual_discount_rate)
    return np.log(np.maximum(value, prior.least_value))


def _p_no_order(prior: Expectation, summary: Summary) -> np.ndarray:
    days, near = prior.horizon_days, prior.near_days
    if near is None:
        return prior.model.p_none(summary, [days])[:, 0]
    first, last = prior.model.p_none(summary, sorted((days, near))).T
    if days > near:
        return last / np.maximum(first, MIN_DENOMINATOR)
    return (first - last) / np.maximum(1 - last, MIN_DENOMINATOR)


def _shapley(forecasts: np.ndarray) -> np.ndarray:
    """Mean of what knowing a column adds, over all orders in which they become known: (subsets, n) to (n, columns)."""
    out = np.zeros((forecasts.shape[1], SIZE))
    for forecast, added in zip(forecasts, ADDED, strict=True):
        out += forecast[:, None] * added
    return out
