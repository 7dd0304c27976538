"""What the bodies of events may hold."""

from __future__ import annotations

from datetime import datetime

import orjson
import pandas as pd
import pytest

from features.quality.check import read_times
from serving.api.problems import InvalidRequestError
from serving.api.schema.events import EventBatch, parse_events


def login_at(time: str) -> EventBatch:
    event = {"event_id": "e", "type": "interaction", "interaction_id": "i", "customer_id": "c", "kind": "login"}
    return parse_events(orjson.dumps({**event, "occurred_at": time}), 10)


@pytest.mark.parametrize("offset", ["Z", "+01:00", "-05:30", "+00:00", "+14:00"])
def test_a_time_may_have_any_offset(offset: str) -> None:
    assert login_at(f"2024-11-05T10:15:00.25{offset}").events[0].occurred_at.endswith(offset)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("2024-11-05t10:15:00z", "2024-11-05T10:15:00+00:00"),
        ("2024-11-05T10:15:00.123456999Z", "2024-11-05T10:15:00.123456+00:00"),
        ("2024-11-05T10:15:00.5+05:45", "2024-11-05T04:30:00.5+00:00"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999+00:00"),
        ("2016-12-31T15:59:60.75-08:00", "2016-12-31T23:59:59.999999+00:00"),
    ],
)
def test_all_that_rfc_3339_calls_a_time_is_read_to_the_microsecond(given: str, taken: str) -> None:
    (event,) = login_at(given).events
    assert datetime.fromisoformat(event.occurred_at) == datetime.fromisoformat(taken)
    assert read_times(pd.Series([event.occurred_at]))[0] == pd.Timestamp(taken).tz_localize(None)


NO_TIMES = ["", "T10:15:00", "T10:15Z", "T10:15:00+1", "T10:15:00+24:00", "T10:15:00Z\n", " 10:15:00Z"]
NO_TIMES += ["T10:15:60Z", "T23:59:60Z", "T10:15:61Z", "T24:00:00Z", "T10:15:00.Z", "T10:15:00.\u0661Z", "T10:15:00,5Z"]


@pytest.mark.parametrize("end", NO_TIMES)
def test_what_is_no_time_is_answered_with_an_example(end: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        login_at(f"2024-11-05{end}")
    (fault,) = error.value.errors
    assert (fault.pointer, fault.detail) == ("/occurred_at", "must be a time such as 2024-11-05T10:15:00Z")
