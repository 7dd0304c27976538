"""What an interval is learned from: the tiers of the model that serves, and whose forecasts they were, and when."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings
from features.schema import Feature, FeatureSchema
from training.data.dataset import Dataset, Encoder
from training.data.split import Fold
from training.fit import assembly
from training.model.bundle import Bundle
from training.model.conformal import Outcomes
from training.model.tiers import tier_edges
from training.priors.expectation import COLUMNS
from training.priors.growth import DAYS_A_MONTH

SCHEMA = FeatureSchema((Feature("tickets", "orders", "float64", ""),))
MOMENTS = pd.date_range("2024-01-01", periods=4, freq="MS", tz="UTC").astype("datetime64[us, UTC]")


@pytest.fixture
def value_model() -> Bundle:
    scale = tuple(np.linspace(0.0, 100.0, 101).tolist())
    empty = pd.DataFrame()
    return Bundle("clv", "exp", (), (), {}, "made-up", 90, "2024-01-01T00:00:00Z", None, scale, empty, {})


def data_of(customers: int) -> Dataset:
    rows = [
        pd.DataFrame({"customer_id": [f"c{i}" for i in range(customers)], "as_of": m, "tickets": 1.0, "label": 2.0})
        for m in MOMENTS
    ]
    return Dataset("churn", pd.concat(rows, ignore_index=True), SCHEMA, "made up")


def seen(n: int, level: float) -> Outcomes:
    rng = np.random.default_rng(0)
    expected, days = rng.uniform(0, 100, 3 * n), np.repeat([0.0, 90.0, 180.0], n)
    actual = expected * rng.gamma(20.0, 0.05, 3 * n) * np.where(days == 90, level, 1.0)
    known = np.where(np.arange(3 * n) % 10 == 0, 5.0, 500.0)
    return Outcomes(expected, actual, known, np.arange(3 * n), days)


def test_the_interval_knows_tiers_new_customers_and_levels_of_moments(value_model: Bundle, settings: Settings) -> None:
    interval = assembly.with_interval(value_model, seen(700, 1.0), settings, 0.05).interval
    assert interval is not None and interval.newcomers is not None
    for each in (interval, interval.newcomers):
        assert set(tier_edges(value_model, settings.decisions.tiers)) <= set(each.edges)
    assert (interval.coverage, interval.allowance) == (settings.clv.coverage, 0.05)
    uneven = seen(700, 1.4)
    wide = assembly.with_interval(value_model, uneven, settings, 0.0).bounds
    narrow = assembly.with_interval(value_model, replace(uneven, days=None), settings, 0.0).bounds
    asked, nothing = np.array([10.0, 30.0, 90.0]), np.empty((3, 0))
    assert (wide(asked, nothing)[1] > narrow(asked, nothing)[1]).all()


def test_forecasts_of_folds_and_of_the_hold_out_say_whose_they_are_and_when(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "_fit", lambda *_, **__: SimpleNamespace(raw=lambda x: np.zeros((len(x), 1))))
    monkeypatch.setattr(assembly, "_expectation", lambda *_: None)
    data = data_of(5)
    folds = assembly.fold_data(data, [Fold((MOMENTS[0],), m) for m in MOMENTS[1:3]], settings)
    earlier = assembly.validation_scores(folds, SimpleNamespace(), 0)  # type: ignore[arg-type]
    fitted = SimpleNamespace(raw=lambda x: np.zeros((len(x), 1)))
    held_out = assembly.score_rows(fitted, folds[0].encoder, data.training_rows([MOMENTS[3]]))  # type: ignore[arg-type]
    both = assembly.outcomes(earlier + held_out, np.ones(15))
    assert both.customers is not None and both.days is not None
    assert both.customers.tolist() == [f"c{i}" for i in range(5)] * 3
    assert both.days.tolist() == [0.0] * 5 + [29.0] * 5 + [60.0] * 5


@pytest.mark.parametrize(
    ("months", "whole", "twice"), [(11, False, False), (12, True, False), (23, True, False), (24, True, True)]
)
def test_a_year_of_outcomes_holds_a_season_and_two_repeat_it(
    months: int, whole: bool, twice: bool, settings: Settings
) -> None:
    dates = pd.date_range("2021-01-01", periods=months, freq="30.5D", tz="UTC")
    frame = pd.DataFrame({"customer_id": "c", "as_of": dates, "tickets": 1.0, "label": 2.0})
    data = Dataset("churn", frame, SCHEMA, "made up")
    assert assembly.full_season(data, tuple(dates), settings) == whole
    assert assembly.season_repeats(data, tuple(dates), settings) == twice


def test_a_price_bounds_values_of_fees_alone_where_nobody_ever_brought_more(settings: Settings) -> None:
    encoder, through = Encoder(("price_now",), {}), MOMENTS[-1]
    most = settings.clv.horizon_days / DAYS_A_MONTH * settings.clv.margin
    own = data_of(10)
    price = np.where(np.arange(40) % 10 == 0, 0.0, 20.0)
    fees = replace(own, task="clv", frame=own.frame.assign(price_now=price, label=price * most * 0.9 + 1.0))
    assert assembly.full_price(encoder, fees, through, settings) == most
    more = fees.frame["label"].where(fees.frame["as_of"] < through, 2 * most * price)
    raised = replace(fees, frame=fees.frame.assign(label=more))
    assert assembly.full_price(encoder, raised, through, settings) is None
    assert assembly.full_price(encoder, raised, MOMENTS[-2], settings) == most  # what came later was not known
    orders = replace(fees, frame=fees.frame.assign(**dict.fromkeys(COLUMNS, 1.0)))
    for other in (orders, replace(fees, task="churn"), replace(fees, by="part")):
        assert assembly.full_price(encoder, other, through, settings) is None


def test_what_known_ends_came_to_is_a_fact_of_models_of_contracts_and_of_no_others(settings: Settings) -> None:
    frame = data_of(10).frame.assign(
        contracts_active=1.0, contracts_under_notice=1.0, contracts_booked=0.0, contracts_paused=0.0, price_now=20.0,
        days_to_end=5.0, label=1.0,
    )  # fmt: skip
    data = replace(data_of(10), frame=frame)
    contract = settings.model_copy(update={"churn": settings.churn.model_copy(update={"kind": "contract"})})
    customers = frame["customer_id"].nunique()
    expected = {"beyond": 0, "earlier": 0, "within": customers, "kept": customers}
    assert assembly.known_ends_of(data, frame, contract) == {"known_ends": expected}
    assert assembly.known_ends_of(data, frame, settings) == {}
