from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from configs.settings import Settings
from features.schema import SEASON_STEPS, Feature, FeatureSchema
from training.data.dataset import Dataset, learn_encoder
from training.data.horizon_rows import churn_label_at, no_event_until
from training.fit.boosters import CHURN, SEASON_OF, STEP_PARAMS, Fitted, fit
from training.fit.horizons import _most_trees, fit_horizons, horizons_without_season
from training.fit.search import FIRST_TRIAL
from training.priors.linear import Linear
from training.priors.prior import Sum, terms
from training.priors.season import Season

SCHEMA = FeatureSchema((Feature("gap", "orders", "float64", ""), Feature("spend", "orders", "float64", "")))
MOMENTS = pd.date_range("2024-01-01", periods=6, freq="MS", tz="UTC").astype("datetime64[us, UTC]")


def customers(date: pd.Timestamp, number: int) -> pd.DataFrame:
    """Who is silent for an exponential time, the longer the larger the gap."""
    rng = np.random.default_rng(number)
    gap = rng.uniform(0, 1, 600)
    silent = rng.exponential(20 + 120 * gap)
    result = {name: (silent >= days).astype(float) for name, days in NAMES.items()}
    frame = pd.DataFrame({"gap": gap, "spend": rng.normal(size=600), **result})
    return frame.assign(as_of=date, customer_id=[f"c{i}" for i in range(600)], silent=silent)


NAMES = {"label": 30, "churned_60": 60, "churned_90": 90}


@pytest.fixture(scope="module")
def data() -> Dataset:
    frame = pd.concat([customers(m, i) for i, m in enumerate(MOMENTS)], ignore_index=True)
    return Dataset("churn", frame, SCHEMA, "made up")


def learned(data: Dataset, until: pd.Timestamp | None, settings: Settings, **params: object):
    encoder = learn_encoder(data.frame, SCHEMA)
    main = fit(CHURN, encoder(data.frame), encoder, FIRST_TRIAL | params, seed=0, trees={"churn": 100})
    return fit_horizons(data, tuple(data.as_ofs), until, encoder, main, settings), encoder


def test_each_step_learns_the_chance_of_going_on_in_silence(data: Dataset, settings: Settings) -> None:
    (steps, left_out), encoder = learned(data, None, settings)
    assert [s.days for s in steps] == [60, 90] and left_out == {}
    asked = encoder(pd.DataFrame({"gap": [0.25, 0.75], "spend": 0.0, "label": 0.0}))
    for model in steps:
        chance = 1 / (1 + np.exp(-model.score(asked.x)))
        assert chance == pytest.approx(np.exp(-30 / (20 + 120 * np.array([0.25, 0.75]))), abs=0.12)


def test_a_season_spares_the_main_model_no_trees_and_another_prior_does(data: Dataset, settings: Settings) -> None:
    encoder = learn_encoder(data.frame, SCHEMA)
    plain = fit(CHURN, encoder(data.frame), encoder, FIRST_TRIAL, seed=0, trees={"churn": 20})
    season, linear = Season(0, 0.5), Linear(0.0, (0.0, 0.0), (0.0, 0.0), (1.0, 1.0))
    limits = [
        _most_trees(Fitted(CHURN, plain.boosters, (prior,), plain.params), settings)
        for prior in (None, season, Sum((linear, season)))
    ]
    assert limits == [plain.trees["churn"], plain.trees["churn"], settings.tuning.max_trees]


def in_two_seasons(step_season: bool) -> Dataset:
    """Every other moment orders become rarer; in step with it or not, silence of 30 days goes on more surely."""
    names = ("gap", "season_silence", "season_gap", *SEASON_STEPS[:step_season])
    frames = [customers(m, i) for i, m in enumerate(pd.date_range("2024-01-01", periods=8, freq="MS", tz="UTC"))]
    rng, parts = np.random.default_rng(0), []
    for number, frame in enumerate(frames):
        season = 1.0 if number % 2 else -1.0
        goes_on = rng.random(len(frame)) < expit(1.5 * season) if step_season else frame["churned_60"] > 0
        parts.append(
            frame.assign(
                **dict.fromkeys(names[1:], season), churned_60=(frame["label"] > 0) & goes_on, churned_90=np.nan
            )
        )
    frame = pd.concat(parts, ignore_index=True).astype({"churned_60": float})
    schema = FeatureSchema(tuple(Feature(name, "season", "float64", "") for name in names))
    return Dataset("churn", frame, schema, "made up")


def with_gap(data: Dataset, settings: Settings, **params: float):
    encoder = learn_encoder(data.frame, data.schema)
    main = fit(CHURN, encoder(data.frame), encoder, FIRST_TRIAL | params, seed=0, trees={"churn": 5})
    return fit_horizons(data, tuple(data.as_ofs), None, encoder, main, settings)[0], encoder


@pytest.mark.parametrize("param", [name for name in SEASON_OF["churn"] if name not in STEP_PARAMS])
def test_no_season_of_the_main_horizon_counts_in_a_step(settings: Settings, param: str) -> None:
    data = in_two_seasons(step_season=False)
    (plain, *_), encoder = with_gap(data, settings)
    (step, *_), _ = with_gap(data, settings, **{param: 1.0})
    assert not [term for term in terms(step.score.prior) if isinstance(term, Season)]
    x = encoder(data.frame).x
    assert np.array_equal(step.score(x), plain.score(x))


def test_the_season_of_a_step_competes_where_the_gap_alone_counts_at_the_main_horizon(settings: Settings) -> None:
    (step, *_), encoder = with_gap(in_two_seasons(step_season=True), settings, season_gap=1.5)
    (season,) = (term for term in terms(step.score.prior) if isinstance(term, Season))
    assert (encoder.features[season.place], season.strength) == (SEASON_STEPS[0], 1.0)


def test_horizons_beyond_the_columns_of_the_season_have_none_and_the_longer_ones_go_first(settings: Settings) -> None:
    assert horizons_without_season(settings) == []
    churn = settings.churn.model_copy(update={"horizons_days": (7, 14, 30, 60, 90)})
    assert horizons_without_season(settings.model_copy(update={"churn": churn})) == [7, 14]


def test_other_horizons_have_one_booster_where_the_main_one_averages_several_seeds(
    data: Dataset, settings: Settings
) -> None:
    (alone, _), encoder = learned(data, None, settings)
    (beside_average, _), _ = learned(data, None, settings, seeds=3)
    x = encoder(data.frame).x
    for single, other in zip(alone, beside_average, strict=True):
        assert np.array_equal(single.score(x), other.score(x))


def test_no_outcome_past_the_limit_is_learned_from(data: Dataset, settings: Settings) -> None:
    limit = MOMENTS[0] + pd.Timedelta(days=95)
    (steps, _), encoder = learned(data, limit, settings)
    later = data.frame["as_of"] > MOMENTS[1]
    turned = data.frame.assign(**{name: data.frame[name].where(~later, 1 - data.frame[name]) for name in NAMES})
    (again, _), _ = learned(Dataset("churn", turned.assign(label=data.frame["label"]), SCHEMA, ""), limit, settings)
    x = encoder(data.frame).x
    for single, other in zip(steps, again, strict=True):
        assert np.array_equal(single.score(x), other.score(x))


def test_a_horizon_that_the_history_is_too_short_for_is_left_out_and_named(data: Dataset, settings: Settings) -> None:
    (steps, left_out), _ = learned(data, MOMENTS[0] + pd.Timedelta(days=70), settings)
    assert [s.days for s in steps] == [60]
    assert list(left_out) == ["90"] and "50 needed" in left_out["90"]


def test_an_end_of_a_contract_is_the_opposite_of_nothing(data: Dataset, settings: Settings) -> None:
    contract = settings.model_copy(update={"churn": settings.churn.model_copy(update={"kind": "contract"})})
    assert np.array_equal(no_event_until(data.frame, 60, contract), 1 - churn_label_at(data.frame, 60, contract))
    assert np.array_equal(no_event_until(data.frame, 60, settings), churn_label_at(data.frame, 60, settings))
    assert np.isnan(churn_label_at(data.frame, 7, settings)).all()
