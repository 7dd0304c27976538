from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.labels.horizons import neighbour_pairs
from training.model.survival import median_days, survival_curve

shares = st.floats(0, 1)
others = st.lists(st.integers(1, 400), min_size=1, max_size=6, unique=True)


@given(days=st.integers(1, 400), others=others, nothing=shares, data=st.data())
def test_nothing_until_a_later_day_is_never_likelier(
    days: int, others: list[int], nothing: float, data: st.DataObject
) -> None:
    steps = {d: np.array([data.draw(shares)]) for d in others if d != days}
    curve = survival_curve(days, np.array([nothing]), steps)
    values = np.array([v[0] for v in curve.values()])
    assert list(curve) == sorted({days, *steps})
    assert (np.diff(values) <= 0).all() and ((values >= 0) & (values <= 1)).all()
    assert curve[days][0] == nothing


def test_every_horizon_is_told_from_its_neighbour_on_the_side_of_the_main_one() -> None:
    assert neighbour_pairs(60, [90, 30, 14]) == [(30, 60), (14, 30), (90, 60)]


def test_the_chain_is_the_arithmetic_of_conditional_chances() -> None:
    curve = survival_curve(30, np.array([0.4]), {14: np.array([0.5]), 60: np.array([0.25])})
    assert {d: v[0] for d, v in curve.items()} == pytest.approx({14: 0.7, 30: 0.4, 60: 0.1})


def test_the_median_of_a_constant_hazard_is_its_half_life() -> None:
    days = np.array([10.0, 30.0, 75.0])
    curve = {h: 0.5 ** (h / days) for h in (30, 60, 90)}
    assert median_days(curve) == pytest.approx(days)


@given(st.lists(shares, min_size=3, max_size=3))
def test_a_median_is_told_exactly_where_half_is_reached(values: list[float]) -> None:
    falling = np.sort(values)[::-1]
    curve = {d: np.array([v]) for d, v in zip((30, 60, 90), falling, strict=True)}
    half = median_days(curve)[0]
    assert np.isnan(half) == (falling[-1] > 0.5)
    assert np.isnan(half) or 0 < half <= 90
