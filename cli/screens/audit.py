"""The record of answers: whether it is whole, and what was done with it; and who objects to being forecast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from cli.screens.tables import make_table


def verdict_screen(result: Mapping[str, Any]) -> RenderableType:
    """Whether the record is whole; where not, what was found at which entry."""
    span = f"entries {result['first']} to {result['last']}, {result['checkpoints']} signed checkpoints"
    if not result["faults"]:
        return Text(f"The record of answers is whole: {span}.")
    table = make_table("The record of answers is not whole", "entry", "what was found")
    for fault in result["faults"]:
        table.add_row(str(fault["position"] or "-"), fault["what"])
    return Group(table, Text(span))


def objections_screen(result: Mapping[str, Any]) -> RenderableType:
    """What came of the objections that were told, and all there were."""
    table = make_table(f"{len(result['objecting'])} customers object to being forecast", "when", "customer", "", "by")
    for entry in result["history"]:
        table.add_row(entry["at"], entry["customer_id"], "objects" if entry["objects"] else "withdrawn", entry["by"])
    known = [taken["customer_id"] for taken in result["taken"] if taken["status"] == "known"]
    return Group(*([Text(f"It was so before: {', '.join(known)}")] if known else []), table)
