"""The probabilistic model's forecast as a function of four columns of the matrix, so that it can stand in any model.

What `training.priors.order_model` takes of a customer stands in the feature rows already: how many orders, when the
first and the last, and how much they came to. It needs no label, only customers with their orders at one moment.

Its four columns share what it says by the Shapley value (Shapley 1953) against one reference customer, the middle one:
the mean, over all orders in which the columns could be told, of what telling one adds. With four columns these are
sixteen forecasts, so the split is exact and sums to the forecast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from math import factorial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.special import logit

from training.priors.order_model import OrderModel

COLUMNS = ("orders_total", "days_since_last_order", "tenure_days", "spend_total")
SURE = 1e-6
SMALLEST = 1e-6


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
        What is said of who never ordered, as a raw score: the model knows no such customers.
    reference
        The four values of the middle customer, against whom effects are told.
    margin, annual_discount_rate
        Of the value, see `training.priors.order_model.OrderModel.value`.
    near_days
        Churn: what is told is the step from this neighbouring horizon, see `training.model.survival`; None: the whole.
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

    def step(self, days: int, near: int) -> Expectation:
        """The chance of no order until one horizon, told from its neighbour's."""
        return replace(self, horizon_days=days, near_days=near)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The raw score, shape (n,)."""
        return self._of(x[:, list(self.places)])

    def split(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The raw score as a base and one effect a column, shape (n, columns)."""
        own, rest = x[:, list(self.places)], np.asarray(self.reference)
        told = {}
        for size in range(len(COLUMNS) + 1):
            for known in combinations(range(len(COLUMNS)), size):
                mixed = np.where(np.isin(range(len(COLUMNS)), known), own, rest)
                told[frozenset(known)] = self._of(mixed)
        out = np.zeros(x.shape)
        for column, place in enumerate(self.places):
            out[:, place] = _shapley(told, column, len(COLUMNS))
        return float(self._of(rest[None, :])[0]), out

    def _of(self, columns: np.ndarray) -> np.ndarray:
        out = np.full(len(columns), self.nothing)
        bought = np.nan_to_num(columns[:, 0]) >= 1
        if bought.any():
            out[bought] = _raw(self, summary_of(columns[bought]))
        return out

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**vars(self), "model": self.model.to_dict()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Expectation:
        """The inverse of `to_dict`."""
        tuples = {name: tuple(stored[name]) for name in ("places", "reference")}
        return cls(**{**stored, **tuples, "model": OrderModel.from_dict(stored["model"])})


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
    bought = np.nan_to_num(columns[:, 0]) >= 1
    if not bought.any():
        return None
    model = OrderModel.fit(summary_of(columns[bought]))
    middle = np.nanmedian(columns[bought], axis=0)
    reference = tuple(float(v) for v in (max(np.rint(middle[0]), 1.0), *middle[1:]))
    plain = Expectation(places, task, horizon_days, model, 0.0, reference, margin, annual_discount_rate)  # type: ignore[arg-type]
    told = plain._of(columns[bought])
    return replace(plain, nothing=float(told.max() if task == "churn" else told.min()))


def summary_of(columns: np.ndarray) -> pd.DataFrame:
    """What the probabilistic model takes, from the four columns of customers who ordered, shape (n, 4).

    Orders of one day count apart here, as the columns do not tell them. Where nothing is known of a time it is now.

    >>> summary_of(np.array([[3.0, 10.0, 100.0, 60.0]])).round(1).to_dict("records")[0]["mean_amount"]
    20.0
    """
    orders, since, tenure, spend = np.nan_to_num(columns).T
    orders, age = np.maximum(orders, 1.0), np.maximum(tenure, 0.5)
    recency = np.where(orders == 1, 0.0, np.clip(age - since, 0.0, None))
    return pd.DataFrame(
        {
            "repeats": orders - 1.0,
            "recency_days": recency,
            "age_days": np.maximum(age, recency + 0.5),
            "orders": orders,
            "mean_amount": spend / orders,
        }
    )


def _raw(prior: Expectation, summary: pd.DataFrame) -> np.ndarray:
    if prior.task == "churn":
        return np.asarray(logit(np.clip(_nothing(prior, summary), SURE, 1 - SURE)))
    value = prior.model.value(summary, prior.horizon_days, prior.margin, prior.annual_discount_rate)
    return np.log(np.maximum(value, SMALLEST))


def _nothing(prior: Expectation, summary: pd.DataFrame) -> np.ndarray:
    days, near = prior.horizon_days, prior.near_days
    if near is None:
        return prior.model.p_none(summary, [days])[:, 0]
    first, last = prior.model.p_none(summary, sorted((days, near))).T
    if days > near:
        return last / np.maximum(first, SMALLEST)
    return (first - last) / np.maximum(1 - last, SMALLEST)


def _shapley(told: Mapping[frozenset[int], np.ndarray], column: int, size: int) -> np.ndarray:
    """Mean of what telling a column adds, over all orders of telling."""
    out = np.zeros_like(told[frozenset()])
    for known, value in told.items():
        if column not in known:
            weight = factorial(len(known)) * factorial(size - len(known) - 1) / factorial(size)
            out += weight * (told[known | {column}] - value)
    return out
