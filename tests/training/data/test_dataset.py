"""What trees would need more of is named as what it is."""

from __future__ import annotations

import pandas as pd
import pytest

from configs.settings import load
from features.schema import FeatureSchema
from training.data.dataset import Dataset, shortage


@pytest.mark.parametrize(
    ("by", "did"), [("as_of", "bought"), ("customer_part", "bought"), ("part", "brought something")]
)
def test_customers_of_a_shop_bought_whoever_judges_and_those_of_a_ready_table_brought_something(
    by: str, did: str
) -> None:
    rows = pd.DataFrame({"customer_id": ["a", "b"], "as_of": pd.Timestamp("2024-01-01"), "label": [0.0, 3.0]})
    lacking = shortage(Dataset("clv", rows, FeatureSchema(()), "", by), load("completejourney").minimum)  # type: ignore[arg-type]
    assert f"1 labels of customers who {did}" in lacking[-1]
