"""What every benchmark shares: its records as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def write_records(records: Sequence[dict[str, Any]], path: Path | None) -> None:
    """Write a benchmark's table as a list of records, if a path was given."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(list(records), indent=1), "utf-8")
