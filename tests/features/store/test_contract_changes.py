"""Which changes of a contract an event may bring."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from features.store.contract_changes import change_faults

NOW = datetime(2024, 2, 1)


def test_a_booked_contract_and_one_in_its_trial_may_change_and_a_batch_counts_from_event_to_event() -> None:
    known = {
        "booked": {"started_at": pd.Timestamp("2024-03-01"), "plan": "a"},
        "trial": {"started_at": "2024-01-01T00:00:00Z", "trial_ends_at": "2024-02-09T00:00:00Z", "plan": "a"},
        "runs": {"started_at": pd.Timestamp("2024-01-01"), "plan": "a"},
    }
    rows = [{"subscription_id": key, "plan": "b"} for key in known]
    assert [place for place, _, _ in change_faults(enumerate(rows), known, NOW)] == [2]
    new = {"subscription_id": "new", "started_at": "2024-01-20T00:00:00Z", "price_per_month": 5.0}
    again = [new, {**new, "price_per_month": 5.0}, {**new, "price_per_month": 6.0}]
    assert [(place, name) for place, name, _ in change_faults(enumerate(again), {}, NOW)] == [(2, "price_per_month")]
