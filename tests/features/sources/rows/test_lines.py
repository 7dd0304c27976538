from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from configs.errors import DataError
from features.quality.check import check_table
from features.tables import ORDERS, REASON

NOW = datetime(2025, 1, 1, tzinfo=UTC)
Read = Callable[..., pd.DataFrame]
SHOPIFY = (
    "Name,Email,Financial Status,Total,Created at,Lineitem quantity\n"
    "#1,ann@x.org,paid,35.00,2023-01-05 10:11:10 -0500,1\n"
    "#1,ann@x.org,,,2023-01-05 10:11:10 -0500,2\n"
    "#2,bob@x.org,refunded,25.00,2023-01-06 23:29:00 -0500,1\n"
    "#3,,paid,8.00,2023-01-07 10:00:00 -0500,1\n"
    "#4,ann@x.org,partially_refunded,50.00,2023-02-05 10:00:00 -0500,5\n"
    "#4,ann@x.org,,,2023-02-05 10:00:00 -0500,0\n"
    "#5,cho@x.org,voided,99.00,2023-02-06 10:00:00 -0500,1\n"
    "#6,cho@x.org,pending,70.00,2023-02-07 10:00:00 -0500,1\n"
)
MAPPING: dict[str, Any] = {
    "columns": {
        "order_id": "Name",
        "customer_id": "Email",
        "ordered_at": "Created at",
        "amount": "Total",
        "quantity": "Lineitem quantity",
    },
    "where": {"Financial Status": ["paid", "refunded", "partially_refunded"]},
}
PLAIN = "order_id,customer_id,ordered_at,amount,category\n"


def test_the_lines_of_an_order_are_one_order_and_rules_hold_for_it(read: Read) -> None:
    raw = read(SHOPIFY, **MAPPING, lines={"amount": "once", "quantity": "sum"})
    assert raw[["order_id", "amount", "quantity"]].to_numpy().tolist() == [
        ["#1", 35.0, 3.0], ["#2", 25.0, 1.0], ["#3", 8.0, 1.0], ["#4", 50.0, 5.0],
    ]  # fmt: skip
    assert "8 lines are 6 rows of orders" in raw.attrs["notes"]
    checked = check_table(ORDERS, raw, NOW, {"ann@x.org", "bob@x.org", "cho@x.org"})
    assert list(checked.quarantined["order_id"]) == ["#3"]
    assert checked.rows_read == 6


def test_a_total_on_every_line_counts_once_and_amounts_of_lines_are_added_up(read: Read) -> None:
    lines = PLAIN + "1,ann,2024-01-02,30,\n1,ann,2024-01-02,30,shoes\n2,bob,2024-01-03,5,hats\n"
    once = read(lines, lines={"amount": "once"})
    assert once[["order_id", "amount", "category"]].to_numpy().tolist() == [["1", 30.0, "shoes"], ["2", 5.0, "hats"]]
    assert read(lines, lines={"amount": "sum"})["amount"].tolist() == [60.0, 5.0]


def test_lines_without_a_key_belong_to_the_order_above(read: Read) -> None:
    raw = read(
        PLAIN + "1,ann,2024-01-02,30,\n,,,12,hats\n2,bob,2024-01-03,5,\n,bob,2024-01-04,7,\n", lines={"amount": "sum"}
    )
    assert raw["amount"].tolist() == [42.0, 5.0, 7.0]
    assert raw["order_id"].isna().tolist() == [False, False, True]


def test_lines_that_differ_in_what_must_be_one_are_no_order(read: Read) -> None:
    raw = read(PLAIN + "1,ann,2024-01-02,30,\n1,bob,2024-01-02,31,\n2,bob,2024-01-03,5,\n", lines={"amount": "once"})
    assert raw[REASON].fillna("").tolist() == [
        "amount: differs among the lines of one order; customer_id: differs among the lines of one order",
        "",
    ]


def test_an_unreadable_number_on_one_line_puts_its_order_aside(read: Read) -> None:
    raw = read(PLAIN + "1,ann,2024-01-02,30,\n1,ann,2024-01-02,oops,\n2,bob,2024-01-03,5,\n", lines={"amount": "sum"})
    checked = check_table(ORDERS, raw, NOW, {"ann", "bob"})
    assert list(checked.used["order_id"]) == ["2"]
    assert "'oops' is not a number" in checked.quarantined["reason"][0]


@pytest.mark.parametrize(
    ("lines", "asked"), [({}, "say how 'amount' is combined"), ({"price": "sum"}, "'price' is no number")]
)
def test_how_a_number_is_combined_is_asked(read: Read, lines: dict[str, str], asked: str) -> None:
    with pytest.raises(DataError, match=asked):
        read(PLAIN + "1,ann,2024-01-02,30,\n", lines=lines)
