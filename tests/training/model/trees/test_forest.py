from __future__ import annotations

from itertools import combinations
from math import factorial

import lightgbm as lgb
import numpy as np
import pytest

from training.model.trees.forest import Forest

QUIET = {"verbosity": -1, "num_threads": 1, "seed": 1, "min_data_in_leaf": 5}


def rows(count: int, seed: int = 0) -> np.ndarray:
    """Numbers with gaps and zeros, and in the last column codes of a category."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=(count, 7)), 2)
    x[rng.random(x.shape) < 0.15] = np.nan
    x[rng.random(x.shape) < 0.15] = 0.0
    x[:, 6] = np.where(rng.random(count) < 0.1, np.nan, rng.integers(0, 40, count))
    return x


def fit(x: np.ndarray, **params: object) -> lgb.Booster:
    rng = np.random.default_rng(1)
    known = np.nan_to_num(x)
    y = known[:, 0] * known[:, 1] + np.abs(known[:, 2]) + known[:, 6] % 3 + rng.normal(0, 0.3, len(x))
    data = lgb.Dataset(x, y, categorical_feature=[6], params={"verbosity": -1})
    return lgb.train({**QUIET, "objective": "regression", **params}, data, num_boost_round=20)


@pytest.mark.parametrize(
    "params",
    [
        {"num_leaves": 3},
        {"num_leaves": 31},
        {"num_leaves": 60, "max_depth": 10},
        {"num_leaves": 15, "zero_as_missing": True},
        {"num_leaves": 15, "use_missing": False},
        {"num_leaves": 15, "extra_trees": True, "bagging_fraction": 0.5, "bagging_freq": 1},
    ],
)
def test_the_values_are_those_of_lightgbm(params: dict[str, object]) -> None:
    booster, other = fit(rows(600), **params), rows(2500, seed=3)
    other[0], other[1], other[2, 6], other[3, 6] = np.nan, 0.0, 77.0, -1.0
    forest = Forest.of(booster.model_to_string())
    assert forest is not None
    theirs = np.asarray(booster.predict(other, pred_contrib=True))[:, :-1]
    np.testing.assert_allclose(forest.effects(other), theirs, atol=1e-12, rtol=1e-9)


def test_the_values_are_those_of_the_definition() -> None:
    """Over all orders in which features become known; of those that are not, a node's rows go both ways as they did."""
    x = rows(80)[:, :3]
    booster = lgb.train(
        {**QUIET, "objective": "regression", "num_leaves": 5}, lgb.Dataset(x, np.nan_to_num(x).sum(axis=1)), 1
    )
    tree = booster.dump_model()["tree_info"][0]["tree_structure"]

    def expected(node: dict, row: np.ndarray, known: set[int]) -> float:
        if "leaf_value" in node:
            return node["leaf_value"]
        left, right = node["left_child"], node["right_child"]
        if node["split_feature"] in known:
            value = row[node["split_feature"]]
            to_left = node["default_left"] if np.isnan(value) else value <= node["threshold"]
            return expected(left if to_left else right, row, known)
        counts = [side.get("internal_count", side.get("leaf_count")) for side in (left, right)]
        sides = [expected(side, row, known) for side in (left, right)]
        return float(np.average(sides, weights=counts))

    def shapley(row: np.ndarray, feature: int) -> float:
        others = [f for f in range(3) if f != feature]
        total = 0.0
        for size in range(3):
            for some in combinations(others, size):
                weight = factorial(size) * factorial(2 - size) / factorial(3)
                total += weight * (expected(tree, row, {*some, feature}) - expected(tree, row, set(some)))
        return total

    forest = Forest.of(booster.model_to_string())
    assert forest is not None
    truth = [[shapley(row, feature) for feature in range(3)] for row in x[:20]]
    np.testing.assert_allclose(forest.effects(x[:20]), truth, atol=1e-12)


def test_what_no_table_tells_is_left_to_lightgbm() -> None:
    x = rows(300)[:, :6]
    y = np.nan_to_num(x).sum(axis=1)
    forest = {**QUIET, "objective": "regression", "boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1}
    linear = {**QUIET, "objective": "regression", "linear_tree": True}
    for params in (forest, linear):
        booster = lgb.train(params, lgb.Dataset(x, y, params={"verbosity": -1, **params}), num_boost_round=2)
        assert Forest.of(booster.model_to_string()) is None
    classes = {**QUIET, "objective": "multiclass", "num_class": 3}
    booster = lgb.train(classes, lgb.Dataset(x, np.arange(300) % 3, params={"verbosity": -1}), num_boost_round=2)
    assert Forest.of(booster.model_to_string()) is None


def test_a_booster_that_learned_nothing_has_no_effects() -> None:
    x = rows(50)
    booster = lgb.train({**QUIET, "objective": "regression"}, lgb.Dataset(x, np.ones(50)), num_boost_round=2)
    forest = Forest.of(booster.model_to_string())
    assert forest is not None and not forest.effects(x).any()


def test_the_scores_are_lightgbm_s_to_the_last_bit_whatever_a_row_holds() -> None:
    booster = fit(rows(600), num_leaves=31)
    other = rows(300, seed=5)
    other[0], other[1], other[2] = np.nan, np.inf, -np.inf
    other[3:9, 6] = (-1.0, -0.5, 3.7, 77.0, 1e30, -1e30)
    forest = Forest.of(booster.model_to_string())
    assert forest is not None
    assert forest.scores(other).tolist() == booster.predict(other, raw_score=True).tolist()


def test_what_a_row_gets_does_not_depend_on_the_rows_beside_it() -> None:
    forest, other = Forest.of(fit(rows(600), num_leaves=31).model_to_string()), rows(700, seed=6)
    assert forest is not None
    alone = np.vstack([forest.effects(other[i : i + 1]) for i in (0, 255, 256, 699)])
    assert alone.tolist() == forest.effects(other)[[0, 255, 256, 699]].tolist()
    shown = other[:1].copy()
    shown.flags.writeable = False
    assert forest.effects(shown).tolist() == alone[:1].tolist()
    assert forest.scores(np.asfortranarray(other)).tolist() == forest.scores(other).tolist()


def test_effects_and_the_mean_sum_to_the_score() -> None:
    booster, other = fit(rows(600), num_leaves=60), rows(200, seed=7)
    forest = Forest.of(booster.model_to_string())
    assert forest is not None
    mean = float(np.asarray(booster.predict(other[:1], pred_contrib=True))[0, -1])
    np.testing.assert_allclose(mean + forest.effects(other).sum(axis=1), forest.scores(other), atol=1e-12)


def test_rows_of_other_columns_are_refused() -> None:
    forest = Forest.of(fit(rows(100), num_leaves=3).model_to_string())
    assert forest is not None
    for ask in (forest.scores, forest.effects):
        with pytest.raises(ValueError, match="rows of 6 columns, the trees ask for 7"):
            ask(rows(3)[:, :6])
