"""The prior of a customer's value: the own past rate, as far as it can be believed, else that of all.

The credibility estimator (Buhlmann 1967; the posterior mean of a gamma-Poisson rate) of spend per day is

    (own spend + rate of all * days) / (own days + days)

so that ``days`` says how long a customer must be known until the own past weighs as much as that of all others. Trees
then learn by which factor customers differ from it (a log-offset). Boosting need not find out again, step by step,
that who spent ten times as much will spend about ten times as much; that is where plain trees lose on few big buyers.

The logarithm is a sum of a term of spend and a term of time, so the prior is explained by these two columns exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from training.json_tuples import lists_to_tuples

COLUMNS = ("spend_total", "tenure_days")
MIN_AMOUNT = 1e-9


@dataclass(frozen=True)
class Credibility:
    """The prior's logarithm as a function of two columns.

    Attributes
    ----------
    places
        Where `COLUMNS` stand in the matrix.
    days
        The weight of all others, in days of a customer's own time.
    rate
        Spend per day of all customers, in currency.
    log_scale
        From a rate to the value over the horizon, so that the prior sums to what came on the training rows.
    means
        Means of the two terms over the training rows: what the effects of the columns are told against.
    """

    kind: ClassVar[str] = "credibility"

    places: tuple[int, int]
    days: float
    rate: float
    log_scale: float
    means: tuple[float, float]

    def terms(self, x: np.ndarray) -> np.ndarray:
        """The terms of spend and of time, shape (n, 2); a missing value counts as 0."""
        spend, time = (np.maximum(np.nan_to_num(x[:, place], nan=0.0), 0.0) for place in self.places)
        return np.column_stack([np.log(spend + self.rate * self.days + MIN_AMOUNT), -np.log(time + self.days)])

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Logarithm of the prior value, shape (n,)."""
        return self.log_scale + self.terms(x).sum(axis=1)

    def split(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The logarithm as a base and one effect a column, shape (n, columns)."""
        out = np.zeros(x.shape)
        out[:, list(self.places)] = self.terms(x) - np.asarray(self.means)
        return self.log_scale + sum(self.means), out

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Credibility:
        """The inverse of `to_dict`."""
        return cls(**lists_to_tuples(content))


def fit_credibility(x: np.ndarray, y: np.ndarray, places: tuple[int, int], days: float) -> Credibility:
    """Fit rate and scale on training rows.

    Parameters
    ----------
    x
        Matrix of the rows, shape (n, features).
    y
        What came, not negative, shape (n,), in currency.
    places
        Where `COLUMNS` stand in the matrix.
    days
        The weight of all others.
    """
    spend, time = (np.maximum(np.nan_to_num(x[:, place], nan=0.0), 0.0) for place in places)
    rate = float(spend.sum() / max(time.sum(), 1.0))
    unscaled = Credibility(places, days, rate, 0.0, (0.0, 0.0))
    terms = unscaled.terms(x)
    scale = np.log(max(y.sum(), MIN_AMOUNT) / np.exp(terms.sum(axis=1)).sum())
    means = terms.mean(axis=0)
    return Credibility(places, days, rate, float(scale), (float(means[0]), float(means[1])))
