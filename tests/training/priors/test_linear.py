"""A ridge regression holds itself back with few rows, and keeps the level."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from training.metrics import auc
from training.priors.linear import fit_linear


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
