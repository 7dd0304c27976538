"""What a customer's value is made of, where nobody said it and a load has contracts and orders."""

from __future__ import annotations

from collections.abc import Mapping

import ibis

from configs.settings import Settings
from features.labels.value_sources import ValueSource, by_marks, marks, without_looking
from features.quality.anomalies import Finding
from features.quality.check import ValidatedTable


def value_findings(checked: Mapping[str, ValidatedTable], settings: Settings) -> list[Finding]:
    """A warning that says what value is made of, and the key that decides it; none where it is said or not asked."""
    named = [name for name, one in checked.items() if one.table_rows]
    if "clv" not in settings.tasks or not {"orders", "subscriptions"} <= set(named):
        return []
    if without_looking(named, settings) is not None:
        return []
    source = _source(checked)
    share = f"{source.invoiced or 0:.0%} of the months with orders of customers with contracts have one of their price"
    if source.name == "fees":
        got = f"{share}, as invoices of the contracts have: value is the fees alone"
        todo = (
            "say clv.contracts: fees if so; both, if orders are bought beside the contracts; or orders, for them alone"
        )
    elif source.name == "both":
        got = f"{share}: value is the fees of the contracts and the orders"
        todo = "say clv.contracts: both if so, or fees if the orders are the invoices of the contracts"
    else:
        got = "no contract has a price: value is the orders alone"
        todo = "map price_per_month, or say clv.contracts: orders"
    return [Finding("orders", "amount", "value_of_contracts", "warn", got, "clv.contracts to say what counts", todo)]


def _source(checked: Mapping[str, ValidatedTable]) -> ValueSource:
    contracts = checked["subscriptions"].parts(["customer_id", "price_per_month"])
    prices = ibis.union(*tables) if len(tables := [ibis.memtable(part) for part in contracts]) > 1 else tables[0]
    orders = checked["orders"].parts(["customer_id", "ordered_at", "amount"])
    return by_marks(marks(ibis.memtable(part), prices) for part in orders)
