"""The gaps of a load, as findings: days that its rows should cover and do not, see `features.labels.gaps`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from configs.settings import Settings
from features.labels.by_kind import data_end
from features.labels.gaps import GAP_TABLES, Gap, gaps_of
from features.quality.anomalies import RULES, Finding
from features.quality.check import ValidatedTable
from features.quality.dates.load_facts import newest_times, rows_a_day


def load_gaps(checked: Mapping[str, ValidatedTable], settings: Settings, now: datetime) -> list[Gap]:
    """Gaps within the tables, and at their end: up to ``data_until``, or else to the newest row of any table."""
    end = data_end(settings, newest_times(checked), now)
    given = [checked[name] for name in GAP_TABLES if name in checked and checked[name].table_rows]
    counts = {one.table.name: rows_a_day(part[one.table.time] for part in one.parts([one.table.time])) for one in given}
    return gaps_of(counts, end, settings.closed_days)


def gap_findings(checked: Mapping[str, ValidatedTable], settings: Settings, now: datetime) -> list[Finding]:
    """A finding for each gap of a load that is made now (UTC)."""
    severity, todo = RULES["gap"]
    severity = "warn" if "gap" in settings.quality.accept_rules else severity
    todo = f"{todo}, or add 'gap' to quality.accept_rules"
    return [
        Finding(gap.table, checked[gap.table].table.time, "gap", severity, gap.text, "rows as before and after", todo)
        for gap in load_gaps(checked, settings, now)
    ]
