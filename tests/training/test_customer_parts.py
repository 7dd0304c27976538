"""Where the data has no dates, customers are shared out by a seeded lot, within each label."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from training.data.split import HOLDOUT, customer_parts, plan_customers
from training.judge.baselines import numbers_rule, present_price

IDS = [f"c{i}" for i in range(2000)]
Y = (np.arange(2000) % 4 == 0).astype(float)


def test_every_fold_has_as_many_of_each_label_up_to_one() -> None:
    parts = customer_parts(IDS, Y, 0.2, 5, seed=1)
    for label in (0.0, 1.0):
        counts = np.bincount(parts[(label == Y) & (parts != HOLDOUT)], minlength=6)[1:]
        assert counts.max() - counts.min() <= 1
    assert (parts == HOLDOUT).mean() == pytest.approx(0.2, abs=0.04)


def test_who_is_held_out_does_not_hang_on_the_other_customers_nor_on_the_label() -> None:
    parts = customer_parts(IDS, Y, 0.2, 5, seed=1)
    half = customer_parts(IDS[::2], 1 - Y[::2], 0.2, 3, seed=1)
    np.testing.assert_array_equal(parts[::2] == HOLDOUT, half == HOLDOUT)


def test_the_seed_settles_the_parts() -> None:
    first, again, other = (customer_parts(IDS, Y, 0.2, 5, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_no_part_both_teaches_and_judges() -> None:
    plan = plan_customers(4)
    assert plan.holdout == (HOLDOUT,) and HOLDOUT not in plan.train_for_holdout
    assert [f.valid for f in plan.folds] == [1, 2, 3, 4]
    assert all(f.valid not in f.train and HOLDOUT not in f.train for f in plan.folds)
    assert set(plan.final) == {HOLDOUT, 1, 2, 3, 4}


def test_the_numbers_rule_is_a_logistic_regression_on_standardised_columns() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(3, 5, (400, 2))
    y = (rng.random(400) < 1 / (1 + np.exp(-x[:, 0] / 5))).astype(float)
    scaled = (x - x.mean(0)) / x.std(0)
    wanted = LogisticRegression(max_iter=2000).fit(scaled, y).predict_proba(scaled)[:, 1]
    np.testing.assert_allclose(numbers_rule(x, x, y), wanted, atol=1e-6)


def test_the_numbers_rule_knows_missing_values_no_columns_and_one_class() -> None:
    x, y = np.array([[1.0], [np.nan], [3.0]]), np.array([0.0, 1.0, 1.0])
    assert np.isfinite(numbers_rule(x, x, y)).all()
    np.testing.assert_allclose(numbers_rule(x[:, :0], x[:, :0], y), 2 / 3)
    np.testing.assert_allclose(numbers_rule(x, x, np.ones(3)), 1.0)


def test_the_present_price_forecasts_in_total_what_its_training_rows_paid() -> None:
    price, value = np.array([10.0, 20.0, np.nan]), np.array([20.0, 55.0, 5.0])
    assert present_price(price, price, value).sum() == pytest.approx(value.sum())
    np.testing.assert_array_equal(present_price(price, np.zeros(2), np.zeros(2)), 0)
