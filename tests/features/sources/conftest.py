from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.sources import files


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., pd.DataFrame]:
    """Write the content of one file of orders, and load it with this mapping."""

    def load(content: str | bytes, name: str = "o.csv", **mapping: Any) -> pd.DataFrame:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return files.load({"orders": {"path": str(path), **mapping}})["orders"]

    return load
