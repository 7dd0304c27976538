"""The loss that the search minimises is the one of the literature; a search that goes on draws other trials."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, create_trial
from sklearn.metrics import log_loss, mean_tweedie_deviance

from configs.settings import load as load_settings
from configs.workspace import Workspace
from training.data.dataset import Encoder, Matrix
from training.fit.contest import VALUE_POWER
from training.fit.folds import FoldData
from training.fit.search import fewest_trees, history, loss, search, tree_members

SEEDS = st.integers(0, 10_000)


def sample(task: str, seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, forecasts (the surest among them) and weights."""
    rng = np.random.default_rng(seed)
    if task == "churn":
        return rng.integers(0, 2, n).astype(float), rng.random(n).round(1), rng.random(n)
    return rng.gamma(1, 50, n) * rng.integers(-1, 2, n), rng.gamma(1, 50, n) * rng.integers(0, 2, n), rng.random(n)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("task", ["churn", "clv"])
@given(seed=SEEDS)
def test_the_loss_is_that_of_sklearn(task: str, weighted: bool, seed: int) -> None:
    y, forecast, weight = sample(task, seed)
    weight = weight if weighted else None
    if task == "churn":
        want = log_loss(y, forecast, labels=[0, 1], sample_weight=weight)
    else:
        want = mean_tweedie_deviance(
            np.maximum(y, 0), np.maximum(forecast, 1e-6), power=VALUE_POWER, sample_weight=weight
        )
    assert loss(task, y, forecast, weight) == pytest.approx(want, rel=1e-12)


def trial(number: int, value: float, trees: int, form: str = "churn", **params: object) -> FrozenTrial:
    built = create_trial(value=value, user_attrs={"form": form, "params": params, "trees": {"churn": trees}})
    built.number = number
    return built


def test_of_trials_within_a_thousandth_of_the_least_loss_the_one_with_fewest_trees_is_taken() -> None:
    best, as_good, worse = trial(0, 0.3, 200), trial(1, 0.3002, 20), trial(2, 0.301, 5)
    assert fewest_trees([best, as_good, worse]) is as_good
    assert fewest_trees([best, worse]) is best


def test_the_best_of_each_form_with_all_columns_and_with_few_go_into_the_contest() -> None:
    trials = [
        trial(0, 0.30, 50),
        trial(1, 0.31, 60, columns=12),
        trial(2, 0.29, 70),
        trial(3, 0.40, 80, form="churn_hybrid_linear"),
        trial(4, 0.50, 90, form="churn_hybrid_orders"),
    ]
    assert [(m.form.name, m.trees["churn"]) for m in tree_members(trials)] == [
        ("churn", 70),
        ("churn", 60),
        ("churn_hybrid_linear", 80),
    ]


def test_a_search_that_was_cut_off_draws_no_trial_twice(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    matrix = Matrix(x, (rng.random(200) < 1 / (1 + np.exp(-x[:, 0]))).astype(float))
    fold = FoldData(matrix, matrix, Encoder(("a", "b", "c"), {}), np.arange(200) % 50)
    short = load_settings("test").tuning.model_copy(update={"trials": 12, "max_trees": 3})
    search("churn", [fold], short, Workspace(tmp_path), "x")
    result = search("churn", [fold], short.model_copy(update={"trials": 24}), Workspace(tmp_path), "x")
    drawn = [tuple(sorted(t.params.items())) for t in history(result.study)]
    assert len(drawn) == 24 and len(set(drawn)) == 24
