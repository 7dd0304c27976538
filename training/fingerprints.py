"""What a model rests on, as a short hash; nothing heavy is imported for it."""

from __future__ import annotations

from configs.fingerprint import code_fingerprint, files_fingerprint, fingerprint
from configs.settings import Settings, Task
from configs.workspace import Workspace


def training_fingerprint(settings: Settings, workspace: Workspace, task: Task) -> str:
    """A short hash of all that a model depends on: feature rows, settings and code."""
    code = code_fingerprint("training")
    rows = files_fingerprint(workspace.features.glob("*.parquet"))
    names = ("churn", "clv", "columns", "minimum", "gates", "leaks", "training")
    sections = [*(getattr(settings, name) for name in names), settings.tuning.alone, settings.decisions.stages]
    return fingerprint(task, code, rows, [section.model_dump(mode="json") for section in sections])
