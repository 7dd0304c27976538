"""The smallest and the largest values of a column, found part by part: a whole column need not stand in memory."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def ends_of(parts: Iterable[np.ndarray], most: int) -> tuple[int, np.ndarray, np.ndarray]:
    """How many values there are, the smallest of them, and the largest.

    Parameters
    ----------
    parts
        Arrays of numbers or times, of shape ``(n_i,)``. Missing values (NaN, NaT) count as none.
    most
        So many values are kept at each end, at least 1.

    Returns
    -------
    int, numpy.ndarray, numpy.ndarray
        The number of values; and at most `most` of each end, in ascending order.

    Examples
    --------
    >>> rows, low, high = ends_of([np.array([5.0, np.nan, 1.0]), np.array([3.0])], 2)
    >>> rows, low.tolist(), high.tolist()
    (3, [1.0, 3.0], [3.0, 5.0])
    """
    rows, low, high = 0, None, None
    for part in parts:
        values = part[part == part]  # what is missing is not equal to itself
        rows += len(values)
        low = _smallest(values if low is None else np.concatenate([low, values]), most)
        high = _largest(values if high is None else np.concatenate([high, values]), most)
    if low is None or high is None:
        return 0, np.empty(0), np.empty(0)
    return rows, np.sort(low), np.sort(high)


def _smallest(values: np.ndarray, most: int) -> np.ndarray:
    return np.partition(values, most - 1)[:most] if len(values) > most else values


def _largest(values: np.ndarray, most: int) -> np.ndarray:
    return np.partition(values, len(values) - most)[-most:] if len(values) > most else values
