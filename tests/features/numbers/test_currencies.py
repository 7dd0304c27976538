from __future__ import annotations

import pytest

from features.numbers.currencies import CODES, NAMES, SHARED_SIGNS, SIGNS, are_currencies, currency_of


def test_every_sign_stands_for_codes_that_exist() -> None:
    assert set(SIGNS.values()) | {code for codes in SHARED_SIGNS.values() for code in codes} <= CODES


@pytest.mark.parametrize(
    "name",
    ["currency", "Currency Code", "order_currency", "CurrencyCode", "Währung", "Devise", "moneda", "币种", "ccy"],
)
def test_a_column_of_currencies_is_known_by_its_name(name: str) -> None:
    assert NAMES.search(name)


@pytest.mark.parametrize("name", ["current_plan", "concurrency", "device", "amount"])
def test_a_column_of_something_else_is_not(name: str) -> None:
    assert not NAMES.search(name)


def test_words_signs_and_codes_of_any_case_are_currencies() -> None:
    assert [currency_of(t) for t in ("eur", "Euro", "KČ", "kr", "人民币", "abc", "")] == [
        "EUR", "EUR", "CZK", "kr", "CNY", None, None,
    ]  # fmt: skip


def test_a_column_of_codes_is_known_by_its_content() -> None:
    assert are_currencies(["EUR", "JPY"])
    assert not are_currencies(["EUR", "new"])
