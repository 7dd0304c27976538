"""Horizons beside the main one: each is told from its neighbour, see `training.model.survival`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def neighbour_pairs(days: int, others: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of a horizon and the neighbour it is computed from, nearest to the main horizon first.

    >>> neighbour_pairs(30, (7, 14, 30, 60, 90))
    [(14, 30), (7, 14), (60, 30), (90, 60)]
    """
    shorter = [days, *sorted((d for d in others if d < days), reverse=True)]
    longer = [days, *sorted(d for d in others if d > days)]
    return [(d, near) for side in (shorter, longer) for near, d in pairwise(side)]


def season_pairs(days: int, others: Sequence[int]) -> list[tuple[int, int]]:
    """The same pairs in the order in which steps have a season of their own: longer horizons first.

    There are columns for the first few alone (`features.schema.SEASON_STEPS`).

    >>> season_pairs(30, (7, 14, 30, 60, 90))
    [(60, 30), (90, 60), (14, 30), (7, 14)]
    """
    return sorted(neighbour_pairs(days, others), key=lambda pair: pair[0] < days)
