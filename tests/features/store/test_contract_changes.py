"""Which changes of a contract an event may bring."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pytest

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


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"paused_at": "2024-01-20T00:00:00Z", "resumes_at": "2024-01-19T23:00:00-02:00"}, []),
        ({"paused_at": "2024-01-20T00:00:00Z", "resumes_at": "2024-01-20T00:30:00+01:00"}, ["resumes_at"]),
        ({"paused_at": "2024-02-20T00:00:00Z"}, ["resumes_at"]),
        ({"resumes_at": "2023-12-20T00:00:00Z"}, ["resumes_at"]),
        ({"resumes_at": None, "paused_at": "2024-02-20T00:00:00Z"}, []),
        ({"resumes_at": "9999-12-31T23:00:00-05:00"}, []),
        ({"trial_ends_at": "2023-12-31T00:00:00Z"}, ["trial_ends_at"]),
        ({"cancelled_at": "2024-01-20T00:00:00Z"}, []),
    ],
)
def test_a_pause_or_a_trial_that_is_over_before_it_begins_is_refused_whichever_event_gave_the_other_time(
    given: dict[str, str | None], fault: list[str]
) -> None:
    pause = {"paused_at": pd.Timestamp("2024-01-05"), "resumes_at": pd.Timestamp("2024-02-05")}
    known = {"s": {"started_at": pd.Timestamp("2024-01-01"), "trial_ends_at": None, **pause}}
    event = {"subscription_id": "s", "started_at": "2024-01-01T00:00:00Z", **given}
    assert [name for _, name, _ in change_faults([(0, event)], known, NOW)] == fault
