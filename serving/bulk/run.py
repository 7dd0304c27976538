"""The answers for every customer of the newest ``as_of``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from configs.errors import NotReadyError
from configs.fingerprint import code_fingerprint, files_fingerprint, fingerprint
from configs.settings import Settings
from configs.workspace import Workspace
from features.schema import load_schema
from serving.answer.champion import Champions, registered_versions
from serving.bulk.batch import score_all


def scoring_fingerprint(settings: Settings, workspace: Workspace) -> str:
    """A short hash of all that the answers depend on: features, champions, settings and code."""
    code = code_fingerprint("serving")
    rows = files_fingerprint(workspace.features.glob("*.parquet"))
    used_settings = [
        settings.decisions.model_dump(mode="json"),
        settings.churn.model_dump(),
        settings.serving.top_reasons,
    ]
    return fingerprint(code, rows, registered_versions(workspace, settings.tasks), used_settings)


def score_newest(
    settings: Settings, workspace: Workspace, on_progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Answer for every customer of the newest ``as_of``, see `serving.bulk.batch.score_all`.

    Raises
    ------
    NotReadyError, RegistryError
        There are no features, or no champion that fits them.
    """
    path = workspace.features / "rows.parquet"
    if not path.is_file():
        raise NotReadyError(f"no features in workspace '{workspace.root}': run `staycast features` first")
    champions = Champions.load(workspace, lambda: load_schema(workspace.features).hash, settings.tasks)
    rows = pd.read_parquet(path)
    newest = rows[rows["as_of"] == rows["as_of"].max()].drop(columns="known_at").reset_index(drop=True)
    return score_all(newest, champions, settings, workspace, datetime.now(UTC), on_progress)
