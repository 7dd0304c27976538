"""A person who was erased is nowhere in the workspace, does not come back, and is unknown to the service."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.errors import ConfigError
from configs.files import scratch, write_text
from configs.settings import Settings, load
from configs.workspace import Workspace
from features import refresh
from features.ingest import ingest
from features.people.identity import write_repairs
from features.people.suppression_list import load_suppression_list
from features.store.event_log import Event, EventLog
from features.store.online_rows import OnlineFeatures
from serving import erasure
from serving.api.app import create_app
from serving.bulk.batch import SCHEMA
from serving.bulk.csv_file import write_csv
from serving.records.objections import Objection, Objections
from serving.records.outcome_log import Outcome, OutcomeLog
from serving.records.prediction_log import PredictionLog

RECORDS = load("test").records
NOW = datetime(2024, 9, 5, 12, tzinfo=UTC)
Run = Callable[..., subprocess.CompletedProcess[str]]


def places_of(root: Path, one: str) -> list[str]:
    """Files that hold an id: as bytes, in a parquet column, or in a table of SQLite."""
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and holds(p, one))


def holds(path: Path, one: str) -> bool:
    if one.encode() in path.read_bytes():
        return True
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        texts = [c for c, f in zip(table.columns, table.schema, strict=True) if pa.types.is_string(f.type)]
        return any(one in str(value) for column in texts for value in column.unique().to_pylist())
    if path.read_bytes().startswith(b"SQLite format 3"):
        with sqlite3.connect(path) as connection:
            return any(one in line for line in connection.iterdump())
    return False


def order(event: str, customer: str) -> Event:
    at = "2024-09-05T11:00:00Z"
    return Event(event, "orders", {"order_id": event, "customer_id": customer, "ordered_at": at, "amount": 5.0})


@pytest.fixture
def person(copied: Workspace) -> str:
    """A customer with an alias who left a trace everywhere: events, answers, quarantine, reports."""
    rows = pd.read_parquet(copied.features / "rows.parquet")
    one = str(rows.loc[rows["as_of"] == rows["as_of"].max(), "customer_id"].min())
    link = {"customer_id": [one], "alias": ["web-7777"], "source": ["web"], "seen_at": [pd.Timestamp("2024-05-01")]}
    pd.DataFrame(link).to_parquet(copied.tables / "identities.parquet", index=False)
    bad = {"order_id": "x", "customer_id": f" {one} ", "amount": "ten", "reason": "amount: 'ten' is not a number"}
    pd.DataFrame([bad]).to_parquet(copied.quarantine / "orders.parquet", index=False)
    with EventLog(copied.events) as log:
        log.append([order("e1", one), order("e2", "web-7777")], NOW)
    with OutcomeLog(copied.outcomes) as outcomes:
        outcomes.append([Outcome("o1", one, "accepted", NOW), Outcome("o2", "web-7777", "kept", NOW)], NOW)
    scores = next(copied.scores.iterdir())
    write_csv(scores / "scores.parquet", scores / "scores.csv")
    answer = json.loads((scores / "scores.jsonl").read_text().splitlines()[0])
    with PredictionLog(copied.prediction_log) as log:
        log.append([{**answer, "customer_id": one}])
    report = copied.quality_report / "quality.json"
    content = json.loads(report.read_text()) | {
        "same_person": [{"customer_id": one, "alias": "web-7777", "source": "email"}]
    }
    report.write_text(json.dumps(content))
    return one


@pytest.mark.slow
def test_nothing_in_the_workspace_names_an_erased_person_and_an_export_does_not_bring_them_back(
    copied: Workspace, person: str, staycast: Run, settings: Settings, models: object, calling: Callable
) -> None:
    before = places_of(copied.root, person)
    assert len(before) >= 10
    others = len(pd.read_parquet(copied.tables / "customers.parquet"))
    business = load("test")
    refresh.refresh(business, copied, NOW, everyone=True)

    done = staycast(
        "erase", "web-7777", "--reason", "asked by letter", "--by", "ada", "-c", "test", "-w", copied.root, "--json"
    )

    assert done.returncode == 0, done.stderr
    assert places_of(copied.root, person) == places_of(copied.root, "web-7777") == []
    result = json.loads(done.stdout)
    assert {"tables/customers", "tables/orders", "features/rows", "events", "predictions", "online"} <= set(
        result["rows"]
    )
    assert result["rows"]["events"] == 2 and result["rows"]["quarantine/orders"] == 1
    assert any("trained" in one for one in result["remains"])
    (entry,) = erasure.history(copied)
    assert (entry["by"], entry["reason"], entry["ids"]) == ("ada", "asked by letter", 2)
    assert len(pd.read_parquet(copied.tables / "customers.parquet")) == others - 1

    with PredictionLog(copied.prediction_log) as log:
        http: httpx.Client = calling(create_app(models, OnlineFeatures(copied), log, settings))
        for one in (person, "web-7777"):
            assert http.post("/v1/predictions", json={"customer_id": one}).status_code == 404

    report = ingest(business, copied)
    for table in report["tables"]:
        assert table["rows_read"] == table["rows_used"] + table["rows_quarantined"] + table["rows_erased"]
    assert {t["name"]: t["rows_erased"] for t in report["tables"]}["customers"] == 1
    assert person not in set(pd.read_parquet(copied.tables / "customers.parquet")["customer_id"])
    assert places_of(copied.root, person) == []


@pytest.fixture
def answered(workspace: Workspace) -> Path:
    """A folder of answers for ann and bob, as parquet, JSON lines and CSV."""
    folder = workspace.scores / "2024-03-01T000000Z"
    folder.mkdir(parents=True)
    rows = [{"customer_id": one, "probability": 0.5} for one in ("ann", "bob")]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "scores.parquet")
    (folder / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_csv(folder / "scores.parquet", folder / "scores.csv")
    return folder


def test_the_answers_for_all_are_those_for_the_others_in_each_file_that_was_there(
    workspace: Workspace, answered: Path
) -> None:
    with closing(Objections(workspace)) as objections:
        objections.take([Objection("ann"), Objection("bob")], "ada", datetime.now(UTC))
    header, _, bob = (answered / "scores.csv").read_bytes().splitlines(keepends=True)
    done = erasure.erase(workspace, ["ann"], "ada", "asked", RECORDS)
    assert done["rows"] == {f"scores/{answered.name}": 1, "objections": 1}
    assert (answered / "scores.csv").read_bytes() == header + bob
    (answered / "scores.csv").unlink()
    erasure.erase(workspace, ["ann"], "ada", "asked again", RECORDS)
    assert sorted(path.name for path in answered.iterdir()) == ["scores.jsonl", "scores.parquet"]


def test_an_erasure_that_is_cut_short_leaves_no_csv_with_the_person(
    workspace: Workspace, answered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("features.erasure.drop_rows", killed)
    with pytest.raises(KeyboardInterrupt):
        erasure.erase(workspace, ["ann"], "ada", "asked", RECORDS)
    assert not (answered / "scores.csv").exists()


def test_erasing_again_is_no_error_and_finds_nothing(fresh: Workspace) -> None:
    rows = pd.read_parquet(fresh.features / "rows.parquet")
    one = str(rows.loc[rows["as_of"] == rows["as_of"].max(), "customer_id"].min())
    first = erasure.erase(fresh, [one], "ada", "asked", RECORDS)
    assert first["rows"]["tables/customers"] == first["rows"]["online"] == 1
    assert refresh.sorted_copy_is_current(fresh)
    assert erasure.erase(fresh, [one], "ada", "asked again", RECORDS)["rows"] == {}
    assert len(erasure.history(fresh)) == 2


def test_a_person_is_erased_by_an_id_as_the_files_write_it_where_ids_are_repaired(fresh: Workspace) -> None:
    one = str(pd.read_parquet(fresh.tables / "customers.parquet")["customer_id"].min())
    assert one != one.upper()
    write_repairs(fresh.tables, ["case"])
    done = erasure.erase(fresh, [one.upper()], "ada", "asked", RECORDS)
    assert done["rows"]["tables/customers"] == done["rows"]["online"] == 1
    assert load_suppression_list(fresh).among([one, one.upper()]) == {one, one.upper()}


def test_an_unknown_id_is_kept_out_of_later_exports(fresh: Workspace, few: Settings) -> None:
    result = erasure.erase(fresh, ["nobody-yet"], "ada", "asked", RECORDS)
    assert result["rows"] == {} and result["ids"] == 1
    assert load_suppression_list(fresh).among(["nobody-yet"])


def test_of_ids_given_together_those_under_which_nothing_is_found_are_told(fresh: Workspace) -> None:
    ids = pd.read_parquet(fresh.tables / "customers.parquet")["customer_id"].sort_values().tolist()
    with EventLog(fresh.events) as log:
        log.append([order("e1", "k-of-events-alone")], NOW)
    asked = [f" {ids[0]} ", "k-slip", "k-of-events-alone", "k-other-slip"]
    first = erasure.erase(fresh, asked, "ada", "asked", RECORDS)
    assert first["not_found"] == ["k-other-slip", "k-slip"]
    assert (first["rows"]["events"], first["rows"]["tables/customers"]) == (1, 1)
    again = erasure.erase(fresh, asked[:1], "ada", "asked", RECORDS)
    assert again["not_found"] == [] and again["rows"] == {}
    assert [entry["unknown"] for entry in erasure.history(fresh)] == [2, 0]
    once_more = erasure.erase(fresh, ["k-slip", "k-of-events-alone"], "ada", "asked", RECORDS)
    assert once_more["not_found"] == ["k-slip"] and load_suppression_list(fresh).among(["k-slip"])
    assert not [path for path in fresh.erased.iterdir() if "slip" in path.read_text()]


def test_two_ids_of_one_person_of_whom_no_table_knows_are_found_together(fresh: Workspace) -> None:
    write_repairs(fresh.tables, ["case"])
    with EventLog(fresh.events) as log:
        log.append([order("e1", "k-7")], NOW)
    done = erasure.erase(fresh, ["K-7", "k-7"], "ada", "asked", RECORDS)
    assert done["not_found"] == [] and done["rows"] == {"events": 1}


@pytest.mark.parametrize(
    ("ids", "reason", "said"),
    [
        ([" "], "asked", "say who"),
        (["c1"], " ", "say why"),
        (["c1"], "c1 asked for it", "leave the person's id out"),
        (["c1"], "customer (C1): letter", "leave the person's id out"),
        (["k 441"], "k 441's letter", "leave the person's id out"),
        (["Müller-4"], "Mu\u0308ller-4, by telephone", "leave the person's id out"),
    ],
)
def test_an_erasure_needs_a_person_and_a_reason_that_does_not_name_them(
    fresh: Workspace, ids: list[str], reason: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        erasure.erase(fresh, ids, "ada", reason, RECORDS)
    assert not fresh.erased.exists()


def test_erasing_removes_what_killed_processes_left_and_takes_nothing_from_one_that_runs(workspace: Workspace) -> None:
    left = [workspace.state / ".scratch-1" / "new", workspace.scores / ".scratch-2" / "new"]
    for folder in left:
        write_text(folder / "orders.parquet", "half of ann's orders")
    with scratch(workspace.state) as running:
        erasure.erase(workspace, ["ann"], "the tests", "asked for it", RECORDS)
        assert list(workspace.state.rglob(".scratch-*")) == [running]
