"""The whole life on seeded customers: learn, serve, promote, roll back, and refuse what cannot be used."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from configs.workspace import Workspace

Run = Callable[..., subprocess.CompletedProcess[str]]
TEST = ("--config", "test")


def answer(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def snapshot(place: Workspace) -> dict[Path, bytes]:
    """All files but SQLite's own, which come and go with the last reader."""
    files = (p for p in (place.root / "state").rglob("*") if p.is_file() and not p.name.endswith(("-wal", "-shm")))
    return {p: p.read_bytes() for p in files}


def test_both_champions_beat_their_baseline_on_the_holdout(lived: Workspace, staycast: Run) -> None:
    found = answer(staycast("evaluate", *TEST, "-w", lived.root, "--json"))
    churn, clv = found["churn"], found["clv"]
    assert churn["model"]["auc"] > churn["baseline"]["auc"]
    assert churn["model"]["log_loss"] < churn["baseline"]["log_loss"]
    assert clv["model"]["normalised_gini"] > clv["baseline"]["normalised_gini"]
    assert clv["model"]["mae"] < clv["baseline"]["mae"]


def test_evaluation_repeats_what_training_recorded(lived: Workspace, staycast: Run) -> None:
    again = answer(staycast("evaluate", *TEST, "-w", lived.root, "--json"))
    for task in ("churn", "clv"):
        recorded = lived.last(f"train {task}")
        assert recorded is not None
        assert again[task]["model"] == pytest.approx(recorded["model"], rel=1e-9)
    assert list(again["clv"]["longer"]) == ["180", "365"]
    assert again["clv"]["longer"] == recorded["longer"]


def test_a_second_run_reuses_everything_and_says_so(copied: Workspace, staycast: Run) -> None:
    done = staycast("run", *TEST, "-w", copied.root)
    assert done.returncode == 0, done.stderr
    for stage in ("ingest", "features", "train churn", "train clv", "score", "monitor"):
        assert f"{stage}: nothing changed since the last time, reused" in done.stderr


def test_scores_hold_every_customer_known_at_the_newest_moment(lived: Workspace) -> None:
    rows = pd.read_parquet(lived.features / "rows.parquet")
    newest = rows[rows["as_of"] == rows["as_of"].max()]
    scores = pd.concat(pd.read_parquet(p) for p in lived.scores.rglob("scores.parquet"))
    assert sorted(scores["customer_id"]) == sorted(newest["customer_id"])
    assert scores["probability"].dropna().between(0, 1).all()
    assert (scores["low"] <= scores["expected"]).all()
    assert (scores["expected"] <= scores["high"]).all()
    year = pd.Series([dict(of_customer)["365"]["expected"] for of_customer in scores["clv_by_horizon"]], scores.index)
    assert (year >= scores["expected"]).all()


def test_every_report_is_written_and_attached_to_its_run(lived: Workspace) -> None:
    from training.model import catalog
    from training.registry import runs

    for task in runs.TASKS:
        version = catalog.champion(lived, task)
        assert version is not None
        reports = {p.name for p in (lived.reports / task).rglob("*.html")}
        assert reports == {"drift.html", "drift-evidently.html", "fairness.html"}
        attached = runs.client(lived).list_artifacts(version.run_id, "monitoring")
        assert len(attached) == 1


def test_promotion_and_rollback_go_on_record(copied: Workspace, staycast: Run) -> None:
    where = (*TEST, "-w", copied.root)
    answer(staycast("train", "churn", *where, "--again", "--json"))
    assert "no version 9" in refused(staycast("promote", "churn", "9", *where, "--reason", "try"))
    assert "say why" in refused(staycast("promote", "churn", "2", *where, "--override"))
    answer(
        staycast("promote", "churn", "2", *where, "--override", "--reason", "an experiment", "--by", "ada", "--json")
    )
    back = answer(staycast("rollback", "churn", *where, "--reason", "worse", "--by", "ben", "--json"))
    assert (back["version"], "champion" in back["aliases"]) == ("1", True)
    ledger = answer(staycast("models", *where, "--json"))["ledger"]
    churn = [(e["action"], e["version"], e["by"]) for e in ledger if e["model"] == "churn"]
    assert churn[-2:] == [("promote", "2", "ada"), ("rollback", "1", "ben")]
    assert "no champion before" in refused(staycast("rollback", "churn", *where, "--reason", "again"))
    assert "say how it is to run" in refused(staycast("release", "start", "churn/2", *where))
    answer(staycast("release", "start", "churn/2", "--canary", "5", "--override", *where, "--reason", "try", "--json"))
    (told,) = answer(staycast("release", *where, "--json"))["releases"]
    assert (told["version"], told["percent"], told["arms"]["canary"]["outcomes"]["text"]) == ("2", 5, "not known yet")
    assert "churn/1 answers everybody" in staycast("release", "stop", *where, "--reason", "seen enough").stdout


def own(tmp_path: Path, **content: object) -> Path:
    path = tmp_path / "own.yaml"
    base = {"name": "own", "source": {"loader": "synthetic", "options": {"customers": 300, "months": 8, "seed": 1}}}
    path.write_text(yaml.safe_dump({**base, **content}))
    return path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("features",), "run `staycast ingest` first"),
        (("train",), "run `staycast features` first"),
        (("score",), "run `staycast train` first"),
        (("evaluate",), "no model registry"),
        (("rollback", "churn", "--reason", "x"), "no champion before the present one"),
        (("promote", "chrun", "1"), "'chrun' is not one of"),
    ],
)
def test_a_verb_before_its_time_says_what_to_do_first(
    tmp_path: Path, staycast: Run, arguments: tuple[str, ...], said: str
) -> None:
    Workspace(tmp_path / "begun").claim("synthetic")
    assert said in refused(staycast(*arguments, *TEST, "-w", tmp_path / "begun"))


def test_a_workspace_of_another_business_is_left_alone(lived: Workspace, staycast: Run, tmp_path: Path) -> None:
    before = snapshot(lived)
    assert "holds the business 'synthetic'" in refused(staycast("ingest", "-c", own(tmp_path), "-w", lived.root))
    assert snapshot(lived) == before


def test_too_few_customers_are_refused_with_the_minimum_where_priors_are_not_wanted(
    tmp_path: Path, staycast: Run
) -> None:
    source = {"loader": "synthetic", "options": {"customers": 60, "months": 8, "seed": 1}}
    where = ("-c", own(tmp_path, source=source, minimum={"below": "stop"}), "-w", tmp_path / "few")
    for verb in ("ingest", "features"):
        assert staycast(verb, *where).returncode == 0
    said = refused(staycast("train", *where))
    assert "200 are needed" in said
    assert not (tmp_path / "few" / "mlruns" / "mlflow.db").exists()


def test_broken_files_are_refused_and_what_was_there_still_works(
    tmp_path: Path, staycast: Run, shop: dict[str, pd.DataFrame]
) -> None:
    for name, frame in shop.items():
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    options = {name: {"path": str(tmp_path / f"{name}.csv")} for name in shop}
    where = ("-c", own(tmp_path, source={"loader": "files", "options": options}), "-w", tmp_path / "shop")
    assert staycast("ingest", *where).returncode == 0
    before = snapshot(Workspace(tmp_path / "shop"))
    orders = shop["orders"]
    for broken, said in (
        (orders.drop(columns="amount"), "column 'amount' is missing"),
        (orders.head(0), "the table is empty"),
    ):
        broken.to_csv(tmp_path / "orders.csv", index=False)
        assert said in refused(staycast("ingest", *where))
    (tmp_path / "orders.csv").unlink()
    assert "no file at" in refused(staycast("ingest", *where))
    assert snapshot(Workspace(tmp_path / "shop")) == before
    for useless in (orders.assign(amount="many"), orders.assign(ordered_at="2199-01-01")):
        useless.to_csv(tmp_path / "orders.csv", index=False)
        for verb in ("ingest", "features"):
            done = staycast(verb, *where)
            assert done.returncode == 4 and "only 0.0% of" in f"{done.stdout}{done.stderr}"
