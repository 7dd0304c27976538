"""Orders without amounts are a business, too: each counts as one, and nothing speaks of money."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.errors import ConfigError, DataError
from configs.settings import Settings, merged_with_default
from configs.workspace import Workspace
from features.build import customers_as_of, features_as_of
from features.engine import connect, read_tables
from features.ingest import ingest
from features.labels.by_kind import Knowledge, labels_at
from features.schema import describe, features_of
from features.sources.order_counts import with_counts

AS_OF = datetime(2024, 3, 1)
Shop = Callable[..., Settings]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Settings of a business whose orders have no amounts: ann has ordered in January, February and March."""

    def make(header: str = "order_id,customer_id,ordered_at,note", **over: Any) -> Settings:
        rows = ["o1,ann,2024-01-10,7", "o2,ann,2024-02-10,7", "o3,ann,2024-03-10,7", "o4,bob,2024-01-05,7"]
        (tmp_path / "orders.csv").write_text("\n".join([header, *rows]) + "\n")
        (tmp_path / "customers.csv").write_text("customer_id,signed_up_at\nann,2024-01-01\nbob,2024-01-01\n")
        options = {name: {"path": str(tmp_path / f"{name}.csv")} for name in ("customers", "orders")}
        content = {"name": "shop", "currency": "XXX", "source": {"loader": "files", "options": options}, **over}
        return merged_with_default(content, "shop")

    return make


def test_without_a_column_of_amounts_the_load_asks(shop: Shop, workspace: Workspace) -> None:
    message = r"orders: column 'amount' is missing; there are note; rename it .* or say currency: XXX"
    with pytest.raises(DataError, match=message):
        ingest(shop(currency="EUR"), workspace, datetime(2024, 6, 1, tzinfo=UTC))


@pytest.mark.parametrize("column", ["Montant", "Amount paid", "Betrag", "金额"])
def test_another_file_that_has_amounts_nobody_reads_is_named(settings: Settings, column: str) -> None:
    visits, orders = pd.DataFrame({"interaction_id": ["v1"]}), pd.DataFrame({"order_id": ["o1"]})
    visits.attrs["spare"] = ["Statut", column]
    with pytest.raises(DataError, match=f"payments as orders: interactions has '{column}'.*, or say currency: XXX"):
        with_counts({"orders": orders, "interactions": visits}, settings)
    visits.attrs["spare"] = ["Statut"]
    with pytest.raises(DataError, match=r"source\.options\.orders\.columns, or say currency: XXX"):
        with_counts({"orders": orders, "interactions": visits}, settings)


def test_amounts_and_the_word_that_there_are_none_contradict(shop: Shop, workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="orders have amounts: say in which currency"):
        ingest(shop(header="order_id,customer_id,ordered_at,amount"), workspace, datetime(2024, 6, 1, tzinfo=UTC))


@pytest.mark.slow
@pytest.mark.parametrize("chunk_rows", [1_000_000, 2])
def test_the_number_of_orders_is_what_is_learned_and_forecast(
    shop: Shop, workspace: Workspace, chunk_rows: int
) -> None:
    settings = shop()
    ingest(settings, workspace, datetime(2024, 6, 1, tzinfo=UTC), chunk_rows=chunk_rows)
    tables = read_tables(connect(), workspace.tables)
    columns = features_of(tables, settings.columns, amounts=not settings.counts_orders)
    rows = features_as_of(tables, columns, AS_OF).to_pandas().set_index("customer_id")
    customers = customers_as_of(tables["customers"], AS_OF)
    labels = (
        labels_at(tables, customers, AS_OF, Knowledge(datetime(2024, 6, 1)), settings)
        .to_pandas()
        .set_index("customer_id")
    )
    assert rows.loc["ann", ["spend_total", "spend_90d", "orders_90d"]].tolist() == [2, 2, 2]
    assert labels["clv"].to_dict() == {"ann": 1, "bob": 0}
    assert not {"mean_order", "max_order", "sd_order", "return_share", "spend_year_ago_30d"} & set(rows.columns)


def test_no_reason_of_such_a_business_speaks_of_money() -> None:
    columns = features_of(["customers", "orders"], merged_with_default({"name": "shop"}, "").columns, amounts=False)
    row = {c.name: 2.0 for c in columns}
    texts = [describe(c.name, row, "XXX") for c in columns]
    assert not [text for text in texts if re.search(r"[Ss]pen[dt]|worth|\d\.\d\d", text)]
    assert describe("spend_90d", row, "XXX") == "2 orders in the last 90 days"
    assert describe("spend_90d", row) == "Spent 2.00 in the last 90 days"


@pytest.mark.parametrize(
    "over",
    [
        {"clv": {"margin": 0.5}},
        {"churn": {"kind": "contract"}},
        {"decisions": {"campaign": {"contact_cost": 1, "offer_cost": 1}}},
    ],
)
def test_what_needs_money_is_refused(shop: Shop, over: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="currency: XXX counts orders"):
        shop(**over)


def test_values_are_told_in_orders(shop: Shop) -> None:
    assert (shop().value_unit, shop(currency="EUR").value_unit) == ("orders", "EUR")


def test_a_column_that_looks_like_a_currency_is_of_no_account_without_amounts(shop: Shop, workspace: Workspace) -> None:
    ingest(shop(header="order_id,customer_id,ordered_at,currency"), workspace, datetime(2024, 6, 1, tzinfo=UTC))
    assert pd.read_parquet(workspace.tables / "orders.parquet")["amount"].tolist() == [1] * 4
