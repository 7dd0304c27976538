"""The season of longer horizons: as much of it as the main forecast that they continue holds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.schema import SEASON_LONGER
from training.model.bundle import Bundle
from training.priors.growth import ContractGrowth, Growth, OrderGrowth, SeasonalGrowth
from training.priors.prior import Prior, terms
from training.priors.season import Season


def in_season(law: OrderGrowth | ContractGrowth, bundle: Bundle, rows: pd.DataFrame) -> Growth:
    """The law with as much of the season of longer horizons as the main forecast holds; as it is where none is known.

    The columns of a row hold what was known at its moment.
    """
    season = tuple(name for name in SEASON_LONGER if name in rows and rows[name].any())
    share = share_held(bundle)
    if season != SEASON_LONGER[: len(season)] or not season or not share:
        return law
    return SeasonalGrowth(law, season, share)


def share_held(bundle: Bundle) -> float:
    """How much of the season a model's forecasts hold, within [0, 1]: what its columns count together."""
    sums = [score.affine.slope * _strength(score.prior) for score in bundle.scores if score.prior]
    counting = [strength for strength in sums if strength]
    return float(np.clip(np.mean(counting), 0.0, 1.0)) if counting else 0.0


def _strength(prior: Prior) -> float:
    return sum(term.strength for term in terms(prior) if isinstance(term, Season))
