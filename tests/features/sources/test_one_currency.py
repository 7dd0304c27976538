"""Amounts in several currencies are converted or asked about, never added up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.errors import ConfigError, DataError
from configs.settings import Settings, merged_with_default
from configs.workspace import Workspace
from features.ingest import ingest, prepared_tables
from features.sources import files
from features.sources.fingerprint import ingest_fingerprint

HEADER = "order_id;customer_id;ordered_at;amount;currency\n"
Business = Callable[..., Settings]


@pytest.fixture
def business(tmp_path: Path) -> Business:
    """Settings of a business with one file of orders, and with rates of the yen and the pound in January."""
    (tmp_path / "rates.csv").write_text("date,currency,rate\n2024-01-01,JPY,0.01\n2024-01-01,GBP,1.25\n")

    def make(*rows: str, header: str = HEADER, rates: bool = True, **over: Any) -> Settings:
        lines = "".join(f"o{n};ann;2024-01-02;{row}\n" for n, row in enumerate(rows))
        (tmp_path / "orders.csv").write_text(header + lines, "utf-8")
        (tmp_path / "customers.csv").write_text("customer_id,signed_up_at\nann,2023-01-01\n")
        orders = {"path": str(tmp_path / "orders.csv"), **over.pop("orders", {})}
        options = {"customers": {"path": str(tmp_path / "customers.csv")}, "orders": orders}
        file = {"file": str(tmp_path / "rates.csv")} if rates else {}
        content = {"name": "shop", "source": {"loader": "files", "options": options}, "rates": file, **over}
        return merged_with_default(content, "shop")

    return make


def amounts(settings: Settings) -> list[Any]:
    tables = prepared_tables(files.load(settings.source.options), settings, datetime(2024, 2, 1, tzinfo=UTC))
    return tables["orders"]["amount"].tolist()


def asked(settings: Settings) -> str:
    with pytest.raises(DataError) as error:
        amounts(settings)
    return str(error.value)


def test_a_column_of_currencies_that_nobody_reads_is_asked_about(business: Business) -> None:
    text = asked(business("5;USD", "500;JPY", "6;USD"))
    assert text.startswith("orders: the column 'currency' holds USD (2 rows), JPY (1 rows), and is not read; say")
    assert "source.options.orders.currency: currency" in text and "source.options.orders.currency: USD" in text


def test_it_is_found_by_its_content_under_any_name(business: Business) -> None:
    assert "the column 'valuta_x' holds SEK (1 rows)" in asked(
        business("5;SEK", header=HEADER.replace("currency", "valuta_x"))
    )
    assert amounts(business("5;USD")) == [5]
    assert amounts(business("5;new", "6;old", header=HEADER.replace("currency", "state"))) == [5, 6]


def test_the_answer_to_the_question_is_taken(business: Business) -> None:
    rows = ("5;USD", "500;JPY", "4;GBP")
    assert amounts(business(*rows, orders={"currency": "currency"})) == [5, 5, 5]
    assert amounts(business(*rows, orders={"currency": "USD"})) == [5, 500, 4]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("$5;", "¥500;", "£4;", "6;"), None),  # the yen's sign is also the yuan's
        (("$5;", "JP¥500;"), [5, 5]),
        (("$5;", "500 JPY;", "GBP 4;", "6;"), [5, 5, 5, 6]),
        (("5,00 USD;", "£4,00;"), [5, 5]),
    ],
)
def test_signs_and_codes_within_amounts_tell_their_rows_currency(
    business: Business, rows: tuple[str, ...], expected: list[float] | None
) -> None:
    settings = business(*rows)
    if expected is None:
        with pytest.raises(DataError):
            amounts(settings)
    else:
        assert amounts(settings) == expected


def test_a_sign_of_several_currencies_is_the_column_s_or_the_business_s_own(business: Business) -> None:
    assert "have the sign ¥ (1 rows), which several currencies have and USD has not" in asked(business("¥500;"))
    assert amounts(business("¥500;JPY", "$5;USD", orders={"currency": "currency"})) == [5, 5]
    assert amounts(business("¥500;", "5 JPY;", currency="JPY")) == [500, 5]


def test_a_row_of_two_currencies_or_of_none_is_put_aside(business: Business, workspace: Workspace) -> None:
    settings = business("£5;JPY", "5;", "5;abc", "£4;", *["1;USD"] * 200, orders={"currency": "currency"})
    ingest(settings, workspace, datetime(2024, 2, 1, tzinfo=UTC))
    rows = pd.read_parquet(workspace.quarantine / "orders.parquet").set_index("order_id")
    assert rows["reason"].to_dict() == {
        "o0": "currency: 'GBP' and 'JPY' in one row",
        "o1": "currency: is empty",
        "o2": "currency: 'abc' is no currency of ISO 4217",
    }
    assert pd.read_parquet(workspace.tables / "orders.parquet")["amount"].tolist() == [5] + [1] * 200


def test_rows_of_other_currencies_that_are_left_out_are_not_asked_about(business: Business) -> None:
    assert amounts(business("5;USD", "500;SEK", orders={"where": {"currency": ["USD"]}})) == [5]


def test_without_rates_amounts_in_other_currencies_stop_the_load(business: Business) -> None:
    text = asked(business("5;USD", "500;JPY", orders={"currency": "currency"}, rates=False))
    assert text == (
        "orders: amounts are in JPY (1 rows), USD (1 rows), and currency is USD; give rates.file with the rates to USD"
    )
    assert "say currency: JPY if that is the business's own" in asked(business("5 JPY;", rates=False))
    assert "orders: amounts are in SEK (1 rows), and currency is USD; add their rates to rates.file" in asked(
        business("5 SEK;")
    )


def test_an_amount_without_a_rate_of_its_day_is_put_aside(business: Business, workspace: Workspace) -> None:
    settings = business("500;JPY", "5;USD", orders={"currency": "currency", "constants": {"ordered_at": "2024-06-01"}},
                        header=HEADER.replace("ordered_at", "day"))  # fmt: skip
    report = ingest(settings, workspace, datetime(2024, 7, 1, tzinfo=UTC))
    assert pd.read_parquet(workspace.quarantine / "orders.parquet")["reason"].tolist() == [
        "amount: 'JPY' has no rate for '2024-06-01' or the 31 days before; complete rates.file, "
        "or raise rates.max_age_days"
    ]
    assert "orders: amounts in JPY (1 rows) are converted to USD" in report["reading"]


def test_the_smallest_units_of_each_currency_are_brought_to_whole_ones(business: Business) -> None:
    scaled = {"numbers": {"amount": {"scale": "minor"}}}
    assert amounts(business("500;USD", "500;JPY", orders={"currency": "currency", **scaled})) == [5, 5]
    assert amounts(business("500;", currency="JPY", orders={"currency": "JPY", **scaled})) == [500]
    with pytest.raises(ConfigError, match="scale: minor needs `currency`"):
        amounts(business("500;", orders=scaled))


@pytest.mark.slow
def test_a_load_in_chunks_is_converted_alike(business: Business, workspace: Workspace) -> None:
    settings = business(*["5;USD", "500;JPY", "4;GBP"] * 4, orders={"currency": "currency"})
    ingest(settings, workspace, datetime(2024, 2, 1, tzinfo=UTC), chunk_rows=5)
    assert pd.read_parquet(workspace.tables / "orders.parquet")["amount"].tolist() == [5] * 12


def test_a_change_of_currency_or_rates_is_a_change_of_the_load(business: Business, tmp_path: Path) -> None:
    settings = business("5;USD", orders={"currency": "currency"})
    before = ingest_fingerprint(settings)
    assert before != ingest_fingerprint(settings.model_copy(update={"currency": "EUR"}))
    (tmp_path / "rates.csv").write_text("date,currency,rate\n2024-01-01,JPY,0.02\n")
    assert before != ingest_fingerprint(settings)
