"""Value tiers: one rule for who is answered, who is judged, and for whom an interval is learned apart.

A tier is a share of the reference customers of a value model, not an amount: its edges are quantiles of their
predictions, see `training.model.bundle.Bundle`.
"""

from __future__ import annotations

import numpy as np

from configs.settings import Tiers
from training.model.bundle import Bundle

TIERS = ("bronze", "silver", "gold", "diamond")
Edges = tuple[float, float, float]


def tier_edges(bundle: Bundle, shares: Tiers) -> Edges:
    """Expected values above which silver, gold and diamond begin, from the reference customers of the model."""
    from_top = np.cumsum([shares.diamond, shares.gold, shares.silver])[::-1]
    silver, gold, diamond = (bundle.quantile(1 - float(share)) for share in from_top)
    return silver, gold, diamond


def tiers(expected: np.ndarray, edges: Edges) -> list[str]:
    """Value tier of each expected value, shape (n,).

    A value on an edge belongs to the tier below: where many customers share one value, no tier takes more than
    its share.

    Examples
    --------
    >>> tiers(np.array([10.0, 10.1, 55.0, 900.0]), (10.0, 50.0, 100.0))
    ['bronze', 'silver', 'gold', 'diamond']
    """
    return [TIERS[i] for i in np.searchsorted(edges, expected, side="left")]
