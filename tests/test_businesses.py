"""Businesses that are no shop: ready-made exports (Telco) and subscriptions, each through the whole loop."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
import yaml

from configs.settings import load
from configs.workspace import Workspace
from features.store.online_rows import OnlineFeatures
from serving.answer.champion import Champions
from serving.answer.score import score
from serving.api.schema.answers import Answer
from serving.records.prediction_log import PredictionLog

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("STAYCAST_DATA", ROOT / "../shared/data")).resolve()
TELCO = DATA / "Telco-Customer-Churn.csv"
Run = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.slow
SMALL = {
    "tuning": {"trials": 2, "timeout_seconds": 20, "folds": 3, "max_trees": 60},
    "minimum": {"customers": 100, "labels_of_each_kind": 20},
    "gates": {"must_beat_baseline": False, "coverage_tolerance": 0.3, "max_calibration_error": 0.2, "min_gini": 0.0},
}


def lived(staycast: Run, folder: Path, ready: str, change: dict) -> tuple[Path, Workspace, dict]:
    """Run everything on a smaller form of a ready configuration."""
    small = {**yaml.safe_load((ROOT / "configs" / f"{ready}.yaml").read_text()), **SMALL, **change}
    config, place = folder / "small.yaml", Workspace(folder / "place")
    config.write_text(yaml.safe_dump(small))
    environment = {**os.environ, "STAYCAST_DATA": str(DATA)}
    done = staycast("run", "-c", config, "-w", place.root, "--by", "the tests", "--json", env=environment)
    assert done.returncode == 0, done.stderr
    return config, place, json.loads(done.stdout)


@pytest.fixture(scope="module")
def telco(staycast: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Workspace, dict]:
    if not TELCO.is_file():
        pytest.skip(f"no {TELCO.name} in the folder that STAYCAST_DATA names")
    return lived(staycast, tmp_path_factory.mktemp("telco"), "telco", {})


@pytest.fixture(scope="module")
def subscriptions(staycast: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Workspace, dict]:
    change = {"tuning": {"trials": 3, "timeout_seconds": 60, "folds": 2, "max_trees": 80}}
    return lived(staycast, tmp_path_factory.mktemp("subscriptions"), "test_subscriptions", change)


def answers(place: Workspace, result: dict) -> list[dict]:
    lines = (Path(result["score"]["folder"]) / "scores.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_telco_is_as_good_as_the_reference_and_not_better_than_a_leak_would_be(telco) -> None:
    _, _, result = telco
    shown = result["train"]["churn"]
    assert list(result["train"]) == ["churn"]
    assert 0.82 < shown["model"]["auc"] < 0.88
    assert shown["baseline_name"] == "logistic regression"
    assert shown["baseline"]["auc"] < shown["model"]["auc"] + 0.01  # a full logistic regression is nearly as good here
    assert "no dates" in shown["note"] and "order of time" in shown["note"]
    assert [row for row in shown["slices"] if row["slice"] == "Contract"]


def test_telco_reads_every_row_and_learns_nothing_sensitive(telco) -> None:
    _, place, result = telco
    (table,) = result["ingest"]["tables"]
    assert (table["rows_read"], table["rows_used"]) == (7043, 7043)
    names = set(pd.read_parquet(place.features / "rows.parquet").columns)
    assert "TotalCharges" in names and not names & {"gender", "SeniorCitizen", "label"}
    charges = next(c for c in table["columns"] if c["name"] == "TotalCharges")
    assert charges["completeness"] == pytest.approx((7043 - 11) / 7043)
    fairness = result["monitor"]["churn"]["fairness"]
    assert set(fairness["summary"]) == {"gender", "SeniorCitizen"}


def test_an_answer_without_a_value_model_keeps_the_schema_and_gets_an_action(telco) -> None:
    _, place, result = telco
    told = answers(place, result)
    assert len(told) == 7043 - 1869  # who has left already is not asked about
    for answer in told[:50]:
        Answer.model_validate(answer)
        assert answer["clv"] is None and answer["clv_reasons"] == [] and answer["stage"] is None
        assert answer["model"] == {"churn": "churn/1", "clv": None}
    by_band = {"critical": "personal_call", "high": "retention_offer", "watch": "check_in", "low": "none"}
    for answer in told:
        pays, band = answer["campaign"]["contact"], answer["churn"]["band"]
        other = "campaign_offer" if pays else "none"  # where no rule fits both the band and whether a contact pays
        assert answer["action"]["code"] == (by_band[band] if pays == (band in ("critical", "high")) else other)
    assert {a["action"]["code"] for a in told} >= {"personal_call", "retention_offer", "none"}


def test_what_is_served_online_is_what_was_scored_in_bulk(telco, tmp_path: Path) -> None:
    config, place, result = telco
    settings, bulk = load(config), answers(place, result)[:5]
    champions = Champions.load(place, tasks=settings.tasks)
    frame = OnlineFeatures(place).read([a["customer_id"] for a in bulk])
    online = score(frame, champions, settings, datetime.now(UTC), 0)
    for one, other in zip(online, bulk, strict=True):
        assert one["churn"] == other["churn"]
        whole = champions.churn.base + sum(r["effect"] for r in one["reasons"])
        assert whole == pytest.approx(one["churn"]["probability"], abs=1e-9)
    with PredictionLog(tmp_path / "log.db") as log:
        log.append(online)
        kept = log.read()
    assert kept["expected"].isna().all() and kept["tier"].isna().all() and kept["probability"].notna().all()


def test_the_value_model_that_is_not_there_is_refused_by_name(telco, staycast: Run) -> None:
    config, place, _ = telco
    environment = {**os.environ, "STAYCAST_DATA": str(DATA)}
    done = staycast("train", "clv", "-c", config, "-w", place.root, env=environment)
    assert done.returncode == 2 and "no such model" in " ".join(done.stderr.split())


def test_evaluation_examines_the_champion_on_the_customers_it_never_saw(telco, staycast: Run) -> None:
    config, place, result = telco
    done = staycast("evaluate", "-c", config, "-w", place.root, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["churn"]["model"] == pytest.approx(result["train"]["churn"]["model"], rel=1e-9)


def test_a_subscription_business_learns_risk_and_value(subscriptions) -> None:
    _, place, result = subscriptions
    churn, clv = result["train"]["churn"], result["train"]["clv"]
    assert churn["baseline_name"] == "logistic regression" and clv["baseline_name"] == "present price"
    assert 0.6 < churn["model"]["auc"] < 0.97
    assert abs(clv["model"]["total_error"]) < 0.25
    told = answers(place, result)
    for answer in told[:50]:
        Answer.model_validate(answer)
    gone = [a for a in told if a["churn"] is None]
    assert gone and {a["stage"] for a in gone} == {"lapsed"}
    assert {a["stage"] for a in told} >= {"new", "mature", "lapsed"}


def test_a_subscription_model_learns_only_from_outcomes_that_were_known(subscriptions) -> None:
    config, place, _ = subscriptions
    labels = pd.read_parquet(place.features / "labels.parquet")
    known = labels.loc[labels["churned"].notna(), "as_of"].max()
    assert known + pd.Timedelta(days=load(config).outcome_days("churn")) <= pd.Timestamp("2025-01-01", tz="UTC")
    assert labels.loc[labels["as_of"] == labels["as_of"].max(), "churned"].isna().all()
