"""A sheet of an XLSX file, as people have it."""

from __future__ import annotations

import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from configs.errors import ConfigError, DataError
from features.sources import files, spreadsheet
from features.sources.propose import propose_config
from features.sources.spreadsheet import BATCH_ROWS, open_sheet

HEADER = ("order_id", "customer_id", "ordered_at", "amount")


def write(path: Path, **sheets: list[tuple[Any, ...]]) -> Path:
    book = openpyxl.Workbook(write_only=True)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    book.close()
    return path


def orders(path: Path, **mapping: Any) -> pd.DataFrame:
    return files.load({"orders": {"path": str(path), **mapping}})["orders"]


def test_numbers_and_dates_are_read_as_they_are_typed(tmp_path: Path) -> None:
    rows = [HEADER, (1, "c1", datetime(2024, 1, 31, 10, 30), 1.234), (2, "c2", datetime(2024, 2, 1), 1050)]
    frame = orders(write(tmp_path / "o.xlsx", Orders=rows))
    assert frame["amount"].tolist() == [1.234, 1050.0]
    assert frame["ordered_at"].tolist() == [pd.Timestamp("2024-01-31 10:30"), pd.Timestamp("2024-02-01")]
    assert frame["order_id"].tolist() == [1, 2]
    assert "o.xlsx: sheet 'Orders'" in frame.attrs["notes"]


def test_one_text_among_numbers_leaves_the_numbers_what_they_are(tmp_path: Path) -> None:
    rows = [HEADER, *[(n, "c", datetime(2024, 1, 1), 1.234) for n in range(3)], (9, "c", datetime(2024, 1, 1), "n/a")]
    frame = orders(write(tmp_path / "o.xlsx", Orders=rows))
    assert [float(value) for value in frame["amount"][:3]] == [1.234] * 3 and frame["amount"][3] == "n/a"


def test_ids_keep_zeros_letters_and_length(tmp_path: Path) -> None:
    rows = [HEADER, ("007", 7, datetime(2024, 1, 1), 1), ("A-1", 123456789012345, datetime(2024, 1, 1), 1)]
    frame = orders(write(tmp_path / "o.xlsx", Orders=rows))
    assert frame["order_id"].tolist() == ["007", "A-1"]
    assert frame["customer_id"].tolist() == [7, 123456789012345]


def test_whole_numbers_that_a_float_cannot_tell_and_cells_of_errors_are_not_made_up(tmp_path: Path) -> None:
    plain = write(
        tmp_path / "plain.xlsx", Orders=[HEADER, (4242, "c1", datetime(2024, 1, 1), 1), (2, "c", None, "#N/A")]
    )
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(tmp_path / "o.xlsx", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"<v>4242</v>", b"<v>400000000000000001</v>"))
    assert orders(tmp_path / "o.xlsx")["order_id"].tolist() == ["400000000000000001", "2"]
    cells = [list(column) for column in zip(*_all_cells(plain), strict=True)]
    assert cells == [["4242", "2"], ["c1", "c"], ["2024-01-01 00:00:00", None], ["1", None]]


def _all_cells(path: Path) -> list[tuple[str | None, ...]]:
    return [row for batch in open_sheet(path).batches for row in zip(*batch.to_pydict().values(), strict=True)]


def test_naive_times_of_a_sheet_are_in_the_zone_that_is_said(tmp_path: Path) -> None:
    rows = [HEADER, (1, "c", datetime(2024, 1, 1, 10), 1)]
    frame = orders(write(tmp_path / "o.xlsx", Orders=rows), times={"ordered_at": {"zone": "Europe/Berlin"}})
    assert frame["ordered_at"].tolist() == [pd.Timestamp("2024-01-01 09:00")]


def test_the_sheet_is_chosen_by_its_name_and_asked_for_where_there_are_several(tmp_path: Path) -> None:
    path = write(tmp_path / "o.xlsx", January=[HEADER, (1, "c", "2024-01-01", 1)], February=[HEADER], Empty=[])
    with pytest.raises(DataError, match=r"2 sheets: say which, as `sheet: January`; January, February"):
        orders(path)
    assert len(orders(path, sheet="January")) == 1
    with pytest.raises(ConfigError, match=r"no sheet 'Januar' .did you mean 'January'"):
        orders(path, sheet="Januar")


def test_an_empty_or_a_hidden_sheet_is_not_meant(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Orders"
    book.active.append(HEADER)
    book.active.append((1, "c", "2024-01-01", 1))
    book.create_sheet("Notes")
    hidden = book.create_sheet("Lists")
    hidden.append(("x",))
    hidden.sheet_state = "hidden"
    book.save(tmp_path / "o.xlsx")
    assert len(orders(tmp_path / "o.xlsx")) == 1


def test_blank_rows_are_no_rows_and_a_row_wider_than_the_header_is_named(tmp_path: Path) -> None:
    rows = [(), HEADER, (1, "c", "2024-01-01", 1), (None, "", None), (2, "c", "2024-01-01", 1, "x"), (3, "c")]
    opened = open_sheet(write(tmp_path / "o.xlsx", Orders=rows))
    values = [tuple(row.values()) for batch in opened.batches for row in batch.to_pylist()]
    assert values == [("1", "c", "2024-01-01", "1"), ("3", "c", None, None)]
    assert opened.rejected == ["o.xlsx, sheet 'Orders': 5 cells where the header has 4"]


def test_batches_do_not_change_what_a_column_holds(tmp_path: Path) -> None:
    rows = [("a", "b"), *[(n, n) for n in range(BATCH_ROWS)], (0.5, "x")]
    opened = open_sheet(write(tmp_path / "o.xlsx", Orders=rows))
    assert [batch.num_rows for batch in opened.batches] == [BATCH_ROWS, 1]
    assert opened.kinds == ["DOUBLE", "VARCHAR"]


def test_formulas_that_were_never_computed_are_no_empty_column(tmp_path: Path) -> None:
    path = write(tmp_path / "o.xlsx", Orders=[HEADER, (1, "c", "2024-01-01", "=1+1")])
    with pytest.raises(DataError, match="amount holds formulas that were never computed"):
        orders(path)


@pytest.mark.parametrize("content", [b"PK not a zip", b"\xd0\xcf\x11\xe0 an old or a locked one"])
def test_what_is_no_xlsx_is_said_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "o.xlsx").write_bytes(content)
    with pytest.raises(DataError, match=r"orders: cannot read .* as XLSX"):
        orders(tmp_path / "o.xlsx")


def test_a_zip_of_something_else_and_a_cut_off_file_are_said_so_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "o.xlsx", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(DataError, match="cannot read"):
        orders(tmp_path / "o.xlsx")
    path = write(tmp_path / "p.xlsx", Orders=[HEADER])
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="cannot read"):
        orders(path)


def test_a_sheet_of_what_has_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("order_id\n1\n")
    with pytest.raises(ConfigError, match="remove `sheet`"):
        orders(tmp_path / "o.csv", sheet="Orders")
    (tmp_path / "o.xls").write_bytes(b"x")
    with pytest.raises(DataError, match="save it as XLSX or CSV"):
        orders(tmp_path / "o.xls")


def test_a_configuration_is_proposed_from_sheets_too(tmp_path: Path) -> None:
    rows = [HEADER, (1, "c1", datetime(2024, 1, 31), 9.5), (2, "c2", datetime(2024, 2, 1), 10)]
    text, found = propose_config([write(tmp_path / "o.xlsx", Orders=rows)])
    assert list(found.tables) == ["orders"] and "amount: amount" in text


def test_a_workbook_without_a_byte_says_so_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "kunden.xlsx").touch()
    with pytest.raises(DataError, match=r"kunden.xlsx' has no bytes: .* export or copy it again"):
        open_sheet(tmp_path / "kunden.xlsx")


def test_a_sample_reads_each_sheet_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.xlsx", one=[("a",), (1,)], two=[("a",), (1,), (2,)], none=[])
    read, rows = [], spreadsheet._rows
    monkeypatch.setattr(spreadsheet, "_rows", lambda sheet: read.append(sheet.name) or rows(sheet))
    sample = spreadsheet.sheet_sample(path, 10)
    assert sample["a"].tolist() == [1, 2] and sample.attrs == {"sheet": "two", "sheets": ["one", "two"]}
    assert read == ["one", "two", "none"]
