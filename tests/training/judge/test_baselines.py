"""Baselines: fair rules of thumb, fitted on training rows only."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from configs.errors import NotEnoughDataError
from training.judge.baselines import (
    past_rate,
    present_price,
    recency_rule,
    regression_rule,
    value_regression_rule,
)


def train(n=2000, seed=1):
    rng = np.random.default_rng(seed)
    days = rng.integers(0, 90, n).astype(float)
    odds = np.exp(-3 + 0.9 * np.log1p(days))
    return days, (rng.random(n) < odds / (1 + odds)).astype(float)


def test_recency_rule_finds_the_curve_that_made_the_data():
    days, y = train()
    asked = np.array([0.0, 10.0, 60.0])
    odds = np.exp(-3 + 0.9 * np.log1p(asked))
    assert recency_rule(asked, days, y) == pytest.approx(odds / (1 + odds), abs=0.04)


def test_recency_rule_rises_with_the_days_and_keeps_the_training_churn_rate():
    days, y = train()
    p = recency_rule(days, days, y)
    assert (np.diff(p[np.argsort(days)]) >= 0).all()
    assert p.mean() == pytest.approx(y.mean(), abs=1e-4)


def test_customer_without_an_order_counts_as_the_oldest_of_the_training_rows():
    days, y = train()
    assert recency_rule([np.nan], days, y) == pytest.approx(recency_rule([days.max()], days, y))


def test_unknown_outcomes_are_left_out_of_the_fit():
    days, y = train(200)
    more = np.append(days, 1e6), np.append(y, np.nan)
    assert recency_rule([5.0], *more) == pytest.approx(recency_rule([5.0], days, y))


def test_one_class_or_no_order_at_all_gives_everyone_the_churn_rate():
    assert recency_rule([1.0, 80.0], [1.0, 2.0], [0.0, 0.0]).tolist() == [0.0, 0.0]
    assert recency_rule([np.nan], [np.nan] * 4, [1, 0, 0, 0]) == pytest.approx([0.25], abs=1e-4)


def test_recency_rule_needs_a_known_outcome():
    with pytest.raises(NotEnoughDataError, match="found none"):
        recency_rule([1.0], [1.0], [np.nan])


def test_past_rate_scales_lifetime_spend_to_the_horizon():
    assert past_rate([730.0], [365], horizon_days=90) == pytest.approx([180.0])
    assert past_rate([730.0], [365], horizon_days=90, margin=0.3) == pytest.approx([54.0])


def test_past_rate_never_multiplies_what_a_new_customer_has_spent():
    assert past_rate([50.0], [1], horizon_days=90) == pytest.approx([50.0])


def test_past_rate_is_zero_for_who_never_ordered_or_returned_more_than_was_bought():
    assert past_rate([np.nan, -20.0], [np.nan, 40], horizon_days=90).tolist() == [0.0, 0.0]


@given(st.floats(0, 1e6), st.integers(0, 5000), st.integers(1, 400))
def test_past_rate_is_between_nothing_and_the_lifetime_spend(spend, tenure, horizon):
    assert 0 <= past_rate([spend], [tenure], horizon)[0] <= spend * (1 + 1e-9)


def test_the_regression_rule_is_a_logistic_regression_on_standardised_numbers() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(3, 5, (400, 2))
    y = (rng.random(400) < 1 / (1 + np.exp(-x[:, 0] / 5))).astype(float)
    scaled = (x - x.mean(0)) / x.std(0)
    expected = LogisticRegression(max_iter=2000).fit(scaled, y).predict_proba(scaled)[:, 1]
    frame = pd.DataFrame(x, columns=["calls", "fee"])
    np.testing.assert_allclose(regression_rule(frame, frame, y), expected, atol=1e-6)


def test_the_regression_rule_learns_from_categories_and_from_what_is_missing() -> None:
    rng = np.random.default_rng(1)
    plan = rng.choice(["basic", "plus", None], 3000)
    calls = np.where(rng.random(3000) < 0.5, np.nan, rng.normal(size=3000))
    p = np.where(plan == "basic", 0.6, np.where(plan == "plus", 0.2, 0.4)) - np.where(np.isnan(calls), 0.15, 0.0)
    y, rows = (rng.random(3000) < p).astype(float), pd.DataFrame({"plan": plan, "calls": calls})
    assert np.abs(regression_rule(rows, rows, y, ["plan"]) - p).mean() < 0.03


def test_the_regression_rule_knows_no_columns_one_class_empty_columns_unseen_and_many_levels() -> None:
    train = pd.DataFrame({"calls": [1.0, np.nan, 3.0], "empty": np.nan, "plan": ["a", None, "b"]})
    y = np.array([0.0, 1.0, 1.0])
    assert np.isfinite(regression_rule(train.assign(plan="new"), train, y, ["plan"])).all()
    np.testing.assert_allclose(regression_rule(train[[]], train[[]], y), 2 / 3)
    np.testing.assert_allclose(regression_rule(train, train, np.ones(3), ["plan"]), 1.0)
    many = pd.DataFrame({"city": [f"city {i % 500}" for i in range(2000)]})
    left = (np.arange(2000) % 7 == 0).astype(float)
    assert len(np.unique(regression_rule(many, many, left, ["city"]).round(12))) <= 64


def test_the_present_price_forecasts_in_total_what_its_training_rows_paid() -> None:
    price, value = np.array([10.0, 20.0, np.nan]), np.array([20.0, 55.0, 5.0])
    assert present_price(price, price, value).sum() == pytest.approx(value.sum())
    np.testing.assert_array_equal(present_price(price, np.zeros(2), np.zeros(2)), 0)


def test_value_regression_rule_finds_a_mean_whose_logarithm_is_linear_and_keeps_its_level() -> None:
    rng = np.random.default_rng(0)
    train = pd.DataFrame({"past": rng.lognormal(2, 1, 6000), "region": rng.choice(["north", "south"], 6000)})
    train.loc[:99, "past"] = np.nan
    train.loc[100:150, "region"] = None
    mean = 2 * (1 + train["past"].fillna(7)) ** 0.5 * train["region"].map({"north": 3.0, "south": 1.0}).fillna(1.0)
    y = mean * rng.gamma(2, 0.5, 6000) * (rng.random(6000) < 0.5) * 2
    asked = pd.DataFrame({"past": [3.0, 3.0, 50.0, np.nan], "region": ["north", "south", "north", "west"]})
    told = value_regression_rule(asked, train, y, ["region"])
    np.testing.assert_allclose(told[:3], [12, 4, 42.8], rtol=0.15)
    assert np.isfinite(told).all()
    assert value_regression_rule(train, train, y, ["region"]).mean() == pytest.approx(y.mean(), rel=0.02)


def test_value_regression_rule_tells_the_mean_where_there_is_nothing_to_learn() -> None:
    rows = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    assert value_regression_rule(rows, rows, [0.0, -5.0, 0.0]).tolist() == [0, 0, 0]
    assert value_regression_rule(rows[[]], rows[[]], [4.0, 0.0, -1.0]).tolist() == [1, 1, 1]


def test_one_large_value_of_few_does_not_make_the_value_regression_rule_wild() -> None:
    rng = np.random.default_rng(1)
    train = pd.DataFrame(rng.normal(size=(60, 8)), columns=list("abcdefgh"))
    y = np.where(np.arange(60) < 3, [5000.0, 20.0, 20.0] + [0.0] * 57, 0.0)
    told = value_regression_rule(train * 3, train, y)
    assert told.max() <= value_regression_rule(train, train, y).max() < 5000 and (told >= 0).all()


def test_value_regression_rule_takes_off_what_was_paid_back() -> None:
    rng = np.random.default_rng(0)
    train = pd.DataFrame({"past": rng.lognormal(2, 1, 2000)})
    y = np.where(rng.random(2000) < 0.4, -20.0, train["past"] ** 0.5 * rng.gamma(2, 8, 2000))
    assert value_regression_rule(train, train, y).mean() == pytest.approx(y.mean(), rel=0.02)
    assert value_regression_rule(train, train, -y).tolist() == [0.0] * 2000
