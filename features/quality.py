"""The data quality report: what was read, what is used, what is missing, how fresh it is.

Defined, for every table:

- *completeness* of a column: share of the used rows in which it is filled;
- *validity*: share of the rows read that are used;
- *duplicates*: rows whose key occurred before;
- *range*: smallest, middle and largest value of a number or time;
- *freshness*: days from the newest row to `data_until`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape
from pandas._libs.tslibs.nattype import NaTType

from configs.settings import Settings
from configs.workspace import replacing
from features.check import Checked


def report(checked: Mapping[str, Checked], settings: Settings) -> dict[str, Any]:
    """Describe every checked table, as values that JSON can hold."""
    until = _until(checked, settings)
    tables = [_table(one, until, settings) for one in checked.values()]
    return {"business": settings.name, "data_until": _iso(until), "tables": tables}


def write(content: dict[str, Any], folder: Path) -> Path:
    """Write ``quality.json`` and ``quality.html`` into a folder, in the place of what was there."""
    pages = Environment(loader=PackageLoader("features"), autoescape=select_autoescape())
    with replacing(folder) as new:
        (new / "quality.json").write_text(json.dumps(content, indent=1), "utf-8")
        (new / "quality.html").write_text(pages.get_template("quality.html").render(**content), "utf-8")
    return folder / "quality.html"


def _until(checked: Mapping[str, Checked], settings: Settings) -> pd.Timestamp | NaTType:
    if settings.data_until is not None:
        return pd.Timestamp(settings.data_until).tz_convert("UTC").tz_localize(None)
    newest = [one.used[one.table.time].max() for one in checked.values() if len(one.used)]
    return max((t for t in newest if pd.notna(t)), default=pd.NaT)


def _table(one: Checked, until: pd.Timestamp | NaTType, settings: Settings) -> dict[str, Any]:
    times = one.used[one.table.time]
    age = (until - times.max()).total_seconds() / 86_400 if len(times) else None
    reasons = one.quarantined["reason"].str.replace(r"'.*?'", "…", regex=True).value_counts()
    return {
        "name": one.table.name,
        "grain": one.table.grain,
        "rows_read": len(one.used) + len(one.quarantined),
        "rows_used": len(one.used),
        "rows_quarantined": len(one.quarantined),
        "valid_share": one.valid_share,
        "duplicates": int(one.quarantined["reason"].str.contains("occurs more than once").sum()),
        "reasons": {str(reason): int(n) for reason, n in reasons.items()},
        "oldest": _iso(times.min()),
        "newest": _iso(times.max()),
        "age_days": age,
        "fresh": age is not None and (one.table.name == "customers" or age <= settings.quality.max_age_days),
        "columns": [_column(name, one.used[name]) for name in one.table.names],
    }


def _column(name: str, values: pd.Series) -> dict[str, Any]:
    filled = values.dropna()
    out: dict[str, Any] = {
        "name": name,
        "completeness": len(filled) / len(values) if len(values) else 0.0,
        "distinct": int(filled.nunique()),
    }
    if len(filled) and pd.api.types.is_numeric_dtype(filled):
        out |= {"min": float(filled.min()), "median": float(filled.median()), "max": float(filled.max())}
    elif len(filled) and pd.api.types.is_datetime64_any_dtype(filled):
        out |= {"min": _iso(filled.min()), "median": _iso(filled.quantile(0.5)), "max": _iso(filled.max())}
    return out


def _iso(time: Any) -> str | None:
    return None if time is None or pd.isna(time) else f"{time.isoformat(timespec='seconds')}Z"
