from __future__ import annotations

import pytest

from configs.errors import DataError
from features.numbers.reading import SignEvidence
from features.numbers.signs import decimal_signs

COMMA, POINT, DOUBT = SignEvidence(5, 0, 0, None), SignEvidence(0, 5, 0, None), SignEvidence(0, 0, 2, "1.234")


def test_a_column_of_one_file_is_decided_by_the_same_column_of_another() -> None:
    assert decimal_signs("orders", [{"amount": DOUBT}, {"amount": COMMA}])[0] == {"amount": ","}


def test_a_file_that_contradicts_another_decides_nothing() -> None:
    with pytest.raises(DataError, match=r"orders: amount: '1.234' may be 1.234 or 1234, in 2 rows, and no other value"):
        decimal_signs("orders", [{"amount": DOUBT}, {"amount": COMMA}, {"amount": POINT}])


def test_all_columns_in_doubt_are_asked_at_once() -> None:
    with pytest.raises(DataError, match=r"amount: .*; quantity: "):
        decimal_signs("orders", [{"amount": DOUBT, "quantity": DOUBT}])


def test_a_column_without_a_value_in_doubt_needs_no_decision() -> None:
    assert decimal_signs("orders", [{"amount": SignEvidence(0, 0, 0, None)}]) == [{"amount": "none"}]
