from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from configs.errors import NotEnoughDataError
from configs.settings import Settings
from features.schema import Feature, FeatureSchema
from training.data.dataset import Dataset
from training.fit.small_data import small_data_model_at
from training.judge.rolling_origin import evaluate_rolling, evaluation_as_ofs, matured_rows

NAMES = ("days_since_last_order", "tenure_days", "spend_total")
SCHEMA = FeatureSchema(tuple(Feature(name, "orders", "float64", "") for name in NAMES))
MOMENTS = pd.date_range("2024-01-01", periods=7, freq="MS", tz="UTC").astype("datetime64[us, UTC]")


def customers(task: str, date: pd.Timestamp, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    since, tenure = rng.uniform(0, 90, 300), rng.uniform(90, 400, 300)
    spend = rng.gamma(2, 200, 300)
    left = (rng.random(300) < since / 120).astype(float)
    label = left if task == "churn" else (1 - left) * spend / tenure * 30 * rng.gamma(4, 0.25, 300)
    frame = pd.DataFrame({"days_since_last_order": since, "tenure_days": tenure, "spend_total": spend, "label": label})
    return frame.assign(as_of=date, customer_id=[f"c{i}" for i in range(300)], churned_60=left)


def dataset(task: str) -> Dataset:
    parts = [customers(task, m, i) for i, m in enumerate(MOMENTS)]
    return Dataset(task, pd.concat(parts, ignore_index=True), SCHEMA, "made up")


@pytest.fixture(scope="module")
def quick(settings: Settings) -> Settings:
    update = {"trials": 2, "timeout_seconds": 20, "folds": 2, "max_trees": 20}
    clv = settings.clv.model_copy(update={"horizon_days": 30})
    return settings.model_copy(update={"tuning": settings.tuning.model_copy(update=update), "clv": clv})


@pytest.mark.parametrize("task", ["churn", pytest.param("clv", marks=pytest.mark.slow)])
def test_what_came_after_a_moment_changes_nothing_that_is_forecast_at_it(task: str, quick: Settings) -> None:
    data = dataset(task)
    first = evaluation_as_ofs(data, quick, 3)[0]
    unknown = data.frame["as_of"] + pd.Timedelta(days=30) > first
    rng = np.random.default_rng(5)
    shuffled = data.frame["label"].where(~unknown, rng.permutation(data.frame["label"]))
    result = evaluate_rolling(data, quick, 3, data.frame).rows
    again = evaluate_rolling(replace(data, frame=data.frame.assign(label=shuffled)), quick, 3, data.frame).rows
    same = result["as_of"] == first
    assert same.sum() == 300
    assert np.array_equal(result.loc[same, "forecast"], again.loc[same, "forecast"])
    assert not np.array_equal(result.loc[~same, "forecast"], again.loc[~same, "forecast"])


@pytest.mark.slow
def test_the_summary_tells_every_moment_and_the_whole_with_intervals(quick: Settings) -> None:
    rolled = evaluate_rolling(dataset("churn"), quick, 4, dataset("churn").frame)
    result = rolled.summary()
    assert len(result["as_ofs"]) == 4 and result["model"]["n"] == 1200
    low, high = result["model_95"]["auc"]
    assert low < result["model"]["auc"] < high
    assert set(result["horizons"]) <= {"60", "90"}


def test_a_past_too_short_for_folds_by_time_goes_by_customers_and_says_so(quick: Settings) -> None:
    longer = quick.model_copy(update={"clv": quick.clv.model_copy(update={"horizon_days": 60})})
    trees = longer.model_copy(update={"minimum": longer.minimum.model_copy(update={"below": "stop"})})
    rolled = evaluate_rolling(dataset("clv"), trees, 9, dataset("clv").frame)
    assert (rolled.by_customer, rolled.from_prior) == ((MOMENTS[3],), ())


@pytest.mark.slow
def test_a_moment_with_little_before_it_is_answered_as_it_would_have_been_then(quick: Settings) -> None:
    data = dataset("churn")
    rolled = evaluate_rolling(data, quick, 9, data.frame)
    assert MOMENTS[3] in rolled.from_prior and MOMENTS[-1] not in rolled.from_prior
    result = rolled.rows[rolled.rows["as_of"] == MOMENTS[3]]
    few = small_data_model_at(quick, matured_rows(data, quick, MOMENTS[3]), data.at([MOMENTS[2]]))
    asked = data.at([MOMENTS[3]])
    assert np.array_equal(result["forecast"], few.predict(few.encode(asked)))


def test_without_enough_moments_the_error_says_what_is_missing(quick: Settings) -> None:
    data = dataset("churn")
    with pytest.raises(NotEnoughDataError, match="30 days after two others"):
        evaluate_rolling(replace(data, frame=data.at(MOMENTS[:2])), quick, 4, data.frame)
