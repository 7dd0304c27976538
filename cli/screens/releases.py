"""The releases that run beside the champions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from cli.screens.tables import make_table


def releases_screen(result: Mapping[str, Any]) -> RenderableType:
    """A table of the releases that run."""
    if not result["releases"]:
        return Text("no release runs: every customer is answered by the champions")
    table = make_table("Releases", "version", "as", "beside", "since", "decided", "by", "reason")
    for release in result["releases"]:
        share = f"canary, {release['percent']:g} %" if release["kind"] == "canary" else "shadow"
        beside = f"{release['model']}/{release['champion']}"
        times = release["began_at"][:16], release["changed_at"][:16]
        label = f"{release['model']}/{release['version']}"
        table.add_row(label, share, beside, *times, release["by"], release["reason"])
    return table
