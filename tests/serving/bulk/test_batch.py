from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pandas as pd
import pytest

from configs.errors import DataError
from configs.settings import Settings
from configs.workspace import Workspace
from serving.answer.champion import Champions
from serving.answer.score import score
from serving.bulk.batch import SCHEMA
from serving.bulk.score_files import ScoreFiles
from tests.serving.bulk.scored import score_all


def test_both_files_hold_the_answers_of_single_requests(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame, workspace: Workspace
) -> None:
    summary = score_all(customers, champions, settings, workspace, now, chunk_rows=150)
    folder = Path(summary["folder"])
    assert folder.parent == workspace.scores
    lines = [orjson.loads(line) for line in (folder / "scores.jsonl").read_bytes().splitlines()]
    expected = score(customers.sort_values("customer_id"), champions, settings, now, settings.serving.top_reasons)
    assert [{**a, "prediction_id": ""} for a in lines] == [{**a, "prediction_id": ""} for a in expected]
    table = pd.read_parquet(folder / "scores.parquet")
    assert list(table.columns) == SCHEMA.names
    assert table["prediction_id"].tolist() == [a["prediction_id"] for a in lines]
    assert table["expected"].tolist() == [a["clv"]["expected"] for a in lines]
    assert table[["q10", "q50", "q90"]].to_numpy().tolist() == [list(a["clv"]["quantiles"].values()) for a in lines]
    for name in ("reasons", "clv_reasons"):
        for found, answer in zip(table[name], lines, strict=True):
            values = [r["category"] if r["value"] is None or r["value"] != r["value"] else r["value"] for r in found]
            assert values == [r["value"] for r in answer[name]]
            told = ("feature", "effect", "direction", "text")
            assert [[r[c] for c in told] for r in found] == [[r[c] for c in told] for r in answer[name]]
    assert table["as_of"].unique().tolist() == [pd.Timestamp("2024-03-01", tz="UTC")]


def test_the_summary_counts_all_customers(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame, workspace: Workspace
) -> None:
    summary = score_all(customers, champions, settings, workspace, now)
    table = pd.read_parquet(Path(summary["folder"]) / "scores.parquet")
    assert summary["customers"] == len(table) == 400
    assert summary["tiers"] == table["tier"].value_counts().to_dict()
    assert summary["bands"] == table["band"].value_counts().to_dict()
    assert sum(summary["actions"].values()) == sum(summary["stages"].values()) == 400
    assert summary["expected_total"] == pytest.approx(table["expected"].sum())
    assert orjson.loads(orjson.dumps(summary)) == summary


def test_progress_is_told_after_every_chunk(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame, workspace: Workspace
) -> None:
    calls: list[tuple[int, int]] = []
    score_all(customers.head(25), champions, settings, workspace, now, lambda *done: calls.append(done), chunk_rows=10)
    assert calls == [(10, 25), (20, 25), (25, 25)]
    assert not workspace.scoring.exists()


def test_a_chunk_of_lapsed_customers_alone_is_written(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame, workspace: Workspace
) -> None:
    lapsed = customers.head(5).assign(days_since_last_order=200.0, tenure_days=300.0)
    summary = score_all(lapsed, champions, settings, workspace, now)
    assert summary["bands"] == {}
    assert summary["stages"] == {"lapsed": 5}
    assert pd.read_parquet(Path(summary["folder"]) / "scores.parquet")["probability"].isna().all()


def test_a_run_that_fails_leaves_the_scores_of_the_last_one(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame, workspace: Workspace
) -> None:
    score_all(customers.head(3), champions, settings, workspace, now)

    def stop(done: int, whole: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_all(customers, champions, settings, workspace, now, stop)
    (folder,) = workspace.scores.iterdir()
    assert len(pd.read_parquet(folder / "scores.parquet")) == 3


def test_no_answers_replace_others_not_even_those_of_the_same_moment_and_load(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame, workspace: Workspace
) -> None:
    names = []
    for count, load in enumerate(("000001", "000002", "000002"), start=1):
        workspace.loads.folder.mkdir(parents=True, exist_ok=True)
        pointer = {"newest": load, "current": load}
        (workspace.loads.folder / "pointer.json").write_text(json.dumps(pointer))
        at = now + timedelta(minutes=count)
        names.append(score_all(customers.head(count), champions, settings, workspace, at)["folder"])
    folders = list(map(Path, names))
    assert sorted(workspace.scores.iterdir()) == folders
    assert [len(pd.read_parquet(folder / "scores.parquet")) for folder in folders] == [1, 2, 3]
    assert [file.customers for file in ScoreFiles(workspace).all()] == [1, 2, 3]


def test_each_answer_has_its_own_moment_and_the_folder_is_named_after_the_newest(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame, workspace: Workspace
) -> None:
    two = customers.head(2)
    mixed = two.assign(as_of=two["as_of"] + pd.to_timedelta([0, -36], unit="h"))
    summary = score_all(mixed, champions, settings, workspace, now)
    assert (summary["as_of"], summary["oldest_as_of"]) == ("2024-03-01T00:00:00Z", "2024-02-28T12:00:00Z")
    assert [p.name.split("-scored-")[0] for p in workspace.scores.iterdir()] == ["2024-03-01T000000Z"]
    with pytest.raises(DataError, match="nobody to answer for"):
        score_all(customers.head(0), champions, settings, workspace, now)


def test_batch_scores_say_whom_to_contact_and_the_summary_adds_them_up(
    champions: Champions, planned: Settings, now: datetime, customers: pd.DataFrame, workspace: Workspace
) -> None:
    summary = score_all(customers, champions, planned, workspace, now, chunk_rows=150)
    table = pd.read_parquet(Path(summary["folder"]) / "scores.parquet")
    known = table["probability"].notna()
    assert (table["expected_profit"].notna() == known).all()
    assert (table.loc[known, "contact"].astype(bool) == (table.loc[known, "expected_profit"] > 0)).all()
    listed = table[table["contact"].eq(True)]
    best = summary["campaign"]
    assert 0 < best["contacts"] == len(listed) < known.sum()
    assert best["expected_profit"] == pytest.approx(listed["expected_profit"].sum())
    assert best["lowest_probability"] == listed["probability"].min()
    assert best["low"] < best["expected_profit"] < best["high"] and best["coverage"] == 0.9
    assert (table.loc[known, "profit_low"] <= table.loc[known, "expected_profit"]).all()
    assert (table.loc[known, "expected_profit"] <= table.loc[known, "profit_high"]).all()
    answers = score(customers.sort_values("customer_id"), champions, planned, now, 3)
    assert [a["campaign"]["high"] for a in answers if a["campaign"]] == table.loc[known, "profit_high"].tolist()


def test_without_a_plan_the_columns_are_empty(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame, workspace: Workspace
) -> None:
    summary = score_all(customers, champions, settings, workspace, now)
    table = pd.read_parquet(Path(summary["folder"]) / "scores.parquet")
    assert summary["campaign"] is None and table[["expected_profit", "contact"]].isna().all(axis=None)


def test_without_a_churn_model_all_are_scored_and_nobody_is_said_to_be_worth_a_contact(
    champions: Champions, planned: Settings, now: datetime, customers: pd.DataFrame, workspace: Workspace
) -> None:
    alone = replace(champions, churn=None, unserved={"churn": "too few customers"})
    summary = score_all(customers.head(30), alone, planned, workspace, now)
    assert (summary["customers"], summary["bands"], summary["campaign"]) == (30, {}, None)
    assert summary["unserved"] == {"churn": "too few customers"}
    table = pd.read_parquet(Path(summary["folder"]) / "scores.parquet")
    assert table["probability"].isna().all() and table["churn_model"].isna().all() and table["expected"].notna().all()
