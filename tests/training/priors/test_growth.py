"""What follows the main horizon: never negative, never more than its length allows, and what the true law brings."""

from __future__ import annotations

import json

import numpy as np
import pytest

from training.priors import growth as laws
from training.priors.expectation import summary_of
from training.priors.growth import ContractGrowth, Growth, OrderGrowth, SeasonalGrowth, paid_days
from training.priors.order_model import OrderModel

DAYS = (90, 180, 365)


def buyers(n: int, seed: int) -> np.ndarray:
    """Columns of `OrderGrowth`, with who never ordered and who is not known of at the end."""
    rng = np.random.default_rng(seed)
    tenure = rng.uniform(1, 900, n)
    orders = 1.0 + rng.poisson(tenure / 60)
    since = np.where(orders == 1, tenure, rng.uniform(0, 1, n) * tenure)
    x = np.column_stack([orders, since, tenure, orders * rng.gamma(2, 20, n)])
    return np.vstack([x, [[0.0, np.nan, 30.0, 0.0]], np.full((1, 4), np.nan)])


@pytest.fixture(scope="module")
def model() -> OrderModel:
    return OrderModel.fit(summary_of(buyers(400, 1)[:-2]))


@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_a_step_is_a_number_not_negative_and_no_more_than_its_length(model: OrderModel, rate: float) -> None:
    x = buyers(300, 2)
    steps = OrderGrowth(model, rate).increments(x, np.ones(len(x)), DAYS)
    assert steps.shape == (302, 2)
    assert np.isfinite(steps).all()
    assert (steps >= 0).all()
    assert (steps <= np.array([90, 185]) / 90 + 1e-12).all()


def test_fees_alone_are_bounded_by_their_price_and_nothing_else_is(model: OrderModel) -> None:
    assert ContractGrowth(0.003).most(DAYS) == (1.0, 185 / 90)
    unbounded: tuple[Growth, ...] = (
        ContractGrowth(0.003, by_forecast=False),
        OrderGrowth(model),
        SeasonalGrowth(OrderGrowth(model), ("season",), 1.0),
    )
    assert [law.most(DAYS) for law in unbounded] == [(None, None)] * 3


def test_steps_of_orders_are_those_of_the_model_s_own_value(model: OrderModel) -> None:
    x = buyers(50, 3)[:-2]
    value = np.column_stack([model.value(summary_of(x), d) for d in DAYS])
    assert OrderGrowth(model).increments(x, value[:, 0], DAYS) == pytest.approx(np.diff(value, axis=1) / value[:, :1])
    worth = np.column_stack([model.value(summary_of(x), d, 1.0, 0.1) for d in DAYS])
    discounted = OrderGrowth(model, 0.1).increments(x, worth[:, 0], DAYS)
    assert discounted == pytest.approx(np.diff(worth, axis=1) / worth[:, :1], rel=0.01)


def test_a_contract_that_ends_soon_brings_nothing_later_and_one_that_never_ends_pays_by_its_length() -> None:
    growth = ContractGrowth(0.001)
    full = 30.0 * 90 / laws.DAYS_A_MONTH
    x, expected = np.array([[30.0], [30.0], [30.0], [np.nan]]), np.array([full / 10, full, 2 * full, 5.0])
    soon, endless, more, unknown = growth.increments(x, expected, DAYS)
    assert soon.sum() < 0.001
    assert endless == pytest.approx([1.0, 185 / 90])
    assert more == pytest.approx(endless)
    totals = paid_days(np.array([0.001]), 90), paid_days(np.array([0.001]), 180)
    assert unknown[0] == pytest.approx(float((totals[1] / totals[0])[0]) - 1)


def test_contracts_that_end_by_chance_bring_what_the_law_says() -> None:
    hazard, price = 0.004, 20.0
    life = np.random.default_rng(0).exponential(1 / hazard, 200_000)
    paid = [np.minimum(life, d).mean() for d in DAYS]
    expected = np.array([price / laws.DAYS_A_MONTH * paid[0]])
    steps = ContractGrowth(0.0).increments(np.array([[price]]), expected, DAYS)
    assert steps[0] == pytest.approx(np.diff(paid) / paid[0], rel=0.02)


def test_what_is_drawn_has_the_mean_that_is_expected(model: OrderModel) -> None:
    levels = tuple((np.arange(200) + 0.5) / 200)
    x = buyers(60, 4)
    known, multiples = OrderGrowth(model).draws(x, np.ones(62), (90, 365), levels)
    assert known.sum() == 60
    assert 0.85 < multiples[x[:-2, 1] < 30].mean() < 1.1
    _, of_contracts = ContractGrowth(0.003).draws(np.array([[np.nan]]), np.ones(1), (90, 365), levels)
    assert of_contracts.mean() == pytest.approx(1.0, rel=0.01)


def test_a_law_of_growth_comes_back_from_json(model: OrderModel) -> None:
    x = buyers(20, 5)
    seasonal = SeasonalGrowth(ContractGrowth(0.002), ("second", "third"), 0.5)
    for growth in (OrderGrowth(model, 0.05), ContractGrowth(0.002, 0.5), seasonal):
        back = laws.load(json.loads(json.dumps(laws.dump(growth))))
        of_law = x[:, : len(growth.columns)]
        steps = [g.increments(of_law, np.ones(len(x)), DAYS) for g in (growth, back)]
        assert np.array_equal(*steps)


def test_a_season_moves_each_step_by_its_share_and_nothing_else_does(model: OrderModel) -> None:
    x, expected, plain = buyers(20, 6), np.ones(22), OrderGrowth(model)
    seasonal = SeasonalGrowth(plain, ("second", "third"), 0.5)
    assert seasonal.columns == (*plain.columns, "second", "third")
    before = plain.increments(x, expected, DAYS)
    known = np.column_stack([x, np.full(22, -0.8), np.full(22, 0.4)])
    np.testing.assert_allclose(seasonal.increments(known, expected, DAYS), before * np.exp([-0.4, 0.2]))
    for nothing in (0.0, np.nan):
        rows = np.column_stack([x, np.full((22, 2), nothing)])
        assert np.array_equal(seasonal.increments(rows, expected, DAYS), before)
    further = seasonal.increments(known, expected, (*DAYS, 730))
    assert np.array_equal(further[:, 2], plain.increments(x, expected, (*DAYS, 730))[:, 2])
    assert np.array_equal(seasonal.drawable(known), plain.drawable(x))
    drawn = [g.draws(known[:, : len(g.columns)], expected, (90, 365), (0.1, 0.9))[1] for g in (plain, seasonal)]
    assert np.array_equal(*drawn)


def test_a_season_within_a_season_is_refused() -> None:
    inner = laws.dump(SeasonalGrowth(ContractGrowth(0.002), ("second",), 0.5))
    with pytest.raises(TypeError, match="within"):
        laws.load({"kind": "seasonal", "growth": inner, "season": ["second"], "share": 0.5})
