"""What a reader of an examination looks for: every tier, and new customers, apart."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from configs.settings import load
from configs.workspace import Workspace
from training.data.task_rows import holdout
from training.judge.examination import NEW, examine
from training.judge.interval_coverage import coverage_by_group
from training.model import catalog
from training.model.tiers import tier_edges, tiers
from training.registry import model_registry


@pytest.fixture(scope="module")
def judged(lived: Workspace):
    present = catalog.champion(lived, "clv")
    assert present is not None
    return model_registry.bundles(lived, "clv", present.version)[1]


@pytest.fixture(scope="module")
def examination(lived: Workspace, judged):
    held_out, train = holdout(load("test"), lived, "clv")
    return examine(judged, held_out, train, load("test"))


@pytest.mark.slow
def test_the_interval_is_told_for_every_tier_and_for_new_customers(examination) -> None:
    groups = coverage_by_group(examination.rows, 0.9, NEW)
    assert {"diamond", "gold", "silver", "bronze", "new"} == set(groups)
    rows = {name: group.rows for name, group in groups.items()}
    assert sum(rows[t] for t in ("diamond", "gold", "silver", "bronze")) == examination.model["n"]
    assert all(0 <= group.share <= 1 for group in groups.values())


def test_tiers_go_by_the_forecast_and_take_their_shares(examination) -> None:
    least = examination.rows.groupby("tier")["forecast"].min()
    assert least["diamond"] > least["gold"] > least["silver"] > least["bronze"]
    share = (examination.rows["tier"] == "diamond").mean()
    assert share == pytest.approx(load("test").decisions.tiers.diamond, abs=0.01)


def test_a_tier_that_is_judged_is_the_one_that_would_be_served(lived: Workspace, judged, examination) -> None:
    forecasts = examination.rows["forecast"].to_numpy()
    assert examination.rows["tier"].tolist() == tiers(forecasts, tier_edges(judged, load("test").decisions.tiers))
    held_out, train = holdout(load("test"), lived, "clv")
    of_richer_customers = replace(judged, quantiles=tuple(q + forecasts.max() for q in judged.quantiles))
    assert set(examine(of_richer_customers, held_out, train, load("test")).rows["tier"]) == {"bronze"}


def test_coverage_over_all_is_the_mean_of_its_groups(examination) -> None:
    groups = pd.DataFrame({k: vars(g) for k, g in coverage_by_group(examination.rows, 0.9, NEW).items()}).T.drop("new")
    assert (groups["share"] * groups["rows"]).sum() / groups["rows"].sum() == pytest.approx(
        examination.model["coverage"]
    )


def test_an_examination_can_be_written_as_json(examination) -> None:
    assert json.loads(json.dumps(examination.to_dict()))["model"]["n"] == examination.model["n"]


def test_quantiles_are_examined_over_all_and_by_tier(examination) -> None:
    names = [f"share_{side}_q{percent}" for percent in (10, 50, 90) for side in ("below", "up_to")]
    shares = [examination.model[name] for name in names]
    assert shares[::2] == sorted(shares[::2]) and shares[1::2] == sorted(shares[1::2])
    for level, below, up_to in zip((0.1, 0.5, 0.9), shares[::2], shares[1::2], strict=True):
        assert below - 0.12 <= level <= up_to + 0.12
    assert examination.slices.loc[examination.slices["slice"] == "tier", names].notna().all(axis=None)
    rows = examination.rows
    assert (rows["q10"] <= rows["q50"]).all() and (rows["q50"] <= rows["q90"]).all()
