from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd
import pytest

from configs.settings import Settings
from features.quality.check import ValidatedTable
from features.quality.findings.value_findings import value_findings
from features.tables import ORDERS, SUBSCRIPTIONS

PRICES = {"ana": 30.0, "léa": 50.0}


def load(price: bool, bought: float | None) -> dict[str, ValidatedTable]:
    """Two members of a dance school, and an order of each a month: of what is bought, or of the price."""
    months = pd.date_range("2024-01-05", periods=6, freq="MS")
    rows = [(who, at, bought or fee) for who, fee in PRICES.items() for at in months]
    orders = pd.DataFrame(rows, columns=["customer_id", "ordered_at", "amount"])
    fees = [fee if price else None for fee in PRICES.values()]
    contracts = pd.DataFrame({"customer_id": list(PRICES), "price_per_month": pd.Series(fees, dtype="float64")})
    tables = {"orders": (ORDERS, orders), "subscriptions": (SUBSCRIPTIONS, contracts)}
    return {name: ValidatedTable(spec, rows, rows.head(0)) for name, (spec, rows) in tables.items()}


@pytest.mark.parametrize(
    ("price", "bought", "text"),
    [
        (True, 9.9, "value is the fees of the contracts and the orders"),
        (True, None, "value is the fees alone"),
        (False, 9.9, "value is the orders alone"),
    ],
)
def test_a_load_says_what_value_is_made_of_until_the_settings_do(
    settings: Settings, price: bool, bought: float | None, text: str
) -> None:
    checked = load(price, bought)
    (finding,) = value_findings(checked, settings)
    assert text in finding.got
    assert (finding.severity, "clv.contracts" in finding.todo) == ("warn", True)
    said = settings.model_copy(update={"clv": settings.clv.model_copy(update={"contracts": "fees"})})
    assert value_findings(checked, said) == []
    assert value_findings({"orders": checked["orders"]}, settings) == []


def test_many_orders_in_parts_say_what_all_at_once_do(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = load(True, None)
    for name, one in checked.items():
        more = [one.used.assign(customer_id=one.used["customer_id"] + str(n)) for n in range(300)]
        checked[name] = replace(one, used=pd.concat(more, ignore_index=True))
    whole = value_findings(checked, settings)

    def parts(one: ValidatedTable, names: Sequence[str]) -> Iterator[pd.DataFrame]:
        own = one.used[list(names)]
        return (own.iloc[start : start + 150] for start in range(0, len(own), 150))

    monkeypatch.setattr(ValidatedTable, "parts", parts)
    assert value_findings(checked, settings) == whole
