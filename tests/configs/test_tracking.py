"""Artifacts are found wherever a workspace lies; addresses of other places are left alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from configs.errors import RegistryError
from configs.tracking import PATHS, local_path, open_database, relocate
from configs.workspace import Workspace


def database(workspace: Workspace, addresses: list[str]) -> None:
    workspace.mlruns.mkdir(parents=True)
    with closing(sqlite3.connect(workspace.mlruns / "mlflow.db")) as connection, connection:
        for table in {table for table, _ in PATHS}:
            columns = [column for other, column in PATHS if other == table]
            connection.execute(f"CREATE TABLE {table} (experiment_id INTEGER, {', '.join(columns)})")
        for number, address in enumerate(addresses):
            connection.execute("INSERT INTO experiments VALUES (?, ?)", (number, address))


def addresses(workspace: Workspace) -> list[str]:
    with closing(sqlite3.connect(workspace.mlruns / "mlflow.db")) as connection:
        query = "SELECT artifact_location FROM experiments ORDER BY experiment_id"
        return [address for (address,) in connection.execute(query)]


def test_addresses_of_the_old_place_are_pointed_here_and_those_of_others_stay(workspace: Workspace) -> None:
    others = ["s3://bucket/mlruns/artifacts/1", "file:///data/mlruns/artifacts-of-others/1", "dbfs:/x", ""]
    old = ["./mlruns/0", "file:///old/mlruns/shop/mlruns/artifacts", "file:///old/a%20b/mlruns/artifacts/run/artifacts"]
    database(workspace, old + others)
    assert relocate(workspace) == 2
    home = (workspace.mlruns.resolve() / "artifacts").as_uri()
    assert addresses(workspace) == [f"{home}/0", home, f"{home}/run/artifacts", *others]
    assert relocate(workspace) == 0


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("file:///old/mlruns/artifacts/models/m-1/artifacts", "models/m-1/artifacts"),
        ("file:///old%20place/mlruns/artifacts/a%20b", "a b"),
        ("/old/mlruns/shop/mlruns/artifacts/100%25", "100%25"),
        ("file:///old/mlruns/artifacts", ""),
    ],
)
def test_an_artifact_is_found_by_what_follows_the_folder_of_artifacts(
    workspace: Workspace, address: str, expected: str
) -> None:
    assert local_path(workspace, address) == workspace.mlruns / "artifacts" / expected


@pytest.mark.parametrize("address", ["models:/m-1", "/data/mlruns/artifacts-of-others/1", ""])
def test_an_artifact_elsewhere_is_not_found_here(workspace: Workspace, address: str) -> None:
    assert local_path(workspace, address) is None


@pytest.mark.parametrize("content", ["not a database", "SQLite format 3\0 and then nothing"])
def test_a_broken_database_is_said_in_one_sentence_and_left_as_it_is(workspace: Workspace, content: str) -> None:
    workspace.mlruns.mkdir(parents=True)
    path = workspace.mlruns / "mlflow.db"
    path.write_text(content)
    with pytest.raises(RegistryError, match=r"mlflow\.db' cannot be read .*: restore it from a copy"):
        open_database(workspace, create=lambda address: pytest.fail("a database is there"))
    assert path.read_text() == content


def test_a_database_appears_only_when_it_is_whole(workspace: Workspace) -> None:
    def create(address: str) -> None:
        assert not (workspace.mlruns / "mlflow.db").exists()
        path = Path(address.removeprefix("sqlite:///"))
        with closing(sqlite3.connect(path)) as connection, connection:
            for table in {table for table, _ in PATHS}:
                columns = [column for other, column in PATHS if other == table]
                connection.execute(f"CREATE TABLE {table} (experiment_id INTEGER, {', '.join(columns)})")

    open_database(workspace, create)
    assert (workspace.mlruns / "mlflow.db").is_file()
    open_database(workspace, create=lambda address: pytest.fail("it is there"))
