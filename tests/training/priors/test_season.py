from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from training.priors.season import Season, fit_seasons

INDEX = np.array([-0.5, 0.0, 0.5, np.nan])
ROWS = np.column_stack([np.ones(4), INDEX])


def test_the_index_adds_to_the_raw_score_and_a_missing_one_adds_nothing() -> None:
    assert Season(1, 0.5, 2.0)(ROWS).tolist() == [1.75, 2.0, 2.25, 2.0]


@pytest.mark.parametrize("objective", ["tweedie", "gamma"])
def test_a_logarithm_starts_where_the_sum_is_what_came(objective: str) -> None:
    y = np.array([10.0, 0.0, 30.0, 5.0])
    assert np.exp(fit_seasons(ROWS, y, {1: 1.0}, objective)[0](ROWS)).sum() == pytest.approx(45.0)


def test_other_objectives_start_at_their_own_level() -> None:
    y = np.array([1.0, 0.0, 1.0, 1.0])
    assert expit(fit_seasons(ROWS, y, {1: 1.0}, "binary")[0](ROWS)).mean() == pytest.approx(3.5 / 5)
    assert fit_seasons(ROWS, y, {1: 1.0}, "regression")[0](ROWS).mean() == pytest.approx(0.75)
    assert fit_seasons(ROWS, y, {1: 1.0}, "quantile")[0].base == pytest.approx(0.75)
