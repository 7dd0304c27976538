"""When customers order, and when they stop without saying so: the Pareto/NBD model, fitted so that it cannot fail.

A customer orders at a constant rate (a Poisson process) until an unseen day of leaving; both rates differ between
customers by gamma distributions: rate of orders ~ Gamma(shape r, rate alpha), rate of leaving ~ Gamma(shape s, rate
beta). Source: Schmittlein, Morrison, Colombo, "Counting your customers", Management Science 33 (1987); the conditional
expectation as in Fader and Hardie, "A note on deriving the Pareto/NBD model" (2005). `training.priors.pareto_nbd`
computes it.

Four weak priors on logarithms keep the fit finite: where the data tell nothing of a parameter, the prior does. Unlike
BG/NBD, a customer with one order may have left after it: P(alive) is under 1 for everyone who has been silent.
Time is in days everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from configs.errors import NotEnoughDataError
from training.priors.pareto_nbd import (
    Array,
    Four,
    Histories,
    alive,
    expected,
    first_order,
    log_likelihood,
    nbd,
    parameters,
)
from training.priors.posterior import Loss, lowest, penalised, row_weights

STARTS = ((0.0, 0.0, 0.0, 0.0), (-1.0, 0.5, -0.7, 1.0), (0.7, -0.3, 0.7, -1.0))
EVIDENCE = 3.0
MAX_ROWS = 100_000
SEARCH_ROWS = 4_000
YEAR = 365.25


@dataclass(frozen=True)
class PurchasePrior:
    """Independent normal priors on four logarithms; an infinite standard deviation is flat.

    Attributes
    ----------
    rate_days
        Mean days between orders of a customer that are expected beforehand; None: taken from the data at hand
        (half an order more than was counted, over all days watched).
    life_days
        Mean life beforehand, in days; None: twice the mean days that customers were watched, at least 60.
    log_r, log_s
        Centres of the logarithms of the two shapes: 0 is as unequal as an exponential distribution.
    sd_log_r, sd_log_rate, sd_log_s, sd_log_life
        Standard deviations.
    """

    rate_days: float | None = None
    life_days: float | None = None
    log_r: float = 0.0
    log_s: float = 0.0
    sd_log_r: float = 1.5
    sd_log_rate: float = 2.0
    sd_log_s: float = 1.5
    sd_log_life: float = 2.0

    @classmethod
    def flat(cls) -> PurchasePrior:
        """No prior at all: maximum likelihood."""
        return cls(sd_log_r=np.inf, sd_log_rate=np.inf, sd_log_s=np.inf, sd_log_life=np.inf)


@dataclass(frozen=True)
class PurchaseModel:
    """A fitted model of orders.

    Attributes
    ----------
    r, alpha
        Shape, and rate in days, of the gamma distribution of customers' rates of ordering.
    s, beta
        The same of their rates of leaving.
    dropout_identifiable
        Whether the data tell that customers leave at all, beyond ordering less or more often.
    reason
        Why, or why not, in one sentence.
    covariance
        Posterior covariance (Laplace) of ``log r, log(r / alpha), log s, log(s / beta)``, four rows.
    log_likelihood, log_likelihood_without_dropout
        Of the customers fitted on, in days; the second of the best model in which nobody leaves.
    customers
        How many were fitted on.
    agreeing_starts
        How many of the searches, from different starts, ended at this maximum.
    """

    r: float
    alpha: float
    s: float
    beta: float
    dropout_identifiable: bool
    reason: str
    covariance: tuple[tuple[float, ...], ...]
    log_likelihood: float
    log_likelihood_without_dropout: float
    customers: float
    agreeing_starts: int

    @property
    def logs(self) -> Array:
        """``log r, log(r / alpha), log s, log(s / beta)``."""
        return np.log([self.r, self.r / self.alpha, self.s, self.s / self.beta])

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self) | {"covariance": [list(row) for row in self.covariance]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> PurchaseModel:
        """The inverse of `to_dict`."""
        return cls(**{**content, "covariance": tuple(tuple(map(float, row)) for row in content["covariance"])})

    def at(self, logs: ArrayLike) -> Four:
        """``r, alpha, s, beta`` of four logarithms in the order of `logs`."""
        return parameters(np.asarray(logs, dtype=np.float64))

    def p_alive(self, x: ArrayLike, t_x: ArrayLike, age: ArrayLike) -> Array:
        """Probability that a customer has not left yet, shape (n,); see `Histories` for the arguments.

        Under 1 for everyone who has been silent for a while, also after a single order.
        """
        return alive(self._four, Histories.of(x, t_x, age))

    def expected_orders(self, x: ArrayLike, t_x: ArrayLike, age: ArrayLike, horizon: ArrayLike) -> Array:
        """Expected days with an order in ``[moment, moment + horizon)``, shape (n,), or (n, h) for several horizons.

        Parameters
        ----------
        x, t_x, age
            See `Histories`.
        horizon
            Days ahead: one number, or several.
        """
        h = Histories.of(x, t_x, age)
        orders = expected(self._four, h, np.atleast_1d(np.asarray(horizon, dtype=np.float64)))
        orders *= alive(self._four, h)[:, None]
        return orders[:, 0] if np.ndim(horizon) == 0 else orders

    def p_none(self, x: ArrayLike, t_x: ArrayLike, age: ArrayLike, horizons: Sequence[float]) -> Array:
        """Probability of no order within each horizon, shape (n, h): never rising from a horizon to a longer one.

        Parameters
        ----------
        x, t_x, age
            See `Histories`.
        horizons
            Days ahead, in any order.
        """
        days = np.asarray(horizons, dtype=np.float64)
        rising, place = np.unique(days, return_inverse=True)
        h = Histories.of(x, t_x, age)
        return 1.0 - (alive(self._four, h)[:, None] * first_order(self._four, h, rising))[:, place]

    def sample(
        self, x: ArrayLike, t_x: ArrayLike, age: ArrayLike, horizon: float, rng: np.random.Generator, draws: int,
        logs: ArrayLike | None = None,
    ) -> NDArray[np.int64]:  # fmt: skip
        """Draw numbers of orders within a horizon from their predictive distribution, shape (n, draws).

        Parameters
        ----------
        x, t_x, age
            See `Histories`.
        horizon
            Days ahead.
        rng, draws
            Where chance comes from, and how many draws a customer.
        logs
            Draw under these parameters (see `logs`) and not under the fitted ones.
        """
        four = self._four if logs is None else self.at(logs)
        h = Histories.of(x, t_x, age)
        here = rng.random((len(h.x), draws)) < alive(four, h)[:, None]
        r, alpha, s, beta = four
        rate = rng.gamma((r + h.x)[:, None], size=here.shape) / (alpha + h.age)[:, None]
        leaving = rng.gamma(s, size=here.shape) / (beta + h.age)[:, None]
        life = rng.exponential(size=here.shape) / np.maximum(leaving, 1e-300)
        return rng.poisson(np.where(here, rate * np.minimum(life, horizon), 0.0))

    def draw_logs(self, rng: np.random.Generator, draws: int) -> Array:
        """Parameters from their posterior, shape (draws, 4): how unsure the model is of its customers as a whole."""
        return rng.multivariate_normal(self.logs, np.asarray(self.covariance), draws, method="eigh")

    @property
    def _four(self) -> Four:
        return self.r, self.alpha, self.s, self.beta


def fit_purchases(
    x: ArrayLike, t_x: ArrayLike, age: ArrayLike, weights: ArrayLike | None = None, prior: PurchasePrior | None = None
) -> PurchaseModel:
    """Fit the model to customers' histories by the maximum of the posterior.

    Equal histories are fitted once, with their number. Of more than 100,000 different ones a sample with a fixed seed
    is taken. The search starts from three places (with more than 4,000 different histories, on a sample of them), and
    goes on from the best end.

    Parameters
    ----------
    x, t_x, age
        See `Histories`.
    weights
        How many customers each row stands for, shape (n,).
    prior
        What is believed beforehand; the weak default where None.

    Raises
    ------
    NotEnoughDataError
        There is no customer at all.
    DataError
        See `Histories.of`.
    """
    prior = prior or PurchasePrior()
    h = Histories.of(x, t_x, age)
    if not len(h.x):
        raise NotEnoughDataError("a model of orders needs at least one customer with an order, found none")
    h, w = _collapse(h, row_weights(weights, len(h.x)))
    centre, sd = _prior_logs(prior, h, w)

    best, agreeing = _search(lambda rows, n: _posterior(rows, n, centre, sd), h, w, centre)
    without_dropout = _minimize(penalised(lambda logs: nbd(logs, h, w), centre[:2], sd[:2]), centre[:2])
    level, level_without = float(log_likelihood(best, h, w)[0]), -float(nbd(without_dropout[0], h, w)[0])
    identifiable = level - level_without >= EVIDENCE
    gain = f"that customers leave raises the log-likelihood by {level - level_without:.2f}"
    r, alpha, s, beta = parameters(best)
    return PurchaseModel(
        r=r,
        alpha=alpha,
        s=s,
        beta=beta,
        dropout_identifiable=bool(identifiable),
        reason=f"{gain}, {'at least' if identifiable else 'under'} {EVIDENCE:g}"
        + ("" if identifiable else ": how long customers stay rests on the prior"),
        covariance=tuple(tuple(map(float, row)) for row in _covariance(_posterior(h, w, centre, sd), best)),
        log_likelihood=level,
        log_likelihood_without_dropout=level_without,
        customers=float(w.sum()),
        agreeing_starts=agreeing,
    )


def _search(posterior: Callable[[Histories, Array], Loss], h: Histories, w: Array, centre: Array) -> tuple[Array, int]:
    """The minimum of a loss, and how many of the starts led to it."""
    sample, n = (h, w) if len(w) <= SEARCH_ROWS else _draw(h, w, SEARCH_ROWS)
    ends = [_minimize(posterior(sample, n), centre + np.asarray(start)) for start in STARTS]
    best, agreeing = lowest(ends)
    return (best if sample is h else _minimize(posterior(h, w), best)[0]), agreeing


def _posterior(h: Histories, w: Array, centre: Array, sd: Array) -> Loss:
    def loss(logs: Array) -> tuple[float, Array]:
        value, slope = log_likelihood(logs, h, w)
        return -value, -slope

    return penalised(loss, centre, sd)


def _collapse(h: Histories, weights: Array) -> tuple[Histories, Array]:
    rows, place = np.unique(np.column_stack([h.x, h.t_x, h.age]), axis=0, return_inverse=True)
    w = np.bincount(place.ravel(), weights).astype(np.float64)
    every = Histories(*rows.T)
    return (every, w) if len(rows) <= MAX_ROWS else _draw(every, w, MAX_ROWS)


def _draw(h: Histories, w: Array, n: int) -> tuple[Histories, Array]:
    """A sample of `n` customers with a fixed seed; equal histories in it are one row."""
    drawn, counts = np.unique(np.random.default_rng(0).choice(len(w), n, p=w / w.sum()), return_counts=True)
    return Histories(h.x[drawn], h.t_x[drawn], h.age[drawn]), counts.astype(np.float64)


def _prior_logs(prior: PurchasePrior, h: Histories, w: Array) -> tuple[Array, Array]:
    watched = max(float(w @ h.age), 30.0 * float(w.sum()))
    rate = 1 / prior.rate_days if prior.rate_days else (float(w @ h.x) + 0.5) / watched
    life = prior.life_days or 2.0 * watched / float(w.sum())
    centre = np.array([prior.log_r, np.log(rate), prior.log_s, -np.log(life)])
    return centre, np.array([prior.sd_log_r, prior.sd_log_rate, prior.sd_log_s, prior.sd_log_life])


def _minimize(loss: Loss, start: Array) -> tuple[Array, float]:
    bounds = [(v - 15.0, v + 15.0) for v in start]
    result = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500, "ftol": 1e-13})
    return result.x, float(result.fun)


def _covariance(loss: Loss, at: Array, step: float = 1e-3) -> Array:
    """Inverse curvature of the loss; a direction that is flat to the eye is given a standard deviation of 3."""
    moves = np.eye(len(at)) * step
    curvature = np.array([(loss(at + m)[1] - loss(at - m)[1]) / (2 * step) for m in moves])
    values, vectors = np.linalg.eigh(0.5 * (curvature + curvature.T))
    return (vectors / np.maximum(values, 1.0 / 9.0)) @ vectors.T
