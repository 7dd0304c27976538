"""A caller sees customers of its own values alone, and nobody where nothing says whom."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from configs.errors import ConfigError
from serving.access.roles import AccessUnavailableError, Caller
from serving.access.rows import RowScope, require_rows, rows_of


def caller(*rows: str) -> Caller:
    return Caller("crm", "crm", "key", rows_of(rows))


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    branches = {"ann": "north", "bob": "south", "cat": None, "dan": "north"}
    pd.DataFrame(
        {"customer_id": list(branches), "branch": list(branches.values()), "shop": [1.0, 2.0, 3.0, 4.0]}
    ).to_parquet(tmp_path / "customers.parquet")
    aliases = {"customer_id": ["ann"], "alias": ["web-7"], "seen_at": pd.to_datetime(["2024-01-01"])}
    pd.DataFrame(aliases).to_parquet(tmp_path / "identities.parquet")
    return tmp_path


IDS = ["ann", "bob", "cat", "dan", "web-7", "nobody"]


@pytest.mark.parametrize(
    ("rows", "seen"),
    [
        (["branch=north"], ["ann", "dan", "web-7"]),
        (["branch=south"], ["bob"]),
        (["branch=north", "branch=south"], ["ann", "bob", "dan", "web-7"]),
        (["branch=east"], []),
        (["shop=1"], []),
        ([], []),
        (["branch=*"], IDS),
        (["shop=*"], []),
    ],
    ids=str,
)
def test_a_caller_sees_customers_of_its_values_alone(tables: Path, rows: list[str], seen: list[str]) -> None:
    assert RowScope("branch", tables).visible(caller(*rows), IDS) == set(seen)


def test_without_an_attribute_everybody_sees_everybody(tables: Path) -> None:
    assert RowScope(None, tables).visible(caller(), IDS) == set(IDS)
    assert RowScope(None, tables).sees_all(caller("branch=north"))


def test_a_number_is_written_as_one_writes_it(tables: Path) -> None:
    assert RowScope("shop", tables).visible(caller("shop=2"), IDS) == {"bob"}


def test_who_moved_with_the_next_load_is_seen_by_others(tables: Path) -> None:
    scope = RowScope("branch", tables)
    assert scope.visible(caller("branch=south"), ["ann", "bob"]) == {"bob"}
    moved = pd.DataFrame({"customer_id": ["ann", "bob"], "branch": ["south", "north"]})
    moved.to_parquet(tables / "next.parquet")
    (tables / "next.parquet").replace(tables / "customers.parquet")
    assert scope.visible(caller("branch=south"), ["ann", "bob"]) == {"ann"}


@pytest.mark.parametrize("attribute", ["no_such_column", "branch"])
def test_where_the_attribute_cannot_be_read_nobody_is_seen(tables: Path, attribute: str) -> None:
    if attribute == "branch":
        (tables / "customers.parquet").unlink()
    with pytest.raises(AccessUnavailableError):
        RowScope(attribute, tables).visible(caller(f"{attribute}=north"), IDS)


@pytest.mark.parametrize("text", ["north", "branch=", "=north", ""])
def test_rows_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="branch=north"):
        rows_of([text])


def test_a_new_key_says_whom_it_sees_where_the_configuration_asks_it() -> None:
    require_rows(rows_of(["branch=north"]), "branch")
    require_rows(frozenset(), None)
    for rows, attribute in ((["shop=1"], "branch"), ([], "branch"), (["branch=north"], None)):
        with pytest.raises(ConfigError, match=r"row_scope|--rows branch"):
            require_rows(rows_of(rows), attribute)
