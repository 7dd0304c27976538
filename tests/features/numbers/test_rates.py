from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from configs.errors import ConfigError, DataError
from configs.settings import Rates
from features.numbers.rates import RateTable, in_one_currency, load_rates
from features.tables import CURRENCY, REASON


def rates(tmp_path: Path, content: str, inverse: bool = False, max_age_days: int = 31) -> RateTable:
    (tmp_path / "rates.csv").write_text(content, "utf-8")
    return load_rates(Rates(file=str(tmp_path / "rates.csv"), inverse=inverse, max_age_days=max_age_days))


@pytest.mark.parametrize(
    "content", ["date,currency,rate\n2024-01-01,EUR,1.085\n", "Date;Currency;Rate\n2024-01-01;€;1,085\n"]
)
def test_rates_are_read_as_people_export_them(tmp_path: Path, content: str) -> None:
    assert rates(tmp_path, content).rates["rate"].tolist() == [1.085]


def test_rates_may_be_written_the_other_way_round(tmp_path: Path) -> None:
    assert rates(tmp_path, "date,currency,rate\n2024-01-01,JPY,160\n", inverse=True).rates["rate"].tolist() == [1 / 160]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("date,currency\n2024-01-01,EUR\n", "column 'rate' is missing"),
        ("date,currency,rate\n2024-01-01,EUR,0\n", "row 1 is no rate: '2024-01-01', 'EUR', '0'"),
        ("date,currency,rate\n2024-01-01,EUR,1\n01/02/2024,EUR,1\n", "row 2 is no rate"),
        ("date,currency,rate\n2024-01-01,XQQ,1\n", "row 1 is no rate"),
        ("date,currency,rate\n2024-01-01,EUR,1\n2024-01-01,EUR,2\n", "two rates of EUR on 2024-01-01"),
    ],
)
def test_a_table_of_rates_in_doubt_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rates(tmp_path, content)


def test_a_file_of_rates_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rates.file: no file at"):
        load_rates(Rates(file=str(tmp_path / "no.csv"), inverse=False, max_age_days=31))


def test_an_amount_takes_the_rate_of_its_day_or_the_newest_before_it(tmp_path: Path) -> None:
    table = rates(tmp_path, "date,currency,rate\n2024-01-01,EUR,2\n2024-01-03,EUR,3\n", max_age_days=10)
    frame = pd.DataFrame({
"ordered_at": ["2024-01-02", "2024-01-03", "2024-01-13 23:59", "2024-01-14", "2023-12-31"],
        "amount": [10.0, 10, 10, 10, 10],
        "discount": [1.0, 0, 0, 0, 0],
        CURRENCY: "EUR",
    })  # fmt: skip
    out = in_one_currency(frame, "orders", {"EUR": "EUR"}, "USD", table, ZoneInfo("UTC"))
    assert out["amount"].tolist()[:3] == [20, 30, 30] and out["discount"].tolist()[0] == 2
    assert out[REASON].isna().tolist() == [True, True, True, False, False]
    assert out[REASON].tolist()[3:] == [
        "amount: 'EUR' has no rate for '2024-01-14' or the 10 days before; complete rates.file, or raise "
        "rates.max_age_days",
        "amount: 'EUR' has no rate for '2023-12-31' or the 10 days before; complete rates.file, or raise "
        "rates.max_age_days",
    ]
    assert frame["amount"].tolist() == [10] * 5 and REASON not in frame


def test_the_day_of_a_rate_is_the_customers_own(tmp_path: Path) -> None:
    table = rates(tmp_path, "date,currency,rate\n2024-01-01,EUR,2\n2024-01-02,EUR,3\n")
    frame = pd.DataFrame({"ordered_at": ["2024-01-01T23:30:00"], "amount": ["10"], CURRENCY: ["EUR"]})
    for zone, amount in (("UTC", 20), ("Europe/Berlin", 30)):
        assert in_one_currency(frame, "orders", {"EUR": "EUR"}, "USD", table, ZoneInfo(zone))["amount"].item() == amount


def test_what_is_no_amount_stays_as_it_came_beside_converted_ones(tmp_path: Path) -> None:
    table = rates(tmp_path, "date,currency,rate\n2024-01-01,EUR,2\n")
    frame = pd.DataFrame(
        {"ordered_at": ["2024-01-01", "2024-01-01"], "amount": ["10", "ten"], CURRENCY: ["EUR", "EUR"]}
    )
    out = in_one_currency(frame, "orders", {"EUR": "EUR"}, "USD", table, ZoneInfo("UTC"))
    assert out["amount"].tolist() == [20, "ten"]


def test_a_date_alone_takes_the_rate_of_that_date_in_every_zone(tmp_path: Path) -> None:
    table = rates(tmp_path, "date,currency,rate\n2023-12-31,USD,0.5\n2024-01-01,USD,0.9\n")
    frame = pd.DataFrame({"amount": [100.0], "ordered_at": pd.to_datetime(["2024-01-01"]), CURRENCY: ["USD"]})
    for zone in ("America/New_York", "Asia/Shanghai"):
        out = in_one_currency(frame, "orders", {"USD": "USD"}, "EUR", table, ZoneInfo(zone))
        assert out["amount"].tolist() == [90.0]
