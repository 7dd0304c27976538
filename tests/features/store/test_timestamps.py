from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from features.store.timestamps import from_micros, to_micros


@given(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.timezones() | st.none(), allow_imaginary=False)
)
def test_a_time_comes_back_as_it_was_to_the_microsecond(time: datetime) -> None:
    in_utc = (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)  # an hour that comes twice equals none
    assert from_micros(to_micros(time)) == in_utc
