from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from training.model.calibration import FLOOR, Affine, Learned, fit_level, fit_log_odds, fit_shares, fit_stack

ONE = np.zeros(5000, dtype=int)


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    score = rng.normal(-1, 2, size=5000)
    return score, (rng.random(5000) < expit(0.6 * score - 0.5)).astype(float)


def test_the_slope_is_that_of_a_logistic_regression(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    score, label = drawn
    other = LogisticRegression(C=1e9).fit(score[:, None], label)
    assert fit_log_odds(score, label, ONE).slope == pytest.approx(other.coef_[0, 0], abs=0.01)


def test_the_mean_probability_is_the_share_of_leavers(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    score, label = drawn
    assert expit(fit_log_odds(score, label, ONE)(score)).mean() == pytest.approx(label.mean(), abs=1e-3)


def test_months_of_another_level_do_not_bend_the_slope(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    score, _ = drawn
    fold = np.arange(5000) % 4
    shift = np.array([-1.5, 0.0, 0.5, 1.5])[fold]
    label = (np.random.default_rng(1).random(5000) < expit(score + shift)).astype(float)
    assert fit_log_odds(score, label, fold).slope == pytest.approx(1, abs=0.05)


def test_a_score_that_points_the_wrong_way_is_flattened_not_turned(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    score, label = drawn
    assert fit_log_odds(-score, label, ONE).slope == FLOOR


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_kind_of_label_gives_a_finite_map(label: float) -> None:
    result = fit_log_odds(np.linspace(-1, 1, 50), np.full(50, label), np.zeros(50, dtype=int))
    assert np.isfinite([result.slope, result.intercept]).all()


def test_the_level_is_that_of_the_rows_learned_from_by_their_weights_where_later_rows_lie_elsewhere() -> None:
    rng = np.random.default_rng(2)
    later, score = rng.normal(-3, 1, 5_000), rng.normal(0, 1, 5_000)
    label = (rng.random(5_000) < expit(2 * (later + 1))).astype(float)
    left, weight = (rng.random(5_000) < expit(score)).astype(float), rng.uniform(0, 2, 5_000)
    fitted = fit_log_odds(later, label, np.zeros(5_000, dtype=int), learned=Learned(score, left, weight))
    assert fitted.slope > 1.5
    mean = np.average(expit(fitted(score)), weights=weight)
    assert mean == pytest.approx(np.average(left, weights=weight), abs=1e-3)
    assert mean != pytest.approx(left.mean(), abs=1e-3)


def test_in_a_stack_each_model_counts_by_what_it_adds() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(20_000, 3))
    label = (rng.random(20_000) < expit(scores @ [0.8, 0.3, -0.5] - 1)).astype(float)
    fitted = fit_stack(scores, label, np.arange(20_000) % 2)
    assert [round(affine.slope, 1) for affine in fitted] == [0.8, 0.3, 0.0]
    total = sum(affine(scores[:, j]) for j, affine in enumerate(fitted))
    assert expit(total).mean() == pytest.approx(label.mean(), abs=1e-3)


def test_the_shares_of_an_average_follow_the_forecast_that_is_right_whatever_the_level_of_a_month() -> None:
    rng = np.random.default_rng(4)
    mean, fold = rng.gamma(1, 50, 20_000), np.arange(20_000) % 2
    came = rng.gamma(1, mean) * np.where(fold == 0, 0.6, 1.7)
    forecasts = np.column_stack([mean, rng.permutation(mean), np.full(20_000, 50.0)])
    shares = fit_shares(forecasts, came, fold, None)
    assert shares.sum() == pytest.approx(1) and shares[0] > 0.95
    assert fit_shares(forecasts, np.zeros(20_000), fold, None) == pytest.approx(1 / 3)


def test_shares_mix_what_two_forecasts_know_apart() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.gamma(1, 50, 20_000), rng.gamma(1, 50, 20_000)
    came = rng.gamma(2, (0.7 * first + 0.3 * second) / 2)
    shares = fit_shares(np.column_stack([first, second]), came, np.zeros(20_000, dtype=int), None)
    assert shares == pytest.approx([0.7, 0.3], abs=0.03)


def test_what_was_paid_back_is_taken_off_whole_and_other_misses_within_a_factor_of_two() -> None:
    expected, came = np.full(4, 10.0), np.array([10.0, 10.0, 10.0, 10.0])
    assert fit_level(expected, came / 8).intercept == pytest.approx(-np.log(2))
    assert fit_level(expected, came * 8).intercept == pytest.approx(np.log(2))
    paid_back = np.array([20.0, 20.0, 0.0, -36.0])
    assert fit_level(expected, paid_back).intercept == pytest.approx(np.log(0.1))
    assert fit_level(expected, paid_back / 8).intercept == pytest.approx(np.log(0.1) - np.log(2))
    assert fit_level(expected, -came) == Affine()
