"""One rule of tiers: what is judged is what is served."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from configs.settings import Tiers
from training.model.bundle import Bundle
from training.model.tiers import tier_edges, tiers

SHARES = Tiers(diamond=0.05, gold=0.15, silver=0.30)


def bundle_with(scale: tuple[float, ...]) -> Bundle:
    """A value model of nothing but the scale of its reference customers."""
    return Bundle(
        task="clv",
        link="exp",
        scores=(),
        features=(),
        categories={},
        schema_hash="made-up",
        horizon_days=90,
        trained_through="2024-01-01T00:00:00Z",
        interval=None,
        quantiles=scale,
        reference=pd.DataFrame(),
        info={},
    )


def test_each_tier_takes_its_share_of_the_reference_customers() -> None:
    values = np.linspace(1.0, 1000.0, 2001)
    edges = tier_edges(bundle_with(tuple(np.quantile(values, np.linspace(0, 1, 101)).tolist())), SHARES)
    shares = pd.Series(tiers(values, edges)).value_counts(normalize=True)
    assert shares.to_dict() == pytest.approx({"bronze": 0.5, "silver": 0.3, "gold": 0.15, "diamond": 0.05}, abs=0.001)


def test_where_all_customers_share_one_value_none_is_in_a_higher_tier() -> None:
    assert tiers(np.zeros(3), tier_edges(bundle_with((0.0,) * 101), SHARES)) == ["bronze"] * 3
