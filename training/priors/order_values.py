"""What an order of a customer is worth: the Gamma-Gamma model, with a prior that keeps its mean finite.

A customer's order values are gamma distributed with shape p and a rate that differs between customers: rate ~ Gamma(q,
gamma). Source: Fader and Hardie, "The Gamma-Gamma model of monetary value" (2013). The mean of the population,
``p gamma / (q - 1)``, is finite only for q > 1. The fit searches over ``log(q - 1)``, so that q never falls to 1.

What is observed of a customer is shrunk towards the population, the more the fewer orders there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import digamma, gammaln

from configs.errors import DataError
from training.priors.posterior import Array, lowest, penalised, row_weights

MIN_AMOUNT = 1e-6
STARTS = ((0.0, 0.0, 0.0), (1.5, 1.0, 0.2), (-1.0, -0.5, -0.2))


@dataclass(frozen=True)
class SpendPrior:
    """Independent normal priors on ``log p``, ``log(q - 1)`` and the log of the population's mean order value.

    Attributes
    ----------
    mean_amount
        Mean order value that is expected beforehand, in currency; None: the mean of the customers at hand.
    log_p, log_q
        Centres of ``log p`` and ``log(q - 1)``.
    sd_log_p, sd_log_q, sd_log_mean
        Standard deviations; infinite ones are flat.
    """

    mean_amount: float | None = None
    log_p: float = 1.0
    log_q: float = 1.0
    sd_log_p: float = 1.5
    sd_log_q: float = 1.5
    sd_log_mean: float = 1.0


@dataclass(frozen=True)
class SpendModel:
    """A fitted model of order values.

    Attributes
    ----------
    p, q, gamma
        Shape of a customer's order values; shape and rate (in currency) of the distribution of their rates; q > 1.
    customers
        How many customers with a positive mean order value were fitted on; 0: the prior alone.
    log_likelihood
        Of these customers.
    agreeing_starts
        How many of the searches ended at this maximum.
    """

    p: float
    q: float
    gamma: float
    customers: float
    log_likelihood: float
    agreeing_starts: int

    @property
    def mean(self) -> float:
        """Mean order value of the population, in currency."""
        return self.p * self.gamma / (self.q - 1.0)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> SpendModel:
        """The inverse of `to_dict`."""
        return cls(**content)

    def expected(self, orders: ArrayLike, mean_amount: ArrayLike) -> Array:
        """Expected value of a customer's next order, shape (n,), in currency.

        Parameters
        ----------
        orders
            Orders whose mean is known, shape (n,); 0: nothing is known, the population's mean is expected.
        mean_amount
            Their mean, in currency, shape (n,). Not known (NaN) counts as no order; a negative mean (more returned
            than bought) as 0, so that what is expected falls with it and stays above 0.
        """
        shape, rate = self._posterior(orders, mean_amount)
        return self.p * rate / (shape - 1.0)

    def sample(
        self, orders: ArrayLike, mean_amount: ArrayLike, n_orders: NDArray[np.int64], rng: np.random.Generator
    ) -> Array:
        """Draw what coming orders are worth together, shape (n, draws), in currency.

        Parameters
        ----------
        orders, mean_amount
            See `expected`.
        n_orders
            Numbers of coming orders, shape (n, draws).
        rng
            Where chance comes from.
        """
        shape, rate = self._posterior(orders, mean_amount)
        own = rng.gamma(shape[:, None], size=n_orders.shape) / rate[:, None]
        return rng.gamma(np.where(n_orders > 0, self.p * n_orders, 1.0)) * (n_orders > 0) / np.maximum(own, 1e-300)

    def _posterior(self, orders: ArrayLike, mean_amount: ArrayLike) -> tuple[Array, Array]:
        n, mean = _checked(orders, mean_amount)
        return self.q + self.p * n, self.gamma + n * mean


def fit_spend(
    orders: ArrayLike,
    mean_amount: ArrayLike,
    weights: ArrayLike | None = None,
    prior: SpendPrior | None = None,
) -> SpendModel:
    """Fit the model to customers' mean order values by the maximum of the posterior.

    Customers without an order, or whose mean is not positive (under a millionth of the currency's unit), tell nothing
    here and are left out. If none is left, the prior is the model.

    Parameters
    ----------
    orders, mean_amount
        Orders of each customer and their mean in currency, shape (n,).
    weights, prior
        See `training.priors.purchases.fit_purchases`.

    Raises
    ------
    DataError
        A number of orders or a mean is infinite, or a number of orders is negative.
    """
    prior = prior or SpendPrior()
    n, mean = _checked(orders, mean_amount)
    w = row_weights(weights, len(n))
    informative = (n > 0) & (mean > MIN_AMOUNT) & (w > 0)
    n, mean, w = n[informative], mean[informative], w[informative]
    mean_level = prior.mean_amount or (float(w @ mean / w.sum()) if len(w) else 1.0)
    centre = np.array([prior.log_p, prior.log_q, np.log(mean_level)])
    sd = np.array([prior.sd_log_p, prior.sd_log_q, prior.sd_log_mean])

    def loss(logs: Array) -> tuple[float, Array]:
        value, slope = _log_likelihood(logs, n, mean, w)
        return -value, -slope

    bounds = [(prior.log_p - 8, prior.log_p + 8), (prior.log_q - 8, prior.log_q + 8), (centre[2] - 8, centre[2] + 8)]
    posterior = penalised(loss, centre, sd)
    ends = [minimize(posterior, centre + np.asarray(s), jac=True, method="L-BFGS-B", bounds=bounds) for s in STARTS]
    best, agreeing = lowest([(end.x, float(end.fun)) for end in ends])
    p, q, gamma = _parameters(best)
    return SpendModel(p, q, gamma, float(w.sum()), _log_likelihood(best, n, mean, w)[0], agreeing)


def _parameters(logs: Array) -> tuple[float, float, float]:
    p, above, mean = np.exp(logs)
    return float(p), float(1.0 + above), float(mean * above / p)


def _log_likelihood(logs: Array, n: Array, mean: Array, w: Array) -> tuple[float, Array]:
    """Log-likelihood of mean order values and its slope in ``log p, log(q - 1), log mean``."""
    p, q, gamma = _parameters(logs)
    a, rate = p * n, gamma + n * mean
    share = np.log(n * mean / rate)
    value = gammaln(a + q) - gammaln(a) - gammaln(q) + q * np.log(gamma / rate) + a * share - np.log(mean)
    d_p = n * (digamma(a + q) - digamma(a) + share)
    d_q = digamma(a + q) - digamma(q) + np.log(gamma / rate)
    by_p, by_q, by_log_gamma = w @ d_p * p, w @ d_q * (q - 1.0), w @ (q - (a + q) * gamma / rate)
    return float(w @ value), np.array([by_p - by_log_gamma, by_q + by_log_gamma, by_log_gamma])


def _checked(orders: ArrayLike, mean_amount: ArrayLike) -> tuple[Array, Array]:
    n, mean = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (orders, mean_amount)))
    wrong = ~np.isfinite(n) | (n < 0) | np.isinf(mean)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise DataError(
            f"order values: expected a number of orders >= 0 and a finite mean, got {n[i]} orders with mean {mean[i]} "
            f"in row {i} ({int(wrong.sum())} such rows): mend or leave out these customers"
        )
    unknown = np.isnan(mean)
    return np.where(unknown, 0.0, n), np.where(unknown, 0.0, np.maximum(mean, 0.0))
