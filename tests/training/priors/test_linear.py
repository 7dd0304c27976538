"""A ridge regression holds itself back with few rows, and keeps the level."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit

from training.metrics import auc
from training.priors.linear import Linear, fit_linear


def rows(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)) * 10
    return x, (rng.random(n) < expit(0.15 * x[:, 0] - 1)).astype(float)


def test_few_customers_are_enough_for_what_is_plain() -> None:
    (x, y), (later, came) = rows(60, 1), rows(4000, 2)
    model = fit_linear(x, y, "churn", [])
    assert auc(came, model(later)) > 0.7
    assert expit(model(x)).mean() == pytest.approx(y.mean(), abs=1e-3)


def test_amounts_keep_their_total_and_rise_with_what_moves_them() -> None:
    rng = np.random.default_rng(0)
    price = rng.uniform(10, 100, 80)
    y = price * 3 * (rng.random(80) < 0.8)
    model = fit_linear(price[:, None], y, "clv", [])
    assert np.exp(model(price[:, None])).sum() == pytest.approx(y.sum(), rel=1e-3)
    assert np.diff(model(np.array([[10.0], [50.0], [100.0]]))).min() > 0


def test_where_nobody_left_the_rate_alone_is_told() -> None:
    x, _ = rows(30, 0)
    assert expit(fit_linear(x, np.zeros(30), "churn", [])(x)) == pytest.approx(0.5 / 31)


def test_codes_of_categories_columns_without_a_value_and_constants_say_nothing() -> None:
    x, y = rows(60, 1)
    x = np.column_stack([x, np.full(60, np.nan), np.ones(60)])
    model = fit_linear(x, y, "churn", [1])
    assert [model.slopes[i] for i in (1, 6, 7)] == [0, 0, 0]
    assert np.isfinite(model(x)).all()


def test_a_far_customer_is_told_as_one_at_three_deviations() -> None:
    x, y = rows(60, 1)
    model = fit_linear(x, y, "churn", [])
    far = np.zeros((2, 6))
    far[:, 0] = 1e6, 1e12
    assert model(far)[0] == model(far)[1]


def test_the_same_rows_give_the_same_model() -> None:
    assert fit_linear(*rows(60, 1), "churn", []) == fit_linear(*rows(60, 1), "churn", [])


def test_levels_of_a_category_and_missing_values_count_and_effects_are_told_against_the_mean_customer() -> None:
    rng = np.random.default_rng(6)
    code, number = rng.integers(0, 51, 6_000).astype(float), rng.normal(size=6_000)
    code[rng.random(6_000) < 0.1], number[rng.random(6_000) < 0.2] = np.nan, np.nan
    truth = np.where(code == 7, 2.0, 0.0) + np.where(np.isnan(number), 1.5, 0.0) - 1
    y = (rng.random(6_000) < expit(truth)).astype(float)
    x = np.column_stack([code, number])
    model = fit_linear(x, y, "churn", [0])
    of_level = dict(model.levels)[0]
    assert of_level[7] > 0.5 + max(v for k, v in enumerate(of_level) if k != 7)
    assert model.missing[1] > 1
    base, effects = model.split(x)
    assert effects.mean(axis=0) == pytest.approx(0, abs=1e-9) and base == pytest.approx(model(x).mean())
    assert Linear.from_dict(json.loads(json.dumps(model.to_dict()))) == model


def test_a_regression_without_levels_or_centres_as_written_before_still_answers() -> None:
    content = {"intercept": -1.0, "slopes": [0.5, 0.0], "means": [0.0, 0.0], "sds": [1.0, 1.0]}
    assert Linear.from_dict(content)(np.array([[np.e - 1, np.nan]])) == pytest.approx(-0.5)


def test_rows_of_one_customer_do_not_both_teach_and_judge_how_loosely_slopes_are_held() -> None:
    rng = np.random.default_rng(7)
    x, y = np.repeat(rng.normal(size=(60, 20)), 6, axis=0), np.repeat(rng.integers(0, 2, 60), 6).astype(float)
    spread = [np.abs(fit_linear(x, y, "churn", [], c).slopes).max() for c in (np.repeat(np.arange(60), 6), None)]
    assert spread[0] < 0.3 * spread[1]


def test_a_level_beyond_those_learned_from_adds_nothing() -> None:
    rng = np.random.default_rng(8)
    code = rng.integers(0, 3, 300).astype(float)
    model = fit_linear(code[:, None], (rng.random(300) < 0.2 + 0.3 * (code == 1)).astype(float), "churn", [0])
    assert model(np.array([[70.0]])) == pytest.approx(model(np.array([[np.nan]])))
