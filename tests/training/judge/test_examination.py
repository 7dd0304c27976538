"""What a reader of an examination looks for: every tier, and new customers, apart."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from configs.settings import load
from configs.workspace import Workspace
from training.data.task_rows import holdout
from training.judge.examination import examine, interval_coverage_by_group
from training.model import catalog
from training.registry import model_registry


@pytest.fixture(scope="module")
def examination(lived: Workspace):
    present = catalog.champion(lived, "clv")
    assert present is not None
    _, judged = model_registry.bundles(lived, "clv", present.version)
    held_out, train = holdout(load("test"), lived, "clv")
    return examine(judged, held_out, train, load("test"))


def test_the_interval_is_told_for_every_tier_and_for_new_customers(examination) -> None:
    groups = interval_coverage_by_group(examination)
    assert {"diamond", "gold", "silver", "bronze", "new"} == set(groups)
    rows = {name: n for name, (_, n) in groups.items()}
    assert sum(rows[t] for t in ("diamond", "gold", "silver", "bronze")) == examination.model["n"]
    assert all(0 <= covered <= 1 for covered, _ in groups.values())


def test_tiers_go_by_the_forecast_and_take_their_shares(examination) -> None:
    least = examination.rows.groupby("tier")["forecast"].min()
    assert least["diamond"] > least["gold"] > least["silver"] > least["bronze"]
    share = (examination.rows["tier"] == "diamond").mean()
    assert share == pytest.approx(load("test").decisions.tiers.diamond, abs=0.01)


def test_coverage_over_all_is_the_mean_of_its_groups(examination) -> None:
    groups = pd.DataFrame(interval_coverage_by_group(examination), index=["covered", "n"]).T.drop("new")
    assert (groups["covered"] * groups["n"]).sum() / groups["n"].sum() == pytest.approx(examination.model["coverage"])


def test_an_examination_can_be_written_as_json(examination) -> None:
    assert json.loads(json.dumps(examination.to_dict()))["model"]["n"] == examination.model["n"]
