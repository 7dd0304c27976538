"""Rows of a table that are the same customer again, or as good as: equal in all columns, or in all but one.

A twin on the other side of a split is an answer that was seen before. Who has a twin is told by what the table holds,
never by ids. Rows that agree in all but one column by chance, as they do in a table of few columns or coarse ones, are
no twins: they come as often if half of the columns is dealt out anew.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

FEWEST_COLUMNS = 6  # with fewer, rows agree in all but one by chance
MOST_ALIKE = 5  # more different rows that agree in all but one column are a kind of customer
LARGEST_SHARE = 0.01  # near twins that hang together in larger groups than this say nothing
BY_CHANCE = 0.1  # and so do those of which a mixed table has this share


def twin_groups(rows: pd.DataFrame) -> NDArray[np.int64]:
    """Number of the group of each row; rows of one group are twins, directly or through others.

    Parameters
    ----------
    rows
        The columns that describe a customer, ids and label aside; missing values are equal.

    Returns
    -------
    ndarray of int64
        Shape (n,), from 0.

    Examples
    --------
    >>> first, second, third = twin_groups(pd.DataFrame({"age": [30, 40, 30], "plan": ["a", None, "a"]}))
    >>> bool(first == third), bool(first == second)
    (True, False)
    """
    hashes = np.array([_hashes(rows[name], place) for place, name in enumerate(rows)]).reshape(-1, len(rows))
    exact = np.unique(hashes.sum(axis=0), return_inverse=True)[1].astype(np.int64)
    if rows.shape[1] < FEWEST_COLUMNS:
        return exact
    one_of_each = np.unique(exact, return_index=True)[1]
    different = hashes[:, one_of_each]
    pairs, mixed = _near_pairs(different), different.copy()
    mixed[::2] = mixed[::2, np.random.default_rng(0).permutation(mixed.shape[1])]
    if not len(pairs[0]) or len(_near_pairs(mixed)[0]) > BY_CHANCE * len(pairs[0]):
        return exact
    links = coo_array((np.ones(len(pairs[0]), np.int8), pairs), (len(one_of_each), len(one_of_each)))
    together = connected_components(links, directed=False)[1].astype(np.int64)
    return together[exact] if np.bincount(together).max() <= max(MOST_ALIKE, LARGEST_SHARE * len(rows)) else exact


def twin_shares(rows: pd.DataFrame) -> tuple[float, float]:
    """Share of the rows that equal another in all columns, and share of those that have any twin."""
    if not len(rows):
        return 0.0, 0.0
    near = twin_groups(rows)
    exact = float(rows.duplicated(keep=False).mean())
    return exact, float((np.bincount(near)[near] > 1).mean())


def _hashes(values: pd.Series, place: int) -> NDArray[np.uint64]:
    """A random-like number for each value, another one in each column."""
    codes = pd.factorize(values)[0].astype(np.int64) + 1
    return pd.util.hash_array(codes + (place << 40))


def _near_pairs(hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of rows that agree in all columns but one; hashes of shape (columns, rows), of different rows."""
    whole, n = hashes.sum(axis=0), hashes.shape[1]
    left, right = [], []
    for own in hashes:
        order = np.argsort(whole - own, kind="stable")
        rest = (whole - own)[order]
        starts = np.flatnonzero(np.concatenate([[True], rest[1:] != rest[:-1]]))
        sizes = np.diff(np.append(starts, n))
        few = np.repeat((sizes > 1) & (sizes <= MOST_ALIKE), sizes)
        follows = few[1:] & (rest[1:] == rest[:-1])
        left.append(order[:-1][follows])
        right.append(order[1:][follows])
    return np.concatenate(left), np.concatenate(right)
