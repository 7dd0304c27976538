"""What a column holds, by its values."""

from __future__ import annotations

import pandas as pd
import pytest

from features.sources.proposal.columns import Column


def column(*values: object, name: str = "x") -> Column:
    return Column(name, pd.Series(list(values)))


@pytest.mark.parametrize(
    ("values", "formats"),
    [
        (["31.12.2024", "01.02.2024"], ("%d.%m.%Y",)), (["2024-1-5", "2024/01/06"], ()),
        (["2024年1月5日"], ("%Y年%m月%d日",)),
        (["01/02/2024"], ("%d/%m/%Y", "%m/%d/%Y")), (["03.02.24", "31.01.24"], ("%d.%m.%y",)),
        (["Jan 5, 2024"], ("%b %d, %Y",)), (["20240105"], ("%Y%m%d",)),
        (["12.5"], None), (["soon"], None), ([""], None),
    ],
)  # fmt: skip
def test_times_are_known_by_their_formats(values: list[str], formats: tuple[str, ...] | None) -> None:
    assert column(*values).time_formats == formats


def test_seconds_since_1970_are_times_only_where_the_name_says_so() -> None:
    assert column("1704067200", name="created").time_formats == ("epoch_seconds",)
    assert column("1704067200000", name="start_date").time_formats == ("epoch_milliseconds",)
    assert column("1704067200", name="customer").time_formats is None


def test_one_value_that_means_no_end_hides_no_format() -> None:
    values = [f"{n % 28 + 1:02d}.01.2024" for n in range(60)] + ["31.12.9999"] * 60
    assert column(*values).time_formats == ("%d.%m.%Y",)


@pytest.mark.parametrize(
    "value", ["1.234,56 €", "12.30 EUR", "-5", "(7.50)", "1 234,5", "$ 3", "4-", ".5", "1e3", "1'000"]
)
def test_numbers_are_known_however_they_are_written(value: str) -> None:
    assert column(value).is_number


def test_currencies_are_told_by_codes_and_signs() -> None:
    assert column("12 EUR", "3 EUR", "£4").currencies == ("EUR", "GBP")
    assert column("12 ABC", "$3").currencies == ()
    assert column("1 234,50 ₽", "10 zł", "5 zł").currencies == ("PLN", "RUB") and column("5 zł").is_number
    assert column("EUR", "usd").is_currency_code and not column("EUR", "no").is_currency_code


def test_blanks_are_no_values() -> None:
    one = column("a", "N/A", " ", None, "-")
    assert one.filled.tolist() == ["a"] and not one.is_unique


def test_ids_that_a_missing_one_made_floats_are_ids() -> None:
    one = column(12345.0, None, 17.0)
    assert one.filled.tolist() == ["12345", "17"] and not one.has_fractions
    assert not column("12345.0", "17.0").has_fractions and column("12.5", "7.0").has_fractions
