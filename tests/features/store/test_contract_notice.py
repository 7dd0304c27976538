"""What goes with a notice, and what stays: on the columns of one contract."""

from __future__ import annotations

import pytest

from features.store.contract_notice import taken_back

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
    ],
)
def test_what_follows_from_a_notice_goes_with_it_unless_the_event_gives_it(
    known: dict[str, object], given: dict[str, object], gone: set[str]
) -> None:
    assert taken_back(given, known) == dict.fromkeys(gone)
