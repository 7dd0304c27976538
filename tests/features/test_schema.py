"""Which features a business has, and the hash of their names and types."""

from __future__ import annotations

from features.columns.column import columns_of
from features.schema import MODULES, feature_columns, schema_of


def test_signs_of_life_are_told_without_orders_and_not_without_interactions() -> None:
    names = {c.name for c in feature_columns(["subscriptions", "interactions"], ())}
    assert "days_since_last_activity" in names
    assert "days_since_last_activity" not in {c.name for c in feature_columns(["orders", "contacts"], ())}


def test_names_are_unique_and_every_column_says_what_it_is() -> None:
    columns = [c for module in MODULES for c in columns_of(module)]
    assert len({c.name for c in columns}) == len(columns) >= 40
    assert [c.name for c in columns if not c.doc.endswith(".") or "`" in c.doc] == []


def test_the_schema_hash_follows_names_and_types() -> None:
    columns = feature_columns(["orders"], ("region",))
    assert schema_of(columns).hash == schema_of(list(columns)).hash != schema_of(columns[:-1]).hash
