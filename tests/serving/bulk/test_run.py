from __future__ import annotations

import pandas as pd
import pytest

from configs.errors import NotReadyError
from configs.settings import Settings
from configs.workspace import Workspace
from features.schema import Feature, FeatureSchema
from serving.bulk import run
from serving.bulk.run import score_newest


def test_without_features_nobody_is_scored(settings: Settings, workspace: Workspace) -> None:
    with pytest.raises(NotReadyError, match="run `staycast features` first"):
        score_newest(settings, workspace)


def test_who_is_known_to_have_left_is_counted_and_not_scored(
    settings: Settings, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pd.DataFrame({"customer_id": ["a", "b", "c"], "as_of": pd.Timestamp("2024-01-01", tz="UTC"), "age": 1.0})
    workspace.features.mkdir(parents=True)
    rows.assign(known_at=rows["as_of"]).to_parquet(workspace.features / "rows.parquet")
    rows.assign(churned=[1.0, 0.0, None]).to_parquet(workspace.features / "labels.parquet")
    monkeypatch.setattr(run.Champions, "load", lambda *arguments: None)
    monkeypatch.setattr(run, "score_all", lambda frame, *others: {"customers": frame["customer_id"].tolist()})
    for table, result in (
        ("profiles", {"customers": ["b", "c"], "left": 1}),
        ("orders", {"customers": list("abc"), "left": 0}),
    ):
        FeatureSchema((Feature("age", table, "float64", ""),)).save(workspace.features)
        assert score_newest(settings, workspace) == result
