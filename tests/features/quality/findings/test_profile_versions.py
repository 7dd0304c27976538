"""A profile of another version is not compared hour by hour, and that is said."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from features.quality.anomalies import Profile, find_anomalies, profile_tables
from features.quality.check import check_table
from features.quality.findings.profile_versions import NOT_COMPARED, PROFILE_VERSION
from features.sources import files
from features.tables import ORDERS

TIMES = (  # as exports write them, in a business of Berlin, and the hour at which each is counted
    ("2024-01-15 09:30", 9), ("2024-07-15T09:30:00", 9), ("2024-01-15T09:30:00Z", 10), ("2024-07-15 09:30+00:00", 11),
    ("2024-01-15T20:30:00-05:00", 2), ("2024-01-15", 0), ("2024-07-15 00:00:00", 0), ("2024-07-15T00:00:00Z", 2),
    ("2024-01-15 23:15:10.5", 23), ("20240115", 0),
)  # fmt: skip


def profile(folder: Path, moved: int = 0) -> Profile:
    texts = [text.replace(" 09:", f" {9 + moved:02}:").replace("T09:", f"T{9 + moved:02}:") for text, _ in TIMES]
    rows = "".join(f"o{n},c{n % 60},{texts[n % len(texts)]},{1 + n % 7}\n" for n in range(600))
    (folder / "o.csv").write_text("order_id,customer_id,ordered_at,amount\n" + rows)
    with files.opened({"orders": {"path": str(folder / "o.csv")}}, None, "Europe/Berlin") as raw:
        checked = check_table(ORDERS, raw["orders"], datetime(2025, 1, 1, tzinfo=UTC), {f"c{n}" for n in range(60)})
    return profile_tables({"orders": checked}, "Europe/Berlin")


def test_the_version_stands_for_the_hours_that_times_are_counted_at(tmp_path: Path) -> None:
    """Where this fails as times are read otherwise now: give `PROFILE_VERSION` its next number here and there."""
    hours = [60 * sum(hour == h for _, hour in TIMES) for h in range(24)]
    found = profile(tmp_path)
    assert (found["version"], found["tables"]["orders"]["columns"]["ordered_at"]["hours"]) == (2, hours)
    assert PROFILE_VERSION == 2


@pytest.mark.parametrize("version", [None, PROFILE_VERSION - 1, PROFILE_VERSION])
def test_hours_of_another_version_are_not_compared_which_is_said(tmp_path: Path, version: int | None) -> None:
    old, new = {**profile(tmp_path), "version": version}, profile(tmp_path, moved=4)
    found = [(f.table, f.column, f.rule, f.severity) for f in find_anomalies(new, old)]
    same = [("orders", "ordered_at", "hours_moved", "stop")]
    assert found == (same if version == PROFILE_VERSION else [("orders", "ordered_at", NOT_COMPARED, "warn")])
