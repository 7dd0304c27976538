"""Boosters of several seeds as one: its scores and its reasons are the means of theirs."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest

from training.model.averaging import averaged


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, np.ndarray]:
    """A column with holes, two that interact, a category of many levels, an outcome."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 4))
    x[:, 3] = rng.integers(0, 70, 800)
    x[rng.random(800) < 0.2, 0] = np.nan
    return x, (np.nan_to_num(x[:, 0]) + x[:, 1] * x[:, 2] + (x[:, 3] % 3 == 0) + rng.normal(size=800) > 0).astype(float)


def boosters(table: tuple[np.ndarray, np.ndarray], **params: object) -> list[lgb.Booster]:
    x, y = table
    fixed = {"verbosity": -1, "feature_fraction": 0.5, "deterministic": True, "force_row_wise": True, "num_threads": 1}
    rows = lgb.Dataset(x, y, categorical_feature=[3], free_raw_data=False, params={"verbosity": -1})
    return [lgb.train({**fixed, **params, "seed": seed}, rows, 7 + 3 * seed) for seed in range(3)]


@pytest.mark.parametrize("objective", ["binary", "tweedie", "gamma", "quantile", "regression"])
def test_scores_and_reasons_are_the_means_of_those_of_the_boosters(
    table: tuple[np.ndarray, np.ndarray], objective: str
) -> None:
    x, y = table
    several = boosters((x, y + 1 if objective == "gamma" else y), objective=objective, extra_trees=True)
    joined = averaged(several)
    assert joined.num_trees() == joined.current_iteration() == sum(booster.num_trees() for booster in several)
    for options in ({"raw_score": True}, {"pred_contrib": True}):
        mean = np.mean([booster.predict(x, **options) for booster in several], axis=0)
        np.testing.assert_allclose(joined.predict(x, **options), mean, rtol=0, atol=1e-12)


def test_it_survives_being_written_and_leaves_the_boosters_as_they_were(table: tuple[np.ndarray, np.ndarray]) -> None:
    several = boosters(table, objective="binary")
    before = [booster.model_to_string() for booster in several]
    text = averaged(several).model_to_string()
    assert [booster.model_to_string() for booster in several] == before
    assert lgb.Booster(model_str=text).model_to_string() == text == averaged(several).model_to_string()


def test_trees_without_a_split_count_too(table: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = table
    stumps = boosters((x, y), objective="binary", min_data_in_leaf=10_000)
    joined = averaged(stumps)
    np.testing.assert_allclose(joined.predict(x, raw_score=True), stumps[0].predict(x, raw_score=True), atol=1e-12)


def test_one_booster_stays_itself(table: tuple[np.ndarray, np.ndarray]) -> None:
    alone = boosters(table, objective="binary")[0]
    assert averaged([alone]) is alone
