from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from features.tables import UNREAD

ROW = "o{},ann,2024-01-{:02},10,{},Ulm\n"
CSV = "order_id,customer_id,ordered_at,amount,status,storniert_am,city\n" + "".join(
    ROW.format(n, 1 + n % 28, "bezahlt," if n % 10 else "storniert,2024-02-01") for n in range(50)
)


def test_columns_that_may_say_which_rows_count_are_counted_whole(read: Callable[..., pd.DataFrame]) -> None:
    assert read(CSV).attrs[UNREAD] == {
        "status": {"bezahlt": 45, "storniert": 5},
        "storniert_am": {"": 45, "2024-02-01": 5},
    }


def test_what_a_rule_leaves_out_is_not_asked_about_again(read: Callable[..., pd.DataFrame]) -> None:
    assert read(CSV, where={"status": {"not": ["storniert"]}}).attrs[UNREAD] == {}
