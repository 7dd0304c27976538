from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.workspace import Workspace
from serving.bulk.batch import SCHEMA
from serving.bulk.score_files import ListQuery, Place, ScoreFiles

START = datetime(2024, 3, 1, tzinfo=UTC)
ROWS = {"a": (0.9, 10.0), "b": (0.4, 10.0), "c": (None, 30.0), "d": (0.4, None), "e'": (0.1, 0.0)}


def write(workspace: Workspace, day: int, rows: dict[str, tuple], **columns: object) -> Path:
    """A score file of a day: probability and value by customer."""
    at = START + timedelta(days=day)
    frame = [
        {"customer_id": i, "probability": p, "expected": v, "as_of": at, "scored_at": at + timedelta(hours=1),
         "band": "high", "tier": "gold", "stage": "mature", "action": "none", "reasons": [], "clv_reasons": [],
         "prediction_id": f"{i}{day}", "basis": "model", **columns}
        for i, (p, v) in rows.items()
    ]  # fmt: skip
    path = workspace.scores / f"{at:%Y-%m-%dT%H%M%SZ}" / "scores.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(frame, schema=SCHEMA), path)
    return path


def pages(files: ScoreFiles, sort: str, limit: int) -> Iterator[str]:
    """Customers of a list, page by page."""
    place, query = None, ListQuery({}, sort, 0.05)  # type: ignore[arg-type]
    while rows := files.page(files.all()[-1], None, query, place, limit):
        yield from (row["customer_id"] for row in rows)
        place = Place(rows[-1]["key"], rows[-1]["customer_id"])


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 9])
@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("customer_id", ["a", "b", "c", "d", "e'"]),
        ("-probability", ["a", "b", "d", "e'", "c"]),
        ("probability", ["e'", "b", "d", "a", "c"]),
        ("-value", ["c", "a", "b", "e'", "d"]),
        ("value", ["e'", "a", "b", "c", "d"]),
    ],
)
def test_the_pages_of_a_list_are_the_list_in_its_order_and_nobody_is_left_out_or_twice(
    workspace: Workspace, sort: str, expected: list[str], limit: int
) -> None:
    write(workspace, 0, ROWS)
    assert list(pages(ScoreFiles(workspace), sort, limit)) == expected


def test_who_changed_is_whose_band_tier_or_stage_differs_or_whose_probability_moved_by_more_than_the_step(
    workspace: Workspace,
) -> None:
    write(workspace, 0, {"same": (0.5, 1), "near": (0.5, 1), "far": (0.5, 1), "lost": (0.5, 1), "gone": (0.5, 1)})
    path = write(
        workspace, 1, {"same": (0.5, 9), "near": (0.54, 1), "far": (0.56, 1), "lost": (None, 1), "new": (0.5, 1)}
    )
    files = ScoreFiles(workspace)
    before, newest = files.all()
    found = files.page(newest, before, ListQuery({}, "customer_id", 0.05), None, 10)
    assert {row["customer_id"]: row["changed"] for row in found} == {
        "far": ["probability"],
        "lost": ["probability"],
        "new": ["new"],
    }
    assert files.gone(newest, before) == 1
    changed = pq.read_table(path).to_pylist()
    for row in changed:
        row |= {"tier": "silver"} if row["customer_id"] == "same" else {}
    pq.write_table(pa.Table.from_pylist(changed, schema=SCHEMA), path)
    found = files.page(files.all()[-1], before, ListQuery({}, "-probability", 0.5), None, 10)
    assert [(row["customer_id"], row["changed"]) for row in found] == [
        ("new", ["new"]),
        ("same", ["tier"]),
        ("lost", ["probability"]),
    ]


def test_filters_let_through_what_they_name_and_no_value_of_theirs_is_read_as_sql(workspace: Workspace) -> None:
    write(workspace, 0, ROWS, contact=True)
    files = ScoreFiles(workspace)

    def ids(**filters: tuple) -> list[str]:
        query = ListQuery(filters, "customer_id", 0.05)
        return [row["customer_id"] for row in files.page(files.all()[-1], None, query, None, 10)]

    assert ids(band=("high", "low"), contact=(True,)) == list(ROWS)
    assert ids(band=("low",)) == ids(contact=(False,)) == ids(action=("x') OR ('1' = '1",)) == []


def test_the_history_of_a_customer_is_in_the_newest_files_and_older_ones_may_lack_columns(workspace: Workspace) -> None:
    for day in range(3):
        write(workspace, day, {"a": (day / 10, 1.0), "b": (0.9, 1.0)})
    old = workspace.scores / "2024-03-02T000000Z" / "scores.parquet"
    pq.write_table(pq.read_table(old).drop_columns(["clv_model", "band"]), old)
    found = ScoreFiles(workspace).history("a", 2)
    assert [(row["probability"], row["band"], row["clv_model"]) for row in found] == [
        (0.1, None, None),
        (0.2, "high", None),
    ]


def test_what_is_half_written_or_empty_is_no_score_file_and_a_file_written_anew_is_looked_at_anew(
    workspace: Workspace,
) -> None:
    files = ScoreFiles(workspace)
    assert files.all() == []
    path = write(workspace, 0, {})
    assert files.all() == []
    write(workspace, 0, ROWS)
    os.utime(path, ns=(1, 1))
    assert [file.customers for file in files.all()] == [5]
    scratch = workspace.scores / ".scratch-1"
    scratch.mkdir()
    (scratch / "scores.parquet").write_bytes(b"")
    assert [(file.name, file.as_of, file.scored_at) for file in files.all()] == [
        ("2024-03-01T000000Z", START, START + timedelta(hours=1))
    ]
    assert pd.read_parquet(path).shape[0] == 5
