"""A contestant of the bench: what it learns from baskets, and that it never looks ahead."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.errors import DataError, NotEnoughDataError
from training.priors.order_model import summarise

# by its path: were the folder on the search path, bench/features.py would hide the package in processes started here
spec = importlib.util.spec_from_file_location("bench_hybrid", Path(__file__).parents[2] / "bench" / "hybrid.py")
hybrid_bench = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = hybrid_bench
spec.loader.exec_module(hybrid_bench)
BASKET, Correction, OrdersHybrid = hybrid_bench.BASKET, hybrid_bench.Correction, hybrid_bench.OrdersHybrid
basket_columns, earlier_windows = hybrid_bench.basket_columns, hybrid_bench.earlier_windows
fit_correction, matched_level = hybrid_bench.fit_correction, hybrid_bench.matched_level
orders_within = hybrid_bench.orders_within

FIRST_TRIAL = pd.Timestamp("2024-01-01")
AS_OF = FIRST_TRIAL + pd.Timedelta(days=200)


def simulate(n=400, seed=0, days=300):
    """Customers who buy two units or one at a time; the former order three times as often."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        units = 1 + i % 2
        rate = rng.gamma(1.0, 1 / 60) * (1.7 if units == 2 else 0.6)
        times = np.sort(np.r_[rng.uniform(0, 10), rng.uniform(10, days, rng.poisson(rate * (days - 10)))])
        rows += [(f"c{i:04}", FIRST_TRIAL + pd.Timedelta(days=float(t)), 10.0 * units, float(units)) for t in times]
    return pd.DataFrame(rows, columns=["customer_id", "ordered_at", "amount", "quantity"])


@pytest.fixture(scope="module")
def orders():
    return simulate()


@pytest.fixture(scope="module")
def hybrid(orders):
    return OrdersHybrid.fit(orders, AS_OF, 100)


def test_basket_columns_of_the_hand_made_shop(shop):
    result = basket_columns(shop["orders"], pd.Timestamp("2024-03-01"))
    assert list(result) == list(BASKET)
    assert np.expm1(result.loc["ann"]).to_numpy()[:6] == pytest.approx([25, 40, 10, 2.5, 1, 10])
    assert result.loc["ann", "orders_same_day"] == 0
    assert "new" not in result.index


def test_every_earlier_window_has_matured_at_the_moment():
    for days in (3, 30, 273):
        as_of = FIRST_TRIAL + pd.Timedelta(days=days)
        windows = earlier_windows(FIRST_TRIAL, as_of)
        assert all(FIRST_TRIAL <= date < date + pd.Timedelta(days=h) <= as_of for date, h in windows)


@pytest.mark.slow
def test_nothing_at_or_after_the_moment_changes_the_hybrid(orders, hybrid):
    later = orders["ordered_at"] >= AS_OF
    other = orders.assign(quantity=orders["quantity"].where(~later, 99), amount=orders["amount"].where(~later, 999))
    result = hybrid.expected_orders(orders, AS_OF)
    for changed in (other, orders[~later]):
        pd.testing.assert_series_equal(OrdersHybrid.fit(changed, AS_OF, 100).expected_orders(changed, AS_OF), result)


def test_what_was_bought_improves_on_the_model_while_little_is_known(orders):
    as_of = FIRST_TRIAL + pd.Timedelta(days=80)
    result = OrdersHybrid.fit(orders, as_of, 80)
    summary = summarise(orders, as_of)
    y = orders_within(orders, as_of, 80, summary.index)

    def deviance(expected):
        return float(np.sum(expected - y * np.log(expected)))

    answer = result.expected_orders(orders, as_of).to_numpy() / result.level
    assert deviance(answer) < deviance(result.model.expected_orders(summary, 80)) - 5


def test_the_correction_keeps_the_total_of_the_prior_and_zero_stays_zero():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.random(500)})
    prior = rng.random(500)
    actual = rng.poisson(prior * np.exp(2 * frame["a"]))
    learned = fit_correction(frame, prior, actual, np.zeros(500), ["a"])
    result = learned(np.r_[0.0, prior[1:]], frame)
    assert result.sum() == pytest.approx(prior[1:].sum()) and result[0] == 0
    factor = result[1:] / prior[1:]
    assert factor[frame["a"][1:] > 0.8].mean() > 1.3 * factor[frame["a"][1:] < 0.2].mean()
    again = Correction.from_dict(json.loads(json.dumps(learned.to_dict())))
    assert (again(prior, frame) == learned(prior, frame)).all()
    assert learned(np.zeros(0), frame.head(0)).shape == (0,)


def test_a_window_that_lay_above_as_a_whole_teaches_nothing():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"a": np.r_[np.zeros(400), np.ones(400)]})
    prior = np.full(800, 2.0)
    actual = rng.poisson(prior * np.r_[np.ones(400), np.full(400, 3.0)])
    learned = fit_correction(frame, prior, actual, frame["a"], ["a"])
    np.testing.assert_allclose(learned(prior, frame), prior, rtol=0.05)


def test_windows_without_any_order_and_wrong_priors_are_refused():
    frame = pd.DataFrame({"a": [1.0, 2.0]})
    with pytest.raises(NotEnoughDataError, match="nothing came"):
        fit_correction(frame, [1.0, 1.0], [0.0, 0.0], [0, 0], ["a"])
    for prior in ([1.0], [1.0, -1.0], [1.0, np.nan]):
        with pytest.raises(DataError, match="one finite prior"):
            fit_correction(frame, prior, [1.0, 0.0], [0, 0], ["a"])


def test_where_everyone_ordered_once_the_forecast_is_the_models(orders):
    once = orders.drop_duplicates("customer_id")
    result = OrdersHybrid.fit(once, AS_OF, 100)
    assert result.correction is None
    expected = result.model.expected_orders(summarise(once, AS_OF), 100) * result.level
    np.testing.assert_allclose(result.expected_orders(once, AS_OF), expected)


def test_the_level_is_one_for_newcomers_and_near_one_for_a_steady_shop(orders):
    assert matched_level(orders, AS_OF, 200) == pytest.approx(1, abs=0.12)
    fresh = orders.assign(customer_id=orders["customer_id"] + orders["ordered_at"].dt.strftime("%j"))
    assert matched_level(fresh, AS_OF, 200) == 1.0
