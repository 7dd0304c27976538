"""Rows without dates are shared out so that each fold holds all outcomes alike."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from configs.settings import load
from features.schema import FeatureSchema
from training.data.dataset import Dataset, shortage
from training.data.task_rows import in_parts, strata


def test_folds_of_values_hold_as_many_who_brought_something_and_as_large_values() -> None:
    rng, n = np.random.default_rng(0), 2000
    y = np.where(rng.random(n) < 0.05, rng.lognormal(3, 1.5, n), rng.choice([0.0, 0.0, -5.0], n))
    frame = pd.DataFrame({"customer_id": [f"c{i}" for i in range(n)], "x": rng.normal(size=n), "label": y})
    parts = in_parts(frame, ["x"], load("telco")).query("part > 0").groupby("part")["label"]
    brought = parts.agg(lambda values: int((values > 0).sum()))
    assert brought.max() - brought.min() <= 1
    largest = parts.agg(lambda values: int((values > np.quantile(y[y > 0], 0.5)).sum()))
    assert largest.max() - largest.min() <= 3


def test_labels_are_their_own_strata_and_equal_values_share_one() -> None:
    assert strata(pd.Series([1.0, 0.0, 1.0])).tolist() == [1.0, 0.0, 1.0]
    assert strata(pd.Series([], dtype=float)).tolist() == []
    assert len(set(strata(pd.Series([0.0, 50.0, 50.0, 50.0])))) == 2
    assert set(strata(pd.Series(np.arange(1, 1001.0)))) == set(range(1, 11))


@pytest.mark.parametrize(
    ("by", "did"), [("as_of", "bought"), ("customer_part", "bought"), ("part", "brought something")]
)
def test_customers_of_a_shop_bought_whoever_judges_and_those_of_a_ready_table_brought_something(
    by: str, did: str
) -> None:
    rows = pd.DataFrame({"customer_id": ["a", "b"], "as_of": pd.Timestamp("2024-01-01"), "label": [0.0, 3.0]})
    lacking = shortage(Dataset("clv", rows, FeatureSchema(()), "", by), load("completejourney").minimum)  # type: ignore[arg-type]
    assert f"1 labels of customers who {did}" in lacking[-1]
