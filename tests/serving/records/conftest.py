from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import psycopg
import pytest
import sqlalchemy

from serving.records.prediction_log import PredictionLog


class OpenLog(Protocol):
    """Opens the record of a path: in its file, or in a database beside."""

    def __call__(self, path: Path, **options: Any) -> PredictionLog: ...


@pytest.fixture
def schema(server: sqlalchemy.URL, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a schema of its own in a real PostgreSQL, its password in an environment variable."""
    name = f"record_{uuid.uuid4().hex}"
    monkeypatch.setenv("RECORD_PASSWORD", quote(str(server.password), safe=""))
    with connected(server) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        yield f"postgresql+psycopg://shop:${{RECORD_PASSWORD}}@127.0.0.1:{server.port}/postgres?options=-csearch_path%3D{name}"
        connection.execute(f"DROP SCHEMA {name} CASCADE")


def connected(server: sqlalchemy.URL, **options: Any) -> psycopg.Connection[Any]:
    """A connection to the server, apart from the record's own."""
    password, port = str(server.password), server.port or 0
    return psycopg.connect(
        host="127.0.0.1", port=port, user="shop", password=password, dbname="postgres", autocommit=True, **options
    )


@pytest.fixture
def place(request: pytest.FixtureRequest) -> str | None:
    """Where the record lies: None for the file, unless a test is told "database", whose address this is then."""
    return str(request.getfixturevalue("schema")) if getattr(request, "param", "file") == "database" else None


@pytest.fixture
def open_log(place: str | None) -> OpenLog:
    """Opens records, see `OpenLog`."""
    return lambda path, **options: PredictionLog(path, database=place, **options)


SQL_OF_SQLITE = """
CREATE FUNCTION zeroblob(bytes int) RETURNS bytea LANGUAGE sql AS $$ SELECT decode(repeat('00', bytes), 'hex') $$;
CREATE FUNCTION randomblob(bytes int) RETURNS bytea LANGUAGE sql AS
    $$ SELECT decode(substr(repeat(md5(random()::text), bytes / 16 + 1), 1, 2 * bytes), 'hex') $$;
"""


@pytest.fixture
def tell(place: str | None, request: pytest.FixtureRequest) -> Iterator[Callable[..., list[Any]]]:
    """Runs a statement on the record at a path, past the record; its rows."""
    if place is None:

        def tell_file(path: Path, statement: str) -> list[Any]:
            with closing(sqlite3.connect(path, isolation_level=None)) as database:
                return database.execute(statement).fetchall()

        yield tell_file
        return
    with connected(
        request.getfixturevalue("server"), options=place.partition("options=")[2].replace("%3D", "=")
    ) as own:
        own.execute(SQL_OF_SQLITE)

        def tell_database(path: Path, statement: str) -> list[Any]:
            cursor = own.execute(statement)
            return cursor.fetchall() if cursor.description else []

        yield tell_database
