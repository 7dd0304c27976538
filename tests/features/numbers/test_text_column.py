from __future__ import annotations

import math

import pandas as pd
import pytest

from features.numbers.text_column import read_column

NUMBERS = [f"{n}.5" for n in range(10, 60)]


@pytest.mark.parametrize("text", ["N/A", "-", "n/a", "null", "#N/V", "unknown", "unbekannt", "未知", "oops"])
def test_one_bad_value_leaves_numbers_numbers(text: str) -> None:
    column = read_column(pd.Series([*NUMBERS, text]))
    assert column.is_numeric
    assert column.numbers.tolist()[:2] == [10.5, 11.5] and math.isnan(column.numbers.iloc[-1])
    assert column.placeholders + column.unreadable == 1


@pytest.mark.parametrize(
    "texts",
    [
        [*NUMBERS, *["red", "blue", "green"]],  # more than a few
        ["1", "2", "x"],  # too few numbers to tell
        ["01067", "80331", "99999"],  # codes, which lose a zero as numbers
        ["€5", "$6"],  # two currencies
        ["N/A", "-"],
        [],
    ],
)
def test_what_is_no_column_of_numbers_stays_text(texts: list[str]) -> None:
    assert not read_column(pd.Series(texts, dtype=object)).is_numeric


def test_a_column_is_read_by_the_sign_that_its_own_values_decide() -> None:
    column = read_column(pd.Series(["1.234,56", "1.000", " 12 EUR", None, ""]), None)
    assert column.numbers.tolist()[:3] == [1234.56, 1000, 12] and column.filled == 3
    assert column.currencies == ("EUR",) and not column.in_doubt
    assert read_column(pd.Series(["1.000"]), ",").numbers.tolist() == [1000]
