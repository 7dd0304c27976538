"""Probabilities at several horizons that cannot contradict one another, and the time they tell of. Pure.

Let ``S(h)`` be the chance that nothing has happened by day ``h``: no order, or no end of the contract. One model gives
S at the main horizon; every other horizon has a model of the step from its neighbour, so that rising horizons give
falling S whatever the models say (a discrete-time hazard; Cox 1972, Singer and Willett 1993):

- outwards, ``S(90) = S(60) * P(nothing until 90 | nothing until 60)``;
- inwards, ``S(14) = S(30) + (1 - S(30)) * P(nothing until 14 | something until 30)``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from features.labels.horizons import neighbour_pairs

Curve = dict[int, np.ndarray]


def survival_curve(days: int, no_event: np.ndarray, conditional: Mapping[int, np.ndarray]) -> Curve:
    """The curve of S at all horizons.

    Parameters
    ----------
    days
        The main horizon.
    no_event
        S there, shape (n,).
    conditional
        For every other horizon the conditional probability of no event, see above, shape (n,).

    Returns
    -------
    dict
        S by horizon, the shortest first; no later value is larger than an earlier one.
    """
    out = {days: no_event}
    for d, near in neighbour_pairs(days, list(conditional)):
        if d > near:
            out[d] = out[near] * conditional[d]
        else:
            out[d] = np.minimum(out[near] + (1 - out[near]) * conditional[d], 1.0)
    return dict(sorted(out.items()))


def direct_curve(days: int, no_event: np.ndarray, chances: Mapping[int, np.ndarray]) -> Curve:
    """As `survival_curve`, of the chance itself at every other horizon: none contradicts that of the main one.

    >>> chances = {60: np.array([0.4]), 30: np.array([0.8])}
    >>> {d: s.tolist() for d, s in direct_curve(90, np.array([0.5]), chances).items()}
    {30: [0.8], 60: [0.5], 90: [0.5]}
    """
    out, bound = {days: no_event}, no_event
    for d in sorted((d for d in chances if d < days), reverse=True):
        out[d] = bound = np.maximum(chances[d], bound)
    bound = no_event
    for d in sorted(d for d in chances if d > days):
        out[d] = bound = np.minimum(chances[d], bound)
    return dict(sorted(out.items()))


def median_days(curve: Curve) -> np.ndarray:
    """Days until it is as likely as not to have happened, shape (n,); NaN where that lies past the longest horizon.

    Between two horizons the hazard is taken to be constant (piecewise exponential).

    >>> half = median_days({30: np.array([0.25, 0.9]), 60: np.array([0.1, 0.8])})
    >>> [round(float(h), 9) for h in half]
    [15.0, nan]
    """
    days = np.array([0, *curve])
    logs = np.log(np.clip(np.column_stack([np.ones(len(next(iter(curve.values())))), *curve.values()]), 1e-12, 1.0))
    half = np.log(0.5)
    passed = logs <= half
    upper = np.where(passed.any(axis=1), passed.argmax(axis=1), 1)
    rows = np.arange(len(logs))
    before, behind = logs[rows, upper - 1], logs[rows, upper]
    width = np.where(behind < before, before - behind, 1.0)
    days_at_half = days[upper - 1] + (before - half) / width * (days[upper] - days[upper - 1])
    return np.where(passed.any(axis=1), days_at_half, np.nan)
