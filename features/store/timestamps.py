"""Times as whole microseconds since 1970, UTC: how rows, events and answers keep them in their files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_micros(time: datetime) -> int:
    """Microseconds since 1970, rounded down; a time without a zone is UTC.

    >>> to_micros(datetime(1970, 1, 1, 0, 0, 1)), to_micros(datetime.fromisoformat("1970-01-01T01:00:00+01:00"))
    (1000000, 0)
    """
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND


def micros_of(given: Any) -> int:
    """As `to_micros`, of a time as an event (a text in ISO 8601) or a table has it.

    >>> micros_of("1970-01-01T00:00:01Z")
    1000000
    """
    return to_micros(datetime.fromisoformat(str(given)))


def from_micros(micros: int) -> datetime:
    """The time, in UTC.

    >>> from_micros(-1)
    datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=datetime.timezone.utc)
    """
    return EPOCH + micros * MICROSECOND
