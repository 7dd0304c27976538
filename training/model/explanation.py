"""From SHAP values of raw scores to effects in the unit that is served, summing to it exactly.

A prediction is ``f(s_1, ..., s_J)``: a link over one or more raw scores, each of which SHAP splits into a base
and one value a feature (Lundberg et al. 2020). Along the straight path from the bases to the scores, the
Aumann-Shapley rule (Aumann and Shapley 1974; integrated gradients, Sundararajan et al. 2017) gives a feature

    effect_k = sum_j phi_jk * integral_0^1 df/ds_j (base + t (s - base)) dt

and the effects sum to ``f(s) - f(base)``. With one score this is the plain rescaling of SHAP values.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

Link = str
SCORES = {"exp": 1, "sigmoid_exp": 2, "ziln": 3}  # how many raw scores each link of an amount takes
MOST_VARIANCE = 4.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


def link(name: Link, scores: np.ndarray) -> np.ndarray:
    """Turn raw scores, shape (n, J), into predictions, shape (n,).

    ``sigmoid`` takes one or several log-odds, which add up. ``exp`` takes one score; ``sigmoid_exp`` takes two:
    log-odds of buying, log of the amount; ``ziln`` takes a third, the logarithm of the variance of the log of the
    amount, at most 4 (zero-inflated lognormal). Several of them joined by ``+`` (``exp+sigmoid_exp``) add up their
    amounts: a weighted average, where the logarithm of each weight stands in the log of its amount. ``mean_exp`` takes
    logarithms of several forecasts of one amount, and gives their mean.
    """
    if "+" in name:
        return sum((link(part, scores[:, span]) for part, span in spans(name)), np.zeros(len(scores)))
    if name == "sigmoid":
        return expit(scores.sum(axis=1))
    if name == "exp":
        return np.exp(scores[:, 0])
    if name == "mean_exp":
        return np.exp(scores).mean(axis=1)
    if name == "ziln":
        return expit(scores[:, 0]) * np.exp(scores[:, 1] + np.minimum(np.exp(scores[:, 2]), MOST_VARIANCE) / 2)
    return expit(scores[:, 0]) * np.exp(scores[:, 1])


def spans(name: Link) -> list[tuple[Link, slice]]:
    """The links of amounts that add up, with the columns of the scores that each takes.

    >>> spans("exp+sigmoid_exp")
    [('exp', slice(0, 1, None)), ('sigmoid_exp', slice(1, 3, None))]
    """
    out, start = [], 0
    for part in name.split("+"):
        out.append((part, slice(start, start + SCORES[part])))
        start += SCORES[part]
    return out


def effects(name: Link, base: np.ndarray, phi: np.ndarray) -> tuple[float, np.ndarray]:
    """Split predictions into a base and one effect a feature.

    Parameters
    ----------
    name
        The link that turns scores into predictions.
    base
        Mean raw score over the training rows, shape (J,).
    phi
        SHAP values of the raw scores, shape (n, J, features).

    Returns
    -------
    float, numpy.ndarray
        The prediction at the base, and the effects, shape (n, features), in the unit of the prediction:
        ``base + effects.sum(axis=1)`` is the prediction.
    """
    steps = phi.sum(axis=2)
    start = float(link(name, base[None, :])[0])
    weights = _mean_slope(name, base, steps)
    raw = np.einsum("njf,nj->nf", phi, weights)
    total = link(name, base[None, :] + steps) - start
    return start, _close(raw, total)


def _mean_slope(name: Link, base: np.ndarray, steps: np.ndarray) -> np.ndarray:
    points = base + (_NODES + 1)[:, None, None] / 2 * steps  # all in one call, of which few rows make many
    slopes = _slope(name, points.reshape(-1, len(base))).reshape(points.shape)
    return np.cumsum(_WEIGHTS[:, None, None] / 2 * slopes, axis=0)[-1]  # in one order, whatever rows are beside


def _slope(name: Link, scores: np.ndarray) -> np.ndarray:
    if "+" in name:
        return np.hstack([_slope(part, scores[:, span]) for part, span in spans(name)])
    if name == "exp":
        return np.exp(scores)
    if name == "mean_exp":
        return np.exp(scores) / scores.shape[1]
    if name == "sigmoid":
        share = expit(scores.sum(axis=1, keepdims=True))
        return np.repeat(share * (1 - share), scores.shape[1], axis=1)
    share = expit(scores[:, :1])
    if name == "ziln":
        variance = np.exp(scores[:, 2:3])
        amount = np.exp(scores[:, 1:2] + np.minimum(variance, MOST_VARIANCE) / 2)
        spread = share * amount * variance / 2 * (variance < MOST_VARIANCE)
        return np.hstack([share * (1 - share) * amount, share * amount, spread])
    amount = np.exp(scores[:, 1:2])
    return np.hstack([share * (1 - share) * amount, share * amount])


def _close(raw: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Spread what the numeric integral misses over the effects, by their size."""
    size = np.abs(raw)
    whole = size.sum(axis=1, keepdims=True)
    share = np.divide(size, whole, out=np.full_like(size, 1 / raw.shape[1]), where=whole > 0)
    return raw + (total - raw.sum(axis=1))[:, None] * share
