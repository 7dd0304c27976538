"""Each row of a table is used, or has a reason against it."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from configs.errors import DataError
from configs.settings import Settings
from features.quality.check import check_table, check_tables
from features.tables import ORDERS

NOW = datetime(2024, 6, 1, tzinfo=UTC)
GOOD = {"order_id": "o1", "customer_id": "ann", "ordered_at": "2024-01-01", "amount": "10.5"}


def check(*rows: dict[str, object]):
    return check_table(ORDERS, pd.DataFrame(rows), NOW, {"ann"})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"amount": "ten"}, "amount: 'ten' is not a number"),
        ({"amount": "inf"}, "amount: 'inf' is not a number"),
        ({"amount": ""}, "amount: is empty"),
        ({"ordered_at": "yesterday"}, "ordered_at: 'yesterday' is not a time"),
        ({"ordered_at": "2024-07-01"}, "ordered_at: lies in the future"),
        ({"recorded_at": "2024-07-01"}, "recorded_at: lies in the future"),
        ({"customer_id": "eve"}, "customer_id: is no known customer"),
        ({"customer_id": "  "}, "customer_id: is empty"),
        ({"discount": "-1"}, "discount: is less than 0"),
    ],
)
def test_a_bad_row_goes_to_quarantine_with_its_reason(change: dict[str, object], reason: str) -> None:
    found = check(GOOD, {**GOOD, "order_id": "o2", **change})
    assert found.used["order_id"].tolist() == ["o1"]
    assert set(found.quarantined["reason"].item().split("; ")) == set(reason.split("; "))


def test_a_time_is_read_alike_whatever_stands_in_the_rows_before() -> None:
    written = {
        "2024-01-01 10:00": "2024-01-01 10:00",
        "2024-01-01T10:00:00+02:00": "2024-01-01 08:00",
        "2024-01-01T10:00Z": "2024-01-01 10:00",
        "2024-01-01": "2024-01-01",
    }
    for order in permutations(written):
        found = check(*({**GOOD, "order_id": text, "ordered_at": text} for text in order))
        assert found.used["ordered_at"].tolist() == [pd.Timestamp(written[text]) for text in order]


def test_the_first_of_two_rows_with_the_same_key_is_used() -> None:
    found = check({**GOOD, "amount": "1"}, {**GOOD, "amount": "2"})
    assert found.used["amount"].tolist() == [1.0]
    assert found.quarantined["reason"].tolist() == ["order_id: occurs more than once; the first is used"]


def test_every_row_is_either_used_or_in_quarantine() -> None:
    rng = np.random.default_rng(0)
    rows = [
        {
            **GOOD,
            "order_id": f"o{rng.integers(80)}",
            "amount": rng.choice(["1", "x", ""]),
            "customer_id": rng.choice(["ann", "eve"]),
        }
        for _ in range(100)
    ]
    found = check(*rows)
    assert len(found.used) + len(found.quarantined) == 100
    assert found.quarantined["reason"].str.len().gt(0).all()


def test_ids_are_text_however_they_come() -> None:
    for given in (7, 7.0, " 7 "):
        found = check_table(ORDERS, pd.DataFrame([{**GOOD, "customer_id": given}]), NOW, {"7"})
        assert found.used["customer_id"].tolist() == ["7"]


def test_times_of_any_zone_become_utc() -> None:
    found = check({**GOOD, "ordered_at": "2024-01-01T02:00:00+02:00"}, {**GOOD, "order_id": "o2"})
    assert found.used["ordered_at"].tolist() == [pd.Timestamp("2024-01-01")] * 2


def test_the_raw_table_is_not_changed() -> None:
    raw = pd.DataFrame([GOOD])
    check_table(ORDERS, raw, NOW, {"ann"})
    pd.testing.assert_frame_equal(raw, pd.DataFrame([GOOD]))


def test_a_missing_column_is_named_with_its_nearest() -> None:
    with pytest.raises(DataError, match=r"column 'customer_id' is missing \(did you mean 'custmer_id'\?\)"):
        check_table(ORDERS, pd.DataFrame([GOOD]).rename(columns={"customer_id": "custmer_id"}), NOW, {"ann"})


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(DataError, match="orders: the table is empty"):
        check_table(ORDERS, pd.DataFrame([GOOD]).head(0), NOW, {"ann"})


def test_customers_and_orders_are_both_needed(settings: Settings, shop: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(DataError, match="no table orders"):
        check_tables(
            {"customers": shop["customers"]},
            settings.columns.model_copy(update={"attributes": (), "sensitive": ()}),
            NOW,
        )


@pytest.mark.parametrize("amount", ["-0.00", -0.0, "-0"])
def test_an_order_for_which_nothing_was_paid_back_is_left_out_and_counted(amount: object) -> None:
    rows = [{**GOOD, "order_id": f"o{i}", "amount": a} for i, a in enumerate([amount, "x", "0", amount, "-1", "3"])]
    checked = check(*rows)
    assert checked.used["order_id"].tolist() == ["o2", "o4", "o5"] and checked.rows_read == 6
    assert checked.quarantined["order_id"].tolist() == ["o1"] and checked.rows_left_out == 2
