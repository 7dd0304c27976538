"""With little history the service answers from a prior, says so, and is not surer than it can be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from configs.errors import NotEnoughDataError
from configs.settings import Settings, load
from features.schema import Feature, FeatureSchema
from training import bundle as bundles
from training.dataset import Dataset, shortage
from training.expectation import Expectation, summary_of
from training.few import form_for, make_few
from training.split import plan
from training.survival import outwards

ORDERS = ("orders_total", "days_since_last_order", "tenure_days", "spend_total")
SCHEMA = FeatureSchema(tuple(Feature(name, "orders", "float64", "") for name in ORDERS))
CONTRACT = FeatureSchema(
    (
        Feature("price_now", "subscriptions", "float64", ""),
        Feature("tickets", "interactions", "float64", ""),
        Feature("plan", "subscriptions", "string", ""),
    )
)


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load("test")


def people(n: int, seed: int, as_of: str = "2024-06-01") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    known = rng.uniform(10, 150, n)
    orders = 1 + rng.poisson(known / 20)
    since = np.where(orders == 1, known, rng.uniform(0, 1, n) * known / 2)
    rows = pd.DataFrame(
        dict(zip(ORDERS, (orders.astype(float), since, known, orders * rng.gamma(4, 8, n)), strict=True))
    )
    return rows.assign(customer_id=[f"c{i}" for i in range(n)], as_of=pd.Timestamp(as_of, tz="UTC"))


def labelled(task: str, moments: int, n: int = 30) -> Dataset:
    days = pd.date_range("2024-01-01", periods=moments, freq="MS", tz="UTC")
    rng = np.random.default_rng(0)
    parts = [
        people(n, i, str(d.date())).assign(label=(rng.random(n) < 0.3) if task == "churn" else rng.gamma(1, 30, n))
        for i, d in enumerate(days)
    ]
    empty = people(n, 0).head(0).assign(label=pd.Series(dtype=float))
    frame = pd.concat(parts, ignore_index=True) if parts else empty
    return Dataset(task, frame.astype({"label": float}), SCHEMA, "made up")  # type: ignore[arg-type]


@pytest.mark.parametrize("task", ["churn", "clv"])
def test_nothing_has_matured_and_still_every_customer_is_answered(
    task: str, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    asked = people(30, 9)
    made = make_few(settings, labelled(task, 0), None, asked)
    assert made.judged is None
    assert (made.final.basis, made.final.full_season) == ("prior", False)
    back = bundles.load(made.final.save(tmp_path_factory.mktemp("few") / "bundle"))
    matrix = back.encode(asked)
    told = back.predict(matrix)
    assert np.isfinite(told).all()
    assert (told > 0).all()
    assert np.array_equal(told, made.final.predict(matrix))
    parts = back.explain(matrix)
    assert parts.base + parts.effects.sum(axis=1) == pytest.approx(told, rel=1e-9)


def test_a_longer_silence_is_never_likelier_and_no_order_is_certain(settings: Settings) -> None:
    asked = people(40, 3)
    model = make_few(settings, labelled("churn", 0), None, asked).final
    matrix = model.encode(asked)
    left = model.by_horizon(model.survival(matrix, model.predict(matrix)))
    assert list(left) == [30, 60, 90]
    assert len(model.steps) == len(outwards(30, [30, 60, 90]))
    every = np.column_stack(list(left.values()))
    assert (np.diff(every, axis=1) <= 0).all()
    assert ((every > 0) & (every < 1)).all()


def test_what_customers_bring_lies_in_the_interval_as_often_as_promised_where_the_model_is_true(
    settings: Settings,
) -> None:
    asked = people(1500, 3)
    model = make_few(settings, labelled("clv", 0), None, asked).final
    prior = model.scores[0].prior
    assert prior is not None
    matrix = model.encode(asked)
    low, high = model.bounds(model.predict(matrix), matrix)
    assert isinstance(prior, Expectation)
    drawn = prior.model.value_quantiles(summary_of(matrix), 90, ((np.arange(40) + 0.5) / 40).tolist(), seed=5)
    inside = ((drawn >= low[:, None]) & (drawn <= high[:, None])).mean()
    assert 0.88 <= inside <= 0.97


def test_with_matured_moments_a_model_of_earlier_ones_is_judged(settings: Settings) -> None:
    data = labelled("churn", 8)
    made = make_few(settings, data, plan(data.as_ofs, 30, 2, 2), people(30, 9, "2024-10-01"))
    assert made.judged is not None
    assert pd.Timestamp(made.judged.trained_through) < pd.Timestamp(made.final.trained_through)


def contracts(n: int, task: str) -> Dataset:
    rng = np.random.default_rng(1)
    days = pd.date_range("2024-01-01", periods=6, freq="MS", tz="UTC")
    parts = []
    for day in days:
        price, tickets = rng.uniform(10, 90, n), rng.poisson(1.5, n).astype(float)
        left = rng.random(n) < 1 / (1 + np.exp(2 - tickets))
        label = left if task == "churn" else price * 3 * ~left
        rows = {"price_now": price, "tickets": tickets, "plan": "a", "label": label.astype(float)}
        parts.append(pd.DataFrame({"customer_id": [f"c{i}" for i in range(n)], "as_of": day, **rows}))
    return Dataset(task, pd.concat(parts, ignore_index=True), CONTRACT, "made up")  # type: ignore[arg-type]


@pytest.mark.parametrize("task", ["churn", "clv"])
def test_contracts_are_answered_by_a_regression_that_ranks_them(task: str, settings: Settings) -> None:
    data = contracts(30, task)
    kind = settings.churn.model_copy(update={"kind": "contract"})
    own = settings.model_copy(update={"churn": kind})
    assert form_for(data, own).name == {"churn": "churn_linear", "clv": "value_linear"}[task]
    asked = data.newest(data.as_ofs)
    made = make_few(own, data, plan(data.as_ofs, 30, 1, 2), asked)
    model, column = made.final, {"churn": "tickets", "clv": "price_now"}[task]
    told = model.predict(model.encode(asked))
    assert np.corrcoef(told, asked[column])[0, 1] > 0.5
    if task == "churn":
        assert set(model.info["horizons_left_out"]) == {"60", "90"}
    else:
        low, high = model.bounds(told, model.encode(asked))
        assert ((low <= told) & (told <= high)).all()


def test_without_orders_and_without_an_outcome_nothing_is_made_up(settings: Settings) -> None:
    data = contracts(30, "clv")
    nothing = dataclasses.replace(data, frame=data.frame.head(0))
    with pytest.raises(NotEnoughDataError, match="no outcome is known yet"):
        make_few(settings, nothing, None, data.newest(data.as_ofs))


def test_a_handful_of_customers_is_refused_with_what_to_do(settings: Settings) -> None:
    with pytest.raises(NotEnoughDataError, match=r"5 customers .* needs 20: .* minimum.few_customers"):
        make_few(settings, labelled("clv", 0), None, people(5, 0))


def test_what_trees_lack_is_counted(settings: Settings) -> None:
    lack = shortage(labelled("churn", 2), settings.minimum)
    assert lack[0] == "30 customers at the newest labelled moment, 200 are needed"
    assert lack[1] == "2 labelled moments, 4 are needed"
    assert any("customers who left" in one for one in lack)
