"""The Pareto/NBD model's arithmetic: likelihood, P(alive) and forecasts, stable for any history and parameters.

Source: Schmittlein, Morrison, Colombo, "Counting your customers", Management Science 33 (1987); Fader and Hardie, "A
note on deriving the Pareto/NBD model" (2005). Nothing here evaluates a hypergeometric function. The likelihood is
written as an integral over the day of leaving, whose integrand is positive and smooth, and Gauss-Legendre quadrature
in ``log(1 + (day - last) / scale)`` gives it to about ten digits; its derivatives are means over the same nodes.
Parameters come as four numbers ``r, alpha, s, beta``, or as four logarithms ``log r, log(r / alpha), log s, log(s /
beta)``; see `training.priors.purchases`. Time is in days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma, exprel, gammaln

from configs.errors import DataError
from training.compiled import compiled

Array = NDArray[np.float64]
Four = tuple[float, float, float, float]
ROOTS, WEIGHTS = np.polynomial.legendre.leggauss(24)
NODES, WEIGHTS = 0.5 + 0.5 * ROOTS, 0.5 * WEIGHTS
CHUNK = 50_000


@dataclass(frozen=True)
class Histories:
    """What is known of customers' orders at a moment, checked.

    Attributes
    ----------
    x
        Repeat orders (days with an order, less the first), shape (n,).
    t_x
        Days from the first order to the last, shape (n,).
    age
        Days from the first order to the moment, shape (n,).
    """

    x: Array
    t_x: Array
    age: Array

    @classmethod
    def of(cls, x: ArrayLike, t_x: ArrayLike, age: ArrayLike) -> Histories:
        """Check and broadcast.

        Raises
        ------
        DataError
            A number is not finite or negative, or the last order lies after the moment.
        """
        x, t_x, age = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (x, t_x, age)))
        wrong = ~(np.isfinite(x) & np.isfinite(age) & (x >= 0) & (t_x >= 0) & (t_x <= age))
        if wrong.any():
            i = int(np.argmax(wrong))
            raise DataError(
                f"order histories: expected repeats >= 0 and 0 <= recency <= age in days, got repeats {x[i]}, recency "
                f"{t_x[i]}, age {age[i]} in row {i} ({int(wrong.sum())} such rows): leave out who never ordered"
            )
        return cls(x, np.where(x > 0, t_x, 0.0), age)


def parameters(logs: Array) -> Four:
    """``r, alpha, s, beta`` of their four logarithms."""
    r, rate, s, leaving = np.exp(np.clip(logs, -30, 30))
    return float(r), float(r / rate), float(s), float(s / leaving)


def _nodes(start: Array, end: Array, scale: Array) -> tuple[Array, Array]:
    """Days between `start` and `end` and their quadrature weights, shape (n, 24), dense near the start."""
    reach = np.log1p((end - start) / scale)[:, None]
    grown = np.expm1(reach * NODES)
    return start[:, None] + scale[:, None] * grown, reach * scale[:, None] * (grown + 1.0) * WEIGHTS


def _left_early(four: Four, h: Histories) -> tuple[Array, Array, Array, Array, Array]:
    """Logs of the likelihood with the customer still there and with the customer gone, and the nodes of the latter.

    Both without the factor ``Gamma(r + x) / Gamma(r) alpha^r beta^s``. Also: the days of leaving at the nodes, and the
    share of each node.
    """
    r, alpha, s, beta = four
    a = r + h.x
    stays = -s * np.log(beta + h.age) - a * np.log(alpha + h.age)
    scale = 1.0 / (a / (alpha + h.t_x) + (s + 1.0) / (beta + h.t_x))
    days, weight = _nodes(h.t_x, h.age, np.minimum(scale, np.minimum(alpha, beta) + h.t_x))
    logs = -(s + 1.0) * np.log(beta + days) - a[:, None] * np.log(alpha + days)
    top = -(s + 1.0) * np.log(beta + h.t_x) - a * np.log(alpha + h.t_x)
    mass = weight * np.exp(logs - top[:, None])
    total = mass.sum(axis=1)
    with np.errstate(divide="ignore"):
        departed = np.log(s) + top + np.log(total)
    return stays, departed, days, mass / np.maximum(total, 1e-300)[:, None], total


def alive(four: Four, h: Histories) -> Array:
    """Probability that each customer has not left by the moment, shape (n,)."""
    out = np.empty(len(h.x))
    compiled(_alive)(four, *map(np.array, (h.x, h.t_x, h.age)), NODES, WEIGHTS, out)
    return out


def _alive(four: Four, x: Array, t_x: Array, age: Array, nodes: Array, weights: Array, out: Array) -> None:
    """As the two logs of `_left_early` tell it, customer by customer, whose nodes are not kept."""
    r, alpha, s, beta = four
    for i in range(len(x)):
        a, last = r + x[i], t_x[i]
        stays = -s * np.log(beta + age[i]) - a * np.log(alpha + age[i])
        scale = min(1.0 / (a / (alpha + last) + (s + 1.0) / (beta + last)), min(alpha, beta) + last)
        reach = np.log1p((age[i] - last) / scale)
        top = -(s + 1.0) * np.log(beta + last) - a * np.log(alpha + last)
        total = 0.0
        for node in range(len(nodes)):
            grown = np.expm1(reach * nodes[node])
            day = last + scale * grown
            weight = reach * scale * (grown + 1.0) * weights[node]
            total += weight * np.exp(-(s + 1.0) * np.log(beta + day) - a * np.log(alpha + day) - top)
        departed = np.log(s) + top + np.log(total) if total > 0.0 else -np.inf
        out[i] = np.exp(stays - np.logaddexp(stays, departed))


def log_likelihood(logs: Array, h: Histories, w: Array) -> tuple[float, Array]:
    """Log-likelihood and its slope in the four logarithms."""
    total, slope = 0.0, np.zeros(4)
    for at in range(0, len(h.x), CHUNK):
        part = slice(at, at + CHUNK)
        value, d = _log_likelihood_of(parameters(logs), Histories(h.x[part], h.t_x[part], h.age[part]), w[part])
        total, slope = total + value, slope + d
    return total, slope


def _log_likelihood_of(four: Four, h: Histories, w: Array) -> tuple[float, Array]:
    r, alpha, s, beta = four
    stays, departed, days, share, _ = _left_early(four, h)
    both = np.logaddexp(stays, departed)
    here = np.exp(stays - both)
    left = 1.0 - here
    value = gammaln(r + h.x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) + both

    def mean(end: Array, nodes: Array) -> Array:
        return here * end + left * (share * nodes).sum(axis=1)

    a, b = alpha + days, beta + days
    d_r = digamma(r + h.x) - digamma(r) + np.log(alpha) - mean(np.log(alpha + h.age), np.log(a))
    d_alpha = r / alpha - (r + h.x) * mean(1.0 / (alpha + h.age), 1.0 / a)
    d_s = np.log(beta) + left / s - mean(np.log(beta + h.age), np.log(b))
    d_beta = s / beta - here * s / (beta + h.age) - left * (s + 1.0) * (share / b).sum(axis=1)
    d = np.array([w @ d_r * r, w @ d_alpha * alpha, w @ d_s * s, w @ d_beta * beta])
    return float(w @ value), np.array([d[0] + d[1], -d[1], d[2] + d[3], -d[3]])


def nbd(logs: Array, h: Histories, w: Array) -> tuple[float, Array]:
    """Negative log-likelihood where nobody ever leaves, and its slope in ``log r, log(r / alpha)``."""
    r, rate = np.exp(np.clip(logs, -30, 30))
    alpha = r / rate
    a, end = r + h.x, alpha + h.age
    value = w @ (gammaln(a) - gammaln(r) + r * np.log(alpha) - a * np.log(end))
    d_r = w @ (digamma(a) - digamma(r) + np.log(alpha) - np.log(end)) * r
    d_alpha = w @ (r / alpha - a / end) * alpha
    return float(-value), -np.array([d_r + d_alpha, -d_alpha])


def expected(four: Four, h: Histories, horizons: Array) -> Array:
    """Expected orders within each horizon of customers who are still there, shape (n, h)."""
    r, alpha, s, beta = four
    end = (beta + h.age)[:, None]
    reach = np.log1p(horizons / end)
    return ((r + h.x) / (alpha + h.age))[:, None] * end * reach * exprel((1.0 - s) * reach)


def first_order(four: Four, h: Histories, horizons: Array) -> Array:
    """Probability of an order within each of rising horizons, of customers who are still there, shape (n, h).

    The integral of the density of the day of the next order, summed from one horizon to the next.
    """
    out = np.empty((len(h.x), len(horizons)))
    compiled(_first_order)(four, *map(np.array, (h.x, h.age, horizons)), NODES, WEIGHTS, out)
    return out


def _first_order(four: Four, x: Array, age: Array, horizons: Array, nodes: Array, weights: Array, out: Array) -> None:
    """See `first_order`, customer by customer."""
    r, alpha, s, beta = four
    for i in range(len(x)):
        a, rate_end, life_end = r + x[i], alpha + age[i], beta + age[i]
        begin, total, ahead = 0.0, 0.0, np.log(a / rate_end)
        for place in range(len(horizons)):
            scale = 1.0 / ((a + 1.0) / (rate_end + begin) + s / (life_end + begin))
            scale = min(scale, min(rate_end, life_end) + begin)
            reach = np.log1p((horizons[place] - begin) / scale)
            for node in range(len(nodes)):
                grown = np.expm1(reach * nodes[node])
                day = begin + scale * grown
                density = ahead - (a + 1.0) * np.log1p(day / rate_end) - s * np.log1p(day / life_end)
                total += reach * scale * (grown + 1.0) * weights[node] * np.exp(density)
            begin = horizons[place]
            out[i, place] = min(total, 1.0)
