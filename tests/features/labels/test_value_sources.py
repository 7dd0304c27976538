from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pandas as pd
import pytest

from configs.settings import Settings
from features.labels.by_kind import what_is_known
from features.labels.value_sources import ValueSource, by_marks, marks, value_source
from tests.feature_rows import LabelRows

label_rows = LabelRows()
Company = Callable[..., dict[str, pd.DataFrame]]
MONTHS = pd.date_range("2024-01-05", periods=12, freq="MS")
BOUGHT = [9.9, 14.5, 21.0, 7.25]


def studio(company: Company, amounts: Callable[[int, float], float]) -> dict[str, pd.DataFrame]:
    """A dance school: two members at 30 and 50 a month, and an order of each a month."""
    tables = company(
        ("k1", "ana", "2024-01-01", None, None, None, "basic", 30.0),
        ("k2", "léa", "2024-01-01", None, None, None, "all", 50.0),
    )
    rows = [
        (f"{who}{n}", who, at, amounts(n, price))
        for who, price in (("ana", 30.0), ("léa", 50.0))
        for n, at in enumerate(MONTHS)
    ]
    return {**tables, "orders": pd.DataFrame(rows, columns=["order_id", "customer_id", "ordered_at", "amount"])}


def bought(n: int, price: float) -> float:
    return BOUGHT[n % 4]


def invoiced(n: int, price: float) -> float:
    return price


def invoiced_with_tax(n: int, price: float) -> float:
    return round(price * 1.19, 2)


def own(settings: Settings, kind: str, contracts: str | None) -> Settings:
    churn = settings.churn.model_copy(update={"kind": kind, "horizon_days": 30, "grace_days": 0})
    clv = settings.clv.model_copy(update={"horizon_days": 90, "contracts": contracts})
    return settings.model_copy(update={"churn": churn, "clv": clv})


def value_of(opened, raw: dict[str, pd.DataFrame], settings: Settings) -> float:
    tables = opened(raw)
    as_of, known = datetime(2024, 7, 1), what_is_known(tables, settings)
    return float(label_rows(tables, as_of, known, settings).loc["ana", "clv"])


FEES = 30 * 90 / 30.4375


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["contract", "inactivity"])
@pytest.mark.parametrize(
    ("amounts", "contracts", "expected"),
    [
        (bought, None, "both"),
        (invoiced, None, "fees"),
        (invoiced_with_tax, None, "fees"),
        (invoiced, "both", "both"),
        (bought, "orders", "orders"),
        (bought, "fees", "fees"),
    ],
)
def test_fees_and_orders_are_added_unless_the_orders_are_the_invoices(
    opened, company: Company, settings: Settings, kind: str, amounts, contracts: str | None, expected: str
) -> None:
    raw = studio(company, amounts)
    july = raw["orders"][raw["orders"]["ordered_at"].between("2024-07-01", "2024-09-28")]
    orders = float(july.loc[july["customer_id"] == "ana", "amount"].sum())
    value = {"fees": FEES, "orders": orders, "both": FEES + orders}[expected]
    assert value_of(opened, raw, own(settings, kind, contracts)) == pytest.approx(value)


def test_contracts_without_a_price_leave_the_value_of_orders(opened, company: Company, settings: Settings) -> None:
    raw = studio(company, bought)
    raw["subscriptions"]["price_per_month"] = None
    assert value_source(opened(raw), own(settings, "contract", None)) == ValueSource("orders")


def test_parts_of_the_orders_tell_what_all_together_do(opened, company: Company) -> None:
    tables = opened(studio(company, invoiced_with_tax))
    prices = tables["subscriptions"].select("customer_id", "price_per_month")
    orders = tables["orders"]
    parts = [orders.filter(orders.order_id.endswith(end)) for end in "0123456789"]
    assert (
        by_marks(marks(part, prices) for part in parts) == by_marks([marks(orders, prices)]) == ValueSource("fees", 1.0)
    )
