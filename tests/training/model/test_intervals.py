from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import NotEnoughDataError
from training.model.intervals import Interval, fit_interval, fit_intervals


def spenders(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    expected = rng.lognormal(4, 1, n)
    buys = rng.random(n) < 0.7
    return expected, buys * expected / 0.7 * rng.lognormal(-0.125, 0.5, n)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_the_interval_keeps_its_promise_on_new_customers(coverage: float) -> None:
    interval = fit_interval(*spenders(5000, 0), coverage)
    expected, actual = spenders(20_000, 1)
    low, high = interval(expected)
    assert np.mean((low <= actual) & (actual <= high)) == pytest.approx(coverage, abs=0.02)


def test_the_promise_holds_for_small_and_large_customers_alike() -> None:
    interval = fit_interval(*spenders(5000, 0), 0.9)
    expected, actual = spenders(40_000, 1)
    low, high = interval(expected)
    inside = (low <= actual) & (actual <= high)
    for part in np.array_split(np.argsort(expected), 5):
        assert inside[part].mean() == pytest.approx(0.9, abs=0.04)


@settings(max_examples=30)
@given(st.integers(50, 400), st.integers(0, 10_000), st.floats(0.6, 0.99))
def test_the_expected_value_lies_inside_and_nothing_is_infinite(n: int, seed: int, coverage: float) -> None:
    expected, actual = spenders(n, seed)
    low, high = fit_interval(expected, actual, coverage)(np.array([0.0, 1.0, 50.0, 1e6]))
    assert np.isfinite([low, high]).all()
    assert (low <= [0.0, 1.0, 50.0, 1e6]).all()
    assert (high >= [0.0, 1.0, 50.0, 1e6]).all()


def test_a_wider_promise_gives_a_wider_interval() -> None:
    rows, asked = spenders(2000, 0), np.array([10.0, 100.0, 1000.0])
    (low, high), (lower, higher) = fit_interval(*rows, 0.8)(asked), fit_interval(*rows, 0.95)(asked)
    assert (lower <= low).all()
    assert (higher >= high).all()


def test_customers_who_never_lose_money_have_no_negative_end() -> None:
    low, _ = fit_interval(*spenders(1000, 0), 0.9)(np.array([0.0, 5.0]))
    assert (low >= 0).all()


def test_equal_forecasts_make_one_bin() -> None:
    interval = fit_interval(np.full(100, 5.0), np.arange(100.0), 0.9)
    low, high = interval(np.array([5.0]))
    assert (low[0], high[0]) == pytest.approx((4, 95), abs=1.5)


def test_too_few_forecasts_are_refused() -> None:
    with pytest.raises(NotEnoughDataError, match="at least 50 matured forecasts, found 49"):
        fit_interval(np.ones(49), np.ones(49), 0.9)


def test_new_customers_have_an_interval_of_their_own_and_keep_their_promise_too() -> None:
    expected, actual = spenders(4000, 0)
    known = np.where(np.arange(4000) % 10 == 0, 10.0, 300.0)
    actual = np.where(known < 60, actual * 3, actual)
    built = fit_intervals(expected, actual, known, 60, 0.9)
    assert built.newcomers is not None
    low, high = built(expected, known)
    inside = (low <= actual) & (actual <= high)
    assert inside[known < 60].mean() == pytest.approx(0.9, abs=0.03)
    assert inside[known > 60].mean() == pytest.approx(0.9, abs=0.03)
    one_for_all = fit_interval(expected, actual, 0.9)(expected)
    assert ((one_for_all[0] <= actual) & (actual <= one_for_all[1]))[known < 60].mean() < 0.8


def test_with_few_new_customers_or_no_dates_all_share_one_interval() -> None:
    expected, actual = spenders(1000, 0)
    assert fit_intervals(expected, actual, None, 60, 0.9) == fit_interval(expected, actual, 0.9)
    known = np.where(np.arange(1000) < 40, 1.0, 300.0)
    assert fit_intervals(expected, actual, known, 60, 0.9).newcomers is None


def test_what_the_past_could_not_show_makes_the_interval_wider_on_either_side() -> None:
    rows, asked = spenders(1000, 0), np.array([5.0, 100.0, 1000.0])
    low, high = fit_interval(*rows, 0.9)(asked)
    lower, higher = fit_interval(*rows, 0.9, allowance=0.05)(asked)
    assert higher == pytest.approx(high * 1.05)
    assert lower == pytest.approx(low * 0.95)


def one_bin(low: float, high: float, floor: float = 0.0, allowance: float = 0.05) -> Interval:
    return Interval(0.9, edges=(), low=(low,), high=(high,), offset=1.0, floor=floor, allowance=allowance)


@given(st.floats(0, 1e4), st.floats(-5, 5), st.floats(-100, 0), st.floats(0, 0.5))
def test_no_lower_end_lies_under_the_floor_however_wide_the_allowance(
    expected: float, relative: float, floor: float, allowance: float
) -> None:
    low, _ = one_bin(relative, 1.0, floor, allowance)(np.array([expected]))
    assert low[0] >= floor


def test_the_allowance_ends_at_the_floor() -> None:
    low, high = one_bin(-2.0, 1.0, floor=-30.0)(np.array([10.0, 15.0, 40.0]))
    assert low.tolist() == pytest.approx([-12 * 1.05, -17 * 1.05, -30])
    assert high.tolist() == pytest.approx([21 * 1.05, 31 * 1.05, 81 * 1.05])


def test_an_end_at_nothing_stays_there_and_any_other_is_moved_by_the_allowance() -> None:
    low, high = one_bin(0.0, 0.0)(np.array([0.0, 100.0]))
    assert low.tolist() == pytest.approx([0, 95]) and high.tolist() == pytest.approx([0, 105])


def test_an_expected_value_under_the_floor_is_its_own_lower_end() -> None:
    low, high = one_bin(-0.5, 0.5, floor=-30.0)(np.array([-50.0]))
    assert low[0] == -50 <= high[0]
