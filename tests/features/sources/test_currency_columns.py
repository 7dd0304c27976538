from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from configs.errors import ConfigError
from features.sources.currency_columns import currency_expressions, unread_currencies
from features.sources.mapping import TableMapping
from features.sources.part_reader import Part, PartReader


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(
            "create table p as select * from (values ('$5', 'CAD'), ('5', 'EUR'), ('5', null)) t(c0, c1)"
        )
        yield connection


def reader(**mapping: object) -> PartReader:
    part = Part("o.csv", "p", {"amount": ("c0", "VARCHAR"), "money": ("c1", "VARCHAR")})
    return PartReader("orders", TableMapping.model_validate(mapping), part, ["amount"])


def rows(connection: duckdb.DuckDBPyConnection, one: PartReader) -> list[tuple[object, object]]:
    (expression,) = currency_expressions(connection, "orders", [one])
    assert expression is not None
    select = one.select({}, (), expression)
    return [(row[2], row[3]) for row in connection.execute(select).fetchall()]


def test_a_sign_a_column_and_a_constant_tell_a_row_s_currency(connection: duckdb.DuckDBPyConnection) -> None:
    assert rows(connection, reader()) == [("$", None), (None, None), (None, None)]
    assert rows(connection, reader(currency="money")) == [("CAD", None), ("EUR", None), (None, "currency: is empty")]
    assert (
        rows(connection, reader(currency="chf"))
        == [("CHF", "currency: '$' and 'CHF' in one row")] + [("CHF", None)] * 2
    )


def test_what_tells_nothing_costs_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("update p set c0 = '5'")
    assert currency_expressions(connection, "orders", [reader()]) == [None]


def test_a_currency_that_is_neither_column_nor_code_is_refused(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(
        ConfigError, match=r"currency: 'mony' is neither a column nor a code of ISO 4217 \(did you mean"
    ):
        currency_expressions(connection, "orders", [reader(currency="mony")])


def test_a_column_of_currencies_is_looked_for_where_none_is_given(connection: duckdb.DuckDBPyConnection) -> None:
    assert unread_currencies(connection, "orders", [reader()]) == {"money": {"CAD": 1, "EUR": 1}}
    assert unread_currencies(connection, "orders", [reader(currency="EUR")]) == {}
    assert unread_currencies(connection, "interactions", [reader()]) == {}
