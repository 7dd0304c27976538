"""The index on levels whose season is known."""

from __future__ import annotations

import numpy as np
import pytest

from features.seasons.index import Levels, learn_season

YEARS = 5
DAYS = np.arange(round(YEARS * 365.25))
WAVE = np.sin(2 * np.pi * DAYS / 365.25)


def levels(values: np.ndarray, noise: float = 0.0, ahead_days: int = 90) -> Levels:
    return Levels(values, np.full(len(values), noise), ahead_days)


def drift(seed: int, size: float = 0.2) -> np.ndarray:
    """A level that moves slowly, and never twice alike."""
    steps = np.random.default_rng(seed).normal(0, 1, len(DAYS) + 120)
    return size * np.convolve(steps, np.ones(120) / 120**0.5, "valid")[: len(DAYS)]


def errors(values: np.ndarray) -> tuple[float, float]:
    """Mean squared deviation of the levels of each month's first day from the fourth year on, without and with it."""
    moments = np.arange(3 * 365, len(DAYS) - 90, 30)
    index = np.array([learn_season(levels(values), m).index(np.array([m]))[0] for m in moments])
    actual = values[moments] - np.mean(values)
    return float(np.mean(actual**2)), float(np.mean((actual - index) ** 2))


@pytest.mark.parametrize("seed", range(3))
def test_where_a_season_repeats_the_index_takes_most_of_it_out(seed: int) -> None:
    without, with_index = errors(0.5 * WAVE + drift(seed, 0.05))
    assert with_index < without / 4


def test_where_none_repeats_the_index_adds_next_to_no_error() -> None:
    without, with_index = np.mean([errors(drift(seed)) for seed in range(30)], axis=0)
    assert with_index < 1.1 * without


def test_growth_is_no_season() -> None:
    growing = levels(0.6 * DAYS / 365.25)
    assert abs(learn_season(growing, 4 * 365).index(np.array([4 * 365]))[0]) < 0.05


def test_what_happened_once_is_not_believed_after_it_did_not_come_again() -> None:
    once = drift(1, 0.05) + ((DAYS > 400) & (DAYS < 440))
    index = learn_season(levels(once), 4 * 365 + 30).index(np.array([4 * 365 - 40]))
    assert abs(index[0]) < 0.1


def test_noise_that_explains_the_deviations_leaves_no_index() -> None:
    wave = 0.1 * WAVE
    assert learn_season(levels(wave, noise=0.0), 4 * 365).weight > 0.9
    assert learn_season(levels(wave, noise=0.1), 4 * 365).weight == 0.0


def test_below_two_years_there_is_none_and_one_repetition_is_believed_less_than_three() -> None:
    values = 0.5 * WAVE + drift(2, 0.1)
    assert learn_season(levels(values), 729).weight == 0.0
    assert learn_season(levels(values), 790).weight < learn_season(levels(values), 4 * 365).weight


@pytest.mark.parametrize("known", [800, 1200, 1500])
def test_nothing_after_the_day_of_knowledge_moves_the_index(known: int) -> None:
    values = 0.5 * WAVE + drift(3)
    later = values.copy()
    later[known - 90 + 1 :] = 99.0
    days = np.arange(known, known + 100)
    assert np.array_equal(
        learn_season(levels(values), known).index(days), learn_season(levels(later), known).index(days)
    )


def test_no_index_is_beyond_all_bounds_and_unknown_levels_are_left_out() -> None:
    values = 9.0 * WAVE
    values[100:160] = np.nan
    index = learn_season(levels(values), 4 * 365).index(DAYS)
    assert np.isfinite(index).all()
    assert np.abs(index).max() == 2.0


def test_of_no_level_at_all_there_is_no_index() -> None:
    assert learn_season(levels(np.zeros(10)), 5).index(np.array([0, 400, 800])).tolist() == [0.0] * 3
