"""Rows of many moments whose level moves with a known season: what the models make of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from features.schema import EVENTS_OF, SEASON_LONGER, Feature, FeatureSchema
from training.data.dataset import WEIGHT, Dataset, Encoder, Matrix, learn_encoder
from training.data.split import Fold
from training.fit.assembly import fold_data, learn
from training.fit.boosters import CHURN, FORMS, TWEEDIE, Fitted, Form, fit
from training.fit.level.season import has_season, season_params
from training.fit.search import FIRST_TRIAL, search

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


def fitted(form: Form, train: Matrix, season: float) -> Fitted:
    params = {**FIRST_TRIAL, "season": season, "min_data_in_leaf": 20}
    return fit(form, train, ENCODER, params, seed=1, trees={part.name: 80 for part in form.parts})


def data(task: str, real: float = 1.0, columns: tuple[str, ...] = ENCODER.features) -> Dataset:
    dates = pd.date_range("2020-01-01", periods=MOMENTS, freq="MS", tz="UTC")
    table = rows(range(MOMENTS), task, real)
    frame = pd.DataFrame(table.x, columns=list(ENCODER.features)).assign(label=table.y)
    frame["as_of"], frame["customer_id"] = np.repeat(dates, CUSTOMERS), np.tile(np.arange(CUSTOMERS), MOMENTS)
    schema = FeatureSchema(tuple(Feature(name, "orders", "float64", "") for name in columns))
    return Dataset(task, frame[["customer_id", "as_of", "label", *columns]], schema, "made up")  # type: ignore[arg-type]


@pytest.mark.parametrize("task", ["clv", "churn"])
def test_as_much_of_the_season_counts_as_past_moments_tell(task: str, settings: Settings) -> None:
    params = [season_params(own, own.as_ofs, settings) for own in (data(task, real) for real in (1.0, 0.4, -1.0))]
    strength = [own.get("season", 0.0) for own in params]
    assert 0.75 < strength[0] <= 1.0
    assert 0.2 < strength[1] < 0.65
    assert strength[2] == 0.0


def test_a_moment_that_can_tell_nothing_is_left_out(settings: Settings) -> None:
    own = data("churn")
    contacted = own.frame["as_of"] == own.as_ofs[-1]
    weighed = dataclasses.replace(own, frame=own.frame.assign(**{WEIGHT: np.where(contacted, 0.0, 1.0)}))
    assert season_params(weighed, own.as_ofs, settings) == season_params(own, own.as_ofs[:-1], settings) != {}
    one_outcome = own.frame.assign(label=own.frame["label"].where(own.frame["as_of"] > own.as_ofs[10], 0.0))
    found = season_params(dataclasses.replace(own, frame=one_outcome), own.as_ofs, settings)
    assert np.isfinite([*found.values()]).all()


def test_a_moment_that_brought_nothing_is_no_perfect_forecast(settings: Settings) -> None:
    own = data("clv")
    quiet = own.frame["as_of"] == own.as_ofs[-1]
    nothing = dataclasses.replace(own, frame=own.frame.assign(label=own.frame["label"].where(~quiet, 0.0)))
    assert season_params(nothing, own.as_ofs, settings) == season_params(own, own.as_ofs[:-1], settings)


def test_where_no_column_tells_a_season_none_counts(settings: Settings) -> None:
    bare, still = data("clv", columns=("gap",)), data("clv")
    zero = dataclasses.replace(still, frame=still.frame.assign(season_value=0.0))
    by_part = dataclasses.replace(still, by="part")
    assert [season_params(d, d.as_ofs, settings) for d in (bare, zero, by_part)] == [{}, {}, {}]


def test_the_folds_of_a_search_know_how_much_counts_and_its_trials_start_from_it(
    settings: Settings, workspace: Workspace
) -> None:
    own = data("clv")
    tuning = settings.tuning.model_copy(update={"trials": 1})
    folds = fold_data(own, [Fold(tuple(own.as_ofs[:18]), own.as_ofs[21])], settings)
    assert folds[0].season_params == season_params(own, [*own.as_ofs[:18], own.as_ofs[21]], settings)
    result = search("clv", folds, tuning, workspace, "season")
    assert result.params["season"] == folds[0].season_params["season"] > 0
    assert has_season(learn(own, own.as_ofs[:18], result, settings)[0])


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


def test_no_model_takes_the_season_of_longer_horizons_or_what_events_make_of_one() -> None:
    names = ("gap", *SEASON_LONGER, *EVENTS_OF.values())
    frame = pd.DataFrame({name: [0.0, 1.0] for name in names})
    schema = FeatureSchema(tuple(Feature(name, "orders", "float64", "") for name in names))
    assert learn_encoder(frame, schema).features == ("gap",)
