"""Answers for customers who stand in a frame, written as all customers' are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from configs.settings import Settings
from configs.workspace import Workspace
from features.people.identity import load_alias_map
from serving.answer.champion import Champions
from serving.bulk.parts import Parts
from serving.bulk.publish import publish
from serving.bulk.work import CHUNK_ROWS, PartWriter, write_all


class FrameCustomers:
    """All customers in memory."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame.set_index("customer_id", drop=False).rename_axis(None)

    def ids(self) -> Iterator[str]:
        return iter(sorted(self.frame.index))

    def of_persons(self, persons: Sequence[str]) -> pd.DataFrame:
        return self.frame.loc[list(persons)].reset_index(drop=True)


def score_all(
    frame: pd.DataFrame,
    champions: Champions,
    settings: Settings,
    workspace: Workspace,
    now: datetime,
    on_progress: Callable[[int, int], None] | None = None,
    chunk_rows: int = CHUNK_ROWS,
    part_rows: int = 170,
) -> dict[str, Any]:
    customers = FrameCustomers(frame)
    parts = Parts.begin(workspace.scoring, "made up", customers.ids, part_rows, now)
    aliases = load_alias_map(workspace.tables).aliases()
    top = settings.serving.top_reasons
    write_all(PartWriter(customers, champions, settings, aliases, parts, top, chunk_rows), on_progress)
    result = publish(parts, champions, settings, workspace)
    parts.remove()
    return result
