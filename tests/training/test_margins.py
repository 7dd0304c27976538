"""The uncertainty of a metric: as the bootstrap finds it, over customers, wide where few customers tell."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training import metrics
from training.margins import INFLUENCES, margin

METRICS = sorted(set(INFLUENCES) - {"deviance"})


def contest(n: int, rows_a_customer: int = 2, seed: int = 0):
    """Outcomes, two forecasts and the customer of each row, by metric."""
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 3, n)
    left = (rng.random(n) < p).astype(float)
    other = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + rng.normal(0, 0.5, n))))
    value = np.where(rng.random(n) < 0.4, 0.0, rng.lognormal(3, 1, n) * p)
    rough = np.round(p * 30 * rng.lognormal(0, 0.5, n))
    customers = np.arange(n) // rows_a_customer
    churn, clv = (left, p, other, customers), (value, p * 30, rough, customers)
    return {"auc": churn, "log_loss": churn, "normalised_gini": clv, "mae": clv, "rmse": clv}


@pytest.mark.parametrize("name", METRICS)
def test_a_margin_is_the_difference_of_the_metrics(name: str) -> None:
    y, forecast, other, customers = contest(300)[name]
    measure = getattr(metrics, name)
    assert margin(name, y, forecast, customers).value == pytest.approx(measure(y, forecast))
    assert margin(name, y, forecast, customers, other).value == pytest.approx(
        measure(y, forecast) - measure(y, other), abs=1e-12
    )


@pytest.mark.parametrize("name", METRICS)
def test_its_interval_is_the_one_that_drawing_customers_again_finds(name: str) -> None:
    y, forecast, other, customers = contest(1200)[name]
    low, high = margin(name, y, forecast, customers, other).interval(0.95)
    drawn = metrics.margin_interval(getattr(metrics, name), y, forecast, other, seed=1, groups=customers, n=400)
    assert high - low == pytest.approx(drawn[1] - drawn[0], rel=0.15)
    assert (low, high) == pytest.approx(drawn, abs=0.15 * (high - low))


@pytest.mark.parametrize("name", METRICS)
def test_the_same_rows_twice_tell_no_more_than_once(name: str) -> None:
    y, forecast, other, _ = contest(200)[name]
    once = margin(name, y, forecast, np.arange(200), other)
    twice = margin(name, *(np.tile(a, 2) for a in (y, forecast, np.arange(200), other)))
    assert (twice.value, twice.error, twice.customers) == pytest.approx((once.value, once.error, once.customers))


@pytest.mark.parametrize("name", METRICS)
def test_unknown_outcomes_change_nothing_and_equal_forecasts_do_not_differ(name: str) -> None:
    y, forecast, other, customers = contest(200)[name]
    more = np.append(y, np.nan), np.append(forecast, 0.5), np.append(customers, 9999), np.append(other, 0.1)
    assert margin(name, *more).error == pytest.approx(margin(name, y, forecast, customers, other).error)
    same = margin(name, y, forecast, customers, forecast)
    assert (same.value, same.error) == (0.0, 0.0)


@pytest.mark.parametrize("name", METRICS)
def test_what_is_not_defined_is_nan(name: str) -> None:
    y, forecast, other, customers = contest(20)[name]
    broken = np.where(np.arange(20) == 3, np.nan, forecast)
    assert math.isnan(margin(name, y, broken, customers, other).value)
    assert margin(name, y, broken, customers, other).customers == 0
    assert math.isnan(margin(name, y[:0], forecast[:0], customers[:0]).value)


@pytest.mark.parametrize("name", ["auc", "normalised_gini"])
def test_one_leaver_or_buyer_alone_tells_no_error_and_two_hardly_one(name: str) -> None:
    y = np.zeros(100)
    y[99] = 1.0
    p = np.random.default_rng(0).random(100)
    assert math.isnan(margin(name, y, p, np.arange(100)).error)
    y[98] = 1.0
    assert margin(name, y, p, np.arange(100)).interval(0.99)[0] < -1


def test_an_interval_that_rests_on_one_large_customer_is_a_wide_one() -> None:
    y, forecast, _, customers = contest(1000, rows_a_customer=1)["mae"]
    even = margin("mae", y, forecast, customers)
    y = y.copy()
    y[0] = 1e6
    whale = margin("mae", y, forecast, customers)
    assert even.degrees > 20 > 5 > whale.degrees
    assert whale.interval(0.98)[0] < 0


def test_the_number_of_customers_that_would_tell_shows_it_when_they_are_there() -> None:
    y, forecast, other, customers = contest(500, rows_a_customer=1)["log_loss"]
    few = margin("log_loss", y, forecast, customers, other)
    needed = few.customers_to_tell(0.01, 0.98)
    y, forecast, other, customers = contest(round(needed), rows_a_customer=1, seed=1)["log_loss"]
    assert margin("log_loss", y, forecast, customers, other).reach(0.98) == pytest.approx(0.01, rel=0.25)
    assert few.customers_to_tell(0.0, 0.98) == math.inf


@pytest.mark.parametrize("name", ["mae", "log_loss"])
def test_a_loss_that_many_customers_raise_alike_is_told_though_one_outcome_alone_differs(name: str) -> None:
    rng = np.random.default_rng(0)
    y, customers = np.zeros(1000), np.arange(1000)
    y[0] = 1.0
    bad, good = rng.uniform(0.4, 0.6, 1000), np.full(1000, 0.001)
    assert margin(name, y, bad, customers, good).interval(0.99)[0] > 0
    assert math.isnan(margin("auc", y, bad, customers).error)
