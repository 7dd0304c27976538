"""Fits by the maximum of a posterior: normal priors on logarithms, and a search from several places."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from training.priors.pareto_nbd import Array

Loss = Callable[[Array], tuple[float, Array]]
LOSS_TOLERANCE = 1e-3


def row_weights(weights: ArrayLike | None, n: int) -> Array:
    """How many customers each of `n` rows stands for, shape (n,): one each where nothing is told."""
    return np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)


def penalised(loss: Loss, centre: Array, sd: Array) -> Loss:
    """A negative log-likelihood with independent normal priors.

    Parameters
    ----------
    loss
        Negative log-likelihood and its slope.
    centre, sd
        Of the priors, shape (k,); an infinite standard deviation is flat.

    Examples
    --------
    >>> posterior = penalised(lambda at: (0.0, np.zeros(1)), np.array([1.0]), np.array([0.5]))
    >>> value, slope = posterior(np.array([2.0]))
    >>> float(value), slope.tolist()
    (2.0, [4.0])
    """

    def with_prior(at: Array) -> tuple[float, Array]:
        value, slope = loss(at)
        off = (at - centre) / sd
        return value + 0.5 * float(off @ off), slope + off / sd

    return with_prior


def lowest(ends: Sequence[tuple[Array, float]]) -> tuple[Array, int]:
    """The place of least loss, and how many of the searches ended there.

    Parameters
    ----------
    ends
        Where each search ended, and the loss there. Losses that differ by less than 0.001, or a ten-millionth of their
        size, are one.

    Examples
    --------
    >>> place, agreeing = lowest([(np.array([7.0]), 5.0), (np.array([8.0]), 4.0001), (np.array([9.0]), 4.0)])
    >>> place.tolist(), agreeing
    ([9.0], 2)
    """
    best, low = min(ends, key=lambda end: end[1])
    return best, sum(value - low < LOSS_TOLERANCE * max(1.0, 1e-4 * abs(low)) for _, value in ends)
