from __future__ import annotations

import gzip
import string
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.errors import ConfigError, DataError
from features.quality.check import ValidatedTable, check_table
from features.schema import ORDERS, REASON
from features.sources import files
from features.sources.mapping import expand

NOW = datetime(2025, 1, 1, tzinfo=UTC)
HEADER = "order_id,customer_id,ordered_at,amount\n"
Read = Callable[..., pd.DataFrame]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write the content of one file of orders, and load it with this mapping."""

    def load(content: str | bytes, name: str = "o.csv", **mapping: Any) -> pd.DataFrame:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return files.load({"orders": {"path": str(path), **mapping}})["orders"]

    return load


def checked(frame: pd.DataFrame) -> ValidatedTable:
    return check_table(ORDERS, frame, NOW, {"ann", "jürgen"})


def amounts(read: Read, *values: str, **mapping: Any) -> pd.DataFrame:
    rows = "".join(f"o{n};ann;2024-01-01;{v}\n" for n, v in enumerate(values))
    return read(HEADER.replace(",", ";") + rows, **mapping)


def times(read: Read, *values: str, **told: Any) -> pd.DataFrame:
    rows = "".join(f"o{n};ann;{v};1\n" for n, v in enumerate(values))
    return read(HEADER.replace(",", ";") + rows, **({"times": {"ordered_at": told}} if told else {}))


def test_a_german_export_is_read_whole(read: Read) -> None:
    found = read(
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
    assert found.to_dict("list") == {
        "order_id": ["1", "2"],
        "customer_id": ["jürgen", "jürgen"],
        "ordered_at": [pd.Timestamp("2024-03-31 08:00"), pd.Timestamp("2024-04-01 08:00")],
        "amount": [1234.5, -3.5],
        "category": ["ticket", "an\r\ndere"],
        "channel": ["web", "web"],
    }
    assert found.attrs["notes"] == ["o.csv: read as UTF-8, delimiter ';'", "o.csv: amount is read with a decimal comma"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encoding_and_delimiter_are_found_out(read: Read, encoding: str, delimiter: str) -> None:
    text = HEADER + "o1,jürgen,2024-01-01,1\no2,ann,2024-01-02,2\n"
    found = read(text.replace(",", delimiter).encode(encoding))
    assert found["customer_id"].tolist() == ["jürgen", "ann"]
    assert found["amount"].tolist() == [1, 2]


def test_a_guessed_encoding_is_told_and_a_told_one_is_taken(read: Read) -> None:
    content = (HEADER + "o1,łukasz,2024-01-01,1\n").encode("cp1250")
    assert "guess" in read(content).attrs["notes"][0]
    assert read(content, encoding="cp1250")["customer_id"].tolist() == ["łukasz"]


def test_a_gzipped_file_is_unpacked(read: Read) -> None:
    content = gzip.compress((HEADER + "o1,ann,2024-01-01,1\n").encode())
    assert read(content, name="o.csv.gz")["amount"].tolist() == [1]


def test_a_few_broken_characters_cost_only_their_rows(read: Read) -> None:
    rows = "".join(f"o{n},jürgen,2024-01-01,1\n" for n in range(50)).encode()
    found = checked(read(HEADER.encode() + rows + b"o99,ann\xff,2024-01-01,1\n"))
    assert len(found.used) == 50
    assert found.quarantined["reason"].tolist() == ["o.csv: holds characters that cannot be read"]


@pytest.mark.parametrize(
    "end", ["o3,ann,2024-0", 'o3,ann,2024-01-01,"1', 'o3,ann,2024-01-01,"', "o3,ann,2024-01-01,1,9\n"]
)
def test_a_line_that_is_no_row_stands_in_quarantine(read: Read, end: str) -> None:
    found = checked(read(HEADER + 'o1,ann,2024-01-01,""\no2,ann,2024-01-01,"2"\n' + end))
    assert found.used["order_id"].tolist() == ["o2"]
    assert found.quarantined["reason"].str.contains("o.csv").tolist() == [False, True]


def test_a_quote_closed_at_the_very_end_is_no_open_one(read: Read) -> None:
    assert checked(read(HEADER + 'o1,ann,2024-01-01,"2"')).used["amount"].tolist() == [2]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,5", 1.5), ("1.234,50", 1234.5), ("12.345.678,9", 12_345_678.9), ("-0,5", -0.5), ("7", 7.0),
        ("1 234,5", 1234.5), ("1\u202f234,5", 1234.5), ("€ 3,20", 3.2), ("3,20 EUR", 3.2), ("(3,20)", -3.2),
        ("3,20-", -3.2), ("−3,2", -3.2), ("1'234,5", 1234.5), ("1.234", 1234.0), (",5", 0.5),
    ],
)  # fmt: skip
def test_numbers_with_a_decimal_comma(read: Read, text: str, number: float) -> None:
    assert amounts(read, text, "0,25")["amount"].tolist() == [number, 0.25]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234.5", 1234.5),
        ("$1,234,567", 1_234_567.0),
        ("1,234", 1234.0),
        ("1.234", 1.234),
        ("1e-3", 0.001),
        ("+5", 5.0),
    ],
)
def test_numbers_with_a_decimal_point(read: Read, text: str, number: float) -> None:
    assert amounts(read, text, "0.25")["amount"].tolist() == [number, 0.25]


def test_a_thousands_comma_in_doubt_costs_its_row_until_it_is_told(read: Read) -> None:
    found = checked(amounts(read, "1,234", "7"))
    assert found.used["amount"].tolist() == [7]
    assert "may have a decimal comma or a thousands comma" in found.quarantined["reason"].item()
    for decimal, number in ((",", 1.234), (".", 1234.0)):
        assert amounts(read, "1,234", numbers={"amount": {"decimal": decimal}})["amount"].tolist() == [number]


def test_in_a_column_with_both_signs_only_the_sure_values_are_used(read: Read) -> None:
    found = checked(amounts(read, "1,5", "2.5", "1.234", "1,234", "1.234,5", "8"))
    assert found.used["amount"].tolist() == [1.5, 2.5, 1234.5, 8]


def test_a_column_without_evidence_follows_the_others_of_its_file(read: Read) -> None:
    found = read("order_id;customer_id;ordered_at;amount;quantity\no1;ann;2024-01-01;9,5;1.234\n")
    assert found["quantity"].tolist() == [1234]


@pytest.mark.parametrize("text", ["ten", "1,2,3", "inf", "nan", "0x10", "1_000", "12 50", "--1", "1.2.3"])
def test_what_is_no_number_stays_as_it_came(read: Read, text: str) -> None:
    found = checked(amounts(read, text, "7"))
    assert found.used["amount"].tolist() == [7]
    assert found.quarantined["reason"].tolist() == [f"amount: '{text}' is not a number"]
    assert found.quarantined["amount"].tolist() == [text]


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-07-01", "2024-07-01"), ("2024-07-01 10:30", "2024-07-01 10:30"), ("2024/07/01", "2024-07-01"),
        ("20240701", "2024-07-01"), ("2024-07-01T10:30:01.5Z", "2024-07-01 10:30:01.5"),
        ("2024-07-01T10:30+02:00", "2024-07-01 08:30"), ("2024-07-01 10:30:00 +0200", "2024-07-01 08:30"),
        ("2024-07-01T10:30Z", "2024-07-01 10:30"), ("2024-7-1 9:05", "2024-07-01 09:05"),
    ],
)  # fmt: skip
def test_times_with_the_year_first_need_no_format(read: Read, text: str, utc: str) -> None:
    assert times(read, text)["ordered_at"].tolist() == [pd.Timestamp(utc)]


@pytest.mark.parametrize("text", ["03/04/2024", "31.12.2024 10:00", "1-2-24"])
def test_day_or_month_first_is_never_guessed(read: Read, text: str) -> None:
    found = checked(times(read, text, "2024-01-01"))
    assert found.used["order_id"].tolist() == ["o1"]
    assert (
        found.quarantined["reason"].item().startswith(f"ordered_at: '{text}' may have day or month first; say times:")
    )


def test_each_time_is_read_by_the_first_format_that_fits(read: Read) -> None:
    found = times(read, "31.12.2023", "01.02.2024 10:30", "05.02.24", format=["%d.%m.%Y %H:%M", "%d.%m.%Y", "%d.%m.%y"])
    assert found["ordered_at"].tolist() == [
        pd.Timestamp("2023-12-31"),
        pd.Timestamp("2024-02-01 10:30"),
        pd.Timestamp("2024-02-05"),
    ]


def test_a_time_that_two_formats_read_as_different_days_is_not_used(read: Read) -> None:
    found = checked(
        times(read, "31/01/2024", "01/31/2024", "02/01/2024", "02/02/2024", format=["%d/%m/%Y", "%m/%d/%Y"])
    )
    assert found.used["ordered_at"].dt.strftime("%m-%d").tolist() == ["01-31", "01-31", "02-02"]
    assert "may have day or month first" in found.quarantined["reason"].item()


def test_a_time_that_fits_no_told_format_is_not_used_even_if_it_looks_right(read: Read) -> None:
    found = checked(times(read, "2024-01-05", "05.01.2024", format="%d.%m.%Y", zone="Europe/Berlin"))
    assert found.used["ordered_at"].tolist() == [pd.Timestamp("2024-01-04 23:00")]
    assert found.quarantined["reason"].tolist() == ["ordered_at: '2024-01-05' is not a time of the format '%d.%m.%Y'"]


@given(
    st.datetimes(datetime(1980, 1, 1), datetime(2024, 12, 1)), st.sampled_from(["Europe/Berlin", "America/New_York"])
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_zones_agree_with_pythons_own(read: Read, moment: datetime, zone: str) -> None:
    local = moment.replace(microsecond=0)
    told = local.replace(tzinfo=ZoneInfo(zone))
    if told.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) != local:
        return  # an hour that the clock leaves out
    want = pd.Timestamp(told.replace(fold=1)).tz_convert("UTC").tz_localize(None)
    assert times(read, str(local), zone=zone)["ordered_at"].tolist() == [want]


def test_epochs_are_times_too(read: Read) -> None:
    assert times(read, "1704067200", format="epoch_seconds")["ordered_at"].tolist() == [pd.Timestamp("2024-01-01")]
    assert times(read, "1704067200500", format="epoch_milliseconds")["ordered_at"].dt.microsecond.tolist() == [500_000]


def test_files_are_stacked_in_order_and_keep_their_own_signs(tmp_path: Path) -> None:
    (tmp_path / "a_2.csv").write_text("order_id;customer_id;ordered_at;amount\no2;ann;2024-01-02;2,5\n")
    (tmp_path / "a_1.csv").write_text("ordered_at,order_id,customer_id,amount,channel\n2024-01-01,o1,ann,1.5,web\n")
    pd.DataFrame(
        {"order_id": ["o3"], "customer_id": ["ann"], "ordered_at": pd.to_datetime(["2024-01-03"]), "amount": [3]}
    ).to_parquet(tmp_path / "b.parquet")
    found = files.load({"orders": {"path": [str(tmp_path / "a_*.csv"), str(tmp_path / "b.parquet")]}})["orders"]
    assert found["order_id"].tolist() == ["o1", "o2", "o3"]
    assert found["amount"].tolist() == [1.5, 2.5, 3]
    assert found["ordered_at"].dt.day.tolist() == [1, 2, 3]
    assert found["channel"].fillna("").tolist() == ["web", "", ""]
    assert "a_2.csv: no column 'channel', 'channel' is left empty" in found.attrs["notes"]


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
    found = checked(read(HEADER.replace("\n", ",shop,type\n") + rows, join=join))
    assert found.used["order_id"].tolist() == ["o1", "o2", "o4"]
    assert found.used["channel"].fillna("").tolist() == ["North", "South", ""]
    assert found.used["category"].fillna("").tolist() == ["toys", "food", ""]
    assert found.quarantined["reason"].tolist() == ["shop: stands several times in shops.csv, with different values"]


def test_the_key_of_a_join_may_stand_unquoted_in_yaml(tmp_path: Path, read: Read) -> None:
    (tmp_path / "s.csv").write_text("id,name\n1,North\n")
    join = yaml.safe_load(f"[{{path: {tmp_path / 's.csv'}, on: {{shop: id}}, columns: {{channel: name}}}}]")
    found = read(HEADER.replace("\n", ",shop\n") + "o1,ann,2024-01-01,1,1\n", join=join)
    assert found["channel"].tolist() == ["North"]


def test_columns_that_no_feature_uses_are_left_out_but_attributes_stay(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text(HEADER.replace("\n", ",note\n") + "o1,ann,2024-01-01,1,x\n")
    (tmp_path / "c.csv").write_text("customer_id,signed_up_at,region,region\nann,2024-01-01,north,2\n")
    found = files.load({"orders": {"path": str(tmp_path / "o.csv")}, "customers": {"path": str(tmp_path / "c.csv")}})
    assert list(found["orders"]) == ["order_id", "customer_id", "ordered_at", "amount"]
    assert list(found["customers"]) == ["customer_id", "signed_up_at", "region", "region_2"]


def test_values_may_become_empty(read: Read) -> None:
    found = checked(amounts(read, "NULL", "5", values={"amount": {"NULL": None}, "customer_id": {"ann": "jürgen"}}))
    assert found.used["customer_id"].tolist() == ["jürgen"]
    assert found.quarantined["reason"].tolist() == ["amount: is empty"]


@pytest.mark.parametrize(
    ("mapping", "error", "said"),
    [
        ({"colums": {}}, ConfigError, "source.options.orders.colums: unknown key (did you mean 'columns'?)"),
        ({"columns": {"amout": "x"}}, ConfigError, "there is no column 'amout' in orders (did you mean 'amount'?)"),
        ({"times": {"ordered_at": {"formt": "x"}}}, ConfigError, "unknown key (did you mean 'format'?)"),
        ({"times": {"ordered_at": {"zone": "Europe/Berlun"}}}, ConfigError, "(did you mean 'Europe/Berlin'?)"),
        ({"times": {"ordered_at": {"format": "%Q"}}}, ConfigError, "'%Q' is no time format"),
        ({"times": {"ordered_at": {"format": "%H:%M"}}}, ConfigError, "has no year"),
        ({"numbers": {"amount": {"decimal": "x"}}}, ConfigError, "numbers.amount.decimal"),
        ({"values": {"channel": {True: "a"}}}, ConfigError, "quote it"),
        ({"constants": {"amount": "1"}, "columns": {"amount": "x"}}, ConfigError, "amount: told twice"),
        ({"values": {"channel": {"a": "b"}}}, DataError, "the mapping tells how to read 'channel', which no file has"),
        ({"encoding": "utf-99"}, ConfigError, "no encoding 'utf-99'"),
        ({"join": [{"path": "none.csv", "on": "x", "columns": {"channel": "y"}}]}, DataError, "no file at 'none.csv'"),
        ({"join": [{"path": "none.csv", "on": "x"}]}, ConfigError, "join.0.columns"),
        ({"join": [{"pth": "x", "on": "x", "columns": {"channel": "y"}}]}, ConfigError, "(did you mean 'path'?)"),
    ],
)
def test_a_wrong_mapping_is_named(read: Read, mapping: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as found:
        read(HEADER + "o1,ann,2024-01-01,1\n", **mapping)
    assert said in str(found.value)


def test_environment_variables_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAYCAST_TRY", "there")
    assert expand("${STAYCAST_TRY}/a", "path") == "there/a"
    monkeypatch.delenv("STAYCAST_TRY")
    assert expand("${STAYCAST_TRY:-here}/a", "path") == "here/a"
    with pytest.raises(ConfigError, match=r"path: the environment variable STAYCAST_TRY is not set; set it, or write"):
        expand("${STAYCAST_TRY}/a", "path")


CELLS = st.text(string.ascii_letters + string.digits + " ,;\"\n\r'-./äß€", max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=20), st.sampled_from([",", ";", "\t", "|"]))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_pandas_writes_is_read_back(read: Read, cells: list[tuple[str, str]], delimiter: str) -> None:
    frame = pd.DataFrame(cells, columns=["order_id", "channel"]).assign(category="x")
    content = frame.to_csv(index=False, sep=delimiter, quoting=1)
    found = read(content.encode(), delimiter=delimiter)
    assert REASON not in found
    pd.testing.assert_frame_equal(found.fillna("").astype(object), frame.astype(object))


def test_every_line_of_a_long_file_with_quoted_newlines_is_one_row_in_order(read: Read) -> None:
    rows = "".join(f'o{n},"a\nn,n {n}",2024-01-01,{n}\n' for n in range(200_000))
    found = read(HEADER + rows + "cut,off")
    assert found["amount"].tolist()[:-1] == [float(n) for n in range(200_000)]
    assert found["customer_id"].iloc[199_999] == "a\nn,n 199999"
    assert found[REASON].notna().sum() == 1
