"""Customers who stand in a table twice are found by what it holds, and none are found by chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.quality.twins import twin_groups, twin_shares

N = 1000


def customers(seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    numbers = {f"n{k}": rng.normal(size=N).round(3) for k in range(5)}
    return pd.DataFrame(numbers | {f"c{k}": rng.choice(["a", "b", None], N) for k in range(4)})


def test_different_customers_have_no_twins() -> None:
    assert len(np.unique(twin_groups(customers()))) == N
    assert twin_shares(customers()) == (0.0, 0.0)


def test_rows_that_equal_another_in_all_columns_or_all_but_one_are_twins() -> None:
    rows = customers()
    again = pd.concat([rows, rows.head(100), rows.iloc[100:150].assign(n3=9.0)], ignore_index=True)
    groups = twin_groups(again)
    np.testing.assert_array_equal(groups[N:], groups[:150])
    assert len(np.unique(groups)) == N
    assert twin_shares(again) == (pytest.approx(200 / 1150), pytest.approx(300 / 1150))


def test_rows_that_differ_in_two_columns_are_none() -> None:
    rows = customers()
    again = pd.concat([rows, rows.head(100).assign(n0=9.0, n1=9.0)], ignore_index=True)
    assert len(np.unique(twin_groups(again))) == N + 100


def test_coarse_columns_in_which_customers_agree_by_chance_make_no_near_twins() -> None:
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({f"c{k}": rng.integers(0, 4, N) for k in range(8)})
    exact = rows.drop_duplicates().shape[0]
    assert len(np.unique(twin_groups(rows))) == exact


def test_the_order_of_rows_and_columns_does_not_matter() -> None:
    rows = pd.concat([customers(), customers().head(60)], ignore_index=True)
    mixed = rows.sample(frac=1, random_state=2)[sorted(rows, reverse=True)]
    same = pd.Series(twin_groups(mixed), index=mixed.index).sort_index()
    pairs = pd.DataFrame({"a": twin_groups(rows), "b": same}).drop_duplicates()
    assert len(pairs) == N and pairs["b"].is_unique


def test_no_rows_have_no_twins() -> None:
    assert twin_shares(customers().head(0)) == (0.0, 0.0)
