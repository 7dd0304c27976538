"""A caller sees customers of its own values alone, and nobody where nothing says whom."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from configs.errors import ConfigError
from configs.loads import KEPT_FOR, TABLES
from configs.settings import Access
from configs.workspace import Workspace
from serving.access.control import access_control
from serving.access.roles import AccessUnavailableError, Caller
from serving.access.rows import RowScope, require_rows, rows_of


def caller(*rows: str) -> Caller:
    return Caller("crm", "crm", "key", rows_of(rows))


def publish(workspace: Workspace, passed: bool = True, **branches: str) -> None:
    """Another load of customers, with the branch of each."""
    with workspace.loads.staged() as load:
        frame = pd.DataFrame({"customer_id": list(branches), "branch": list(branches.values())})
        frame.to_parquet(load / TABLES / "customers.parquet")
        workspace.loads.publish(load, passed, "v")


@pytest.fixture
def place(workspace: Workspace) -> Workspace:
    workspace.tables.mkdir(parents=True)
    branches = {"ann": "north", "bob": "south", "cat": None, "dan": "north"}
    pd.DataFrame(
        {"customer_id": list(branches), "branch": list(branches.values()), "shop": [1.0, 2.0, 3.0, 4.0]}
    ).to_parquet(workspace.tables / "customers.parquet")
    aliases = {"customer_id": ["ann"], "alias": ["web-7"], "seen_at": pd.to_datetime(["2024-01-01"])}
    pd.DataFrame(aliases).to_parquet(workspace.tables / "identities.parquet")
    return workspace


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
def test_a_caller_sees_customers_of_its_values_alone(place: Workspace, rows: list[str], seen: list[str]) -> None:
    assert RowScope("branch", place).visible(caller(*rows), IDS) == set(seen)


def test_without_an_attribute_everybody_sees_everybody(place: Workspace) -> None:
    assert RowScope(None, place).visible(caller(), IDS) == set(IDS)
    assert RowScope(None, place).sees_all(caller("branch=north"))


def test_a_number_is_written_as_one_writes_it(place: Workspace) -> None:
    assert RowScope("shop", place).visible(caller("shop=2"), IDS) == {"bob"}


def test_who_moved_with_the_next_load_is_seen_by_others_while_the_service_runs(workspace: Workspace) -> None:
    access = Access(required=None, requests_per_minute=60, row_scope="branch", tokens=None)
    scope, south = access_control(access, workspace).rows, caller("branch=south")

    def seen() -> tuple[set[str], list[str]]:
        table = scope.seen(south)
        assert table is not None
        return scope.visible(south, ["ann", "bob"]), table.column("customer_id").to_pylist()

    with pytest.raises(AccessUnavailableError):
        scope.visible(south, ["ann"])  # nothing was loaded yet
    publish(workspace, ann="north", bob="south")
    assert seen() == ({"bob"}, ["bob"])
    publish(workspace, passed=False, ann="south", bob="south")
    assert seen() == ({"bob"}, ["bob"])
    publish(workspace, ann="south", bob="north")
    assert seen() == ({"ann"}, ["ann"])
    workspace.loads.sweep(datetime.now(UTC) + 2 * KEPT_FOR)
    assert seen() == ({"ann"}, ["ann"])


@pytest.mark.parametrize("attribute", ["no_such_column", "branch"])
def test_where_the_attribute_cannot_be_read_nobody_is_seen(place: Workspace, attribute: str) -> None:
    if attribute == "branch":
        (place.tables / "customers.parquet").unlink()
    with pytest.raises(AccessUnavailableError):
        RowScope(attribute, place).visible(caller(f"{attribute}=north"), IDS)


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
