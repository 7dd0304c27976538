"""The arithmetic of Pareto/NBD: against direct integration and against the gradient by differences."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import roots_genlaguerre

from configs.errors import DataError
from training.priors import pareto_nbd as core
from training.priors.pareto_nbd import Histories

FOUR = (0.6, 74.0, 0.7, 80.0)
ROWS = Histories.of([0, 0, 1, 4, 30], [0, 0, 30, 100, 200], [1, 200, 100, 101, 260])


def by_two_integrals(four, x, t_x, age):
    """The likelihood of one history, from a customer's two rates (Schmittlein et al. 1987), by Gauss-Laguerre."""
    r, alpha, s, beta = four
    rates, by_rate = roots_genlaguerre(80, r - 1)
    leavings, by_leaving = roots_genlaguerre(80, s - 1)
    rate, leaving = rates[:, None] / alpha, leavings[None, :] / beta
    both = rate + leaving
    own = rate**x * (leaving * np.exp(-both * t_x) + rate * np.exp(-both * age)) / both
    return by_rate @ own @ by_leaving / by_rate.sum() / by_leaving.sum()


def test_the_likelihood_is_the_double_integral_over_a_customers_two_rates():
    four = (2.5, 60.0, 2.2, 80.0)
    for x, t_x, age in ((0, 0, 50), (2, 40, 60), (5, 30, 90)):
        h, logs = Histories.of(x, t_x, age), np.log([2.5, 2.5 / 60, 2.2, 2.2 / 80])
        value, _ = core.log_likelihood(logs, h, np.ones(1))
        assert value == pytest.approx(np.log(by_two_integrals(four, x, t_x, age)), rel=1e-5)


@pytest.mark.parametrize("logs", [(-0.5, -4.8, -0.4, -4.7), (2.0, -2.0, -3.0, -9.0), (-3.0, -7.0, 2.0, -1.0)])
def test_the_slope_is_the_one_by_differences(logs):
    logs, w = np.array(logs), np.array([3.0, 1, 1, 2, 1])
    _, slope = core.log_likelihood(logs, ROWS, w)
    for i, move in enumerate(np.eye(4) * 1e-5):
        up, down = (core.log_likelihood(logs + m, ROWS, w)[0] for m in (move, -move))
        assert slope[i] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-5)


def test_the_chance_to_be_there_is_the_share_of_the_likelihood_with_the_customer_still_there():
    for four in (FOUR, (1.2, 6.8, 2.5, 15_788.0), (3.0, 1.0, 0.01, 1e6)):
        stays, departed, *_ = core._left_early(four, ROWS)
        np.testing.assert_allclose(core.alive(four, ROWS), 1 / (1 + np.exp(departed - stays)), rtol=1e-12)


def test_a_customer_alone_has_the_same_bits_as_among_others():
    days = np.array([10.0, 100.0])
    for row in range(len(ROWS.x)):
        alone = Histories(*(values[[row]] for values in (ROWS.x, ROWS.t_x, ROWS.age)))
        assert core.alive(FOUR, alone)[0] == core.alive(FOUR, ROWS)[row]
        assert (core.first_order(FOUR, alone, days)[0] == core.first_order(FOUR, ROWS, days)[row]).all()


def test_expected_orders_is_the_integral_of_the_chance_to_be_there_times_the_rate():
    result = core.expected(FOUR, ROWS, np.array([30.0, 273.0]))
    for row, (x, age) in enumerate(zip(ROWS.x, ROWS.age, strict=True)):
        r, alpha, s, beta = FOUR
        for place, days in enumerate((30, 273)):
            stays = quad(lambda t, b=beta + age, s=s: (b / (b + t)) ** s, 0, days)[0]
            assert result[row, place] == pytest.approx((r + x) / (alpha + age) * stays)


def test_expected_orders_is_continuous_where_the_shape_of_leaving_is_one():
    near = [core.expected((0.6, 74.0, s, 80.0), ROWS, np.array([90.0])) for s in (1 - 1e-9, 1.0, 1 + 1e-9)]
    np.testing.assert_allclose(near[0], near[1], rtol=1e-7)
    np.testing.assert_allclose(near[2], near[1], rtol=1e-7)


def test_the_first_order_comes_as_often_as_in_a_simulation():
    rng = np.random.default_rng(0)
    r, alpha, s, beta = FOUR
    for row in (0, 3):
        rate = rng.gamma(r + ROWS.x[row], 1 / (alpha + ROWS.age[row]), 200_000)
        life = rng.exponential(1 / rng.gamma(s, 1 / (beta + ROWS.age[row]), 200_000))
        first = rng.exponential(1 / rate)
        result = core.first_order(FOUR, ROWS, np.array([10.0, 100.0, 1000.0]))[row]
        drawn = [np.mean((first < life) & (first < days)) for days in (10, 100, 1000)]
        assert result == pytest.approx(drawn, abs=0.004)


@pytest.mark.parametrize("wrong", [(-1, 0, 5), (1, 9, 5), (np.nan, 0, 5), (1, -1, 5), (1, 1, np.inf), (1, np.nan, 5)])
def test_an_impossible_history_is_refused_with_its_row(wrong):
    with pytest.raises(DataError, match="in row 1"):
        Histories.of(*zip((0, 0, 5), wrong, strict=True))
