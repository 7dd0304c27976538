from __future__ import annotations

import pytest

from features.tables import REQUIRED, TABLES, customers_table


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_its_key_and_its_time_among_its_columns_and_names_each_once(name: str) -> None:
    table = TABLES[name]
    assert table.name == name and table.grain
    assert len(set(table.names)) == len(table.names)
    assert table.key in table.names
    assert table.time is None or table.time in table.names
    assert any(field.required for field in table.fields)


def test_every_kind_of_business_needs_tables_that_there_are() -> None:
    assert set().union(*REQUIRED.values()) <= set(TABLES)


def test_the_attributes_that_a_business_declares_are_columns_of_its_customers() -> None:
    table = customers_table(["region", "plan"])
    assert table.names[-2:] == ("region", "plan")
    assert table.names[:-2] == TABLES["customers"].names
