from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.files import beside
from configs.settings import Settings
from configs.workspace import SCORE_TABLE, Workspace
from serving.answer.champion import Champions
from serving.bulk.batch import SCHEMA
from serving.bulk.csv_file import write_csv
from tests.serving.bulk.scored import score_all

AT = datetime(2024, 3, 1, 4, 5, 6, 789000, tzinfo=UTC)
REASON = {"feature": "f", "value": 1 / 3, "category": None, "effect": -0.1, "direction": "lowers", "text": "Few"}


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def written(tmp_path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / "a.parquet", **options)
    write_csv(tmp_path / "a.parquet", tmp_path / "a.csv")
    return tmp_path / "a.csv"


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """The cells of a row of the table that hold something, one after the other: a second implementation."""
    cells: dict[str, Any] = {}
    for name, value in row.items():
        if name.endswith("reasons"):
            for place, reason in enumerate(value or ()):
                cells |= {f"{name[:-1]}_{place + 1}_{part}": each for part, each in reason.items()}
        elif name.endswith("by_horizon"):
            for key, each in value or ():
                parts = {f"_{n}": v for n, v in each.items()} if isinstance(each, dict) else {"": each}
                cells |= {f"{name}_{key}{part}": v for part, v in parts.items()}
        elif name == "aliases":
            cells[name] = value
        else:
            cells[name] = value
    return {name: value for name, value in cells.items() if value is not None and value not in ("", [])}


def test_what_is_read_back_are_the_same_numbers_and_texts_as_in_the_table(
    champions: Champions, planned: Settings, now: datetime, customers: pd.DataFrame, workspace: Workspace
) -> None:
    folder = Path(score_all(customers.head(90), champions, planned, workspace, now, part_rows=40)["folder"])
    write_csv(folder / SCORE_TABLE, folder / "scores.csv")
    table = [flat(row) for row in pq.read_table(folder / SCORE_TABLE).to_pylist()]
    found = read(folder / "scores.csv")
    assert len(found) == len(table) == 90
    for cells, row in zip(found, table, strict=True):
        assert {name for name, cell in cells.items() if cell} == set(row)
        for name, value in row.items():
            cell = cells[name]
            if isinstance(value, bool):
                assert cell == ("true" if value else "false")
            elif isinstance(value, float | int):
                assert type(value)(cell) == value
            elif isinstance(value, datetime):
                assert datetime.fromisoformat(cell) == value
            elif isinstance(value, list):
                assert next(csv.reader([cell], delimiter=";")) == value
            else:
                assert cell == value


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "'=1", '=HYPERLINK("http://x","y")', "=a\r\nb"),
        *(f"{blank}=1" for blank in "\v\f\0\x85\xa0\u2003\u200b\u2028\u2029\u202e\u2060\u3000\ufeff"),
    ],
)
def test_no_text_begins_a_formula_and_each_is_had_back_by_taking_one_quote(text: str, tmp_path: Path) -> None:
    row = {"customer_id": text, "probability": -0.5, "aliases": [text], "reasons": [{**REASON, "category": text}]}
    (cells,) = read(written(tmp_path, [row]))
    for name in ("customer_id", "reason_1_category"):
        assert cells[name] == f"'{text}"
    assert cells["aliases"] == (f"'{text}" if not {*'"\r\n'} & {*text} else '"' + text.replace('"', '""') + '"')
    assert cells["probability"] == "-0.5" and cells["reason_1_effect"] == "-0.1"


def test_harmless_texts_stay_as_they_are_whatever_quotes_and_lines_they_hold(tmp_path: Path) -> None:
    texts = ["7", 'a "b", c', "Zoë\r\nB", "a=b-c", "it's", ""]
    found = read(written(tmp_path, [{"customer_id": text, "scored_at": AT} for text in texts]))
    assert [cells["customer_id"] for cells in found] == texts
    assert {cells["scored_at"] for cells in found} == {"2024-03-01T04:05:06.789000Z"}


def test_a_list_of_texts_is_had_back_whatever_they_hold(tmp_path: Path) -> None:
    lists = [["a1"], ["a;b", "c"], ['"', 'd"e', ";"], ["x\r\ny", "=1"], []]
    found = read(written(tmp_path, [{"aliases": texts} for texts in lists]))
    assert found[0]["aliases"] == "a1"
    for cells, texts in zip(found, lists, strict=True):
        (read_back,) = csv.reader(io.StringIO(cells["aliases"], newline=""), delimiter=";") if texts else ([],)
        assert read_back == texts


def test_maps_are_in_the_order_of_their_numbers_and_what_is_not_finite_is_told(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"churn_by_horizon": [("180", 0.3)], "expected": float("inf"), "low": float("-inf"), "high": float("nan")},
        {"churn_by_horizon": [("30", 0.1), ("90", 0.2)]},
    ]
    (first, _) = read(written(tmp_path, rows))
    assert [name for name in first if name.startswith("churn_by")] == [f"churn_by_horizon_{n}" for n in (30, 90, 180)]
    assert (float(first["expected"]), float(first["low"]), first["high"]) == (float("inf"), float("-inf"), "")


def test_a_file_in_a_folder_of_others_leaves_all_else_there_as_it_is(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{"customer_id": "a"}], schema=SCHEMA), tmp_path / "a.parquet")
    theirs = tmp_path / "theirs" / ".scratch-of-another"
    theirs.mkdir(parents=True)
    write_csv(tmp_path / "a.parquet", tmp_path / "theirs" / "a.csv", beside)
    assert sorted(p.name for p in (tmp_path / "theirs").iterdir()) == [".scratch-of-another", "a.csv"]
    with pytest.raises(FileNotFoundError):
        write_csv(tmp_path / "a.parquet", tmp_path / "theris" / "a.csv", beside)
    assert not (tmp_path / "theris").exists()


def test_lists_and_maps_have_as_many_columns_as_the_longest_in_any_row_group(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"customer_id": "a", "reasons": [REASON], "churn_by_horizon": [("30", 0.1)]},
        {"customer_id": "b", "reasons": None, "churn_by_horizon": None, "probability": float("nan")},
        {"customer_id": "c", "reasons": [REASON, {**REASON, "effect": 1e22}], "churn_by_horizon": [("60", 0.2)]},
    ]
    path = written(tmp_path, rows, row_group_size=1)
    a, b, c = read(path)
    assert (a["churn_by_horizon_30"], a["churn_by_horizon_60"], c["churn_by_horizon_60"]) == ("0.1", "", "0.2")
    assert (a["reason_2_effect"], float(c["reason_2_effect"]), b["probability"]) == ("", 1e22, "")
    assert "clv_reason_1_text" not in a and [*a] == [*b] == [*c]
    assert path.read_bytes().count(b"\r\n") == 4 and b"\n" not in path.read_bytes().replace(b"\r\n", b"")
