"""The rivals of the bench learn what is there to be learned, and nothing of the rows asked about."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

spec = importlib.util.spec_from_file_location("contestants", Path(__file__).parents[2] / "bench" / "contestants.py")
contestants = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = contestants
spec.loader.exec_module(contestants)


def customers(n, seed):
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({c: rng.gamma(2.0, 10.0, n) for c in contestants.SIMPLE_RFM})
    plan = pd.Categorical(rng.choice(["a", "b", "c"], n))
    return rows.assign(
        plan=plan, spend=rng.poisson(rows["spend_90d"]), left=(rng.random(n) < 0.1 + 0.8 * (plan == "b"))
    )


@pytest.mark.parametrize("objective", ["binary", "tweedie"])
def test_few_columns_tell_what_they_know_and_the_outcome_asked_about_is_not_read(objective):
    train, asked = customers(3000, 1), customers(500, 2)
    outcome = (train["spend_90d"] > 20).astype(float) if objective == "binary" else train["spend"].astype(float)
    forecast = contestants.few_columns(objective, seed=0)
    told = forecast(train.assign(label=outcome), asked)
    assert np.corrcoef(told, asked["spend_90d"])[0, 1] > 0.7
    assert told.min() >= 0
    np.testing.assert_array_equal(told, forecast(train.assign(label=outcome), asked.assign(label=np.nan)))


def test_one_hot_reads_the_levels_and_takes_one_that_is_new_or_missing():
    train = customers(3000, 1)
    asked = pd.DataFrame({"spend_90d": 20.0, "plan": pd.Categorical(["a", "b", "new", None])})
    told = contestants.one_hot(["spend_90d"], ["plan"], seed=0)(train.assign(label=train["left"].astype(float)), asked)
    assert told[1] > 0.8
    assert told[0] < 0.2
    assert np.isfinite(told).all()
