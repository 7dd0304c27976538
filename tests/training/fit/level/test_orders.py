"""The season in forecasts of a model of orders alone, and the level that is left."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings
from features.labels.inactivity import churned_column
from features.schema import SEASON_GAP, SEASON_SILENCE, SEASON_STEPS, SEASON_VALUE, Feature, FeatureSchema
from serving.answer.score import basis_of
from training.data.dataset import Dataset
from training.fit.level.orders import prior_level
from training.fit.small_data import small_data_model_at
from training.model import bundle as bundles

ORDERS = ("orders_total", "days_since_last_order", "tenure_days", "spend_total")
CUSTOMERS, MONTHS = 60, pd.date_range("2022-01-01", periods=25, freq="MS", tz="UTC")


def made(task: str, real: float) -> tuple[Dataset, pd.DataFrame]:
    """Rows of 24 months with outcomes, and of one more; the outcome moves `real` times as much as the season."""
    columns = (SEASON_VALUE,) if task == "clv" else (SEASON_SILENCE, SEASON_STEPS[0])
    parts = []
    for number, as_of in enumerate(MONTHS):
        rng = np.random.default_rng(number)
        tenure = rng.uniform(100, 400, CUSTOMERS)
        orders = 2.0 + rng.poisson(tenure / 20)
        rows = pd.DataFrame(
            {"orders_total": orders, "days_since_last_order": rng.uniform(0, 60, CUSTOMERS), "tenure_days": tenure}
        )
        rows = rows.assign(spend_total=30 * orders, customer_id=[f"c{i}" for i in range(CUSTOMERS)], as_of=as_of)
        index = 0.8 * np.sin(2 * np.pi * number / 12)
        rows = rows.assign(**dict.fromkeys(columns, index))
        if task == "clv":
            rows["label"] = 100 * np.exp(real * index) * rng.gamma(4, 0.25, CUSTOMERS)
        else:
            silent = [rng.random(CUSTOMERS) < 1 / (1 + np.exp(odds - real * index)) for odds in (0.5, 1.5)]
            rows["label"] = silent[0].astype(float)
            rows[churned_column(60)] = (silent[0] & silent[1]).astype(float)
        parts.append(rows)
    everything = pd.concat(parts, ignore_index=True)
    schema = FeatureSchema(tuple(Feature(name, "orders", "float64", "") for name in (*ORDERS, *columns)))
    labelled = everything[everything["as_of"] < MONTHS[-1]]
    return Dataset(task, labelled.reset_index(drop=True), schema, "made up"), everything  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["clv", "churn"])
def test_as_much_of_the_season_counts_for_a_model_of_orders_as_its_past_moments_tell(
    task: str, settings: Settings
) -> None:
    found = {}
    for real in (1.0, 0.0):
        data, everything = made(task, real)
        found[real] = prior_level(settings, data, data.frame, everything).season.get("season", 0.0)
    assert 0.7 < found[1.0] < 1.3
    assert found[0.0] < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("task", ["clv", "churn"])
def test_the_prior_of_a_busy_time_says_more_than_that_of_a_quiet_one_and_is_read_back(
    task: str, settings: Settings, tmp_path: Path
) -> None:
    data, everything = made(task, 1.0)
    model = small_data_model_at(settings, data, everything)
    assert model.info["season"]
    asked = everything[everything["as_of"] == MONTHS[-1]]
    column = SEASON_VALUE if task == "clv" else SEASON_SILENCE
    low, high = (model.encode(asked.assign(**{column: index})) for index in (-0.5, 0.5))
    assert (model.predict(high) > model.predict(low)).all()
    back = bundles.load(model.save(tmp_path / "bundle"))
    np.testing.assert_array_equal(back.predict(high), model.predict(high))
    parts = back.explain(high)
    assert parts.base + parts.effects.sum(axis=1) == pytest.approx(model.predict(high), rel=1e-9)


def test_the_step_to_the_next_horizon_has_a_season_of_its_own(settings: Settings) -> None:
    data, everything = made("churn", 1.0)
    model = small_data_model_at(settings, data, everything)
    asked = everything[everything["as_of"] == MONTHS[-1]]
    low, high = (model.encode(asked.assign(**{SEASON_STEPS[0]: index})) for index in (-0.5, 0.5))
    at = [model.by_horizon(model.survival(x, model.predict(x))) for x in (low, high)]
    np.testing.assert_array_equal(at[0][30], at[1][30])
    assert (at[1][60] > at[0][60]).all()


def test_without_a_season_the_columns_are_those_of_the_orders_alone(settings: Settings) -> None:
    data, everything = made("clv", 1.0)
    level = prior_level(settings, data, data.frame, everything.assign(**{SEASON_VALUE: 0.0}))
    assert (level.encoder.features, dict(level.season)) == (ORDERS, {})


@pytest.mark.parametrize("task", ["clv", "churn"])
def test_where_none_of_the_season_counts_its_columns_are_not_asked_for(task: str, settings: Settings) -> None:
    data, everything = made(task, -1.0)
    level = prior_level(settings, data, data.frame, everything)
    assert (level.encoder.features, dict(level.season)) == (ORDERS, {})


@pytest.mark.slow
def test_no_outcome_of_a_longer_horizon_teaches_before_it_has_passed(settings: Settings) -> None:
    data, everything = made("churn", 1.0)
    late = data.frame["as_of"] == MONTHS[-2]
    silent = np.where(late, data.frame["label"], data.frame[churned_column(60)])
    later = data.frame.assign(**{churned_column(60): silent})
    changed = dataclasses.replace(data, frame=later)
    levels = [prior_level(settings, d, d.frame, everything, MONTHS[-1]).season for d in (data, changed)]
    assert levels[0] == levels[1] and "season_second" in levels[0]
    assert prior_level(settings, changed, later, everything).season != levels[0]  # all that is labelled
    models = [small_data_model_at(settings, d, everything) for d in (data, changed)]
    assert models[0].steps == models[1].steps


def test_who_was_contacted_until_a_longer_horizon_does_not_teach_its_step_under_drop(settings: Settings) -> None:
    data, everything = made("churn", 1.0)
    churn = settings.churn.model_copy(update={"treatment": "drop"})
    own = settings.model_copy(update={"churn": churn})
    late = np.arange(len(data.frame)) % 2 == 0
    came_back = np.where(late, 0.0, data.frame[churned_column(60)])
    frame = data.frame.assign(contacted=0.0, contacted_60=late.astype(float), **{churned_column(60): came_back})
    spared = frame.assign(label=frame["label"], **{churned_column(60): frame[churned_column(60)].where(~late)})
    steps = [
        prior_level(own, dataclasses.replace(data, frame=f), f, everything).season["season_second"]
        for f in (frame, spared)
    ]
    assert steps[0] == steps[1]


def test_longer_horizons_have_a_season_of_their_own_before_shorter_ones(settings: Settings) -> None:
    churn = settings.churn.model_copy(update={"horizons_days": (7, 14, 30, 60, 90)})
    own = settings.model_copy(update={"churn": churn})
    data, everything = made("churn", 1.0)
    model = small_data_model_at(own, data, everything)
    asked = everything[everything["as_of"] == MONTHS[-1]]
    low, high = (model.encode(asked.assign(**{SEASON_STEPS[0]: index})) for index in (-0.5, 0.5))
    at = [model.by_horizon(model.survival(x, model.predict(x))) for x in (low, high)]
    assert (at[1][60] > at[0][60]).all()
    np.testing.assert_array_equal(at[0][14], at[1][14])
    assert model.info["horizons_without_season"] == [7, 14]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["clv", "churn"])
def test_a_season_with_outcomes_at_few_moments_counts_as_far_as_earlier_years_showed_it(
    task: str, settings: Settings
) -> None:
    found = {}
    for real in (1.0, 0.0):
        data, everything = made(task, real)
        names = [name for name in (SEASON_VALUE, SEASON_SILENCE, *SEASON_STEPS) if name in everything]
        unknown = everything["as_of"] < MONTHS[-3]
        late = everything.assign(**{name: everything[name].where(~unknown, 0.0) for name in names})
        seen = dataclasses.replace(data, frame=late[late["as_of"] < MONTHS[-1]].reset_index(drop=True))
        level = prior_level(settings, seen, seen.frame, late)
        found[real] = level.season.get("season", 0.0)
        assert level.season_known
    assert 0.4 < found[1.0] <= 1.0
    assert found[0.0] < 0.3


@pytest.mark.slow
def test_a_season_that_is_known_and_does_not_help_is_named_as_that(settings: Settings) -> None:
    texts = {}
    for real in (1.0, -1.0):
        data, everything = made("clv", real)
        texts[real] = basis_of(small_data_model_at(settings, data, everything))["text"]
    nothing = small_data_model_at(settings, data, everything.assign(**{SEASON_VALUE: 0.0}))
    assert "season of earlier years counts" in texts[1.0]
    assert "does not count" in texts[-1.0]
    assert "no season is known: that takes two years of orders" in basis_of(nothing)["text"]


def test_orders_that_become_rarer_count_beside_silence_where_forecasts_go_by_the_days_before(
    settings: Settings,
) -> None:
    """After a busy time recent orders promise too much: what the index of silence alone does not tell."""
    data, everything = made("churn", 0.0)
    number = {m: i for i, m in enumerate(MONTHS)}
    phase = 2 * np.pi * everything["as_of"].map(number) / 12
    own = everything.assign(**{SEASON_SILENCE: 0.8 * np.sin(phase), SEASON_GAP: 0.8 * np.cos(phase)})
    rng, log_odds = np.random.default_rng(7), 0.5 * own[SEASON_SILENCE] + 1.0 * own[SEASON_GAP] - 0.5
    own["label"] = (rng.random(len(own)) < 1 / (1 + np.exp(-log_odds))).astype(float)
    frame = own[own["as_of"] < MONTHS[-1]].reset_index(drop=True)
    season = prior_level(settings, dataclasses.replace(data, frame=frame), frame, own).season
    assert 0.2 < season["season"] < 0.7 < season["season_gap"] < 1.3
