from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from configs.errors import RegistryError
from training.model.encoding import encode

FRAME = pd.DataFrame(
    {
        "customer_id": ["a", "b", "c"],
        "region": np.array(["south", None, "elsewhere"], dtype=object),
        "orders": [1.0, np.nan, 3.0],
        "calls": pd.array([2, None, 5], dtype="Int64"),
        "late": [True, False, True],
    }
)
FEATURES, CATEGORIES = ("late", "region", "calls", "orders"), {"region": ("north", "south")}
TRUTH = [[1.0, 1.0, 2.0, 1.0], [0.0, np.nan, np.nan, np.nan], [1.0, np.nan, 5.0, 3.0]]


def test_rows_are_encoded_the_same_whichever_way_they_are_read() -> None:
    rows = FRAME.to_numpy(dtype=object).tolist()
    for found in (encode(FRAME, FEATURES, CATEGORIES), encode(FRAME, FEATURES, CATEGORIES, rows)):
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, TRUTH)
    np.testing.assert_array_equal(encode(FRAME, ("orders", "calls"), {}), np.array(TRUTH)[:, [3, 2]])
    assert encode(FRAME, (), {}).shape == (3, 0)
    assert encode(FRAME.head(0), FEATURES, CATEGORIES, []).shape == (0, 4)


def test_a_column_that_is_missing_is_named() -> None:
    with pytest.raises(RegistryError, match=r"lacks: \['calls_30d'\]"):
        encode(FRAME, ("orders", "calls_30d"), {})
