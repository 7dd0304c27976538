"""A business with little history gets answers from a prior, through every verb; with more history, trees take over."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

Staycast = Callable[..., subprocess.CompletedProcess[str]]


def config(folder: Path, base: str, **options: int) -> Path:
    own = yaml.safe_load((Path(__file__).parents[1] / "configs" / f"{base}.yaml").read_text("utf-8"))
    own["source"]["options"] = options
    own["decisions"] = {}
    path = folder / f"{base}.yaml"
    path.write_text(yaml.safe_dump(own), "utf-8")
    return path


def scores(workspace: Path) -> pd.DataFrame:
    folder = max((workspace / "state" / "scores").iterdir())
    return pd.read_parquet(folder / "scores.parquet")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thirty_customers_are_answered_until_there_are_enough_for_trees(staycast: Staycast, tmp_path: Path) -> None:
    place = tmp_path / "place"
    few = config(tmp_path, "test", customers=30, months=6, seed=5)
    done = staycast("run", "--config", few, "--workspace", place, "--by", "the tests", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["train"]
    assert [told[task]["basis"] for task in ("churn", "clv")] == ["prior", "prior"]
    assert all(told[task]["promote"] for task in told)
    rows = scores(place)
    assert set(rows["basis"]) == {"prior"}
    assert rows["expected"].notna().all()
    assert (rows["low"] < rows["high"]).all()
    for verb in (("evaluate",), ("reproduce", "clv/1")):
        done = staycast(*verb, "--config", few, "--workspace", place, "--json")
        assert done.returncode == 0, done.stderr
    more = config(tmp_path, "test", customers=1200, months=14, seed=5)
    reason = ("--accept-quality", "--reason", "the export was widened")
    done = staycast("run", "--config", more, "--workspace", place, "--by", "the tests", *reason, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["train"]
    assert told["churn"]["basis"] == "model"
    assert told["clv"]["basis"] in ("model", "hybrid")
    assert "prior" not in set(scores(place)["basis"])


@pytest.mark.slow
def test_few_contracts_are_answered_by_a_regression(staycast: Staycast, tmp_path: Path) -> None:
    few = config(tmp_path, "test_subscriptions", customers=40, months=10, seed=3)
    accepted = ("--by", "the tests", "--accept-quality", "--reason", "few contracts begin in any one month")
    done = staycast("run", "--config", few, "--workspace", tmp_path / "place", *accepted, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["train"]["churn"]["basis"] == "prior"
    rows = scores(tmp_path / "place")
    told = rows["probability"].dropna()
    assert len(told) > 5
    assert told.between(0, 1).all()


@pytest.mark.slow
def test_a_business_may_ask_to_be_refused_instead(staycast: Staycast, tmp_path: Path) -> None:
    few = config(tmp_path, "test", customers=30, months=6, seed=5)
    content = yaml.safe_load(few.read_text("utf-8"))
    few.write_text(yaml.safe_dump(content | {"minimum": {"below": "stop"}}), "utf-8")
    done = staycast("run", "--config", few, "--workspace", tmp_path / "place")
    assert done.returncode == 2
    assert re.search(r"\d+ customers at the newest labelled moment, 200 are needed", done.stderr)
