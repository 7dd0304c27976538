from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from configs.errors import ConfigError, DataError
from configs.settings import load
from configs.workspace import Workspace
from features.ingest import ingest
from features.quality import quality_verdict
from features.quality.check import check_table, check_tables
from features.sources import files
from features.sources.loaders import SOURCES, loader, opened
from features.tables import ORDERS
from tests.data import DATA

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def data(name: str) -> str:
    """Path of a public table; the test is skipped where it is not."""
    if not (DATA / name).is_file():
        pytest.skip(f"{name} is not beside the checkout")
    return str(DATA / name)


def test_every_ready_source_loads_and_tells_its_mark() -> None:
    assert {"files", "synthetic", "completejourney"} <= set(SOURCES)
    for name in SOURCES:
        assert callable(loader(name).load)
        assert callable(loader(name).source_fingerprint)


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
    assert files.load(options)["orders"].to_dict("records") == [{"order_id": "A1", "amount": 7.0}]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    pd.DataFrame({"order_id": [1]}).to_parquet(tmp_path / "o.parquet")
    assert files.load({"orders": {"path": str(tmp_path / "o.parquet")}})["orders"]["order_id"].dtype == "int64"


def test_the_mark_follows_the_content_of_the_files(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    options = {"orders": {"path": str(path)}}
    path.write_text("order_id\n1\n")
    before = files.source_fingerprint(options)
    assert files.source_fingerprint(options) == before
    path.write_text("order_id\n2\n")
    assert files.source_fingerprint(options) != before


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
    with pytest.raises(error) as raised:
        files.load(options)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04" + b"zipped" * 20 + bytes(9), "is not text"),
        (b"Invoice\nA1\n", "has no column 'Total' for 'amount'"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "o.csv").write_bytes(content)
    with pytest.raises(DataError, match=said):
        files.load({"orders": {"path": str(tmp_path / "o.csv"), "columns": {"amount": "Total"}}})


def test_online_retail_agrees_with_its_published_totals() -> None:
    tables = loader("online_retail").load({"path": data("online_retail.parquet")})
    orders = tables["orders"]
    assert len(tables["customers"]) == tables["customers"]["customer_id"].nunique() == 4372
    assert orders["order_id"].nunique() == 25_900
    assert orders["amount"].sum() == pytest.approx(9_747_747.934, abs=1e-3)
    assert (orders.loc[orders["order_id"].str.startswith("C"), "amount"] <= 0).all()
    assert orders["source_rows"].sum() == 541_909


def test_every_line_of_online_retail_is_in_an_order_or_in_quarantine_with_its_reason() -> None:
    settings = load("online_retail")
    raw = loader("online_retail").load({"path": data("online_retail.parquet")})
    orders = check_tables(raw, settings.columns, NOW)["orders"]
    assert (orders.grain, orders.rows_read) == ("invoice line", 541_909)
    free_returns = orders.left_out["amount: -0, nothing was paid back"]
    assert free_returns == 1_336  # written off: a negative quantity at a price of 0, of no customer
    assert (orders.rows_used, orders.rows_quarantined) == (541_909 - 135_080 - 40, 135_080 + 40 - free_returns)
    assert len(orders.used) == 22_190 - 4  # four invoices hold nothing but lines with a price of 0
    nobody, free = "customer_id: is empty, the invoice names no customer", "the price is 0"
    lines = orders.quarantined["reason"]
    assert lines.str.contains(nobody).sum() == 135_080 - free_returns
    assert lines.str.contains(free).sum() == 2_515 - free_returns
    assert (lines.str.contains(nobody) | lines.str.contains(free)).all()


@pytest.mark.parametrize(
    ("name", "lines", "rows", "grain"),
    [
        ("online_retail", (541_909, 406_789, 135_120 - 1_336), 22_186, "invoice line"),
        ("completejourney", (1_469_307, 1_469_307, 0), 155_848, "basket line"),
        ("cdnow", (69_659, 69_659, 0), 69_659, "order"),
    ],
)
def test_the_report_of_a_ready_business_adds_up_to_the_rows_of_its_source(
    name: str,
    lines: tuple[int, int, int],
    rows: int,
    grain: str,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = {"online_retail": "online_retail.parquet", "cdnow": "CDNOW_master.txt"}
    monkeypatch.setenv("STAYCAST_DATA", str(Path(data(files[name])).parent) if name in files else "")
    orders_report = {t["name"]: t for t in ingest(load(name), workspace, NOW)["tables"]}["orders"]
    assert (orders_report["rows_read"], orders_report["rows_used"], orders_report["rows_quarantined"]) == lines
    assert (orders_report["rows_made"], orders_report["source_grain"]) == (rows, grain)
    assert sum(orders_report["reasons"].values()) == lines[2]
    quality_verdict.require(workspace)


def test_invoice_lines_become_orders_on_the_shops_clock(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "1,a,x,2,2011-07-01 10:00:00,1.5,7.0,France\n"
        "1,b,x,3,2011-07-01 10:00:00,0,7.0,France\n"
        "C2,a,x,-2,2011-12-01 10:00:00,1.5,7.0,Spain\n"
        "3,a,x,1,2011-12-01 10:00:00,1.5,,Spain\n"
    )
    tables = loader("online_retail").load({"path": str(tmp_path / "r.csv")})
    orders = tables["orders"][tables["orders"]["source_reason"].isna()].set_index("order_id")
    assert orders["amount"].to_dict() == {"1": 3.0, "C2": -3.0}
    assert orders["quantity"].to_dict() == {"1": 2.0, "C2": -2.0}
    assert orders["source_rows"].to_dict() == {"1": 1, "C2": 1}
    assert orders.loc["1", "ordered_at"] == pd.Timestamp("2011-07-01 09:00")
    assert orders.loc["C2", "ordered_at"] == pd.Timestamp("2011-12-01 10:00")
    assert tables["customers"].to_dict("records") == [
        {"customer_id": "7", "signed_up_at": pd.Timestamp("2011-07-01 09:00"), "country": "France"}
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "customers", "orders", "newest"),
    [("CDNOW_master.txt", 23_570, 69_659, "1998-06-30"), ("CDNOW_sample.txt", 2_357, 6_919, "1998-06-30")],
)
def test_cdnow_agrees_with_its_published_totals(file: str, customers: int, orders: int, newest: str) -> None:
    tables = loader("cdnow").load({"path": data(file)})
    assert (len(tables["customers"]), len(tables["orders"])) == (customers, orders)
    assert tables["orders"]["order_id"].is_unique
    assert (tables["orders"]["ordered_at"].min()[:4], tables["orders"]["ordered_at"].max()) == ("1997", newest)
    checked = check_table(ORDERS, tables["orders"], NOW, set(tables["customers"]["customer_id"]))
    assert checked.quarantined.empty


@pytest.mark.parametrize("name", ["online_retail", "cdnow"])
def test_a_ready_config_names_the_file_it_was_made_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = load(name).source.options
    monkeypatch.delenv("STAYCAST_DATA", raising=False)
    with pytest.raises(ConfigError, match="environment variable STAYCAST_DATA is not set"):
        loader(name).load(options)
    monkeypatch.setenv("STAYCAST_DATA", str(Path(data(options["path"].rpartition("/")[2])).parent))
    assert loader(name).source_fingerprint(options) == loader(name).source_fingerprint(options)


@pytest.mark.parametrize("name", ["online_retail", "cdnow"])
def test_an_altered_copy_of_a_public_table_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("00001 19970101 1 11.77\n")
    with pytest.raises(DataError, match="is not the file that is meant"):
        loader(name).load({"path": str(tmp_path / "copy"), "sha256": "0" * 64})


def test_the_wrong_file_is_told_from_the_right_one(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="it lacks InvoiceNo"):
        loader("online_retail").load({"path": str(tmp_path / "x.csv")})
    with pytest.raises(DataError, match="expected lines of 4 or 5 fields"):
        loader("cdnow").load({"path": str(tmp_path / "x.csv")})
    with pytest.raises(ConfigError, match=r"unknown key \(did you mean 'path'\?\)"):
        loader("cdnow").load({"pathh": "x"})


def test_times_without_an_offset_are_in_the_zone_of_the_business_in_every_source(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("order_id,customer_id,ordered_at,amount\n1,ann,2024-07-01 10:00,5\n")
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute(f"create table o as from read_csv('{tmp_path / 'o.csv'}')")
    sources = {
        "files": {"orders": {"path": str(tmp_path / "o.csv")}},
        "database": {"duckdb": str(tmp_path / "w.duckdb"), "tables": {"orders": {"table": "o"}}},
    }
    for name, options in sources.items():
        with opened(loader(name), options, 100, "Asia/Tokyo") as tables:
            assert tables["orders"]["ordered_at"].tolist() == [pd.Timestamp("2024-07-01 01:00")]
