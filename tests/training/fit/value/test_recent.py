"""The newest months move the level of value where such moves brought totals nearer before, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings, load
from configs.workspace import Workspace
from features.schema import Feature, FeatureSchema
from training.data.dataset import Dataset
from training.fit.assembly import Forecast
from training.fit.boosters import TWEEDIE, Fitted
from training.fit.value import recent
from training.fit.value.recent import (
    CONTRACTS,
    FEW,
    NO_DATES,
    NOT_BUILT,
    SEASON,
    History,
    _plain_trees,
    beyond_chance,
    past_errors,
    past_moves,
    proven_share,
    recent_level,
    shift_at,
)
from training.priors.expectation import COLUMNS
from training.priors.season import Season

SCHEMA = FeatureSchema(tuple(Feature(name, "orders", "float64", "") for name in COLUMNS))
MOMENTS = pd.date_range("2023-01-01", periods=22, freq="30D", tz="UTC")
NOW = MOMENTS[-1]
TREES = Fitted(TWEEDIE, (None,), (None,), {})


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load("test")


def shop(growth: float, settings: Settings, n: int = 80, wild: float = 0.0) -> History:
    """Customers alike at all moments, of whom every month brings more than the one before, by a factor.

    By `wild` months differ at random.
    """
    rng = np.random.default_rng(0)
    luck = np.exp(wild * rng.standard_normal(len(MOMENTS) + 3))
    rows, labels = [], []
    for place, moment in enumerate(MOMENTS):
        tenure = rng.uniform(100, 400, n)
        orders = 1.0 + rng.poisson(tenure / 30)
        since = tenure * rng.random(n) / orders
        ids = [f"c{i}" for i in range(n)]
        columns = dict(zip(COLUMNS, (orders, since, tenure, 20 * orders), strict=True))
        rows.append(pd.DataFrame({"customer_id": ids, "as_of": moment, **columns}))
        levels = [20.0 * growth ** (place + month) * luck[place + month] for month in range(3)]
        months = [rng.poisson(30 * orders / tenure) * level for level in levels]
        came = dict(zip(("clv_30", "clv_60", "clv"), np.cumsum(months, axis=0), strict=True))
        known = {c: v if moment + pd.Timedelta(days=d) <= NOW else np.nan
                 for (c, v), d in zip(came.items(), (30, 60, 90), strict=True)}  # fmt: skip
        labels.append(pd.DataFrame({"customer_id": ids, "as_of": moment, **known}))
    every, labelled = pd.concat(rows, ignore_index=True), pd.concat(labels, ignore_index=True)
    frame = every.merge(labelled, on=["customer_id", "as_of"]).dropna(subset="clv").rename(columns={"clv": "label"})
    return History(every, labelled, Dataset("clv", frame.reset_index(drop=True), SCHEMA, "made up"), settings)


def forecast_of(history: History) -> Forecast:
    return _plain_trees(history.data, history.data.as_ofs, history.settings)


@pytest.fixture(scope="module")
def growing(settings: Settings) -> History:
    return shop(1.1, settings)


def test_a_business_that_grows_is_forecast_higher_and_its_past_says_so(growing: History) -> None:
    moments, errors = past_errors(growing, NOW)
    assert len(errors) == len(moments) == 12
    assert (errors[:, 0] < -0.2).all()  # each was too low
    assert np.abs(errors[:, 1]).mean() < np.abs(errors[:, 0]).mean()
    by, facts = recent_level(growing, TREES, None, forecast_of(growing))
    assert 0.2 < by < 0.8
    assert facts == {"moments": 12, "share": pytest.approx(by / shift_at(NOW, forecast_of(growing), growing)),
                     "factor": pytest.approx(np.exp(by))}  # fmt: skip


def test_a_business_without_a_trend_keeps_its_level(settings: Settings) -> None:
    steady = shop(1.0, settings, wild=0.3)
    by, facts = recent_level(steady, TREES, None, forecast_of(steady))
    assert by == 0.0
    assert facts == {"moments": 12, "share": 0.0}


def test_what_comes_after_the_moment_moves_nothing(growing: History) -> None:
    until = MOMENTS[18]
    trained = [m for m in growing.data.as_ofs if m + pd.Timedelta(days=90) <= until]
    labels = growing.labels.copy()
    for column, days in {"clv_30": 30, "clv_60": 60, "clv": 90}.items():
        labels.loc[labels["as_of"] + pd.Timedelta(days=days) > until, column] *= 10
    rows = growing.rows.copy()
    rows.loc[rows["as_of"] > until, list(COLUMNS)] *= 3
    frame = growing.data.frame
    late = frame["as_of"] + pd.Timedelta(days=90) > until
    other = replace(growing.data, frame=frame.assign(label=frame["label"] * np.where(late, 10.0, 1.0)))
    changed = History(rows, labels, other, growing.settings)
    forecast = _plain_trees(growing.data, tuple(trained), growing.settings)
    levels = [recent_level(h, TREES, until, forecast) for h in (growing, changed)]
    assert levels[0] == levels[1]
    assert levels[0][0] > 0.1
    assert levels[0] != recent_level(growing, TREES, None, forecast)


def test_a_share_at_a_moment_rests_on_outcomes_known_then(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    monkeypatch.setattr(recent, "share", lambda errors: counts.append(len(errors)) or 1.0)
    proven_share(tuple(MOMENTS[:6]), np.column_stack([np.full(6, 0.3), np.full(6, 0.01)]), 90)
    assert counts[:6] == [0, 0, 0, 1, 2, 3]


def test_few_moments_prove_nothing_and_neither_do_gains_that_chance_gives() -> None:
    assert proven_share(tuple(MOMENTS[:5]), np.array([[0.3, 0.0]] * 5), 90) == 0.0
    assert not beyond_chance(np.full(3, 0.1), 3)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((400, 14))
    found = [beyond_chance((e[:-2] + e[1:-1] + e[2:]) / 3, 3) for e in noise]  # as overlapping outcomes
    assert np.mean(found) < 0.08


def test_what_cannot_tell_is_left_alone_with_a_reason(growing: History, settings: Settings, tmp_path: Path) -> None:
    def told(history: History | None, fitted: Fitted = TREES) -> Any:
        return recent_level(history, fitted, None, lambda rows: np.ones(len(rows)))

    seasonal = Fitted(TWEEDIE, (None,), (Season(0, 1.0),), {})
    few = replace(growing.data, frame=growing.data.frame[growing.data.frame["as_of"] < MOMENTS[7]])
    fees = replace(growing, rows=growing.rows.assign(price_now=5.0))
    assert told(growing, seasonal) == (0.0, {"left_out": SEASON})
    assert told(fees) == (0.0, {"left_out": CONTRACTS})
    assert told(replace(growing, data=replace(growing.data, by="customer_part"))) == (0.0, {"left_out": NO_DATES})
    assert told(replace(growing, labels=growing.labels.drop(columns="clv_60"))) == (0.0, {"left_out": NOT_BUILT})
    assert told(replace(growing, data=few, errors={})) == (0.0, {"left_out": FEW})
    assert told(None) == (0.0, {})
    assert History.of(growing.rows, Workspace(tmp_path), replace(growing.data, task="churn"), settings) is None


def test_a_month_in_which_nobody_bought_moves_nothing_and_a_wild_one_at_most_by_two(growing: History) -> None:
    nothing = replace(growing, labels=growing.labels.assign(clv_30=0.0, clv_60=0.0))
    assert shift_at(NOW, lambda rows: np.ones(len(rows)), nothing) is None
    assert shift_at(MOMENTS[0], lambda rows: np.ones(len(rows)), growing) is None
    assert shift_at(NOW, lambda rows: np.full(len(rows), 1e-3), growing) == pytest.approx(np.log(2))


def test_a_model_of_a_past_moment_is_moved_by_the_same_share_of_what_was_known_then(growing: History) -> None:
    given, forecast = (growing.rows, growing.labels, growing.data, growing.settings), forecast_of(growing)
    by = past_moves({"share": 0.5}, *given)(MOMENTS[9], forecast)
    assert by == pytest.approx(0.5 * shift_at(MOMENTS[9], forecast, growing))
    assert past_moves({"left_out": FEW}, *given)(MOMENTS[9], forecast) == 0.0
