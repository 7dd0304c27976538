from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from configs.errors import ConfigError, DataError
from features.sources import READY, files, loader


def test_every_ready_source_loads_and_tells_its_mark() -> None:
    assert {"files", "synthetic", "completejourney"} <= set(READY)
    for name in READY:
        assert callable(loader(name).load)
        assert callable(loader(name).mark)


def test_an_unknown_source_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no source 'file' \(did you mean 'files'\?\)"):
        loader("file")


def test_complete_journey_is_whole() -> None:
    tables = loader("completejourney").load({})
    assert {name: len(frame) for name, frame in tables.items()} == {
        "customers": 2469,
        "orders": 155_848,
        "contacts": 6589,
    }
    assert tables["orders"]["amount"].sum() == pytest.approx(4_596_039.58, abs=0.01)
    assert tables["contacts"]["redeemed_at"].notna().sum() > 0
    assert tables["customers"]["age"].notna().sum() == 801


def test_files_are_read_with_their_columns_renamed(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("\ufeffInvoice,Total\nA1,007\n", "utf-8")
    options = {"orders": {"path": str(tmp_path / "o.csv"), "columns": {"order_id": "Invoice", "amount": "Total"}}}
    assert files.load(options)["orders"].to_dict("records") == [{"order_id": "A1", "amount": "007"}]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    pd.DataFrame({"order_id": [1]}).to_parquet(tmp_path / "o.parquet")
    assert files.load({"orders": {"path": str(tmp_path / "o.parquet")}})["orders"]["order_id"].dtype == "int64"


def test_the_mark_follows_the_content_of_the_files(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    options = {"orders": {"path": str(path)}}
    path.write_text("order_id\n1\n")
    before = files.mark(options)
    assert files.mark(options) == before
    path.write_text("order_id\n2\n")
    assert files.mark(options) != before


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({}, ConfigError, "name at least the files of customers and orders"),
        ({"order": {"path": "x"}}, ConfigError, "unknown table 'order' (did you mean 'orders'?)"),
        ({"orders": "x.csv"}, ConfigError, "expected {path: FILE"),
        ({"orders": {"path": "none.csv"}}, DataError, "orders: no file at 'none.csv'"),
    ],
)
def test_wrong_options_are_named(options: dict, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as found:
        files.load(options)
    assert said in str(found.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"a,b\n\xff\xfe,1\n", "cannot read"),
        (b"Invoice\nA1\n", "has no column 'Total' for 'amount'"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "o.csv").write_bytes(content)
    with pytest.raises(DataError, match=said):
        files.load({"orders": {"path": str(tmp_path / "o.csv"), "columns": {"amount": "Total"}}})
