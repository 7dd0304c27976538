"""What the reports rest on, as a short hash; nothing heavy is imported for it."""

from __future__ import annotations

from pathlib import Path

from configs.fingerprint import code_fingerprint, files_fingerprint, fingerprint
from configs.settings import Settings
from configs.workspace import Workspace
from training.model import catalog


def reports_fingerprint(settings: Settings, workspace: Workspace) -> str:
    """A short hash of all that the reports depend on: features, champions, settings and code."""
    code = code_fingerprint("monitoring")
    customers = customers_file(settings, workspace)
    rows = files_fingerprint([*workspace.features.glob("*.parquet"), *([customers] if customers.is_file() else [])])
    versions = [getattr(catalog.champion(workspace, task), "version", None) for task in settings.tasks]
    return fingerprint(code, rows, versions, settings.monitoring.model_dump(), settings.columns.model_dump())


def customers_file(settings: Settings, workspace: Workspace) -> Path:
    """The table that has one row a customer."""
    return workspace.tables / f"{'profiles' if settings.churn.kind == 'label' else 'customers'}.parquet"
