"""A prior's level follows what past moments showed, as far as they tell more than chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from training.priors.level import PRIOR_SD, level_shift, log_odds_shift, log_ratio, shrunk

MONTHS = list(pd.date_range("2024-01-01", periods=8, freq="MS"))


def test_many_customers_at_several_moments_are_believed_and_few_hardly() -> None:
    sure, _ = shrunk(np.full(6, 0.6), np.full(6, 0.0005))
    few, sd = shrunk(np.array([0.6]), np.array([1.0]))
    assert sure > 0.55 and 0 < few < 0.15
    assert sd < PRIOR_SD


def test_moments_that_contradict_one_another_move_little_and_say_so() -> None:
    mean, sd = shrunk(np.array([0.9, -0.9, 0.9]), np.full(3, 0.001))
    assert abs(mean) < 0.2 and sd > 0.8


def test_moments_whose_outcomes_overlap_count_once_and_the_newest_first() -> None:
    asked: list[pd.Timestamp] = []
    level_shift(MONTHS, 90, lambda moment: asked.append(moment))  # type: ignore[func-returns-value]
    assert asked == [MONTHS[7], MONTHS[4], MONTHS[1]]


def test_the_shift_makes_the_mean_probability_the_share_of_leavers() -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(size=3_000)
    shift = log_odds_shift(expit(score), (rng.random(3_000) < expit(score - 0.7)).astype(float))
    assert shift is not None
    assert shift[0] == pytest.approx(-0.7, abs=4 * np.sqrt(shift[1])) and shift[1] < 0.01
    assert log_odds_shift(np.zeros(0), np.zeros(0)) is None


def test_the_ratio_of_totals_has_the_variance_of_repeated_draws() -> None:
    rng = np.random.default_rng(0)
    expected = rng.gamma(1, 50, 500)
    drawn = [log_ratio(expected, rng.gamma(1, 0.6 * expected)) for _ in range(300)]
    shifts, variances = np.array([d for d in drawn if d]).T
    assert shifts.mean() == pytest.approx(np.log(0.6), abs=0.02)
    assert variances.mean() == pytest.approx(shifts.var(), rel=0.25)
    assert log_ratio(expected, -expected) is None


def test_one_customer_says_nothing_of_a_level_and_two_hardly() -> None:
    assert log_ratio(np.array([10.0]), np.array([1000.0])) is None
    assert log_odds_shift(np.array([0.5]), np.array([1.0])) is None
    shift = log_ratio(np.array([10.0, 20.0]), np.array([100.0, 200.0]))
    assert shift is not None
    assert abs(shrunk(np.array(shift[:1]), np.array(shift[1:]))[0]) < 0.4 * np.log(10)
