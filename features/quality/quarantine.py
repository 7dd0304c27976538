"""What is kept of a rejected row, and how long: the table's columns and the reason, for ``quarantine.keep_days``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from configs.loads import QUARANTINE, VERDICT
from configs.workspace import Workspace
from features.quality.quality_verdict import read_if_any
from features.tables import SOURCE_ROWS, Table

if TYPE_CHECKING:
    import pandas as pd


def kept_columns(spec: Table, rejected: pd.DataFrame) -> pd.DataFrame:
    """Rejected rows as text: the columns of their table, of how many rows of the source each is made, and the reason.

    What an export holds beside the table, such as a name or an address, is not kept.
    """
    names = {*spec.names, SOURCE_ROWS, "reason"}
    return rejected[[name for name in rejected.columns if name in names]].astype(str)


def expire(workspace: Workspace, keep_days: int, now: datetime) -> int:
    """Remove the quarantine of every load that was judged longer ago; how many files there were.

    Parameters
    ----------
    workspace
        Of the business.
    keep_days
        As ``quarantine.keep_days`` says.
    now
        The present, UTC.
    """
    files = [
        path
        for load in workspace.loads.all()
        if _judged(load / VERDICT) < now - timedelta(days=keep_days)
        for path in (load / QUARANTINE).glob("*.parquet")
    ]
    for path in files:
        path.unlink(missing_ok=True)
    return len(files)


def _judged(verdict: Path) -> datetime:
    """When a load was judged; of one that nothing is known of, it is as if it were today."""
    content = read_if_any(verdict)
    return datetime.fromisoformat(content["at"]) if content and "at" in content else datetime.now(UTC)
