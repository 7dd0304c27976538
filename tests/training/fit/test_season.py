"""Rows of many moments whose level moves with a known season: what the models make of it."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.dataset import Encoder, Matrix
from training.fit.boosters import CHURN, FORMS, TWEEDIE, Fitted, Form, fit, season_places
from training.fit.search import FIRST_TRIAL, FoldData
from training.fit.season import has_season, with_season

ENCODER = Encoder(("gap", "season_value", "season_silence"), {})
MOMENTS, CUSTOMERS = 24, 60
PLAIN = (form for form in FORMS["clv"] if not any(part.prior for part in form.parts))


def rows(moments: range, task: str, real: float = 1.0, seed: int = 0) -> Matrix:
    """Customers at some months: the index is a wave over the year, and the outcome moves `real` times as much."""
    rng = np.random.default_rng([seed, moments.start])
    index = np.repeat(0.8 * np.sin(2 * np.pi * np.asarray(moments) / 12), CUSTOMERS)
    gap = rng.gamma(2, 1, len(index))
    if task == "churn":
        y = (rng.random(len(gap)) < 1 / (1 + np.exp(1 - gap / 2 - real * index))).astype(float)
    else:
        y = rng.poisson(3 * np.exp(-gap / 3 + real * index)) * 10.0
    return Matrix(np.column_stack([gap, index, index]), y)


def fold(last: int, task: str, real: float = 1.0) -> FoldData:
    valid = rows(range(last, last + 1), task, real)
    return FoldData(rows(range(last), task, real), valid, ENCODER, np.arange(len(valid.y)) % 50)


def fitted(form: Form, train: Matrix, season: float) -> Fitted:
    params = {**FIRST_TRIAL, "season": season, "min_data_in_leaf": 20}
    return fit(form, train, ENCODER, params, seed=1, trees={part.name: 80 for part in form.parts})


@pytest.mark.parametrize("task", ["clv", "churn"])
def test_the_season_counts_unless_most_folds_are_worse_with_it(task: str) -> None:
    helped = with_season(task, [fold(last, task) for last in (15, 18, 21)], 1)
    harmed = with_season(task, [fold(last, task, real=-1.0) for last in (15, 18, 21)], 1)
    assert {f.season for f in helped} == {1.0}
    assert {f.season for f in harmed} == {0.0}


def test_where_no_column_tells_a_season_nothing_is_added() -> None:
    plain = fold(21, "clv")
    bare = FoldData(*(Matrix(m.x[:, :1], m.y) for m in (plain.train, plain.valid)), Encoder(("gap",), {}), plain.block)
    assert with_season("clv", [bare], 1)[0].season == 0.0
    assert season_places(bare.encoder) == []


@pytest.mark.parametrize("form", [*PLAIN, CHURN], ids=lambda form: form.name)
def test_forecasts_move_with_the_season_though_no_tree_splits_by_it(form: Form) -> None:
    task = "churn" if form is CHURN else "clv"
    model = fitted(form, rows(range(MOMENTS), task), 1.0)
    assert has_season(model)
    assert all(booster.feature_importance()[1:].sum() == 0 for booster in model.boosters if booster)
    high, low = (np.tile([2.0, index, index], (5, 1)) for index in (0.8, -0.8))
    moved = (model.raw(high) - model.raw(low))[0]
    assert moved.max() == pytest.approx(1.6)
    assert moved.min() == pytest.approx(0.0 if len(moved) > 1 else 1.6)


def test_the_total_at_coming_moments_is_at_least_twice_as_near_with_it() -> None:
    train, later = rows(range(MOMENTS), "clv"), [rows(range(m, m + 1), "clv") for m in (27, 33)]
    errors = {
        season: np.mean([abs(np.log(np.exp(model.raw(m.x)[:, 0]).sum() / m.y.sum())) for m in later])
        for season in (0.0, 1.0)
        for model in [fitted(TWEEDIE, train, season)]
    }
    assert errors[1.0] < errors[0.0] / 2
