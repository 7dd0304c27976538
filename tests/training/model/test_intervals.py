from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.model.intervals import Interval, load_interval

OLDER = {
    "coverage": 0.9,
    "edges": [10.0, 40.0],
    "low": [-1.0, -0.8, -0.5],
    "high": [2.0, 1.5, 0.75],
    "offset": 2.0,
    "floor": 0.0,
    "allowance": 0.05,
    "newcomers": None,
    "new_days": 0.0,
}


def one_bin(low: float, high: float, floor: float = 0.0, allowance: float = 0.05) -> Interval:
    levels = ((0.0,), (0.5,), (1.5,))
    return Interval(0.9, (), (low,), (high,), 1.0, floor, allowance, quantiles=levels, from_zero=True)


@given(st.floats(0, 1e4), st.floats(-5, 5), st.floats(-100, 0), st.floats(0, 0.5))
def test_no_lower_end_lies_under_the_floor_however_wide_the_allowance(
    expected: float, relative: float, floor: float, allowance: float
) -> None:
    low, _ = one_bin(relative, 1.0, floor, allowance)(np.array([expected]))
    assert low[0] >= floor


def test_the_allowance_ends_at_the_floor() -> None:
    low, high = one_bin(-1.0, 2.0, floor=-30.0)(np.array([10.0, 15.0, 40.0]))
    assert low.tolist() == pytest.approx([-11 * 1.05, -16 * 1.05, -30])
    assert high.tolist() == pytest.approx([22 * 1.05, 32 * 1.05, 82 * 1.05])


def test_an_end_at_nothing_stays_there_and_any_other_is_moved_by_the_allowance() -> None:
    low, high = one_bin(0.0, 2.0)(np.array([0.0, 99.0]))
    assert low.tolist() == [0, 0] and high.tolist() == pytest.approx([2.1, 210])


def test_an_expected_value_under_the_floor_is_its_own_lower_end() -> None:
    low, high = one_bin(-0.5, 0.5, floor=-30.0)(np.array([-50.0]))
    assert low[0] == -50 <= high[0]


def test_quantiles_rise_and_the_allowance_moves_the_outer_two() -> None:
    at = one_bin(0.0, 2.0)(np.array([9.0])), one_bin(0.0, 2.0).at_levels(np.array([9.0]))
    assert at[1] is not None and at[1].tolist() == [pytest.approx([0.0, 5.0, 15.0 * 1.05])]


def test_new_customers_have_ends_and_quantiles_of_their_own() -> None:
    both = replace(one_bin(0.0, 1.0), newcomers=one_bin(0.0, 3.0), new_days=60.0)
    expected, known = np.array([9.0, 9.0, 9.0]), np.array([10.0, 60.0, np.nan])
    assert both(expected, known)[1].tolist() == pytest.approx([31.5, 10.5, 10.5])
    newer = replace(one_bin(0.0, 1.0), quantiles=((0.1,), (0.9,), (2.0,)))
    at = replace(both, newcomers=newer).at_levels(expected, known)
    assert at is not None and at[:, 1].tolist() == pytest.approx([9.0, 5.0, 5.0])


def test_an_expected_value_on_an_edge_belongs_to_the_bin_below_as_to_the_tier_below() -> None:
    two = Interval(0.9, (10.0,), (0.0, 0.0), (1.0, 2.0), 0.0, 0.0, from_zero=True)
    assert two(np.array([10.0, 10.5]))[1].tolist() == [10.0, 21.0]


def test_amounts_of_two_bins_meet_midway_at_their_edge_and_jump_where_a_tier_begins() -> None:
    three = Interval(0.9, (10.0, 20.0), (0.0,) * 3, (5.0, 4.0, 2.0), 0.0, 0.0, from_zero=True, steps=(20.0,))
    asked = np.array([2.0, 9.0, 10.0, 11.0, 13.0, 20.0, 21.0])
    # left of 10: 5 times, at most 40 half of the way; right of it: 4 times, at least 50 half of the way; 20 is a tier's
    assert three(asked)[1].tolist() == pytest.approx([10.0, 42.5, 45.0, 47.0, 52.0, 80.0, 42.0])
    assert replace(three, steps=None)(asked)[1].tolist() == pytest.approx([10.0, 45.0, 50.0, 44.0, 52.0, 80.0, 42.0])


def test_a_lower_end_below_nothing_is_left_as_it_is() -> None:
    two = Interval(0.9, (10.0,), (-0.5, -1.0), (5.0, 5.0), 0.0, -100.0, from_zero=True, steps=())
    assert two(np.array([10.0, 11.0]))[0].tolist() == [-5.0, -11.0]


def test_an_interval_of_an_older_model_answers_as_before_and_has_no_quantiles() -> None:
    older = load_interval(OLDER)
    assert older is not None
    low, high = older(np.array([0.0, 10.0, 100.0]))
    assert low.tolist() == pytest.approx([0.0, 0.4 * 0.95, 49.0 * 0.95])
    assert high.tolist() == pytest.approx([4.0 * 1.05, 28.0 * 1.05, 176.5 * 1.05])
    assert older.at_levels(np.array([1.0])) is None


def test_an_interval_is_read_as_it_was_written() -> None:
    both = replace(one_bin(0.0, 1.0), newcomers=one_bin(0.0, 3.0), new_days=60.0, steps=())
    assert load_interval(json.loads(json.dumps(asdict(both)))) == both
