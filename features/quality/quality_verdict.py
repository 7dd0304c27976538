"""What was decided on the newest load, and whether it may be used: read by all that builds, trains or scores.

Nothing heavy is imported for it; `features.quality.quality_gate` judges.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from configs.errors import DataError, NotReadyError
from configs.files import write_text
from configs.loads import PROFILE, VERDICT
from configs.workspace import Workspace

REFUSED_EXIT_CODE = 4
FEATURES_LOAD = "load.txt"  # among the features: the load that they were built from


class QualityError(DataError):
    """The newest load is not good enough to learn from or to score; what was loaded before stays in use for answers."""

    exit_code = REFUSED_EXIT_CODE


def latest_verdict(workspace: Workspace) -> dict[str, Any] | None:
    """The verdict on the newest load, with its ``fingerprint``; None before the first ingest."""
    return read_if_any(workspace.loads.newest(VERDICT))


def loaded_at(workspace: Workspace) -> datetime | None:
    """When the current load was read, to the second; None before the first ingest."""
    verdict = read_if_any(workspace.loads.current(VERDICT))
    return None if verdict is None else datetime.fromisoformat(verdict["at"])


def usual_amounts(workspace: Workspace) -> dict[str, float]:
    """The usual size of an amount of each table of the current load, see `features.quality.outlying_amounts`."""
    path = workspace.loads.current(PROFILE)
    return _usual_amounts(path, path.stat().st_mtime_ns) if path.is_file() else {}


@lru_cache(maxsize=8)
def _usual_amounts(path: Path, changed_at: int) -> dict[str, float]:
    """As `usual_amounts`: a profile is read once, not at each event."""
    return (read_if_any(path) or {}).get("usual_amounts", {})


def accept(workspace: Workspace) -> None:
    """Let the newest load pass although it was stopped; the ledger must have been written before.

    It becomes the current one, and the reference for the loads to come.
    """
    newest = latest_verdict(workspace)
    if newest is not None:
        workspace.loads.accept(newest["fingerprint"])


def is_refused(workspace: Workspace) -> bool:
    """True if the newest load did not pass, and no person accepted it."""
    newest = latest_verdict(workspace)
    return newest is not None and not newest["passed"] and not is_accepted(workspace)


def require(workspace: Workspace) -> None:
    """Check that the newest load passed, or that a person accepted it.

    Raises
    ------
    QualityError
        It did not; the message says what was found, where, and how to go on.
    """
    newest = latest_verdict(workspace)
    if newest is None or not is_refused(workspace):
        return
    from features.quality.anomalies import Finding

    stops = [Finding(**f).text for f in newest["findings"] if f["severity"] == "stop"]
    more = f" (and {len(stops) - 3} more)" if len(stops) > 3 else ""
    raise QualityError(
        f"the newest load is not good enough: {'. '.join(stops[:3])}{more}. See "
        f"{workspace.quality_report / 'quality.html'}; ingest again when mended, "
        'or go on with --accept-quality --reason "..."'
    )


def note_features_load(workspace: Workspace, folder: Path | None = None) -> None:
    """Write beside features that they are those of the current load; `folder`: where they are being built."""
    pointer, path = workspace.loads.pointer(), (folder or workspace.features) / FEATURES_LOAD
    if pointer is not None and pointer.current != _features_load(path):
        write_text(path, str(pointer.current))


def require_newest_features(workspace: Workspace) -> None:
    """Check that the features on disk were built from the current load.

    Raises
    ------
    NotReadyError
        Another load became current since: a model, an answer or a report would be of the data before.
    """
    pointer, load = workspace.loads.pointer(), _features_load(workspace.features / FEATURES_LOAD)
    if pointer is not None and load is not None and pointer.current != load:
        raise NotReadyError(
            f"the features of workspace '{workspace.root}' are of load {load}, and load {pointer.current} is current: "
            "run `staycast features` first (with --refresh it renews the answers of the service alone)"
        )


def _features_load(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None


def is_accepted(workspace: Workspace) -> bool:
    """True if a person let the newest load pass."""
    newest, pointer = latest_verdict(workspace), workspace.loads.pointer()
    if pointer is None:
        return newest is not None and workspace.loads.accepted_before() == newest["fingerprint"]
    return newest is not None and pointer.current == pointer.newest and pointer.accepted == newest["fingerprint"]


def read_if_any(path: Path) -> dict[str, Any] | None:
    """The content of a JSON file; None if there is none."""
    return json.loads(path.read_text("utf-8")) if path.is_file() else None
