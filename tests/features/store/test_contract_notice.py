"""What goes with a notice, and what stays: on the columns of one contract."""

from __future__ import annotations

import pandas as pd
import pytest

from features.store.contract_notice import taken_back

START, NEVER = "2023-01-02T00:00:00+00:00", "9999-12-31T00:00:00+00:00"
LOADED = {"started_at": pd.Timestamp("2023-01-02"), "ended_at": pd.Timestamp("2024-12-31")}
NO_NOTICE = {**LOADED, "cancelled_at": pd.Timestamp("9999-12-31").as_unit("us")}
NOTICE = {"cancelled_at": "2024-01-02", "ended_at": "2024-02-01", "cancel_at_period_end": 1.0, "status": "active"}


@pytest.mark.parametrize(
    ("known", "given", "gone"),
    [
        (NOTICE, {"cancelled_at": None}, {"ended_at", "cancel_at_period_end"}),
        (NOTICE, {"cancelled_at": None, "ended_at": "2024-03-01"}, {"cancel_at_period_end"}),
        (NOTICE, {"cancel_at_period_end": None}, {"ended_at", "cancelled_at"}),
        (NOTICE, {"cancel_at_period_end": 0.0, "cancelled_at": "2024-01-03"}, set()),
        (NOTICE, {"cancel_at_period_end": 1.0, "cancelled_at": None}, set()),
        (NOTICE, {"plan": "b", "status": "active"}, set()),
        ({**NOTICE, "cancel_at_period_end": 0.0}, {"cancelled_at": None}, {"ended_at"}),
        ({**NOTICE, "cancel_at_period_end": 0.0}, {"cancel_at_period_end": 0.0}, set()),
        ({"ended_at": "2024-02-01"}, {"cancelled_at": None, "cancel_at_period_end": 0.0}, set()),
        ({"status": "Non-Renewing", "ended_at": "2024-02-01"}, {"cancelled_at": None}, {"status", "ended_at"}),
        ({"status": "non_renewing", "cancelled_at": "2024-01-02"}, {"status": "active"}, {"cancelled_at"}),
        ({"status": "non_renewing", "cancelled_at": "2024-01-02"}, {"status": "cancelled"}, set()),
        ({}, {"cancelled_at": None}, set()),
        (NO_NOTICE, {"started_at": START, "cancelled_at": None}, set()),
        (NO_NOTICE, {"started_at": START, "cancelled_at": NEVER}, set()),
        ({**LOADED, "cancelled_at": pd.Timestamp("2024-06-20 10:00")}, {"cancelled_at": NEVER}, {"ended_at"}),
        ({**LOADED, "cancelled_at": "2024-06-20"}, {"started_at": START, "cancelled_at": NEVER}, {"ended_at"}),
    ],
)
def test_what_follows_from_a_notice_goes_with_it_unless_the_event_gives_it(
    known: dict[str, object], given: dict[str, object], gone: set[str]
) -> None:
    assert taken_back(given, known) == dict.fromkeys(gone)
