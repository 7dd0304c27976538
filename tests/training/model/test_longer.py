"""Value within longer horizons is anchored on the main forecast and never contradicts it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from training.model.intervals import Interval
from training.model.longer import Amounts, LongerHorizon, LongerValue
from training.priors.growth import ContractGrowth, SeasonalGrowth

AMOUNT = st.floats(-50, 1e6, allow_nan=False)
NARROW = Interval(
    0.9, (), (-0.5,), (0.5,), 1.0, 0.0, newcomers=Interval(0.9, (), (0.0,), (3.0,), 1.0, 0.0), new_days=60.0
)


def longer(basis: str, level: float = 0.0) -> LongerValue:
    horizons = tuple(LongerHorizon(days, level, NARROW, basis) for days in (180, 365))  # type: ignore[arg-type]
    return LongerValue(90, ContractGrowth(0.002), horizons)


@given(
    st.lists(st.tuples(AMOUNT, AMOUNT, AMOUNT), min_size=1, max_size=20), st.sampled_from(["examined", "unexamined"])
)
@example([(0.0, 1.0, 0.625)], "examined")  # a contract that ends so soon that nothing is left for later
def test_value_and_both_ends_never_fall_with_the_horizon(amounts: list[tuple[float, ...]], basis: str) -> None:
    low, expected, high = np.sort(np.array(amounts), axis=1).T
    before = Amounts(expected, low, high)
    out = longer(basis)(np.full((len(low), 1), 10.0), before, np.full(len(low), np.nan))
    assert list(out) == [180, 365]
    for amounts_then in out.values():
        for name in ("expected", "low", "high"):
            assert (getattr(amounts_then, name) >= getattr(before, name)).all(), name
        assert (amounts_then.low <= amounts_then.expected).all()
        assert (amounts_then.expected <= amounts_then.high).all()
        before = amounts_then


def test_the_main_forecast_is_the_anchor_and_the_level_moves_the_steps_alone() -> None:
    x, main = np.array([[np.nan]]), Amounts(np.array([100.0]), np.array([50.0]), np.array([150.0]))
    plain, higher = (longer("examined", level)(x, main, None)[180].expected[0] for level in (0.0, np.log(2)))
    twice = longer("examined")(x, Amounts(main.expected * 2, main.low, main.high * 2), None)[180].expected[0]
    assert twice == pytest.approx(2 * plain)
    assert higher - 100 == pytest.approx(2 * (plain - 100))


def test_where_orders_count_beside_fees_contracts_end_at_one_rate_in_season_or_not() -> None:
    own, one = ContractGrowth(0.002), ContractGrowth(0.002, by_forecast=False)
    seasonal = SeasonalGrowth(one, ("season_value_180",), 0.5)
    found = [replace(longer("examined"), growth=growth).ends_at_one_rate for growth in (own, one, seasonal)]
    assert found == [False, True, True]
    x, main = np.array([[10.0], [50.0]]), Amounts(np.full(2, 25.0), np.zeros(2), np.full(2, 90.0))
    each, alike = (replace(longer("examined"), growth=growth)(x, main, None)[180].expected for growth in (own, one))
    assert each[0] > each[1] and alike[0] == alike[1]  # the second pays a sixth of its price: its end seems near


def test_an_interval_that_nobody_examined_is_at_least_the_main_one_grown_by_the_root() -> None:
    x, main = np.array([[np.nan]]), Amounts(np.array([100.0]), np.array([0.0]), np.array([900.0]))
    examined, unexamined = (longer(basis)(x, main, None)[365] for basis in ("examined", "unexamined"))
    assert examined.high[0] == pytest.approx(examined.expected[0] + 800)
    assert unexamined.high[0] == pytest.approx(unexamined.expected[0] + 800 * np.sqrt(unexamined.expected[0] / 100))
    assert unexamined.basis == "unexamined"


def test_an_upper_end_lies_no_nearer_to_what_is_expected_than_that_of_a_shorter_horizon() -> None:
    x, main = np.array([[np.nan]]), Amounts(np.array([100.0]), np.array([0.0]), np.array([900.0]))
    out = longer("examined")(x, main, None)  # whose own upper end is half as much again as is expected
    above = [main.high[0] - main.expected[0], *(then.high[0] - then.expected[0] for then in out.values())]
    assert above == pytest.approx([800.0] * 3)
    narrow = longer("examined")(x, Amounts(main.expected, main.low, np.array([101.0])), None)
    assert narrow[180].high[0] == pytest.approx(1.5 * narrow[180].expected[0] + 0.5)


def test_new_customers_have_the_interval_of_new_customers() -> None:
    x, main = np.full((2, 1), np.nan), Amounts(*(np.full(2, v) for v in (100.0, 100.0, 100.0)))
    high = longer("examined")(x, main, np.array([10.0, 100.0]))[180].high
    assert high[0] > high[1]


def test_it_comes_back_from_json() -> None:
    value = longer("unexamined", 0.1)
    value = replace(value, horizons=(value.horizons[0], replace(value.horizons[1], most=2.0)))
    assert LongerValue.from_dict(json.loads(json.dumps(value.to_dict()))) == value
