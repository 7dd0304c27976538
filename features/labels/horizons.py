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
