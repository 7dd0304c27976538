"""What the bodies of events may hold."""

from __future__ import annotations

import orjson
import pytest

from serving.api.problems import InvalidRequestError
from serving.api.schema.events import EventBatch, parse_events


def login_at(time: str) -> EventBatch:
    event = {"event_id": "e", "type": "interaction", "interaction_id": "i", "customer_id": "c", "kind": "login"}
    return parse_events(orjson.dumps({**event, "occurred_at": time}), 10)


@pytest.mark.parametrize("offset", ["Z", "+01:00", "-05:30", "+00:00", "+14:00"])
def test_a_time_may_have_any_offset(offset: str) -> None:
    assert login_at(f"2024-11-05T10:15:00.25{offset}").events[0].occurred_at.endswith(offset)


@pytest.mark.parametrize(
    "end", ["", "T10:15:00", "T10:15Z", "T10:15:00+1", "T10:15:00+24:00", "T10:15:00Z\n", " 10:15:00Z"]
)
def test_what_is_no_time_is_answered_with_an_example(end: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        login_at(f"2024-11-05{end}")
    (fault,) = error.value.errors
    assert (fault.pointer, fault.detail) == ("/occurred_at", "must be a time such as 2024-11-05T10:15:00Z")
