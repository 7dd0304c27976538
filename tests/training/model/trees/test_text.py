from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest

from configs.errors import RegistryError
from training.model.trees.forest import Forest
from training.model.trees.text import read_trees

CHAIN = {"objective": "regression", "num_leaves": 4, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1}


def model() -> str:
    x = np.random.default_rng(0).normal(size=(200, 3))
    return lgb.train(CHAIN, lgb.Dataset(x, x.sum(axis=1)), num_boost_round=2).model_to_string()


def test_a_tree_is_as_lightgbm_tells_it() -> None:
    text = model()
    found = read_trees(text)
    assert found is not None
    trees, features = found
    assert (len(trees), features) == (2, 3)
    root = lgb.Booster(model_str=text).dump_model()["tree_info"][0]["tree_structure"]
    first = trees[0]
    assert (first.feature[0], first.threshold[0]) == (root["split_feature"], root["threshold"])
    left = root["left_child"]
    rows = left.get("internal_count", left.get("leaf_count"))
    assert first.share(0, True) == pytest.approx(rows / root["internal_count"])
    assert sorted(number for number, _ in first.leaves(0, ())) == [0, 1, 2, 3]
    assert sorted(first.nodes_below(0)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("left_child", "0 -2 -3"),
        ("left_child", "1 -2 7"),
        ("right_child", "2 -3 -99"),
        ("split_feature", "0 1 3"),
        ("split_feature", "0 -1 2"),
        ("threshold", "0.5"),
        ("leaf_value", "1 2"),
    ],
)
def test_a_damaged_tree_is_refused_before_anything_follows_it(name: str, values: str) -> None:
    damaged = "\n".join(f"{name}={values}" if line.startswith(f"{name}=") else line for line in model().splitlines())
    with pytest.raises(RegistryError, match="tree 0 of a booster is damaged"):
        read_trees(damaged)


def test_values_next_to_zero_are_decided_as_lightgbm_decides_that_makes_them_zero_before() -> None:
    x = np.array([[-1.0], [0.0], [1.0]]).repeat(20, axis=0)
    booster = lgb.train(CHAIN, lgb.Dataset(x, np.array([2.0, 1.0, 4.0]).repeat(20)), num_boost_round=2)
    forest = Forest.of(booster.model_to_string())
    assert forest is not None
    edge = np.float64(np.float32(1e-35))
    rows = np.array([[value] for at in (-edge, edge) for value in (at, np.nextafter(at, -1), np.nextafter(at, 1))])
    expected = booster.predict(rows, raw_score=True)
    assert len(set(expected)) == 3
    np.testing.assert_array_equal(forest.scores(rows), expected)
    np.testing.assert_allclose(forest.effects(rows), booster.predict(rows, pred_contrib=True)[:, :-1])
