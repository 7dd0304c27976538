"""The simple stays where trees bring nothing, and an average of several goes in where it forecasts better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from training.data.dataset import Encoder, Matrix
from training.fit.boosters import CHURN, TWEEDIE, VALUE_LINEAR, Member, joined_form, linear_of
from training.fit.contest import SEEDS, WORTH_TREES, contest, standard_error
from training.fit.folds import FoldData

ENCODER = Encoder(("a", "b", "c"), {})
PARAMS = {"learning_rate": 0.1, "num_leaves": 8, "min_data_in_leaf": 20}
TREES = {"churn": Member(CHURN, PARAMS, {"churn": 60}), "clv": Member(TWEEDIE, PARAMS, {"value": 60})}


def folds(task: str, raw: object, n: int, seed: int) -> list[FoldData]:
    """Two folds of customers whose log-odds, or logarithm of the mean value, is a function of three columns."""
    rng, out = np.random.default_rng(seed), []
    for _ in range(2):
        matrices = []
        for _ in range(2):
            x = rng.normal(size=(n, 3))
            score = raw(x)  # type: ignore[operator]
            y = (rng.random(n) < expit(score)).astype(float) if task == "churn" else rng.gamma(0.5, 2 * np.exp(score))
            matrices.append(Matrix(x, y))
        train, valid = matrices
        out.append(FoldData(train, valid, ENCODER, np.arange(n) % 50, None, linear_of(train, ENCODER, task)))
    return out


def straight(x: np.ndarray) -> np.ndarray:
    return np.sign(x[:, 0]) * np.log1p(np.abs(x[:, 0])) * 2


def bent(x: np.ndarray) -> np.ndarray:
    return 2.0 * (x[:, 0] * x[:, 1] > 0) - 1


@pytest.mark.slow
@pytest.mark.parametrize("task", ["churn", "clv"])
def test_where_columns_simply_add_up_a_regression_answers_and_trees_where_they_interact(task: str) -> None:
    members, table = contest(task, folds(task, straight, 400, 1), [TREES[task]], 0)
    assert [m.form.name for m in members] == [{"churn": "churn_linear", "clv": "value_linear"}[task]]
    assert [row["name"] for row in table if row["chosen"]] == [joined_form(members).name]
    members, table = contest(task, folds(task, bent, 2_000, 2), [TREES[task]], 0)
    assert TREES[task] in members


def test_where_one_part_adds_up_and_another_interacts_the_average_of_both_is_best() -> None:
    members, table = contest("churn", folds("churn", lambda x: straight(x) + bent(x), 400, 3), [TREES["churn"]], 0)
    assert [m.form.name for m in members] == ["churn_linear", "churn"]
    least = min(table, key=lambda row: row["loss"])
    assert least["chosen"] and least["above_least"] == 0 and least["name"] == "churn_linear+churn"


def test_parts_of_an_average_have_names_of_their_own() -> None:
    form = joined_form([Member(VALUE_LINEAR, {}, {}), TREES["clv"], TREES["clv"]])
    assert form.link == "exp+exp+exp" and len({part.name for part in form.parts}) == 3
    assert form.basis == "hybrid"


def test_the_standard_error_counts_what_goes_together_in_a_block_once() -> None:
    rng = np.random.default_rng(0)
    draws = np.repeat(rng.normal(size=50), 20)
    blocks, even = np.repeat(np.arange(50), 20), np.ones(1000)
    assert standard_error(draws, blocks, even) == pytest.approx(draws[::20].std(ddof=1) / np.sqrt(50), rel=1e-6)
    assert standard_error(draws[:20], blocks[:20], even[:20]) == np.inf


def test_where_all_customers_are_in_one_block_the_simple_stays() -> None:
    alike = [replace(fold, block=np.zeros(len(fold.block), dtype=int)) for fold in folds("churn", bent, 400, 4)]
    assert [m.form.name for m in contest("churn", alike, [TREES["churn"]], 0)[0]] == ["churn_linear"]


def test_boosters_of_several_seeds_compete_and_their_trees_are_counted() -> None:
    _, table = contest("churn", folds("churn", bent, 400, 5), [TREES["churn"]], 0)
    assert {row["name"]: row["trees"] for row in table} == {
        "churn_linear": 0,
        "churn": 60,
        f"churn x {SEEDS}": SEEDS * 60,
    } | {row["name"]: row["trees"] for row in table if "+" in row["name"]}


def test_where_single_boosters_are_noisy_the_average_of_several_seeds_answers() -> None:
    noisy = {"learning_rate": 0.3, "num_leaves": 31, "min_data_in_leaf": 5, "bagging_fraction": 0.5}
    members, table = contest("churn", folds("churn", bent, 2_000, 6), [Member(CHURN, noisy, {"churn": 40})], 0)
    loss = {row["name"]: row["loss"] for row in table}
    assert loss[f"churn x {SEEDS}"] < loss["churn"] * 0.99
    assert all(member.params.get("seeds", 1) == SEEDS for member in members if member.trees)


@pytest.mark.slow
def test_more_trees_must_bring_a_thousandth_of_the_loss() -> None:
    small, large = (Member(CHURN, PARAMS | {"num_leaves": leaves}, {"churn": n}) for leaves, n in ((4, 60), (5, 600)))
    for n_seed in range(4):
        _, table = contest("churn", folds("churn", bent, 600, n_seed), [small, large], 0)
        least, chosen = min(row["loss"] for row in table), next(row for row in table if row["chosen"])
        if chosen["trees"]:
            assert chosen["trees"] == min(row["trees"] for row in table if row["loss"] <= least * (1 + WORTH_TREES))


def test_a_member_is_named_by_what_sets_it_apart() -> None:
    few = Member(CHURN, PARAMS | {"columns": 12, "seeds": 4}, {"churn": 60})
    assert (few.name, few.trees_asked) == ("churn of 12 columns x 4", 240)
    assert (TREES["churn"].name, TREES["churn"].trees_asked) == ("churn", 60)
