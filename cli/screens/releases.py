"""The releases that run beside the champions, and what both arms showed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from cli.screens.tables import make_table, number

NONE = "no release runs: every customer is answered by the champions"


def releases_screen(result: Mapping[str, Any]) -> RenderableType:
    """A table a release, with a sentence below."""
    if not result["releases"]:
        return Text(NONE)
    return Group(*(part for release in result["releases"] for part in _release(release)))


def _release(release: Mapping[str, Any]) -> tuple[RenderableType, ...]:
    share = f"canary, {release['percent']:g} %" if release["kind"] == "canary" else "shadow"
    ended = f", ended {release['ended_at'][:16]} ({release['ended']})" if release["ended_at"] else ""
    title = f"{release['model']}/{release['version']}: {share}, since {release['since'][:16]}{ended}"
    table = make_table(title, "", *release["arms"])
    rows = [_figures(arm) for arm in release["arms"].values()]
    for name in rows[0]:
        table.add_row(name, *(row[name] for row in rows))
    newest = f"  of the newest {release['of_newest']:,} answers" if release["of_newest"] else ""
    decided = f"  decided by {release['by']} {release['changed_at'][:16]}: {release['reason']}"
    said = [f"  {release['verdict']}", newest, f"  {release['notice']}" if release["notice"] else "", decided]
    return table, Text("\n".join(line for line in said if line) + "\n")


def _figures(arm: Mapping[str, Any]) -> dict[str, str]:
    """What one arm showed, by its name in the table."""
    latency, scores = arm["latency_ms"] or {}, arm["scores"] or {}
    return {
        "model": arm["model"],
        "answers": f"{arm['answers']:,}",
        "customers": f"{arm['customers']:,}",
        "errors": f"{arm['errors']:,}",
        "dropped": f"{arm['dropped']:,}",
        "ms a call, half within": number(latency.get("p50")),
        "ms a call, 99 % within": number(latency.get("p99")),
        "customers a call": number(latency.get("customers_per_call")),
        "mean score": number(scores.get("mean")),
        "score, middle 80 %": f"{number(scores['p10'])} to {number(scores['p90'])}" if scores else "",
        "outcomes": arm["outcomes"]["text"],
    }
