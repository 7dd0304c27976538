"""The data quality report: what was read, what is used, what is missing, how fresh it is.

Defined, for every table:

- *completeness* of a column: share of the used rows in which it is filled;
- *validity*: share of the rows read, those of erased persons aside, that are used;
- *duplicates*: rows whose key occurred before;
- *range*: smallest, middle and largest value of a number or time;
- *age*: days from the newest row to `data_until`, or else to the newest row of all tables.

Five shares tell how good a table is as a whole; each has a threshold under `quality.thresholds`, and what lies under it
keeps training and scoring from going on (`features.quality.quality_gate`). `DIMENSIONS` defines them; the report
repeats it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape

from configs.files import replacing
from configs.settings import Settings
from features.quality.check import ValidatedTable
from features.quality.dates.load_facts import event_times, newest_times, rows_a_day
from features.tables import NO_EVENTS, Field, reason_kinds, split_reasons

DIMENSIONS = {
    "completeness": "Share of the rows read in which every column that must be filled is filled.",
    "validity": "Share of the rows read whose values can be read, lie in their range and did not happen in the future.",
    "uniqueness": "Share of the rows read whose key did not occur before.",
    "consistency": "Share of the rows read that belong to a known customer and were not recorded, redeemed or ended "
    "before they happened.",
    "freshness": "1 if the newest row is no older than quality.max_age_days (or than twice the longest pause the table "
    "ever made, if that is more); else that limit over the age. Customers and profiles do not age.",
}
_REASON_PATTERNS = {
    "completeness": r"is empty",
    "uniqueness": r"occurs more than once",
    "consistency": r"is no known customer",
    "validity": r"is not |lies in the future|is less than|is more than|is larger than|is longer than",
}
_LATER = ("recorded_at", "redeemed_at", "ended_at")


def describe(checked: Mapping[str, ValidatedTable], settings: Settings) -> dict[str, Any]:
    """Describe every checked table, as values that JSON can hold."""
    until = _data_end(checked, settings)
    tables = [_table(one, until, settings) for one in checked.values()]
    return {"business": settings.name, "data_until": _iso(until), "tables": tables}


def write(content: dict[str, Any], folder: Path) -> Path:
    """Write ``quality.json`` and ``quality.html`` into a folder, in the place of what was there."""
    pages = Environment(loader=PackageLoader("features.quality"), autoescape=select_autoescape())
    with replacing(folder) as new:
        (new / "quality.json").write_text(json.dumps(content, indent=1), "utf-8")
        (new / "quality.html").write_text(pages.get_template("quality.html").render(**content), "utf-8")
    return folder / "quality.html"


def dimensions(checked: Mapping[str, ValidatedTable], settings: Settings) -> dict[str, dict[str, float]]:
    """The five shares of every table: table -> dimension -> value in ``[0, 1]``, see `DIMENSIONS`."""
    until = _data_end(checked, settings)
    return {name: _dimensions(one, until, settings) for name, one in checked.items()}


def main_cause(one: ValidatedTable, dimension: str) -> tuple[str, str]:
    """The column to which most of what a dimension lacks goes back, and the reason in brackets."""
    if dimension == "freshness":
        return one.table.time, f" (newest row {_iso(_span(one)[1])})"
    reasons = one.quarantined["reason"].astype(str)
    top = count_reasons(one, split_reasons(reasons[reasons.str.contains(_REASON_PATTERNS[dimension])]))
    top = top[top.index.str.contains(_REASON_PATTERNS[dimension])]
    if top.empty:
        return max(_LATER, key=lambda column: _rows_before_event(one, column)), " (before it happened)"
    return str(top.index[0]).split(": ")[0], f" ({top.iloc[0]:,} rows: {top.index[0]})"


def count_reasons(one: ValidatedTable, reasons: pd.Series) -> pd.Series:
    """Rows of the source for each reason, the most frequent first; what a reason quotes is left out.

    Parameters
    ----------
    one
        The table.
    reasons
        Texts, by the rows in quarantine.
    """
    kinds = reason_kinds(reasons)
    return one.weights.reindex(kinds.index).groupby(kinds.to_numpy()).sum().sort_values(ascending=False, kind="stable")


def _dimensions(one: ValidatedTable, until: datetime | None, settings: Settings) -> dict[str, float]:
    read, weights = max(one.rows_judged, 1), one.weights
    reasons = one.quarantined["reason"].astype(str)
    lost = {name: float(weights[reasons.str.contains(pattern)].sum()) for name, pattern in _REASON_PATTERNS.items()}
    lost["consistency"] += max(_rows_before_event(one, column) for column in _LATER)
    shares = {name: 1 - lost[name] / read for name in DIMENSIONS if name in lost}
    return {**shares, "freshness": _freshness(one, until, settings.quality.max_age_days)}


def _rows_before_event(one: ValidatedTable, column: str) -> float:
    """Rows in which a later time lies before the event itself."""
    if column not in one.used or not one.filled(column):
        return 0.0
    if column == "recorded_at" and one.table.name == "subscriptions":  # a contract that was booked ahead
        return 0.0
    early = [part[column] < part[one.table.time] for part in one.parts([column, one.table.time])]
    if one.source_rows is None:
        return float(sum(part.sum() for part in early))
    return float(one.source_rows[pd.concat(early)].sum())


def _span(one: ValidatedTable) -> tuple[Any, Any]:
    """When the oldest and the newest row of a table happened; None if it has none."""
    ends = [(part.min(), part.max()) for part in event_times(one) if part.notna().any()]
    return min((oldest for oldest, _ in ends), default=None), max((newest for _, newest in ends), default=None)


def _freshness(one: ValidatedTable, until: datetime | None, max_age_days: int) -> float:
    if one.table.name in NO_EVENTS or until is None:
        return 1.0
    newest, days = _span(one)[1], rows_a_day(event_times(one)).index
    if newest is None:
        return 1.0
    age = (until - newest).total_seconds() / 86_400
    pause = np.diff(days).max() / np.timedelta64(1, "D") if len(days) > 1 else 0.0
    limit = max(float(max_age_days), 2 * float(pause))
    return 1.0 if age <= limit else limit / age


def _data_end(checked: Mapping[str, ValidatedTable], settings: Settings) -> datetime | None:
    """The newest time of all tables, or ``data_until``; each of them is as old as its own lies before."""
    newest = (pd.Timestamp(time).to_pydatetime() for time in newest_times(checked) if pd.notna(time))
    return settings.data_until_utc or max(newest, default=None)


def _table(one: ValidatedTable, until: datetime | None, settings: Settings) -> dict[str, Any]:
    oldest, newest = _span(one)
    age = ((until or pd.NaT) - newest).total_seconds() / 86_400 if newest is not None else None
    reasons = {str(reason): int(n) for reason, n in count_reasons(one, one.quarantined["reason"]).items()}
    reasons |= {"the person was erased": one.erased} if one.erased else {}
    repeated = one.quarantined["reason"].astype(str).str.contains("occurs more than once")
    return {
        "name": one.table.name,
        "grain": one.table.grain,
        "source_grain": one.grain or one.table.grain,
        "rows_made": one.table_rows,
        "rows_read": one.rows_read,
        "rows_used": one.rows_used,
        "rows_quarantined": one.rows_quarantined,
        "rows_erased": one.erased,
        "rows_left_out": one.rows_left_out,
        "left_out": dict(one.left_out),
        "valid_share": one.valid_share,
        "duplicates": int(one.weights[repeated].sum()),
        "reasons": reasons,
        "oldest": _iso(oldest),
        "newest": _iso(newest),
        "age_days": age,
        "fresh": age is not None and (one.table.name in NO_EVENTS or age <= settings.quality.max_age_days),
        "columns": [_column(one, field) for field in one.table.fields],
    }


def _column(one: ValidatedTable, field: Field) -> dict[str, Any]:
    rows = one.filled(field.name)
    out: dict[str, Any] = {
        "name": field.name,
        "completeness": rows / one.table_rows if one.table_rows else 0.0,
        "distinct": one.distinct(field.name) if rows else 0,
    }
    if not rows or field.kind in ("id", "text"):
        return out
    show = (lambda time: _iso(pd.Timestamp(time))) if field.kind == "time" else float
    return out | {name: show(value) for name, value in _range(one.column(field.name).to_numpy()).items()}


def _range(values: np.ndarray) -> dict[str, Any]:
    """Smallest, middle and largest of the values that are there."""
    filled = values[~pd.isna(values)]
    middle = len(filled) // 2
    filled.partition(sorted({0, max(middle - 1, 0), middle, len(filled) - 1}))
    before = filled[middle if len(filled) % 2 else middle - 1]
    return {"min": filled[0], "median": before + (filled[middle] - before) / 2, "max": filled[-1]}


def _iso(time: Any) -> str | None:
    return None if time is None or pd.isna(time) else f"{time.isoformat(timespec='seconds')}Z"
