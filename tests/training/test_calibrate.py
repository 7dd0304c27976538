from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from training.calibrate import FLOOR, Affine, fit_level, fit_log_odds


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    score = rng.normal(-1, 2, size=5000)
    return score, (rng.random(5000) < expit(0.6 * score - 0.5)).astype(float)


def test_the_map_is_that_of_a_logistic_regression(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    score, label = drawn
    ours = fit_log_odds(score, label)
    theirs = LogisticRegression(C=1e9).fit(score[:, None], label)
    assert (ours.slope, ours.intercept) == pytest.approx((theirs.coef_[0, 0], theirs.intercept_[0]), abs=0.01)


def test_calibrated_probabilities_sum_to_the_leavers(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    score, label = drawn
    assert expit(fit_log_odds(score, label)(score)).sum() == pytest.approx(label.sum(), rel=0.002)


def test_a_score_that_points_the_wrong_way_is_flattened_not_turned(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    score, label = drawn
    assert fit_log_odds(-score, label).slope == FLOOR


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_kind_of_label_gives_a_finite_map(label: float) -> None:
    found = fit_log_odds(np.linspace(-1, 1, 50), np.full(50, label))
    assert np.isfinite([found.slope, found.intercept]).all()
    assert (expit(found(np.zeros(1)))[0] > 0.5) == bool(label)


def test_the_level_makes_the_totals_equal() -> None:
    expected, actual = np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])
    shift = fit_level(expected, actual)
    assert np.exp(shift(np.log(expected))).sum() == pytest.approx(9)


def test_the_level_is_held_within_a_factor_of_two() -> None:
    assert fit_level(np.ones(3), np.full(3, 100.0)).intercept == pytest.approx(np.log(2))
    assert fit_level(np.ones(3), np.zeros(3)) == Affine()
