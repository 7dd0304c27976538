from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from training.model.calibration import FLOOR, fit_log_odds

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


def test_the_mean_probability_stays_what_it_was(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    score, label = drawn
    assert expit(fit_log_odds(score, label, ONE)(score)).mean() == pytest.approx(expit(score).mean(), abs=1e-9)


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


def test_the_mean_probability_of_the_rows_learned_from_is_kept_where_later_rows_lie_elsewhere() -> None:
    rng = np.random.default_rng(2)
    later, learned = rng.normal(-3, 1, 5_000), rng.normal(0, 1, 5_000)
    label = (rng.random(5_000) < 1 / (1 + np.exp(-2 * (later + 1)))).astype(float)
    built = fit_log_odds(later, label, np.zeros(5_000, dtype=int), learned=learned)
    assert built.slope > 1.5
    probabilities = [1 / (1 + np.exp(-score)) for score in (built(learned), learned)]
    assert np.mean(probabilities[0]) == pytest.approx(np.mean(probabilities[1]), abs=1e-6)
