"""What an order is worth: known truth, a finite mean in any data, and shrinkage towards the population."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from configs.errors import DataError
from training.priors import order_values
from training.priors.order_values import SpendModel, fit_spend


def simulate(n, seed, p=4.0, q=3.5, gamma=20.0):
    rng = np.random.default_rng(seed)
    orders = rng.geometric(0.3, n)
    rate = rng.gamma(q, 1 / gamma, n)
    return orders, rng.gamma(p * orders) / rate / orders, p / rate


def test_the_true_parameters_and_every_customers_mean_are_found():
    orders, mean, true = simulate(5000, 0)
    m = fit_spend(orders, mean)
    assert (m.p, m.q, m.gamma) == pytest.approx((4.0, 3.5, 20.0), rel=0.15)
    assert m.agreeing_starts == 3
    result = m.expected(orders, mean)
    assert result.mean() == pytest.approx(true.mean(), rel=0.03)
    assert np.mean((result - true) ** 2) < np.mean((mean - true) ** 2)


def test_the_slope_is_the_one_by_differences():
    orders, mean, _ = simulate(20, 1)
    logs, n = np.array([0.5, 0.3, 2.0]), orders.astype(float)
    _, slope = order_values._log_likelihood(logs, n, mean, np.ones(20))
    for i, move in enumerate(np.eye(3) * 1e-5):
        up, down = (order_values._log_likelihood(logs + m, n, mean, np.ones(20))[0] for m in (move, -move))
        assert slope[i] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("mean", [[5.0], [5.0] * 100, [1e-6, 1e6] * 20, [0.0, -3.0, np.nan], [], [1.0] * 99 + [1e9]])
def test_the_mean_is_finite_in_any_data(mean):
    m = fit_spend(np.ones(len(mean)), mean)
    assert m.q > 1
    assert np.isfinite(m.mean) and m.mean > 0


def test_the_fewer_the_orders_the_nearer_to_the_population_and_nothing_known_is_its_mean():
    m = SpendModel(4.0, 3.5, 20.0, 1, 0.0, 3)
    result = m.expected([0, 1, 10, 1000], [np.nan, 100.0, 100.0, 100.0])
    assert result[0] == pytest.approx(m.mean) == pytest.approx(32)
    assert (np.diff(result) > 0).all() and result[-1] == pytest.approx(100, rel=0.01)


def test_more_returned_than_bought_counts_as_nothing_and_stays_above_nothing():
    m = SpendModel(4.0, 3.5, 20.0, 1, 0.0, 3)
    none, back, some = m.expected([3, 3, 3], [0.0, -50.0, 1.0])
    assert none == back and 0 < none < some


def test_draws_have_the_expected_mean():
    m = SpendModel(4.0, 3.5, 20.0, 1, 0.0, 3)
    drawn = m.sample([5], [30.0], np.full((1, 200_000), 2), np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(2 * m.expected([5], [30.0])[0], rel=0.01)
    assert m.sample([5], [30.0], np.zeros((1, 3), dtype=int), np.random.default_rng(0)).sum() == 0


@pytest.mark.parametrize(("orders", "mean"), [([-1], [2.0]), ([np.inf], [2.0]), ([1], [np.inf])])
def test_what_is_no_number_of_orders_or_amount_is_refused(orders, mean):
    with pytest.raises(DataError, match="in row 0"):
        fit_spend(orders, mean)


def test_json_holds_the_model():
    m = fit_spend([1, 2], [3.0, 9.0])
    assert SpendModel.from_dict(json.loads(json.dumps(m.to_dict()))) == m


@settings(max_examples=40)
@given(arrays_of.arrays(float, st.integers(1, 20), elements=st.floats(-1e7, 1e7)), st.integers(1, 50))
def test_for_any_amounts_what_is_expected_is_finite_and_above_nothing(mean, orders):
    m = fit_spend(np.full(len(mean), orders), mean)
    result = m.expected(np.full(len(mean), orders), mean)
    assert m.q > 1 and np.isfinite(result).all() and (result > 0).all()
