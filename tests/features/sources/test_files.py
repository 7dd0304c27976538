"""Files of any shape become one table: encodings, lines that are no rows, several files, joins."""

from __future__ import annotations

import gzip
import string
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.errors import DataError
from features.quality.check import ValidatedTable, check_table
from features.sources import files
from features.tables import ORDERS, REASON

NOW = datetime(2025, 1, 1, tzinfo=UTC)
HEADER = "order_id,customer_id,ordered_at,amount\n"
Read = Callable[..., pd.DataFrame]


def checked(frame: pd.DataFrame) -> ValidatedTable:
    return check_table(ORDERS, frame, NOW, {"ann", "jürgen"})


def test_a_german_export_is_read_whole(read: Read) -> None:
    orders = read(
        "\ufeffBeleg;Kunde;Datum;Betrag;Art\r\n"
        '1;jürgen;31.03.2024 10:00;"1.234,50 €";tkt\r\n'
        '2;jürgen;01.04.2024 10:00;-3,5;"an\r\ndere"\r\n',
        columns={
            "order_id": "Beleg",
            "customer_id": "Kunde",
            "ordered_at": "Datum",
            "amount": "Betrag",
            "category": "Art",
        },
        times={"ordered_at": {"format": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"}},
        values={"category": {"tkt": "ticket"}},
        constants={"channel": "web"},
    )
    assert orders.to_dict("list") == {
        "order_id": ["1", "2"],
        "customer_id": ["jürgen", "jürgen"],
        "ordered_at": [pd.Timestamp("2024-03-31 08:00"), pd.Timestamp("2024-04-01 08:00")],
        "amount": [1234.5, -3.5],
        "category": ["ticket", "an\r\ndere"],
        "channel": ["web", "web"],
        "source_currency": ["EUR", None],
    }
    assert orders.attrs["notes"] == [
        "o.csv: read as UTF-8, delimiter ';'",
        "o.csv: amount is read with a decimal comma",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encoding_and_delimiter_are_found_out(read: Read, encoding: str, delimiter: str) -> None:
    text = HEADER + "o1,jürgen,2024-01-01,1\no2,ann,2024-01-02,2\n"
    orders = read(text.replace(",", delimiter).encode(encoding))
    assert orders["customer_id"].tolist() == ["jürgen", "ann"]
    assert orders["amount"].tolist() == [1, 2]


def test_a_guessed_encoding_is_told_and_a_told_one_is_taken(read: Read) -> None:
    content = (HEADER + "o1,łukasz,2024-01-01,1\n").encode("cp1250")
    assert "cp1250, as its words tell" in read(content).attrs["notes"][0]
    assert read(content, encoding="cp1250")["customer_id"].tolist() == ["łukasz"]


def test_a_gzipped_file_is_unpacked(read: Read) -> None:
    content = gzip.compress((HEADER + "o1,ann,2024-01-01,1\n").encode())
    assert read(content, name="o.csv.gz")["amount"].tolist() == [1]


def test_a_few_broken_characters_cost_only_their_rows(read: Read) -> None:
    rows = "".join(f"o{n},jürgen,2024-01-01,1\n" for n in range(50)).encode()
    validated = checked(read(HEADER.encode() + rows + b"o99,ann\xff,2024-01-01,1\n"))
    assert len(validated.used) == 50
    assert validated.quarantined["reason"].tolist() == ["o.csv: holds characters that cannot be read"]


@pytest.mark.parametrize(
    "end", ["o3,ann,2024-0", 'o3,ann,2024-01-01,"1', 'o3,ann,2024-01-01,"', "o3,ann,2024-01-01,1,9\n"]
)
def test_a_line_that_is_no_row_stands_in_quarantine(read: Read, end: str) -> None:
    validated = checked(read(HEADER + 'o1,ann,2024-01-01,""\no2,ann,2024-01-01,"2"\n' + end))
    assert validated.used["order_id"].tolist() == ["o2"]
    assert validated.quarantined["reason"].str.contains("o.csv").tolist() == [False, True]


def test_a_quote_closed_at_the_very_end_is_no_open_one(read: Read) -> None:
    assert checked(read(HEADER + 'o1,ann,2024-01-01,"2"')).used["amount"].tolist() == [2]


def test_files_are_stacked_in_order_and_keep_their_own_signs(tmp_path: Path) -> None:
    (tmp_path / "a_2.csv").write_text("order_id;customer_id;ordered_at;amount\no2;ann;2024-01-02;2,5\n")
    (tmp_path / "a_1.csv").write_text("ordered_at,order_id,customer_id,amount,channel\n2024-01-01,o1,ann,1.5,web\n")
    pd.DataFrame(
        {"order_id": ["o3"], "customer_id": ["ann"], "ordered_at": pd.to_datetime(["2024-01-03"]), "amount": [3]}
    ).to_parquet(tmp_path / "b.parquet")
    orders = files.load({"orders": {"path": [str(tmp_path / "a_*.csv"), str(tmp_path / "b.parquet")]}})["orders"]
    assert orders["order_id"].tolist() == ["o1", "o2", "o3"]
    assert orders["amount"].tolist() == [1.5, 2.5, 3]
    assert orders["ordered_at"].dt.day.tolist() == [1, 2, 3]
    assert orders["channel"].fillna("").tolist() == ["web", "", ""]
    assert "a_2.csv: no column 'channel', 'channel' is left empty" in orders.attrs["notes"]


def test_a_needed_column_missing_in_one_of_several_files_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER.replace("amount", "Total") + "o1,ann,2024-01-01,1\n")
    (tmp_path / "b.csv").write_text(HEADER.replace("amount", "Totall") + "o2,ann,2024-01-01,1\n")
    with pytest.raises(DataError, match=r"b\.csv has no column 'Total' for 'amount' \(did you mean 'Totall'\?\)"):
        files.load({"orders": {"path": str(tmp_path / "*.csv"), "columns": {"amount": "Total"}}})


def test_columns_of_further_files_are_joined(tmp_path: Path, read: Read) -> None:
    (tmp_path / "shops.csv").write_text("id;name;district\n 1;North;A\n2;South;A\n2;South;A\n3;West;B\n3;East;B\n")
    (tmp_path / "districts.csv").write_text("district,place\nA,city\n")
    join = [
        {"path": str(tmp_path / "shops.csv"), "on": {"shop": "id"}, "columns": {"channel": "name"}},
        {"path": str(tmp_path / "types.parquet"), "on": "type", "columns": {"category": "label"}},
    ]
    pd.DataFrame({"type": [1.0, 2.0], "label": ["food", "toys"]}).to_parquet(tmp_path / "types.parquet")
    rows = "o1,ann,2024-01-01,1,1,2\no2,ann,2024-01-02,1,2,1\no3,ann,2024-01-03,1,3,1\no4,ann,2024-01-04,1,9,\n"
    validated = checked(read(HEADER.replace("\n", ",shop,type\n") + rows, join=join))
    assert validated.used["order_id"].tolist() == ["o1", "o2", "o4"]
    assert validated.used["channel"].fillna("").tolist() == ["North", "South", ""]
    assert validated.used["category"].fillna("").tolist() == ["toys", "food", ""]
    assert validated.quarantined["reason"].tolist() == [
        "shop: stands several times in shops.csv, with different values"
    ]


def test_columns_that_no_feature_uses_are_left_out_but_attributes_stay(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text(HEADER.replace("\n", ",note\n") + "o1,ann,2024-01-01,1,x\n")
    (tmp_path / "c.csv").write_text("customer_id,signed_up_at,region,region\nann,2024-01-01,north,2\n")
    tables = files.load({"orders": {"path": str(tmp_path / "o.csv")}, "customers": {"path": str(tmp_path / "c.csv")}})
    assert list(tables["orders"]) == ["order_id", "customer_id", "ordered_at", "amount"]
    assert list(tables["customers"]) == ["customer_id", "signed_up_at", "region", "region_2"]


CELLS = st.text(string.ascii_letters + string.digits + " ,;\"\n\r'-./äß€", max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=20), st.sampled_from([",", ";", "\t", "|"]))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_pandas_writes_is_read_back(read: Read, cells: list[tuple[str, str]], delimiter: str) -> None:
    frame = pd.DataFrame(cells, columns=["order_id", "channel"]).assign(category="x")
    content = frame.to_csv(index=False, sep=delimiter, quoting=1)
    orders = read(content.encode(), delimiter=delimiter)
    assert REASON not in orders
    pd.testing.assert_frame_equal(orders.fillna("").astype(object), frame.astype(object))


def test_every_line_of_a_long_file_with_quoted_newlines_is_one_row_in_order(read: Read) -> None:
    rows = "".join(f'o{n},"a\nn,n {n}",2024-01-01,{n}\n' for n in range(200_000))
    orders = read(HEADER + rows + "cut,off")
    assert orders["amount"].tolist()[:-1] == [float(n) for n in range(200_000)]
    assert orders["customer_id"].iloc[199_999] == "a\nn,n 199999"
    assert orders[REASON].notna().sum() == 1
