"""What the answers for all customers rest on, as a short hash; nothing heavy is imported for it."""

from __future__ import annotations

from configs.fingerprint import code_fingerprint, files_fingerprint, fingerprint
from configs.settings import Settings
from configs.workspace import Workspace
from features.store.online_rows import online_fingerprint
from serving.records.objections import persons_who_object
from training.model.catalog import champion_versions
from training.model.proof import ledger
from training.model.proof.releases import running

NOT_IN_ANSWERS = (
    "source",
    "quality",
    "minimum",
    "tuning",
    "training",
    "gates",
    "leaks",
    "monitoring",
    "redis",
    "serving",
)


def scoring_fingerprint(settings: Settings, workspace: Workspace) -> str:
    """A short hash of all that the answers depend on: features, rows online, load, models, settings and code."""
    code = code_fingerprint("serving")
    rows = files_fingerprint(workspace.features.glob("*.parquet"))
    used_settings = settings.model_dump(mode="json", exclude=set(NOT_IN_ANSWERS))
    reasons = settings.serving.top_reasons
    pointer = workspace.loads.pointer()
    load = None if pointer is None else pointer.current  # the folder of the answers names it
    online = online_fingerprint(workspace)
    beside = [(r.id, r.label, r.percent) for r in running(ledger.read(workspace.ledger)).values() if r.kind == "canary"]
    champions = champion_versions(workspace, settings.tasks)
    objecting = sorted(persons_who_object(workspace))
    return fingerprint(code, rows, champions, beside, used_settings, reasons, load, online, objecting)
