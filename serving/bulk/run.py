"""The answers for every customer of the newest ``as_of``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from configs.errors import NotReadyError
from configs.settings import Settings
from configs.workspace import Workspace
from features.labels.ready_label import known_to_have_left
from features.quality import quality_verdict
from features.schema import load_schema
from serving.answer.champion import Champions
from serving.bulk.batch import score_all


def score_newest(
    settings: Settings, workspace: Workspace, on_progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Answer for every customer of the newest ``as_of``, see `serving.bulk.batch.score_all`.

    Who is known to have left can no longer be kept and gets no answer; ``left`` is how many they are.

    Raises
    ------
    NotReadyError, RegistryError
        There are no features of the current load, or no champion that fits them.
    """
    path = workspace.features / "rows.parquet"
    if not path.is_file():
        raise NotReadyError(f"no features in workspace '{workspace.root}': run `staycast features` first")
    quality_verdict.require_newest_features(workspace)
    unledgered = settings.serving.unledgered
    champions = Champions.load(workspace, lambda: load_schema(workspace.features).hash, settings.tasks, unledgered)
    rows = pd.read_parquet(path)
    newest = rows[rows["as_of"] == rows["as_of"].max()].drop(columns="known_at")
    kept = newest[~newest["customer_id"].isin(known_to_have_left(workspace.features))].reset_index(drop=True)
    result = score_all(kept, champions, settings, workspace, datetime.now(UTC), on_progress)
    return {**result, "left": len(newest) - len(kept)}
