"""Past moments are forecast from what was known at each, by the recipe that serves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from configs.settings import load
from features.schema import Feature, FeatureSchema
from training.data.dataset import Dataset
from training.fit.assembly import FittedModels
from training.fit.boosters import MEDIAN, TWEEDIE, Form, Member, ScoredRows, calibrate
from training.fit.search import SearchResult, no_search
from training.fit.small_data import fit_small_data
from training.fit.value import past
from training.fit.value.past import forecasts_at
from training.model.calibration import Affine
from training.priors.expectation import COLUMNS

SCHEMA = FeatureSchema(tuple(Feature(name, "orders", "float64", "") for name in COLUMNS))
MOMENTS = pd.date_range("2023-01-01", periods=5, freq="QS", tz="UTC")


def data_of(n: int) -> Dataset:
    rng, parts = np.random.default_rng(0), []
    for moment in MOMENTS:
        tenure = rng.uniform(10, 300, n)
        orders = 1.0 + rng.poisson(tenure / 30)
        columns = (orders, np.where(orders == 1, tenure, tenure * rng.random(n)), tenure, orders * rng.gamma(4, 8, n))
        rows = pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
        label = rng.poisson(90 * orders / tenure) * rng.gamma(4, 8, n)
        parts.append(rows.assign(customer_id=[f"c{i}" for i in range(n)], as_of=moment, label=label))
    return Dataset("clv", pd.concat(parts, ignore_index=True), SCHEMA, "made up")


@pytest.mark.parametrize("trees", [True, False])
def test_what_came_later_changes_no_forecast_of_a_past_moment(trees: bool) -> None:
    settings, data, moment = load("test"), data_of(80), MOMENTS[3]
    rows = data.frame.drop(columns="label")
    models = fit_small_data(settings, data, None, rows)
    if trees:
        member = Member(TWEEDIE, {"learning_rate": 0.1, "num_leaves": 4}, {"value": 10})
        models = FittedModels(None, SearchResult((member,), 1.0, 1.0, no_search()), None, models.final)
    known = data.frame["as_of"] + pd.Timedelta(days=90) <= moment
    frame = data.frame.assign(label=data.frame["label"] * np.where(known, 1.0, 10.0))
    made, changed = (forecasts_at([moment], models, d, rows, settings) for d in (data, replace(data, frame=frame)))
    assert len(made) == 80
    assert np.array_equal(made["expected"], changed["expected"])
    assert made["expected"].sum() == pytest.approx(data.at([moment])["label"].sum(), rel=0.3)
    doubled = forecasts_at([moment], models, data, rows, settings, lambda at, forecast: np.log(2) * (at == moment))
    assert doubled["expected"].sum() == pytest.approx(made["expected"].sum() * (2 if trees else 1))
    assert trees == forecasts_at([MOMENTS[0]], models, data, rows, settings).empty  # a prior needs no outcome


def test_where_a_prior_needs_an_outcome_the_moment_before_the_first_is_left_out() -> None:
    settings, data = load("test"), data_of(80)
    fees = replace(data, frame=data.frame.drop(columns=list(COLUMNS)).assign(price_now=data.frame["label"] / 3 + 1))
    fees = replace(fees, schema=FeatureSchema((Feature("price_now", "subscriptions", "float64", ""),)))
    rows = fees.frame.drop(columns="label")
    models = fit_small_data(settings, fees, None, rows)
    assert forecasts_at([MOMENTS[0]], models, fees, rows, settings).empty
    assert set(forecasts_at([MOMENTS[0], MOMENTS[3]], models, fees, rows, settings)["as_of"]) == {MOMENTS[3]}


def test_an_average_is_calibrated_as_the_one_that_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, data, calls = load("test"), data_of(80), []
    rows = data.frame.drop(columns="label")
    members = tuple(Member(form, {"num_leaves": 4}, {form.parts[0].name: 3}) for form in (TWEEDIE, MEDIAN))
    final = fit_small_data(settings, data, None, rows).final
    models = FittedModels(None, SearchResult(members, 1.0, 1.0, no_search()), None, final)

    def seen(form: Form, later: ScoredRows, trained: ScoredRows) -> tuple[Affine, ...]:
        assert later.keys is not None and trained.keys is not None
        calls.append((later.keys["as_of"].max(), len(later.y)))
        return calibrate(form, later, trained)

    monkeypatch.setattr(past, "calibrate", seen)
    assert len(forecasts_at([MOMENTS[4]], models, data, rows, settings)) == 80
    assert len(calls) == 1 and calls[0][0] <= MOMENTS[3] and calls[0][1] >= 80
