"""The value that is served is the value that was learned from: online = offline = snapshot."""

from __future__ import annotations

import pandas as pd
import pytest

from configs.errors import NotReadyError
from configs.workspace import Workspace
from features.schema import load_schema
from features.store.feature_store import training_rows
from features.store.online_rows import OnlineFeatures
from tests.feature_rows import recorded_later


@pytest.fixture(scope="module")
def snapshot(lived: Workspace) -> pd.DataFrame:
    rows = pd.read_parquet(lived.features / "rows.parquet").drop(columns="known_at")
    return rows.sort_values(["as_of", "customer_id"], ignore_index=True)


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    left, right = (f.astype(dict.fromkeys(f.select_dtypes(["object", "string"]), object)) for f in (left, right))
    pd.testing.assert_frame_equal(left.where(left.notna(), None), right.where(right.notna(), None), check_exact=True)


def test_offline_equals_snapshot_at_every_moment(lived: Workspace, snapshot: pd.DataFrame) -> None:
    same(training_rows(lived, snapshot[["customer_id", "as_of"]], "churn"), snapshot)


@pytest.mark.slow
def test_a_copied_workspace_learns_from_its_own_rows(fresh: Workspace) -> None:
    path = fresh.features / "rows.parquet"
    rows = pd.read_parquet(path)
    rows.assign(tenure_days=rows["tenure_days"] + 1000.0).to_parquet(path, index=False)
    found = training_rows(fresh, rows[["customer_id", "as_of"]], "clv")
    assert found["tenure_days"].dropna().min() >= 1000.0


def test_online_equals_snapshot_for_every_customer_of_whom_nothing_was_recorded_since(
    lived: Workspace, snapshot: pd.DataFrame
) -> None:
    newest = snapshot[snapshot["as_of"] == snapshot["as_of"].max()]
    later = newest["customer_id"].isin(recorded_later(lived))  # these are online as they are known by now
    assert later.mean() < 0.1
    newest = newest[~later].reset_index(drop=True)
    same(OnlineFeatures(lived).read(newest["customer_id"].tolist()), newest)


def test_an_unknown_customer_has_no_moment_and_no_values(lived: Workspace) -> None:
    found = OnlineFeatures(lived).read(["nobody"])
    assert found.drop(columns="customer_id").isna().all(axis=None)


def test_rows_come_in_the_order_asked(lived: Workspace, snapshot: pd.DataFrame) -> None:
    ids = snapshot["customer_id"].drop_duplicates().tail(5).tolist()
    reader = OnlineFeatures(lived)
    same(reader.read(ids[::-1]).iloc[::-1].reset_index(drop=True), reader.read(ids))
    assert reader.schema_hash == load_schema(lived.features).hash


def test_an_empty_workspace_has_nothing_online(workspace: Workspace) -> None:
    with pytest.raises(NotReadyError, match="run `staycast features` first"):
        OnlineFeatures(workspace)
