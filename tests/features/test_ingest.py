from __future__ import annotations

import gc
import json
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from configs.errors import DataError
from configs.settings import Settings
from configs.workspace import Workspace
from features import ingest as module
from features.ingest import ingest
from features.people.identity import load_alias_map
from features.people.suppression_list import suppress
from features.quality import quality_verdict
from features.quality.quality_verdict import QualityError
from features.sources.rows.words import load_words

NOW = datetime(2024, 6, 1, tzinfo=UTC)
ROOT = Path(__file__).parent.parent.parent
KILLED = """
import os, sys
from pathlib import Path
from configs.settings import load
from configs.workspace import Workspace
from features import ingest

keep = ingest.write_used_rows
ingest.write_used_rows = lambda *arguments: (keep(*arguments), os.kill(os.getpid(), 9))
ingest.ingest(load("test"), Workspace(Path(sys.argv[1])))
"""


@pytest.fixture
def business(tmp_path: Path, settings: Settings) -> Callable[..., Settings]:
    """Settings of a business whose tables are CSV files."""

    def make(**tables: pd.DataFrame) -> Settings:
        options = {}
        for name, frame in tables.items():
            frame.to_csv(tmp_path / f"{name}.csv", index=False)
            options[name] = {"path": str(tmp_path / f"{name}.csv")}
        source = settings.source.model_copy(update={"loader": "files", "options": options})
        columns = settings.columns.model_copy(update={"attributes": (), "sensitive": ()})
        return settings.model_copy(update={"source": source, "columns": columns})

    return make


def test_what_was_there_stays_when_the_source_cannot_be_read(
    workspace: Workspace, business: Callable[..., Settings], shop: dict[str, pd.DataFrame]
) -> None:
    ingest(business(**shop), workspace, NOW)
    before = {p: p.read_bytes() for p in workspace.state.rglob("*") if p.is_file()}
    with pytest.raises(DataError, match="column 'amount' is missing"):
        ingest(business(customers=shop["customers"], orders=shop["orders"].drop(columns="amount")), workspace, NOW)
    assert {p: p.read_bytes() for p in workspace.state.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("good", [0, 3])
def test_a_table_with_too_few_usable_rows_is_told_in_full_and_stops_what_comes_after(
    workspace: Workspace, business: Callable[..., Settings], shop: dict[str, pd.DataFrame], good: int
) -> None:
    text = shop["orders"].assign(amount=["1"] * good + ["many"] * (7 - good))
    made = ingest(business(customers=shop["customers"], orders=text), workspace, NOW)
    told = {t["name"]: t for t in made["tables"]}["orders"]
    assert (told["rows_read"], told["rows_used"], told["rows_quarantined"]) == (7, good, 7 - good)
    kept = pd.read_parquet(workspace.quarantine / "orders.parquet")
    assert kept["reason"].tolist() == ["amount: 'many' is not a number"] * (7 - good)
    with pytest.raises(QualityError) as error:
        quality_verdict.require(workspace)
    said = f"orders.*: only {good / 7:.1%} of 7 rows can be used, most often ({7 - good:,} rows): amount: … is not a"
    assert said in str(error.value)
    assert "--accept-quality" in str(error.value)


def test_the_report_adds_up_and_is_written_for_people_and_programs(
    workspace: Workspace, business: Callable[..., Settings], shop: dict[str, pd.DataFrame]
) -> None:
    lenient = business(**shop).model_copy(
        update={"quality": business(**shop).quality.model_copy(update={"min_valid_share": 0.5})}
    )
    orders = pd.concat([shop["orders"], shop["orders"].head(1)])
    made = ingest(
        business(customers=shop["customers"], orders=orders).model_copy(update={"quality": lenient.quality}),
        workspace,
        NOW,
    )
    told = json.loads((workspace.quality_report / "quality.json").read_text())
    assert told == made
    table = {t["name"]: t for t in told["tables"]}["orders"]
    assert (table["rows_read"], table["rows_used"], table["rows_quarantined"], table["duplicates"]) == (8, 7, 1, 1)
    amount = {c["name"]: c for c in table["columns"]}["amount"]
    assert (amount["completeness"], amount["min"], amount["median"], amount["max"]) == (1.0, -15.0, 30.0, 100.0)
    assert "orders" in (workspace.quality_report / "quality.html").read_text()
    assert len(pd.read_parquet(workspace.quarantine / "orders.parquet")) == 1


@pytest.mark.parametrize("origin", ["customers", "orders"])
def test_who_asks_or_sends_with_an_id_or_a_word_as_the_files_write_it_means_that_of_the_tables(
    workspace: Workspace, business: Callable[..., Settings], shop: dict[str, pd.DataFrame], origin: str
) -> None:
    written = {"ann": "001", "bob": "002", "new": "003"}
    tables = {name: table.replace({"customer_id": written}) for name, table in shop.items()}
    settings = business(**(tables if origin == "customers" else {"orders": tables["orders"]}))
    for table in settings.source.options.values():
        table["ids"] = {"customer_id": ["leading_zeros"]}
    settings.source.options["orders"]["values"] = {"channel": {"Netz": "web"}}
    source = settings.source.model_copy(update={"customers_from": None if origin == "customers" else origin})
    ingest(settings.model_copy(update={"source": source}), workspace, NOW)
    assert load_alias_map(workspace.tables).of(["003", "3", "new"]) == ["3", "3", "new"]
    assert load_words(workspace.tables) == {"orders": {"channel": {"Netz": ["web"]}}}


def test_local_hours_follow_the_customers_own_clock(
    workspace: Workspace, business: Callable[..., Settings], shop: dict[str, pd.DataFrame]
) -> None:
    ingest(business(**shop).model_copy(update={"time_zone": "America/New_York"}), workspace, NOW)
    orders = pd.read_parquet(workspace.tables / "orders.parquet").set_index("order_id")
    assert orders.loc["o6", ["local_hour", "local_weekday"]].tolist() == [20, 3]
    assert orders.loc["o6", "ordered_at"] == pd.Timestamp("2024-02-16 01:00")


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Shanghai", "Europe/Berlin", "Pacific/Auckland"])
@pytest.mark.parametrize("written", ["2024-03-02", "2024-03-02 00:00:00", "2024-03-02T00:00:00Z"])
def test_a_date_alone_is_that_day_in_every_zone_and_no_hour(
    workspace: Workspace, business: Callable[..., Settings], shop: dict[str, pd.DataFrame], zone: str, written: str
) -> None:
    orders = shop["orders"].assign(ordered_at=written)
    settings = business(customers=shop["customers"], orders=orders).model_copy(update={"time_zone": zone})
    report = ingest(settings, workspace, NOW)
    used = pd.read_parquet(workspace.tables / "orders.parquet")
    assert set(used["local_weekday"]) == {5}
    assert used["local_hour"].isna().all()
    assert set(used["ordered_at"]) == {pd.Timestamp("2024-03-02")}
    assert next(t for t in report["tables"] if t["name"] == "orders")["oldest"] == "2024-03-02T00:00:00Z"


@pytest.mark.slow
def test_an_ingest_that_was_killed_leaves_its_rows_only_until_the_next(
    workspace: Workspace, settings: Settings
) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(workspace.root)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert list(workspace.loads.folder.glob(".*/*/tables/*.parquet"))
    ingest(settings, workspace)
    assert sorted(p.name for p in workspace.loads.folder.iterdir()) == ["000001", "pointer.json"]
    assert len(list(workspace.tables.glob("*.parquet"))) > 1


@pytest.mark.parametrize("chunked", [False, True])
def test_a_raw_table_leaves_memory_before_its_remaining_rows_are_checked(
    chunked: bool,
    workspace: Workspace,
    settings: Settings,
    shop: dict[str, pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw, alive = [], []

    def load(options: dict[str, Any]) -> dict[str, pd.DataFrame]:
        tables = {name: frame.copy() for name, frame in shop.items()}
        raw.extend(weakref.ref(frame) for frame in tables.values())
        return tables

    @contextmanager
    def opened(options: dict[str, Any], chunk_rows: int, zone: str) -> Iterator[dict[str, pd.DataFrame]]:
        yield load(options)

    def checked_tables(*arguments: Any) -> Any:
        gc.collect()
        alive.extend(frame() for frame in raw if frame() is not None)
        return check_remaining(*arguments)

    source = {"load": load, "source_fingerprint": lambda options: "x"} | ({"opened": opened} if chunked else {})
    check_remaining = module.checked_tables
    monkeypatch.setattr(module, "checked_tables", checked_tables)
    monkeypatch.setattr(module, "loader", lambda name: SimpleNamespace(**source))
    monkeypatch.setattr(module, "ingest_fingerprint", lambda settings: "x")
    suppress(workspace, ["ann"])
    columns = settings.columns.model_copy(update={"attributes": (), "sensitive": ()})
    report = ingest(settings.model_copy(update={"columns": columns}), workspace, NOW)
    assert {t["name"]: t["rows_erased"] for t in report["tables"]} == {"customers": 1, "orders": 6}
    assert len(raw) == 2 and alive == []
