"""What was decided on the newest load, and whether it may be used: read by all that builds, trains or scores.

Nothing heavy is imported for it; `features.quality.quality_gate` judges.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from configs.errors import DataError
from configs.workspace import Workspace, write_text


class QualityError(DataError):
    """The newest load is not good enough to learn from or to score."""


def latest_verdict(workspace: Workspace) -> dict[str, Any] | None:
    """The verdict on the newest load, with its ``fingerprint``; None before the first ingest."""
    return read_if_any(quality_folder(workspace) / "verdict.json")


def accept(workspace: Workspace) -> None:
    """Let the newest load pass although it was stopped; the ledger must have been written before.

    It becomes the reference for the loads to come.
    """
    folder, newest = quality_folder(workspace), latest_verdict(workspace)
    if newest is not None:
        write_text(folder / "reference.json", (folder / "profile.json").read_text("utf-8"))
        write_text(folder / "accepted", newest["fingerprint"])


def require(workspace: Workspace) -> None:
    """Check that the newest load passed, or that a person accepted it.

    Raises
    ------
    QualityError
        It did not; the message says what was found, where, and how to go on.
    """
    newest = latest_verdict(workspace)
    if newest is None or newest["passed"] or is_accepted(workspace):
        return
    from features.quality.anomalies import Finding

    stops = [Finding(**f).text for f in newest["findings"] if f["severity"] == "stop"]
    more = f" (and {len(stops) - 3} more)" if len(stops) > 3 else ""
    raise QualityError(
        f"the newest load is not good enough: {'. '.join(stops[:3])}{more}. See "
        f"{workspace.reports / 'quality' / 'quality.html'}; ingest again when mended, "
        'or go on with --accept-quality --reason "..."'
    )


def is_accepted(workspace: Workspace) -> bool:
    """True if a person let the newest load pass."""
    newest, path = latest_verdict(workspace), quality_folder(workspace) / "accepted"
    return newest is not None and path.is_file() and path.read_text("utf-8") == newest["fingerprint"]


def quality_folder(workspace: Workspace) -> Path:
    """Where verdicts, profiles and the history of loads are kept."""
    return workspace.state / "quality"


def read_if_any(path: Path) -> dict[str, Any] | None:
    """The content of a JSON file; None if there is none."""
    return json.loads(path.read_text("utf-8")) if path.is_file() else None
