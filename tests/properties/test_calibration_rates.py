"""Whether probabilities stay true where leaving is rare (1 %), and where it is common (40 %)."""

from __future__ import annotations

from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import norm

from configs import settings as configs
from configs.errors import ConfigError
from configs.settings import Settings
from configs.workspace import Workspace
from features.schema import Feature, FeatureSchema
from features.simulation import shop
from training.data.dataset import Dataset
from training.data.split import rolling_origin
from training.data.task_rows import feature_rows, labelled
from training.fit import search
from training.fit.assembly import fold_data
from training.fit.boosters import CHURN, fit
from training.judge.rolling_origin import evaluate_rolling, evaluation_as_ofs, matured_rows, train_on
from training.metrics import expected_calibration_error, quantile_bins

NAMES = ("days_since_last_order", "tenure_days", "spend_total", "visits", "noise")
SCHEMA = FeatureSchema(tuple(Feature(name, "orders", "float64", "") for name in NAMES))
MOMENTS = pd.date_range("2024-01-01", periods=7, freq="MS", tz="UTC").astype("datetime64[us, UTC]")
CUSTOMERS = 6000
FEW = 600  # where only what a model is made of counts
TAUGHT = 5  # moments whose outcomes even the older model has seen
LEVELS = {0.01: -6.78, 0.4: -1.62}
BY_WEIGHT = ("is_unbalance", "scale_pos_weight")


def drawn(level: float, customers: int = CUSTOMERS) -> Dataset:
    """Customers whose true odds of leaving are known, and as different as real ones; a column ``true`` beside."""
    rng, size = np.random.default_rng(17), customers * len(MOMENTS)
    since, visits = rng.exponential(30, size), rng.poisson(3, size).astype(float)
    frame = pd.DataFrame(
        {
            "customer_id": np.tile([f"c{i}" for i in range(customers)], len(MOMENTS)),
            "as_of": MOMENTS.repeat(customers),
            "days_since_last_order": since,
            "tenure_days": rng.uniform(90, 900, size),
            "spend_total": rng.gamma(2, 200, size),
            "visits": visits,
            "noise": rng.normal(size=size),
        }
    )
    frame["true"] = expit(level + np.minimum(since, 120) / 25 - 0.35 * (visits - 3))
    return Dataset("churn", frame.assign(label=(rng.random(size) < frame["true"]).astype(float)), SCHEMA, "drawn")


@pytest.fixture(scope="module")
def quick(settings: Settings) -> Settings:
    update = {"trials": 2, "timeout_seconds": 60, "folds": 2, "max_trees": 80}
    return settings.model_copy(update={"tuning": settings.tuning.model_copy(update=update)})


@pytest.fixture(scope="module", params=list(LEVELS), ids=lambda rate: f"{rate:.0%}")
def rolled(request: pytest.FixtureRequest, quick: Settings) -> pd.DataFrame:
    """Forecasts of the two newest moments, each by a model of its own time, beside the truth."""
    data = drawn(LEVELS[request.param])
    assert data.frame["label"].mean() == pytest.approx(request.param, rel=0.1)
    parts = []
    for as_of in evaluation_as_ofs(data, quick, 2):
        bundle, _ = train_on(matured_rows(data, quick, as_of), quick, as_of)
        asked = data.at([as_of])
        parts.append(asked.assign(forecast=bundle.predict(bundle.encode(asked))))
    return pd.concat(parts, ignore_index=True)


def ratio_within_chance(forecast: pd.Series, label: pd.Series, taught: int) -> bool:
    """Whether forecast and rate differ by no more than leavers counted twice do: in the lesson, and in the test.

    The log of a ratio of two counts has a variance of one over each (Woolf 1955, rare events); 99.9 % of chance.
    """
    reach = norm.ppf(0.9995) * np.sqrt(1 / label.sum() + 1 / taught)
    return bool(abs(np.log(forecast.mean() / label.mean())) <= reach)


@pytest.mark.slow
def test_probabilities_are_true_at_later_moments(rolled: pd.DataFrame) -> None:
    """Beside what came, over both moments; beside the truth, at each: chance alone can bring what came to .02 there."""
    assert expected_calibration_error(rolled["label"], rolled["forecast"]) <= 0.02
    for _, rows in rolled.groupby("as_of"):
        assert expected_calibration_error(rows["true"], rows["forecast"]) <= 0.02


@pytest.mark.slow
def test_the_mean_forecast_lies_within_chance_of_the_rate(rolled: pd.DataFrame) -> None:
    """At 1 %, .02 would let a forecast pass that is three times too high."""
    taught = int(rolled["label"].mean() * CUSTOMERS * TAUGHT)
    assert ratio_within_chance(rolled["forecast"], rolled["label"], taught)
    assert rolled["forecast"].mean() / rolled["true"].mean() == pytest.approx(1, abs=4 / np.sqrt(taught))


@pytest.mark.slow
def test_forecasts_are_true_relative_to_their_size_from_the_least_to_the_greatest(rolled: pd.DataFrame) -> None:
    """Fifths of the forecast beside the known truth: none is off by half, the greatest by no more than a fifth."""
    fifth = rolled.groupby(quantile_bins(rolled["forecast"], 5))[["forecast", "true"]].mean()
    off = (fifth["forecast"] / fifth["true"]).to_numpy()
    assert np.all((off > 0.5) & (off < 2)) and off[-1] == pytest.approx(1, abs=0.2)


@pytest.mark.slow
def test_no_probability_is_certain_where_leaving_is_rare(rolled: pd.DataFrame) -> None:
    assert rolled["forecast"].between(1e-5, 1 - 1e-3).all()


@pytest.mark.parametrize("name", BY_WEIGHT)
def test_no_setting_takes_a_weight_that_spoils_probabilities(name: str, tmp_path: Path) -> None:
    path = tmp_path / "weighted.yaml"
    for section in ("tuning", "churn"):
        path.write_text(f"name: weighted\nsource: {{loader: synthetic}}\n{section}: {{{name}: 3}}\n")
        with pytest.raises(ConfigError, match=name):
            configs.load(path)


def weights_of(booster: lgb.Booster) -> dict[str, str]:
    """The two parameters as the model's own text tells them."""
    lines = [line.strip("[]").split(": ") for line in booster.model_to_string().splitlines() if line.startswith("[")]
    return {name: value for name, value in (line for line in lines if len(line) == 2) if name in BY_WEIGHT}


def test_no_model_that_is_learned_bears_such_a_weight(quick: Settings) -> None:
    data = drawn(LEVELS[0.4], FEW)
    bundle, _ = train_on(data, quick, None)
    boosters = [score.booster for score in (*bundle.scores, *(model.score for model in bundle.steps))]
    assert [weights_of(b) for b in boosters] == [{"is_unbalance": "0", "scale_pos_weight": "1"}] * len(boosters)


def test_the_search_suggests_no_such_weight(quick: Settings, tmp_path: Path) -> None:
    data = drawn(LEVELS[0.4], FEW)
    folds = fold_data(data, rolling_origin(data.as_ofs, 30, 1), quick)
    result = search.search("churn", folds, quick.tuning, Workspace(tmp_path), "weights")
    assert not {name for trial in result.study.trials for name in trial.params} & set(BY_WEIGHT)


def test_such_a_weight_would_show_in_the_text_of_the_model(quick: Settings) -> None:
    """The check itself can fail."""
    fold = fold_data(drawn(LEVELS[0.4], FEW), rolling_origin(MOMENTS, 30, 1), quick)[0]
    spoilt = fit(CHURN, fold.train, fold.encoder, {"scale_pos_weight": 9}, seed=1, trees={"churn": 2})
    assert weights_of(spoilt.boosters[0])["scale_pos_weight"] == "9"


WORLDS = {
    0.01: {"ORDERS_PER_DAY": 0.3, "ORDER_RATE_SHAPE": 20.0, "TURNING_PER_DAY": 1 / 7500},
    0.4: {"ORDERS_PER_DAY": 0.055},
}
SIZES = {0.01: (2500, 2), 0.4: (4000, 3)}  # customers, and moments that are judged: chance alone moves 40 % by more


@pytest.mark.sweep
@pytest.mark.parametrize("rate", [0.01, 0.4], ids=lambda rate: f"{rate:.0%}")
def test_a_whole_company_with_few_or_many_leavers_is_calibrated(
    rate: float, quick: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From orders to forecasts; the features are those of every business."""
    from features import build
    from features.ingest import ingest
    from features.store import feature_store

    for name, value in WORLDS[rate].items():
        monkeypatch.setattr(shop, name, value)
    customers, moments = SIZES[rate]
    options = {"customers": customers, "months": 11, "seed": 23}
    source = quick.source.model_copy(update={"options": options})
    settings, workspace = quick.model_copy(update={"source": source}), Workspace(tmp_path)
    ingest(settings, workspace)
    build.build(settings, workspace)
    feature_store.apply(workspace)
    data = labelled(settings, workspace, "churn")
    rows = evaluate_rolling(data, settings, moments, feature_rows(workspace)).rows
    assert rows["label"].mean() == pytest.approx(rate, rel=0.3)
    taught = int(matured_rows(data, settings, evaluation_as_ofs(data, settings, moments)[0]).frame["label"].sum())
    assert expected_calibration_error(rows["label"], rows["forecast"]) <= 0.02
    assert ratio_within_chance(rows["forecast"], rows["label"], taught)
