"""Longer horizons hold as much of the season as the main forecast does."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from training.fit.value.season import share_held
from training.model.bundle import Score
from training.model.calibration import Affine
from training.priors.prior import Sum
from training.priors.season import Season


@pytest.mark.parametrize(("strengths", "share"), [((), 0.0), ((0.3,), 0.3), ((0.3, 0.4), 0.7), ((0.9, 0.8), 1.0)])
def test_a_forecast_holds_the_season_as_far_as_its_columns_count_together(
    strengths: tuple[float, ...], share: float
) -> None:
    prior = Sum(tuple(Season(place, strength) for place, strength in enumerate(strengths)))
    scores = (Score("plain", None, Affine()), Score("value", None, Affine(), prior))
    assert share_held(SimpleNamespace(scores=scores)) == pytest.approx(share)  # type: ignore[arg-type]
