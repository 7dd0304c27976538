"""A profile tells how columns are distributed, and of nobody what stood in their row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from training.data.profile import TOGETHER, profile


def test_values_of_few_stand_with_their_neighbours_as_the_middle_one_by_hand() -> None:
    told = profile(pd.DataFrame({"x": [9.0, 1, 2, 3, 3, 3, 4, 4, 4, 4, 4, 100, np.nan]}))["x"]
    assert told.iloc[:12].tolist() == [3.0] * 5 + [4.0] * 7 and np.isnan(told.iloc[12])


def test_levels_of_a_category_keep_their_counts_and_missing_ones_stay_missing() -> None:
    towns = ["Ulm", None, "Bonn", "Ulm"]
    assert profile(pd.DataFrame({"town": towns}))["town"].tolist() == ["Bonn", "Ulm", "Ulm", None]


def test_fewer_values_than_may_stand_together_are_not_told() -> None:
    told = profile(pd.DataFrame({"x": [7.5, np.nan, np.nan, np.nan, np.nan, np.nan], "n": range(6)}))
    assert told["x"].isna().all() and len(told) == 6 and told["n"].dtype == "int64"


def test_of_nothing_there_is_nothing_to_tell() -> None:
    assert profile(pd.DataFrame()).empty and profile(pd.DataFrame({"x": pd.Series(dtype=float)})).empty


@given(st.lists(st.integers(-20, 20) | st.none(), min_size=TOGETHER, max_size=60))
def test_every_number_stands_for_several_customers_and_none_is_lost(values: list[int | None]) -> None:
    column = pd.Series(values, dtype=float)
    told = profile(pd.DataFrame({"x": column}))["x"]
    assert len(told) == len(column)
    if column.notna().sum() >= TOGETHER:
        assert told.value_counts().min() >= TOGETHER and told.notna().sum() == column.notna().sum()
        assert column.median() == pytest.approx(told.median(), abs=np.ptp(column.dropna()))
        assert set(told.dropna()) <= set(column.dropna())


def test_no_row_is_that_of_a_customer_and_every_column_is_distributed_as_before() -> None:
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({f"x{i}": rng.gamma(2, 50, 2323) for i in range(6)} | {"orders": rng.poisson(2.0, 2323)})
    told = profile(rows)
    assert not set(map(tuple, told.to_numpy())) & set(map(tuple, rows.to_numpy()))
    for name in rows:
        apart = stats.ks_2samp(rows[name], told[name]).statistic
        assert apart <= TOGETHER / 2323, (name, apart)
        moved = stats.wasserstein_distance(rows[name], told[name]) / rows[name].std()
        assert moved < 0.01, (name, moved)
