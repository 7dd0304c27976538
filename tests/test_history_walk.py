"""A shop is answered at every age and every horizon, and says what it does without where its history is short."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from features.build import build
from features.ingest import ingest
from features.store import feature_store
from training.data.task_rows import labelled, parted_by_customer
from training.fit.recipe import search_and_fit
from training.judge.examination import examine
from training.judge.verdict import judge

AGES = (1, 2, 3, 5, 8, 12, 14, 18, 24)
WALKS = [pytest.param(30, AGES, marks=pytest.mark.slow)]
MORE = [(30, tuple(range(1, 25))), (7, AGES), (90, AGES), (180, AGES), (365, AGES)]
SWEPT = [pytest.param(*more, marks=pytest.mark.sweep) for more in MORE]


def horizon_of(settings: Settings, days: int) -> Settings:
    """A shop of 24 months whose forecasts look so many days ahead, with a search as small as can be."""
    options = {"customers": 150, "months": 24, "seed": 7}
    return settings.model_copy(
        update={
            "source": settings.source.model_copy(update={"options": options}),
            "tuning": settings.tuning.model_copy(update={"trials": 1, "folds": 2, "max_trees": 8}),
            "minimum": settings.minimum.model_copy(update={"customers": 80, "labels_of_each_kind": 40}),
            "churn": settings.churn.model_copy(update={"horizon_days": days, "horizons_days": ()}),
            "clv": settings.clv.model_copy(update={"horizon_days": days}),
        }
    )


def known_at(place: Workspace, folder: Path, moment: pd.Timestamp) -> Workspace:
    """The workspace's features as they were at a moment: no later row."""
    young = Workspace(folder)
    shutil.copytree(place.features, young.features)
    rows = pd.read_parquet(place.features / "rows.parquet")
    rows[rows["as_of"] <= moment].to_parquet(young.features / "rows.parquet", index=False)
    return young


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("days", "ages"), [*WALKS, *SWEPT])
def test_a_shop_of_any_age_is_answered_at_any_horizon(
    days: int, ages: Sequence[int], settings: Settings, tmp_path: Path
) -> None:
    settings, place = horizon_of(settings, days), Workspace(tmp_path / "place")
    ingest(settings, place)
    build(settings, place)
    feature_store.apply(place)
    moments = sorted(pd.read_parquet(place.features / "rows.parquet", columns=["as_of"])["as_of"].unique())
    assert len(moments) >= 22
    for task in ("churn", "clv"):
        data, searched = labelled(settings, place, task), False  # type: ignore[arg-type]
        wait = pd.Timedelta(days=settings.outcome_days(task))  # type: ignore[arg-type]
        for age in [age for age in ages if age <= len(moments)]:
            moment = moments[age - 1]
            young = known_at(place, tmp_path / f"{task}-{age}", moment)
            matured = data.frame[data.frame["as_of"] + wait <= moment].reset_index(drop=True)
            past = parted_by_customer(replace(data, frame=matured, by="as_of"), settings)
            models = search_and_fit(settings, young, past, lambda name, done, of: None, young)
            rows = pd.read_parquet(young.features / "rows.parquet")
            asked = rows[rows["as_of"] == moment]
            assert np.isfinite(models.final.predict(models.final.encode(asked))).all(), (task, age)
            examination = None
            assert (models.plan is None) == matured.empty, (task, age)
            if models.plan and models.judged:
                held_out, seen = past.at(models.plan.holdout), past.at(models.plan.train_for_holdout)
                examination = examine(models.judged, held_out, seen, settings)
                assert bool(examination.note) == (past.by == "customer_part") == ("judged_by" in models.final.info)
            assert judge(past, models, examination, [], settings).checks
            says_why = bool(models.final.info.get("why"))
            assert models.final.chosen_on_folds or says_why, (task, age)
            assert models.final.chosen_on_folds or not searched or says_why
            searched = searched or models.final.chosen_on_folds
        assert searched or days > 180, task
