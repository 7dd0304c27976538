"""What the feature rows rest on, as a short hash; nothing heavy is imported for it."""

from __future__ import annotations

from configs.fingerprint import code_fingerprint, files_fingerprint, fingerprint
from configs.settings import Settings
from configs.workspace import Workspace
from features.quality import quality_verdict
from features.store.log_position import log_position


def features_fingerprint(settings: Settings, workspace: Workspace) -> str:
    """A short hash of all that the feature rows depend on: tables, when they were loaded, settings and code."""
    code = code_fingerprint("features")
    tables = files_fingerprint(workspace.tables.glob("*.parquet"))
    sections = [s.model_dump(mode="json") for s in (settings.as_of, settings.churn, settings.clv, settings.columns)]
    sections += (
        [settings.calendar.model_dump(mode="json")] if settings.calendar.windows or settings.calendar.feasts else []
    )
    loaded = None if settings.data_until else quality_verdict.loaded_at(workspace)
    return fingerprint(code, tables, sections, settings.data_until, loaded, settings.engine, log_position(workspace))
