"""The record of answers: whether it is whole, and what was done with it."""

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
