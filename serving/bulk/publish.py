"""Parts of answers -> one folder of answers for all customers, which appears whole or not at all."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from configs.errors import DataError
from configs.files import replacing
from configs.loads import Pointer
from configs.settings import Settings
from configs.workspace import SCORE_LINES, SCORE_TABLE, Workspace
from serving.answer.champion import Champions
from serving.answer.score import iso
from serving.bulk.batch import SCHEMA
from serving.bulk.parts import Parts
from serving.bulk.summary import READ, Summary


def publish(parts: Parts, champions: Champions, settings: Settings, workspace: Workspace) -> dict[str, Any]:
    """Join the parts into a folder of ``scores/``, see `folder_name`: what was told before stays where it is.

    Returns
    -------
    dict
        What was written, as JSON can hold it: the folder, the newest moment of the answers (``as_of``) and the oldest
        one, counts of customers by band, tier, stage and action, the sum of expected values (None without a value
        model), and of the campaign how many customers to contact, what that is expected to bring, with the range of
        what comes, and the lowest probability among them (None if no campaign is planned, or nothing tells who leaves);
        ``unserved``, why a model does not serve, by its name; ``beside``, the releases that ran.

    Raises
    ------
    DataError
        There are no answers.
    """
    oldest, newest = _moments([parts.stem(number).with_suffix(".parquet") for number in parts.numbers])
    scored_at = datetime.fromisoformat(parts.plan.scored_at)
    folder = workspace.scores / folder_name(newest, workspace.loads.pointer(), scored_at)
    summary = Summary(champions, settings)
    with (
        replacing(folder) as place,
        pq.ParquetWriter(place / SCORE_TABLE, SCHEMA) as table,
        (place / SCORE_LINES).open("wb") as lines,
    ):
        for number in parts.numbers:
            file = pq.ParquetFile(parts.stem(number).with_suffix(".parquet"))
            for rows in (file.read_row_group(group) for group in range(file.num_row_groups)):
                table.write_table(rows)
                summary.add(rows.select(list(READ)))
            with parts.stem(number).with_suffix(".jsonl").open("rb") as part:
                shutil.copyfileobj(part, lines, 1 << 20)
    return {
        "folder": str(folder),
        "as_of": iso(newest),
        "oldest_as_of": iso(oldest),
        "scored_at": iso(scored_at),
        "model": champions.labels,
        "beside": [str(running.release) for running in champions.releases.values()],
        "unserved": dict(champions.unserved),
        **summary.to_dict(),
    }


def folder_name(as_of: datetime, loads: Pointer | None, scored_at: datetime) -> str:
    """Name of a folder of answers: their newest moment, the current load, and when they were given.

    So no others replace them: another model, or other settings, may answer the same rows again. Names sort as the
    moments do, those of one moment as the loads, and those of one load as they were given.

    >>> folder_name(datetime(2024, 3, 1, 17, 4, 6), Pointer("000012", "000012"), datetime(2024, 3, 2, 8, 30))
    '2024-03-01T170406Z-000012-scored-20240302T083000000000Z'
    >>> folder_name(datetime(2024, 3, 1), None, datetime(2024, 3, 2, 8, 30))
    '2024-03-01T000000Z-scored-20240302T083000000000Z'
    """
    load = f"-{loads.current}" if loads and loads.current else ""
    return f"{as_of:%Y-%m-%dT%H%M%SZ}{load}-scored-{scored_at:%Y%m%dT%H%M%S%fZ}"


def _moments(paths: list[Path]) -> tuple[datetime, datetime]:
    """The oldest and the newest moment of the answers in these files."""
    found = [pc.min_max(pq.read_table(path, columns=["as_of"])["as_of"]).as_py() for path in paths]
    known = [each for each in found if each["min"] is not None]
    if not known:
        raise DataError("there is nobody to answer for: no customer is online")
    oldest, newest = min(each["min"] for each in known), max(each["max"] for each in known)
    return oldest.astimezone(UTC), newest.astimezone(UTC)
