"""What all pages share: one HTML file that loads nothing, and the same content as JSON beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, content: Mapping[str, Any]) -> str:
    """Fill a template; all text is escaped."""
    pages = Environment(
        loader=PackageLoader("monitoring.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return pages.get_template(template).render(**content)


def write(folder: Path, name: str, html: str, content: Mapping[str, Any]) -> dict[str, Path]:
    """Write a page and its JSON; their paths, as ``html`` and ``json``."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {"html": folder / f"{name}.html", "json": folder / f"{name}.json"}
    paths["html"].write_text(html, "utf-8")
    text = json.dumps(to_json_value(content), indent=1, ensure_ascii=False, allow_nan=False)
    paths["json"].write_text(text, "utf-8")
    return paths


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """One dict a row, by column name."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def to_json_value(value: Any) -> Any:
    """Values that JSON knows: NaN and infinity become None, numpy's numbers Python's, anything else text.

    >>> to_json_value({"n": np.int64(3), "effect": np.nan, "at": pd.Timestamp("2024-03-01")})
    {'n': 3, 'effect': None, 'at': '2024-03-01 00:00:00'}
    """
    if isinstance(value, Mapping):
        return {str(key): to_json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | np.ndarray):
        return [to_json_value(item) for item in value]
    if isinstance(value, np.generic):
        return to_json_value(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return None if pd.isna(value) else str(value)
