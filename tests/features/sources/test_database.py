from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
import sqlalchemy

from configs.errors import ConfigError, DataError
from configs.variables import expand
from features.quality.check import check_tables
from features.sources import database

SECRET = "s3cr&t/p@ss"
DDL = """
    create table clients (id integer primary key, created timestamp, region text);
    create table sales (no integer, client integer, placed timestamp, total numeric(12, 2), kind text);
    insert into clients values (1, '2024-01-01 00:00:00', 'north'), (2, '2024-02-01 00:00:00', null);
    insert into sales values (10, 1, '2024-07-01 10:00:00', 12345.60, 'w'), (11, 2, '2024-12-01 10:00:00', -3.25, 's'),
                             (12, null, '2024-12-02 10:00:00', 1, null)
"""
TABLES: dict[str, Any] = {
    "customers": {"table": "clients", "columns": {"customer_id": "id", "signed_up_at": "created"}},
    "orders": {
        "query": "select no, client, placed, total, kind from sales order by no",
        "columns": {
            "order_id": "no",
            "customer_id": "client",
            "ordered_at": "placed",
            "amount": "total",
            "channel": "kind",
        },
        "times": {"ordered_at": {"zone": "Europe/Berlin"}},
        "values": {"channel": {"w": "web", "s": "shop"}},
    },
}


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.executescript(DDL)
    return f"sqlite:///{tmp_path / 'shop.db'}"


@pytest.fixture
def postgres(server: sqlalchemy.URL, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    engine = sqlalchemy.create_engine(server)
    with engine.begin() as connection:
        for statement in DDL.split(";"):
            connection.exec_driver_sql(statement)
    quoted = server.render_as_string(hide_password=False).split(":")[2].split("@")[0]
    monkeypatch.setenv("SHOP_PASSWORD", quoted)
    yield f"postgresql+psycopg://shop:${{SHOP_PASSWORD}}@127.0.0.1:{server.port}/postgres"
    with engine.begin() as connection:
        connection.exec_driver_sql("drop table clients; drop table sales")
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgres", "duckdb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Where the same shop's database is, of each kind."""
    if request.param != "duckdb":
        return {"url": request.getfixturevalue(request.param)}
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute(DDL)
    return {"duckdb": str(tmp_path / "shop.duckdb")}


def test_every_kind_of_database_gives_the_same_tables(place: dict[str, Any]) -> None:
    tables = database.load({**place, "tables": TABLES})
    orders = tables["orders"]
    assert orders["amount"].tolist() == [12345.6, -3.25, 1.0]
    assert orders["ordered_at"].astype(str).tolist() == [
        "2024-07-01 08:00:00",
        "2024-12-01 09:00:00",
        "2024-12-02 09:00:00",
    ]
    assert orders["channel"].fillna("").tolist() == ["web", "shop", ""]
    assert tables["customers"]["signed_up_at"].tolist() == [pd.Timestamp("2024-01-01"), pd.Timestamp("2024-02-01")]


def test_rows_of_a_database_are_used_or_in_quarantine(place: dict[str, Any], settings: Any) -> None:
    columns = settings.columns.model_copy(update={"attributes": ("region",), "sensitive": ()})
    checked = check_tables(database.load({**place, "tables": TABLES}), columns, datetime(2025, 1, 1, tzinfo=UTC))
    assert checked["customers"].used["customer_id"].tolist() == ["1", "2"]
    assert checked["customers"].used["region"].fillna("").tolist() == ["north", ""]
    assert checked["orders"].used["order_id"].tolist() == ["10", "11"]
    assert checked["orders"].quarantined["reason"].str.contains("customer_id: is empty").tolist() == [True]


def test_the_mark_follows_the_rows(place: dict[str, Any]) -> None:
    options = {**place, "tables": TABLES}
    before = database.source_fingerprint(options)
    assert database.source_fingerprint(options) == before
    change = "update sales set total = total + 1 where no = 10"
    if "duckdb" in place:
        with duckdb.connect(place["duckdb"]) as connection:
            connection.execute(change)
    else:
        engine = sqlalchemy.create_engine(expand(place["url"], "url"))
        with engine.begin() as connection:
            connection.exec_driver_sql(change)
        engine.dispose()
    assert database.source_fingerprint(options) != before


def test_a_mark_query_alone_decides_where_it_is_given(postgres: str) -> None:
    marked = {name: {**entry, "mark": "select count(*) from sales"} for name, entry in TABLES.items()}
    options = {"url": postgres, "tables": marked}
    before = database.source_fingerprint(options)
    engine = sqlalchemy.create_engine(expand(postgres, "url"))
    with engine.begin() as connection:
        connection.exec_driver_sql("update sales set total = 0")
        assert database.source_fingerprint(options) == before
    with engine.begin() as connection:
        connection.exec_driver_sql("delete from sales where no = 10")
    engine.dispose()
    assert database.source_fingerprint(options) != before


def test_sqlites_loose_types_are_read_value_by_value(sqlite: str) -> None:
    with closing(sqlite3.connect(sqlite.removeprefix("sqlite:///"))) as connection:
        connection.execute("insert into sales values (13, 1, 'soon', 'much', 'w')")
        connection.commit()
    orders = database.load({"url": sqlite, "tables": TABLES})["orders"]
    assert orders["amount"].tolist()[-1] == "much"
    assert orders["ordered_at"].tolist()[-1] == "soon"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://shop:{'x' * 8}@127.0.0.1/shop",
        "postgresql+psycopg://127.0.0.1/shop?password=hidden1234",
        "postgresql+psycopg://shop:${STAYCAST_TRY:-hidden1234}@127.0.0.1/shop",
    ],
)
def test_a_password_in_the_configuration_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="write the password as") as error:
        database.load({"url": url, "tables": TABLES})
    assert "hidden1234" not in str(error.value) and "xxxx" not in str(error.value)


def test_no_error_repeats_the_password(
    postgres: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    password = os.environ["SHOP_PASSWORD"]
    wrong = {**TABLES, "orders": {"table": "sale", "columns": {"order_id": "no"}}}
    leaky = {**TABLES, "orders": {"query": f"select '{SECRET}' frm sales"}}
    messages = []
    for url, tables in (
        (postgres, wrong),
        (postgres, leaky),
        (postgres.replace("127.0.0.1", "127.0.0.2"), TABLES),
        (postgres.replace("psycopg:", "nodriver:"), TABLES),
        (postgres.replace("/postgres", "/nowhere"), TABLES),
        (postgres + "?no_such_option=1", TABLES),
        ("${SHOP_PASSWORD}", TABLES),
    ):
        with pytest.raises((DataError, ConfigError)) as error:
            database.load({"url": url, "tables": tables})
        messages.append(str(error.value))
        assert error.value.__cause__ is None and error.value.__suppress_context__
    monkeypatch.setenv("SHOP_PASSWORD", "another1234")
    with pytest.raises(DataError, match="cannot reach the database") as refused:
        database.load({"url": postgres, "tables": TABLES})
    messages_and_log = "\n".join([*messages, str(refused.value), caplog.text])
    assert SECRET not in messages_and_log and password not in messages_and_log and "another1234" not in messages_and_log


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"tables": TABLES}, ConfigError, "give either `url` (SQLAlchemy) or `duckdb` (a file)"),
        ({"url": "sqlite:///x.db"}, ConfigError, "source.options.tables: Field required"),
        ({"url": "sqlite:///x.db", "tables": {}}, ConfigError, "name at least customers and orders"),
        (
            {"url": "sqlite:///x.db", "tables": TABLES},
            DataError,
            "no database file at 'x.db'; correct source.options.url",
        ),
        ({"duckdb": "x.duckdb", "tables": TABLES}, DataError, "no database file at 'x.duckdb'"),
        ({"url": "nonsense", "tables": TABLES}, ConfigError, "is no database address"),
        ({"urll": "x", "tables": TABLES}, ConfigError, "unknown key (did you mean 'url'?)"),
        (
            {"url": "sqlite:///x.db", "tables": {"order": {}}},
            ConfigError,
            "unknown table 'order' (did you mean 'orders'?)",
        ),
        ({"url": "sqlite:///x.db", "tables": {"orders": {}}}, ConfigError, "give either `table` or `query`"),
        ({"url": "sqlite:///x.db", "tables": {"orders": {"tabel": "x"}}}, ConfigError, "(did you mean 'table'?)"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as raised:
        database.load(options)
    assert said in str(raised.value)


def test_a_query_that_fails_is_named_with_its_table(place: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"orders: the database refuses: .*nowhere"):
        database.load({**place, "tables": {"orders": {"table": "nowhere"}}})
    with pytest.raises(DataError, match=r"orders: .* has no column 'nr' for 'order_id' \(did you mean 'no'\?\)"):
        database.load({**place, "tables": {"orders": {"table": "sales", "columns": {"order_id": "nr"}}}})


def test_many_rows_come_in_order(sqlite: str) -> None:
    with closing(sqlite3.connect(sqlite.removeprefix("sqlite:///"))) as connection:
        rows = [(n, 1, "2024-01-01 00:00:00", n / 4) for n in range(100, 50_100)]
        connection.executemany("insert into sales (no, client, placed, total) values (?, ?, ?, ?)", rows)
        connection.commit()
    orders = database.load({"url": sqlite, "tables": TABLES})["orders"]
    assert orders["amount"].tolist()[3:] == [n / 4 for n in range(100, 50_100)]


@pytest.mark.parametrize("mark", [None, "select count(*), max(total) from seen"])
@pytest.mark.parametrize("by", [{"table": "seen"}, {"query": "select * from seen;"}])
def test_a_view_of_other_files_counts_with_what_it_reads(tmp_path: Path, mark: str | None, by: dict[str, str]) -> None:
    (tmp_path / "orders.csv").write_text("id,total\n1,5\n2,6\n")
    with closing(duckdb.connect(str(tmp_path / "w.duckdb"))) as file:
        file.execute(f"create view seen as select * from read_csv('{tmp_path / 'orders.csv'}')")
    entry = {**by, "columns": {"order_id": "id", "amount": "total"}} | ({"mark": mark} if mark else {})
    options = {"duckdb": str(tmp_path / "w.duckdb"), "tables": {"orders": entry}}
    before = database.source_fingerprint(options)
    assert database.source_fingerprint(options) == before
    (tmp_path / "orders.csv").write_text("id,total\n1,5\n2,7\n")
    assert database.source_fingerprint(options) != before
    (tmp_path / "orders.csv").unlink()
    with pytest.raises(DataError, match="orders: the database refuses"):
        database.source_fingerprint(options)
