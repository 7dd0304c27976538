"""What a customer's value is made of, where nobody said it and a load has contracts and orders."""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from configs.settings import Settings
from features.labels.value_sources import ValueSource, by_marks, marks, without_looking
from features.quality.anomalies import Finding
from features.quality.check import ValidatedTable
from features.sql import connect_duckdb


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
    """What value is made of; frames become tables of DuckDB, which cannot filter every join of frames."""
    prices = pd.concat(list(checked["subscriptions"].parts(["customer_id", "price_per_month"])), ignore_index=True)
    orders = checked["orders"].parts(["customer_id", "ordered_at", "amount"])
    with connect_duckdb() as connection:
        backend = ibis.duckdb.from_connection(connection)

        def table(name: str, rows: pd.DataFrame) -> ir.Table:
            connection.register("given", pa.Table.from_pandas(rows, preserve_index=False))
            connection.execute(f"create or replace table {name} as select * from given")
            return backend.table(name)

        contracts = table("contracts", prices)
        return by_marks(marks(table("orders", part), contracts) for part in orders)
