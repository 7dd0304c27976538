"""Probabilities by horizon of a bundle whose models are numbers set by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from training.model.bundle import Bundle, Event, HorizonModel, Score, load
from training.model.calibration import Affine
from training.priors.season import Season

PROBABILITIES = np.array([0.0, 5e-324, 1e-18, 0.1, 0.3, 1 / 3, 0.7, 1 - 1e-16, 1.0])
MATRIX = np.zeros((len(PROBABILITIES), 1))


def bundle(event: Event, nothing: dict[int, float]) -> Bundle:
    """A main horizon of 30 days, and further ones whose steps have the same chance of nothing for everybody."""
    result = {days: Score(f"until_{days}", None, Affine(0.0, float(logit(chance)))) for days, chance in nothing.items()}
    return Bundle(
        "churn", "sigmoid", (Score("churn", None, Affine()),), ("x",), {}, "", 30, "2024-01-01T00:00:00Z", None,
        (0.0,) * 101, pd.DataFrame(), {}, event, tuple(HorizonModel(days, score) for days, score in result.items()),
    )  # fmt: skip


@pytest.mark.parametrize("event", ["order", "end"])
def test_at_the_main_horizon_it_is_the_probability_itself(event: Event) -> None:
    model = bundle(event, {14: 0.5, 60: 0.8})
    left = model.by_horizon(model.survival(MATRIX, PROBABILITIES))
    assert list(left) == [14, 30, 60]
    assert np.array_equal(left[30], PROBABILITIES)


@pytest.mark.parametrize("chance", [1e-18, 0.5, 0.999999, 1 - 1e-16])
def test_no_horizon_contradicts_another_to_the_last_digit(chance: float) -> None:
    ends, orders = bundle("end", {14: chance, 60: chance}), bundle("order", {14: chance, 60: chance})
    rising = np.column_stack(list(ends.by_horizon(ends.survival(MATRIX, PROBABILITIES)).values()))
    falling = np.column_stack(list(orders.by_horizon(orders.survival(MATRIX, PROBABILITIES)).values()))
    assert (np.diff(rising, axis=1) >= 0).all() and (np.diff(falling, axis=1) <= 0).all()
    assert ((rising >= 0) & (rising <= 1)).all() and ((falling >= 0) & (falling <= 1)).all()


def test_an_end_by_hand_and_its_median_day() -> None:
    model = bundle("end", {14: 0.5, 60: 0.8})
    curve = model.survival(MATRIX[:1], np.array([0.4]))
    assert [float(p[0]) for p in model.by_horizon(curve).values()] == pytest.approx([0.2, 0.4, 1 - 0.6 * 0.8])
    assert 30 < model.event_days(curve)[0] < 60


def test_no_value_exceeds_the_price_of_its_days_where_one_bounds_it_and_effects_sum_to_it(tmp_path: Path) -> None:
    matrix = np.array([[10.0, 2.0], [10.0, 0.0], [0.0, 2.0], [np.nan, 2.0]])
    free = Bundle(
        "clv", "exp", (Score("value", None, Affine(), Season(1, 1.0, 3.0)),), ("price_now", "x"), {}, "", 90,
        "2024-01-01T00:00:00Z", None, (0.0,) * 101, pd.DataFrame({"x": [1.0]}), {},
    )  # fmt: skip
    bounded = replace(free, full_price=3.0)
    assert bounded.predict(matrix) == pytest.approx([30.0, np.exp(3), np.exp(5), np.exp(5)])
    told = bounded.explain(matrix)
    assert told.base + told.effects.sum(axis=1) == pytest.approx(bounded.predict(matrix))
    assert told.effects[0, 0] == pytest.approx(30.0 - np.exp(5))
    assert load(bounded.save(tmp_path / "model")).full_price == 3.0
    assert free.predict(matrix)[0] == pytest.approx(np.exp(5))
