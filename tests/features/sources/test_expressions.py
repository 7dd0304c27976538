"""How a piece of text is read: numbers, times, and what is neither."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from datetime import time as time_of_day
from itertools import permutations
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from configs.errors import DataError
from features.quality.check import ValidatedTable, check_table
from features.tables import ORDERS, moments

NOW = datetime(2025, 1, 1, tzinfo=UTC)
HEADER = "order_id,customer_id,ordered_at,amount\n"
Read = Callable[..., pd.DataFrame]


def checked(frame: pd.DataFrame) -> ValidatedTable:
    return check_table(ORDERS, frame, NOW, {"ann", "jürgen"})


def amounts(read: Read, *values: str, **mapping: Any) -> pd.DataFrame:
    rows = "".join(f"o{n};ann;2024-01-01;{v}\n" for n, v in enumerate(values))
    return read(HEADER.replace(",", ";") + rows, **mapping)


def times(read: Read, *values: str, **options: Any) -> pd.DataFrame:
    rows = "".join(f"o{n};ann;{v};1\n" for n, v in enumerate(values))
    return read(HEADER.replace(",", ";") + rows, **({"times": {"ordered_at": options}} if options else {}))


@pytest.mark.slow
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


@pytest.mark.parametrize(("text", "readings"), [("1,234", "1234 or 1.234"), ("1.234", "1.234 or 1234")])
def test_what_may_be_a_thousand_is_asked_and_the_mapping_answers(read: Read, text: str, readings: str) -> None:
    with pytest.raises(DataError, match=re.escape(f"orders: amount: '{text}' may be {readings}, in 1 rows")):
        amounts(read, text, "7", "80")
    point, comma = (float(r.replace(",", "")) for r in (text.replace(",", ""), text.replace(".", "").replace(",", ".")))
    for decimal, number in ((",", comma), (".", point)):
        assert amounts(read, text, "7", numbers={"amount": {"decimal": decimal}})["amount"].tolist() == [number, 7]


def test_the_whole_column_decides_what_a_thousands_sign_is(read: Read) -> None:
    assert amounts(read, "1,053", "12.30", "950")["amount"].tolist() == [1053, 12.3, 950]
    assert amounts(read, "1.053", "12,30", "950")["amount"].tolist() == [1053, 12.3, 950]


def test_a_column_with_both_signs_is_read_value_by_value_and_what_is_in_doubt_is_asked(read: Read) -> None:
    sure = ("1,5", "2.5", "1.234,5", "1,234.5", "8")
    assert amounts(read, *sure)["amount"].tolist() == [1.5, 2.5, 1234.5, 1234.5, 8]
    with pytest.raises(DataError, match="other values have decimal commas and decimal points"):
        amounts(read, *sure, "1.234")
    told = {"amount": {"decimal": ","}}
    assert amounts(read, *sure, "1.234", numbers=told)["amount"].tolist() == [1.5, 2.5, 1234.5, 1234.5, 8, 1234]


def test_cents_are_divided_by_the_scale_of_their_column(read: Read) -> None:
    assert amounts(read, "2990", "5", "(1.50)", numbers={"amount": {"scale": 100}})["amount"].tolist() == [
        29.9, 0.05, -0.015,
    ]  # fmt: skip


def test_na_leaves_a_number_or_time_empty_that_may_be_and_the_notes_count_it(read: Read) -> None:
    header = "order_id,customer_id,ordered_at,amount,quantity,recorded_at\n"
    orders = read(header + "o1,ann,2024-01-01,5,N/A,-\no2,ann,2024-01-01,n/a,3,2024-01-02\n")
    validated = checked(orders)
    assert validated.used[["amount", "quantity"]].isna().to_numpy().tolist() == [[False, True]]
    assert validated.quarantined["reason"].tolist() == ["amount: 'n/a' is not a number"]
    assert (
        "o.csv: 1 values of quantity say that nothing is known (as N/A does), and count as empty"
        in orders.attrs["notes"]
    )
    assert pd.api.types.is_float_dtype(orders["quantity"])


@pytest.mark.parametrize("text", ["$5", "5 €", "US$ 5.00", "kr. 5", "5 zł", "CHF 5", "5.00 Ft", "$5.00 USD", "5 元"])
def test_a_currency_before_or_behind_a_number_is_no_part_of_it(read: Read, text: str) -> None:
    assert amounts(read, text)["amount"].tolist() == [5]


@pytest.mark.parametrize("text", ["5 pcs", "5 XYZ", "EUR", "$"])
def test_what_is_no_currency_is_no_number_either(read: Read, text: str) -> None:
    assert checked(amounts(read, text, "7")).used["amount"].tolist() == [7]


def test_a_column_without_evidence_follows_the_others_of_its_file(read: Read) -> None:
    orders = read("order_id;customer_id;ordered_at;amount;quantity\no1;ann;2024-01-01;9,5;1.234\n")
    assert orders["quantity"].tolist() == [1234]


@pytest.mark.slow
@pytest.mark.parametrize("text", ["ten", "1,2,3", "inf", "nan", "0x10", "1_000", "12 50", "--1", "1.2.3"])
def test_what_is_no_number_stays_as_it_came(read: Read, text: str) -> None:
    validated = checked(amounts(read, text, "7"))
    assert validated.used["amount"].tolist() == [7]
    assert validated.quarantined["reason"].tolist() == [f"amount: '{text}' is not a number"]
    assert validated.quarantined["amount"].tolist() == [text]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-07-01", "2024-07-01"), ("2024-07-01 10:30", "2024-07-01 10:30"), ("2024/07/01", "2024-07-01"),
        ("20240701", "2024-07-01"), ("2024-07-01T10:30:01.5Z", "2024-07-01 10:30:01.5"),
        ("2024-07-01T10:30+02:00", "2024-07-01 08:30"), ("2024-07-01 10:30:00 +0200", "2024-07-01 08:30"),
        ("2024-07-01T10:30Z", "2024-07-01 10:30"), ("2024-07-01 10:30:00 UTC", "2024-07-01 10:30"),
        ("2024-07-01 10:30:00.123456 UTC", "2024-07-01 10:30:00.123456"), ("2024-07-01 10:30 GMT", "2024-07-01 10:30"),
        ("2024-07-01 10:30:00 -03:30", "2024-07-01 14:00"), ("2024-07-01 10:30:00+0000", "2024-07-01 10:30"),
        ("2024-7-1 9:05", "2024-07-01 09:05"),
    ],
)  # fmt: skip
def test_times_with_the_year_first_need_no_format(read: Read, text: str, utc: str) -> None:
    assert times(read, text)["ordered_at"].tolist() == [pd.Timestamp(utc)]


@pytest.mark.parametrize("text", ["03/04/2024", "31.12.2024 10:00", "1-2-24"])
def test_day_or_month_first_is_never_guessed(read: Read, text: str) -> None:
    validated = checked(times(read, text, "2024-01-01"))
    assert validated.used["order_id"].tolist() == ["o1"]
    assert (
        validated.quarantined["reason"]
        .item()
        .startswith(f"ordered_at: '{text}' may have day or month first, say times:")
    )


def test_each_time_is_read_by_the_first_format_that_fits(read: Read) -> None:
    orders = times(
        read, "31.12.2023", "01.02.2024 10:30", "05.02.24", format=["%d.%m.%Y %H:%M", "%d.%m.%Y", "%d.%m.%y"]
    )
    assert orders["ordered_at"].tolist() == [
        pd.Timestamp("2023-12-31"),
        pd.Timestamp("2024-02-01 10:30"),
        pd.Timestamp("2024-02-05"),
    ]


def test_a_time_that_two_formats_read_as_different_days_is_not_used(read: Read) -> None:
    validated = checked(
        times(read, "31/01/2024", "01/31/2024", "02/01/2024", "02/02/2024", format=["%d/%m/%Y", "%m/%d/%Y"])
    )
    assert validated.used["ordered_at"].dt.strftime("%m-%d").tolist() == ["01-31", "01-31", "02-02"]
    assert "may have day or month first" in validated.quarantined["reason"].item()


def test_a_time_that_fits_no_told_format_is_not_used_even_if_it_looks_right(read: Read) -> None:
    validated = checked(times(read, "2024-01-05", "05.01.2024", format="%d.%m.%Y", zone="Europe/Berlin"))
    assert validated.used["ordered_at"].tolist() == [pd.Timestamp("2024-01-05")]
    assert validated.quarantined["reason"].tolist() == [
        "ordered_at: '2024-01-05' is not a time of the format '%d.%m.%Y'"
    ]


@pytest.mark.slow
@given(
    st.datetimes(datetime(1980, 1, 1), datetime(2024, 12, 1)), st.sampled_from(["Europe/Berlin", "America/New_York"])
)
@example(datetime(2000, 1, 1, 1), "Europe/Berlin")  # midnight in UTC, and no date alone
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_zones_agree_with_pythons_own(read: Read, time: datetime, zone: str) -> None:
    local = time.replace(microsecond=0)
    aware = local.replace(tzinfo=ZoneInfo(zone))
    if aware.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) != local:
        return  # an hour that the clock leaves out
    if local.time() == time_of_day.min:
        assert times(read, str(local), zone=zone)["ordered_at"].tolist() == [pd.Timestamp(local)]  # a date alone
        return
    want = moments(pd.Series([pd.Timestamp(aware.replace(fold=1)).tz_convert("UTC").tz_localize(None)]))
    assert times(read, str(local), zone=zone)["ordered_at"].tolist() == want.tolist()


def test_values_have_no_influence_on_one_another_whatever_the_order_of_rows(read: Read) -> None:
    written = {
        "2024-07-01 10:00:00": "2024-07-01 08:00",
        "2024-07-01 10:00:00 UTC": "2024-07-01 10:00",
        "2024-07-01T10:00:00-05:00": "2024-07-01 15:00",
        "2024-07-01": "2024-07-01 00:00",
        "whenever": None,
    }
    every_pair = [text for pair in permutations(written, 2) for text in pair]
    for order in (every_pair, *(sorted(written, key=lambda text, first=first: text != first) for first in written)):
        used = checked(times(read, *order, zone="Europe/Berlin")).used
        want = [pd.Timestamp(written[text]) for text in order if written[text]]
        assert used["ordered_at"].tolist() == want


def test_a_column_with_and_without_offsets_is_said_with_the_zone_of_the_others(read: Read) -> None:
    notes = times(read, "2024-07-01 10:00", "2024-07-01 10:00Z", "2024-07-01", zone="Asia/Tokyo").attrs["notes"]
    assert [n for n in notes if n.startswith("ordered_at: 1 times have an offset from UTC and 1 have none")]
    assert any("read in Asia/Tokyo" in note for note in notes)
    for alike in (("2024-07-01 10:00", "2024-07-02"), ("2024-07-01 10:00Z", "2024-07-02")):
        assert not any("offset" in note for note in times(read, *alike).attrs["notes"])


def test_a_format_that_ends_in_utc_is_in_utc_whatever_the_zone(read: Read) -> None:
    for form, text in (("%d.%m.%Y %H:%MZ", "01.07.2024 10:30Z"), ("%d.%m.%Y %H:%M UTC", "01.07.2024 10:30 UTC")):
        orders = times(read, text, format=form, zone="Europe/Berlin")
        assert orders["ordered_at"].tolist() == [pd.Timestamp("2024-07-01 10:30")]


def test_a_time_of_day_that_is_midnight_in_utc_is_no_date_alone(read: Read) -> None:
    orders = times(read, "2024-01-05 19:00:00", "2024-01-05", zone="America/New_York")
    assert orders["ordered_at"].tolist() == [pd.Timestamp("2024-01-06 00:00:00.000001"), pd.Timestamp("2024-01-05")]


@pytest.mark.parametrize(
    ("midnight", "other", "options"),
    [
        ("2024-01-01T00:00:00Z", "2024-01-02T10:00:00Z", {}),
        ("2024-01-01 00:00+00:00", "2024-01-02 10:00+02:00", {}),
        ("1704067200", "1704067201", {"format": "epoch_seconds"}),
        ("01.01.2024 00:00 UTC", "02.01.2024 10:00 UTC", {"format": "%d.%m.%Y %H:%M UTC"}),
        ("01.01.2024 00:00 +0000", "02.01.2024 10:00 +0000", {"format": "%d.%m.%Y %H:%M %z"}),
    ],
)
def test_midnight_with_an_offset_is_a_moment_unless_the_whole_column_is_at_midnight(
    read: Read, midnight: str, other: str, options: dict[str, str]
) -> None:
    day = pd.Timestamp("2024-01-01")
    mixed = times(read, midnight, other, zone="America/New_York", **options)
    assert mixed["ordered_at"].iloc[0] == day + pd.Timedelta(microseconds=1)
    alone = times(read, midnight, midnight, zone="America/New_York", **options)
    assert alone["ordered_at"].tolist() == [day, day]
    assert any("ordered_at: all 2 times are midnight UTC; they are taken as dates" in n for n in alone.attrs["notes"])


@pytest.mark.parametrize(
    ("options", "midnight", "other"),
    [
        ({}, "2024-01-01T00:00:00Z", "2024-01-02T10:00:00Z"),
        ({"format": "epoch_seconds"}, "1704067200", "1704067201"),
        ({"format": "%d.%m.%Y %H:%M %z"}, "01.01.2024 02:00 +0200", "02.01.2024 10:00 +0000"),
        ({"zone": "America/New_York"}, "2023-12-31 19:00", "2024-01-02 10:00"),
    ],
)
def test_a_row_recorded_at_midnight_is_known_at_that_midnight(
    read: Read, options: dict[str, str], midnight: str, other: str
) -> None:
    rows = f"{HEADER.strip()},recorded_at\no1,ann,2023-12-30,1,{midnight}\no2,ann,2023-12-30,1,{other}\n"
    told = read(rows, times={"recorded_at": options})
    assert told["recorded_at"].iloc[0] == pd.Timestamp("2024-01-01")


def test_a_clock_that_always_shows_what_is_midnight_in_utc_shows_no_dates(read: Read) -> None:
    orders = times(read, "2024-01-05 19:00:00", "2024-01-06 19:00:00", zone="America/New_York")
    assert orders["ordered_at"].tolist() == [pd.Timestamp(f"2024-01-0{day} 00:00:00.000001") for day in (6, 7)]


def test_epochs_are_times_too(read: Read) -> None:
    assert times(read, "1704067200", format="epoch_seconds")["ordered_at"].tolist() == [pd.Timestamp("2024-01-01")]
    assert times(read, "1704067200500", format="epoch_milliseconds")["ordered_at"].dt.microsecond.tolist() == [500_000]


def test_values_may_become_empty(read: Read) -> None:
    validated = checked(amounts(read, "NULL", "5", values={"amount": {"NULL": None}, "customer_id": {"ann": "jürgen"}}))
    assert validated.used["customer_id"].tolist() == ["jürgen"]
    assert validated.quarantined["reason"].tolist() == ["amount: is empty"]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("1900-01-01", None), ("1970-01-01 00:00:00", None), ("0001-01-01T00:00:00Z", None), ("0000-00-00", None),
        ("01.01.1900", "%d.%m.%Y"), ("1/1/1970 12:00 AM", "%m/%d/%Y %I:%M %p"), ("30/12/1899", "%d/%m/%Y"),
        ("0", "epoch_seconds"),
    ],
)  # fmt: skip
def test_a_date_that_stands_for_an_unknown_one_counts_as_empty_and_is_said(
    read: Read, text: str, form: str | None
) -> None:
    usual = {"epoch_seconds": "1704067200", None: "2024-01-01"}.get(form) or pd.Timestamp("2024-01-01").strftime(form)
    frame = times(read, usual, text, **({"format": form} if form else {}))
    assert frame["ordered_at"].isna().tolist() == [False, True]
    assert checked(frame).quarantined["reason"].tolist() == ["ordered_at: is empty"]
    said = "o.csv: 1 values of ordered_at are dates that stand for an unknown one"
    assert sum(note.startswith(said) for note in frame.attrs["notes"]) == 1


@pytest.mark.parametrize("text", ["1970-01-02", "1970-01-01 10:00", "1900-02-01", "2000-01-01", "1999-12-30"])
def test_other_old_dates_are_dates(read: Read, text: str) -> None:
    assert times(read, "2024-01-01", text)["ordered_at"].notna().all()
