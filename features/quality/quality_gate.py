"""Data quality as a gate: a load that is not good enough keeps features, training and scoring from going on.

At each ingest `judge` measures the five dimensions of every table (`features.quality.DIMENSIONS`) and the share of its
rows that can be used, looks for what is strange (`features.quality.anomalies`), and keeps the verdict and one line of
history. A load that passes becomes the reference that later loads are compared with; so does one that is accepted by a
person, whose name and reason the ledger keeps (`training.registry.overrides`). `require` is what every function that
builds features, trains or scores asks before it begins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from configs.fingerprint import fingerprint
from configs.loads import HISTORY, PROFILE, VERDICT
from configs.settings import Settings
from configs.workspace import Workspace
from features.quality import anomalies, quality_report
from features.quality.anomalies import Finding, Profile
from features.quality.check import ValidatedTable
from features.quality.dates.closure_findings import closure_findings
from features.quality.dates.gap_findings import gap_findings
from features.quality.dates.moment_findings import moment_findings
from features.quality.dates.sign_ups import sign_up_findings
from features.quality.findings.conflicts import conflict_findings
from features.quality.findings.id_findings import id_findings
from features.quality.findings.row_findings import count_findings, row_findings
from features.quality.findings.value_findings import value_findings
from features.quality.outlying_amounts import outlier_findings, usual_sizes
from features.quality.quality_verdict import read_if_any

LOADS_SHOWN = 60


@dataclass(frozen=True)
class Verdict:
    """What was found of one load.

    Attributes
    ----------
    at, source
        When it was judged, and the fingerprint of its source.
    dimensions
        Table -> dimension -> share in ``[0, 1]``.
    findings
        What is strange, and what lies under its threshold; those that stop first.
    compared
        True if there was a reference to compare with; without one, only rules that need none were asked.
    """

    at: str
    source: str
    dimensions: dict[str, dict[str, float]]
    findings: tuple[Finding, ...]
    compared: bool

    @property
    def stops(self) -> tuple[Finding, ...]:
        """The findings for which training and scoring stop."""
        return tuple(f for f in self.findings if f.severity == "stop")

    @property
    def fingerprint(self) -> str:
        """A short hash of the load and of what was found: what an acceptance holds for."""
        return fingerprint(self.source, self.dimensions, [f.to_dict() for f in self.findings])

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**vars(self), "findings": [f.to_dict() for f in self.findings], "passed": not self.stops}


def judge(
    checked: Mapping[str, ValidatedTable], settings: Settings, reference: Profile | None, at: datetime, source: str = ""
) -> tuple[Verdict, Profile]:
    """Measure a load and look for what is strange; nothing is written.

    Parameters
    ----------
    checked
        The tables after their check.
    settings
        Of the business: thresholds, and rules that only warn.
    reference
        Profile of the last accepted load, or None.
    at, source
        The present, and the fingerprint of the source.
    """
    dimensions = quality_report.dimensions(checked, settings)
    profile = anomalies.profile_tables(checked, settings.time_zone) | {"usual_amounts": usual_sizes(checked)}
    strange = anomalies.find_anomalies(profile, reference, settings.quality.accept_rules)
    findings = (
        *_threshold_findings(checked, dimensions, settings),
        *gap_findings(checked, settings, at),
        *closure_findings(checked, settings, at),
        *sign_up_findings(checked),
        *strange,
        *conflict_findings(checked, settings),
        *outlier_findings(checked),
        *row_findings(checked),
        *count_findings(checked, settings),
        *value_findings(checked, settings),
        *id_findings(checked),
        *moment_findings(checked, settings, at),
    )
    return Verdict(at.isoformat(timespec="seconds"), source, dimensions, findings, reference is not None), profile


def _threshold_findings(
    checked: Mapping[str, ValidatedTable], dimensions: dict[str, dict[str, float]], settings: Settings
) -> list[Finding]:
    thresholds, min_share = settings.quality.thresholds.model_dump(), settings.quality.min_valid_share
    findings = [_valid_share_finding(one, min_share) for one in checked.values() if one.valid_share < min_share]
    for table, values in dimensions.items():
        for name, value in values.items():
            if value < thresholds[name]:
                column, reason = quality_report.main_cause(checked[table], name)
                todo = f"correct the export or the mapping, or lower quality.thresholds.{name}"
                got = f"{name} {value:.2%}{reason}"
                findings.append(Finding(table, column, name, "stop", got, f"at least {thresholds[name]:.0%}", todo))
    return findings


def _valid_share_finding(one: ValidatedTable, min_share: float) -> Finding:
    top = quality_report.count_reasons(one, one.quarantined["reason"])
    got = f"only {one.valid_share:.1%} of {one.rows_judged:,} rows can be used"
    most = f", most often ({top.iloc[0]:,} rows): {top.index[0]}" if len(top) else ""
    todo = "correct the export or the mapping, or lower quality.min_valid_share"
    return Finding(one.table.name, "*", "usable_rows", "stop", got + most, f"at least {min_share:.0%}", todo)


def save(folder: Path, verdict: Verdict, profile: Profile, earlier: list[dict[str, Any]]) -> None:
    """Write into a staged load its verdict, its profile, and the history of loads with it as the newest line."""
    (folder / PROFILE).write_text(json.dumps(profile), "utf-8")
    content = {**verdict.to_dict(), "fingerprint": verdict.fingerprint}
    (folder / VERDICT).write_text(json.dumps(content, indent=1), "utf-8")
    lines = [json.dumps(entry) + "\n" for entry in (*earlier, _history_entry(verdict))]
    (folder / HISTORY).write_text("".join(lines), "utf-8")


def _history_entry(verdict: Verdict) -> dict[str, Any]:
    """One line of the history: when, which source, table -> dimension -> value, and what stopped."""
    stopped = [f"{f.table}.{f.column} {f.rule}" for f in verdict.stops]
    return {"at": verdict.at, "source": verdict.source, "tables": verdict.dimensions, "stops": stopped}


def describe(earlier: list[dict[str, Any]], verdict: Verdict, settings: Settings) -> dict[str, Any]:
    """What the quality report says of the gate: definitions, thresholds, findings, and the history with this load."""
    loads = [*earlier, _history_entry(verdict)]
    thresholds = settings.quality.thresholds.model_dump()
    return {
        "definitions": quality_report.DIMENSIONS,
        "thresholds": thresholds,
        "verdict": verdict.to_dict(),
        "history": loads,
        "lines": {name: _sparkline(loads, name, min(thresholds.values())) for name in verdict.dimensions},
    }


def _sparkline(loads: list[dict[str, Any]], table: str, threshold: float) -> dict[str, Any]:
    """Points of the lowest share of a table over the newest loads, for a picture of 160 x 28."""
    lowest = [min(load["tables"][table].values()) for load in loads if table in load["tables"]][-LOADS_SHOWN:]
    floor = min(*lowest, threshold) - 0.005
    x = [round(4 + 152 * i / max(len(lowest) - 1, 1), 1) for i in range(len(lowest))]
    y = [round(25 - 22 * (v - floor) / (1 - floor), 1) for v in (*lowest, threshold)]
    points = " ".join(f"{a},{b}" for a, b in zip(x, y, strict=False))
    ends = {"last_x": x[-1], "last_y": y[-2], "threshold_y": y[-1]}
    return {"points": points, **ends, "lowest": ", ".join(f"{v:.2%}" for v in lowest)}


def history(workspace: Workspace) -> list[dict[str, Any]]:
    """The dimensions at each ingest, oldest first; empty if there was none."""
    path = workspace.loads.newest(HISTORY)
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []


def reference_profile(workspace: Workspace) -> Profile | None:
    """Profile of the current load, which is the last accepted one; None at the first."""
    return read_if_any(workspace.loads.current(PROFILE))
