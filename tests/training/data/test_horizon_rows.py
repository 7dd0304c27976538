"""Which horizons of churn can be learned is decided in one place, for a training as for the check."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from features.build import build
from features.ingest import ingest
from features.schema import FeatureSchema
from features.store import feature_store
from features.sufficiency import LabelledRows, check_source
from training.data.dataset import Dataset
from training.data.expected_basis import expected_basis
from training.data.horizon_rows import horizons_to_learn, left_out_by_main_alone
from training.data.task_rows import labelled
from training.fit.recipe import search_and_fit


def history(months: int) -> pd.DataFrame:
    """400 customers at each of so many moments 30 days apart; a horizon is known where it ends before the last one.

    A quarter each orders within 30, 60 and 90 days, the others never do.
    """
    as_ofs = pd.date_range("2024-01-01", periods=months, freq="30D")
    rows = pd.DataFrame({"as_of": as_ofs.repeat(400), "customer_id": [*range(400)] * months})
    for days in (30, 60, 90):
        silent = (rows["customer_id"] % 4 >= days // 30).astype(float)
        rows[f"churned_{days}"] = silent.where(rows["as_of"] + pd.Timedelta(days=days) <= as_ofs[-1], np.nan)
    return rows


@pytest.mark.parametrize(("moments", "silent"), [(6, {}), (3, {"90"}), (2, {"60", "90"})])
def test_a_horizon_that_no_moment_has_seen_the_end_of_is_left_out_with_those_beyond_and_the_check_says_so(
    moments: int, silent: set[str], settings: Settings
) -> None:
    rows = history(moments)
    churn = settings.churn.model_copy(update={"horizon_days": 30, "horizons_days": (30, 60, 90)})
    least = settings.minimum.model_copy(update={"as_ofs": 1})
    business = settings.model_copy(update={"churn": churn, "minimum": least})
    labels = rows.assign(churned=rows["churned_30"], label=rows["churned_30"], clv=np.nan)
    told = expected_basis(LabelledRows(labels, FeatureSchema(())), business)[0]
    data = Dataset("churn", labels.dropna(subset=["label"]), FeatureSchema(()), "")
    _, left_out = horizons_to_learn(data, tuple(data.as_ofs), None, business)
    assert set(left_out) == set(silent) and told["basis"] == "trees"
    assert all(f"nothing would be told within {days} days: {why}" in told["why"] for days, why in left_out.items())
    assert ("nothing would be told" in told["why"]) == bool(silent)


def test_a_regression_at_the_main_horizon_tells_of_no_other_and_the_check_says_so(settings: Settings) -> None:
    churn = settings.churn.model_copy(update={"kind": "contract", "horizon_days": 30, "horizons_days": (60, 90)})
    business = settings.model_copy(update={"churn": churn})
    rows = history(6)
    rows = rows[rows["customer_id"] < 60]
    labels = rows.assign(churned=rows["churned_30"], label=rows["churned_30"], clv=1.0)
    told = expected_basis(LabelledRows(labels, FeatureSchema(()), orders=False), business)[0]
    assert told["basis"] == "prior" and set(left_out_by_main_alone(business)) == {"60", "90"}
    assert told["why"].count("nothing would be told within") == 2


@pytest.mark.slow
@pytest.mark.parametrize("months", [2, 8])
def test_the_check_names_the_horizons_that_a_training_leaves_out(
    months: int, settings: Settings, tmp_path: Path
) -> None:
    options = {"customers": 150, "months": months, "seed": 7}
    changes = {
        "source": settings.source.model_copy(update={"options": options}),
        "tuning": settings.tuning.model_copy(update={"trials": 1, "folds": 2, "max_trees": 8}),
        "minimum": settings.minimum.model_copy(update={"customers": 40, "labels_of_each_kind": 20, "as_ofs": 2}),
        "churn": settings.churn.model_copy(update={"horizon_days": 30, "horizons_days": (30, 60, 90)}),
    }
    business, place = settings.model_copy(update=changes), Workspace(tmp_path / "place")
    told = {entry["model"]: entry for entry in check_source(business, expect=expected_basis)["expected"]}
    ingest(business, place)
    build(business, place)
    feature_store.apply(place)
    data = labelled(business, place, "churn")
    models = search_and_fit(business, place, data, lambda name, done, of: None, place)
    left_out = models.final.info.get("horizons_left_out", {})
    said = [f"nothing would be told within {days} days: {why}" for days, why in left_out.items()]
    foreseen = [part for part in told["churn"]["why"].split("; ") if part.startswith("nothing would be told")]
    assert foreseen == said
