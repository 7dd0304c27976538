"""No name and no path ends the SQL it stands in: hostile ones, through ingest, build, store, refresh and erasure."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.settings import Settings, load
from configs.workspace import Workspace
from features import build, erasure, refresh
from features.build import features_as_of
from features.ingest import ingest
from features.people.suppression_list import suppress
from features.schema import feature_columns
from features.sql import AsOfStatements, quote_identifier, quote_literal, quote_qualified
from features.store import feature_store
from features.store.event_log import Event, EventLog
from features.store.online_rows import OnlineFeatures, SqliteRows
from features.windows import days_before, timestamp

ROOT = Path(__file__).parent.parent.parent
HOSTILE = ["it's", 'say "no"', "a; DROP TABLE orders --", "50 %s %", "[a] (b)", "Größe ☂ 値", "'); --", "back\\slash"]
IDS = ["c1", "o'Hara", 'c"2', "c3; --", "100%", "Zoë [4]"]
NOW = datetime(2024, 9, 5, tzinfo=UTC)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_literal_reads_back_as_the_text(text: str) -> None:
    assert duckdb.execute(f"select {quote_literal(text)}").fetchone() == (text,)


@pytest.mark.parametrize("name", HOSTILE)
def test_an_identifier_names_the_column(name: str) -> None:
    found = duckdb.sql(f"select t.{quote_identifier(name)} from (select 1 as {quote_identifier(name)}) t")
    assert found.columns == [name]


def test_a_database_that_quotes_otherwise_gets_its_own_quotes() -> None:
    assert quote_qualified("a`b.c", "`") == "`a``b`.`c`"
    assert quote_qualified("a]b.[c", "[") == "[a]]b].[[c]"


@pytest.mark.parametrize("name", HOSTILE)
def test_online_rows_take_any_name(name: str, tmp_path: Path) -> None:
    rows = SqliteRows(tmp_path / "online.db")
    rows.create_table(name, [name])
    assert rows.write({name: ([name], [(i, 2, 0, 1.0) for i in IDS])}) == len(IDS)
    assert rows.read(name, [name], IDS) == dict.fromkeys(IDS, (2, 1.0))
    rows.drop_older_than([name], 1)
    assert rows.newer_than(name, 1) == sorted(IDS)
    assert rows.erase([name], IDS[:2]) == 2
    rows.drop_table(name)
    rows.close()


@pytest.fixture(scope="module")
def business(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A few customers with hostile ids and attributes, who order every ten days until September 2024."""
    folder = tmp_path_factory.mktemp('export\'s [1]; "ä" 50%')
    people = pd.DataFrame({"customer_id": IDS, "signed_up_at": "2023-12-01", **dict.fromkeys(HOSTILE, "x'\"; %")})
    days = pd.date_range("2024-01-01", "2024-09-01", freq="10D").strftime("%Y-%m-%d")
    orders = [(f"{c} {d}", c, d, 10.0) for c in IDS for d in days]
    people.to_csv(folder / "customers.csv", index=False)
    pd.DataFrame(orders, columns=["order_id", "customer_id", "ordered_at", "amount"]).to_csv(
        folder / "orders.csv", index=False
    )
    options = {name: {"path": str(folder / f"{name}.csv")} for name in ("customers", "orders")}
    test = load("test")
    return test.model_copy(
        update={
            "source": test.source.model_copy(update={"loader": "files", "options": options}),
            "columns": test.columns.model_copy(
                update={"attributes": tuple(HOSTILE), "constant": tuple(HOSTILE), "sensitive": ()}
            ),
        }
    )


@pytest.mark.parametrize("chunk_rows", [40, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_business_of_hostile_names_lives_in_a_hostile_folder(
    chunk_rows: int, business: Settings, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / 'it\'s "my" [shop]; 50% ☂')
    suppress(workspace, ["nobody's"])
    report = ingest(business, workspace, NOW, chunk_rows=chunk_rows)
    assert [t["rows_used"] for t in report["tables"]] == [len(IDS), 25 * len(IDS)]  # type: ignore[attr-defined]
    build.build(business, workspace)
    feature_store.apply(workspace, business)
    assert feature_store.materialize(workspace) == len(IDS)
    assert refresh.start_from_build(business, workspace, NOW) == 0
    keys = pd.read_parquet(workspace.features / "rows.parquet", columns=["customer_id", "as_of"])
    rows = feature_store.training_rows(workspace, keys, "churn")
    assert (rows[HOSTILE] == "x'\"; %").all(axis=None)
    assert refresh.refresh(business, workspace, NOW, everyone=True)["online"] == len(IDS)
    with EventLog(workspace.events) as log:
        row = {"order_id": "new's", "customer_id": IDS[1], "ordered_at": "2024-09-04T00:00:00Z", "amount": 1.0}
        log.append([Event("e'1", "orders", row)], NOW)
        at_once = refresh.OnEventRefresher(business, workspace, log)
        assert at_once.known([*IDS, "x' OR true --"]) == set(IDS)
        assert at_once.owners("orders", [f"{IDS[1]} 2024-01-01"]) == {f"{IDS[1]} 2024-01-01": IDS[1]}
        at_once(IDS[1:2], lambda: NOW)
        at_once.close()
    assert refresh.refresh(business, workspace, NOW)["touched"] == 1
    online = OnlineFeatures(workspace).read(IDS)
    assert (online[HOSTILE] == "x'\"; %").all(axis=None) and online["as_of"].notna().all()
    gone = erasure.erase_customers(workspace, IDS[1:3])
    assert gone["tables/orders"] == 50 and gone["online"] == 2 and gone["events"] == 1


@pytest.mark.slow
@given(as_of=st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1)))
def test_statements_compiled_once_are_those_compiled_for_the_date(as_of: datetime) -> None:
    def compile_at(time: datetime) -> list[str]:
        row = ibis.table({"at": "timestamp(6)"}, name="orders")
        return [str(ibis.to_sql(row.select(x=days_before(row["at"], time), y=timestamp(time)), "duckdb"))]

    assert AsOfStatements(compile_at).at(as_of) == compile_at(as_of)


def test_statements_that_know_the_date_otherwise_are_compiled_for_each() -> None:
    statements = AsOfStatements(lambda time: [f"select {time.weekday()}"])
    assert [statements.at(datetime(2024, 1, day)) for day in (1, 2)] == [["select 0"], ["select 1"]]


def test_columns_are_compiled_once_for_all_dates(edge_tables: dict[str, ir.Table]) -> None:
    backend = edge_tables["customers"].get_backend()
    dates = []

    def compile_at(time: datetime) -> list[str]:
        dates.append(time)
        return [str(backend.compile(features_as_of(edge_tables, feature_columns(edge_tables, ()), time)))]

    statements = AsOfStatements(compile_at)
    assert len(dates) == 2
    assert statements.at(datetime(2024, 3, 1)) == compile_at(datetime(2024, 3, 1)) and len(dates) == 3


@pytest.mark.slow
def test_no_connection_prints_a_progress_bar_where_python_has_no_script_file() -> None:
    script = (
        "from features.engine import connect; from features.sql import connect_duckdb\n"
        "for c in (connect_duckdb(), connect().con):\n"
        "    print(*c.execute(\"select current_setting('enable_progress_bar')\").fetchone())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_no_other_module_opens_a_connection_of_its_own() -> None:
    opened = [path for path in (ROOT / "features").rglob("*.py") if "duckdb.connect(" in path.read_text("utf-8")]
    assert sorted(path.name for path in opened) == ["engine.py", "sql.py"]
