from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from configs.settings import Settings
from configs.workspace import Workspace
from serving.answer.champion import Champions
from serving.bulk.batch import SCHEMA
from tests.serving.bulk.scored import score_all


def test_parts_of_any_size_make_the_same_files(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame, workspace: Workspace
) -> None:
    found = []
    for part_rows in (400, 70):
        folder = Path(score_all(customers, champions, settings, workspace, now, part_rows=part_rows)["folder"])
        table = pq.read_table(folder / "scores.parquet")
        assert table.schema.equals(SCHEMA)
        assert len((folder / "scores.jsonl").read_bytes().splitlines()) == len(table) == len(customers)
        found.append(table.drop_columns(["prediction_id"]))
    assert found[0].equals(found[1])


def test_times_of_the_summary_are_in_utc(
    champions: Champions, settings: Settings, customers: pd.DataFrame, workspace: Workspace
) -> None:
    now = datetime(2024, 3, 1, 5, tzinfo=UTC)
    result = score_all(customers.head(3), champions, settings, workspace, now)
    assert (result["scored_at"], result["as_of"]) == ("2024-03-01T05:00:00Z", "2024-03-01T00:00:00Z")
