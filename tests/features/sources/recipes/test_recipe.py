"""Every recipe is a valid one, and speaks of columns that there are."""

from __future__ import annotations

import pandas as pd
import pytest

from features.sources.proposal.columns import Column
from features.sources.recipes.recipe import Rule, first_of, read_recipe, recipes, where_of
from features.tables import TABLES


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_maps_every_required_column_of_tables_that_there_are(name: str) -> None:
    for table, variants in read_recipe(name).tables.items():
        for variant in variants:
            fields = {f.name: f.required for f in TABLES[table].fields}
            assert set(variant.columns) <= set(fields)
            assert {f for f, required in fields.items() if required} <= set(variant.columns)
            assert {*variant.numbers, *variant.values, *variant.hundredths} <= set(variant.columns)


def test_the_six_systems_have_recipes() -> None:
    assert recipes() == ("chargebee", "hubspot", "salesforce", "shopify", "stripe", "woocommerce")


def test_the_first_name_that_a_file_has_is_taken_in_any_case() -> None:
    columns = [Column("order ID ", pd.Series(["1"])), Column("Name", pd.Series(["x"]))]
    found = first_of(("Order Number", "Order ID", "Name"), columns)
    assert found is not None and found.name == "order ID "
    assert first_of(("Total",), columns) is None


def test_a_rule_says_how_many_rows_it_leaves_out() -> None:
    columns = [Column("Status", pd.Series(["paid", "Paid", "void", None]))]
    assert where_of(Rule(column="status", keep=("paid",)), columns) == ("Status", ["paid"], 2)
    assert where_of(Rule.model_validate({"column": "status", "not": ["void"]}), columns) == (
        "Status",
        {"not": ["void"]},
        1,
    )
    assert where_of(Rule(column="status", empty=False), columns) == ("Status", {"empty": False}, 1)
    assert where_of(Rule(column="status", like="pai"), columns) == ("Status", ["paid", "Paid"], 2)
    assert where_of(Rule(column="status", like="won"), columns) is None
    assert where_of(Rule(column="other", keep=("x",)), columns) is None
