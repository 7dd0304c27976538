"""The law of a moment is that of what its value is made of; where nothing tells of it, the reason is said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from configs.errors import NotEnoughDataError
from configs.settings import Settings, load
from training.fit.value.law import growth_at
from training.priors.expectation import COLUMNS
from training.priors.growth import ContractGrowth, OrderGrowth, paid_days

MOMENTS = pd.date_range("2022-01-01", periods=8, freq="QS", tz="UTC")
DAYS = (90, 180, 365)


def of_kind(kind: str, contracts: str | None = None) -> Settings:
    settings = load("test")
    churn = settings.churn.model_copy(update={"kind": kind, "horizon_days": 31, "grace_days": 14})
    clv = settings.clv.model_copy(update={"contracts": contracts})
    return settings.model_copy(update={"churn": churn, "clv": clv})


@pytest.fixture(scope="module")
def contracts() -> tuple[pd.DataFrame, pd.DataFrame]:
    """A tenth of the contracts end within 31 days; what the newest moment brings must not be looked at."""
    keys = [(c, m) for m in MOMENTS for c in range(500)]
    rows = pd.DataFrame(keys, columns=["customer_id", "as_of"]).assign(price_now=10.0)
    left = np.random.default_rng(0).random(len(rows)) < 0.1
    return rows, rows.assign(churned=np.where(rows["as_of"] < MOMENTS[-1], left, 1.0))


def with_orders(rows: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    tenure = rng.uniform(10, 500, len(rows))
    columns = (1.0 + rng.poisson(tenure / 40), tenure * rng.random(len(rows)), tenure, rng.gamma(3, 30, len(rows)))
    return rows.assign(**dict(zip(COLUMNS, columns, strict=True)))


def test_contracts_go_on_as_long_as_those_of_the_past_did(contracts: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    growth = growth_at(MOMENTS[-1], *contracts, of_kind("contract"))
    assert isinstance(growth, ContractGrowth)
    assert growth.by_forecast
    assert growth.hazard == pytest.approx(-np.log(0.9) / 31, rel=0.1)


@pytest.mark.parametrize(("counts", "by_forecast"), [("both", False), (None, False), ("fees", True)])
def test_contracts_end_at_the_rate_of_all_where_the_forecast_may_hold_orders_too(
    contracts: tuple[pd.DataFrame, pd.DataFrame], counts: str | None, by_forecast: bool
) -> None:
    rows, labels = contracts
    growth = growth_at(MOMENTS[-1], with_orders(rows), labels, of_kind("contract", counts))
    assert isinstance(growth, ContractGrowth) and growth.by_forecast == by_forecast
    fees = 10.0 * paid_days(growth.hazard, 90) / (365.25 / 12)
    increments = growth.increments(np.full((2, 1), 10.0), np.array([fees, fees + 40.0]), DAYS)
    paid = [float(paid_days(growth.hazard, d)) for d in DAYS]
    assert increments[0] == pytest.approx(np.diff(paid) / paid[0], rel=0.01)
    endless = np.diff(DAYS) / 90
    assert (increments[1] == pytest.approx(endless)) == by_forecast  # orders beside fees never made a contract endless
    assert by_forecast or increments[1] == pytest.approx(increments[0])


def test_prices_beside_orders_change_nothing_where_orders_alone_count(
    contracts: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    rows, labels = contracts
    assert isinstance(growth_at(MOMENTS[-1], with_orders(rows), labels, of_kind("inactivity", "orders")), OrderGrowth)
    assert isinstance(
        growth_at(MOMENTS[-1], with_orders(rows.drop(columns="price_now")), labels, load("test")), OrderGrowth
    )


def test_what_is_missing_is_said(contracts: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    rows, labels = contracts
    bare, nobody = rows.drop(columns="price_now"), with_orders(rows.drop(columns="price_now")).assign(orders_total=0.0)
    told = {
        "neither orders nor prices": (MOMENTS[-1], bare, of_kind("contract")),
        "churn.kind inactivity does not label": (MOMENTS[-1], with_orders(rows), of_kind("inactivity")),
        "the outcome of leaving was known of no moment": (MOMENTS[0], rows, of_kind("contract")),
        "nobody had ordered by 2023-10-01": (MOMENTS[-1], nobody, load("test")),
    }
    for said, (moment, known, settings) in told.items():
        with pytest.raises(NotEnoughDataError, match=said):
            growth_at(moment, known, labels, settings)
