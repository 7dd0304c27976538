"""What is found part by part is what the whole column has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.numbers.extremes import ends_of

numbers = st.floats(allow_infinity=True, allow_nan=True, width=32)


@given(st.lists(st.lists(numbers, max_size=9), max_size=5), st.integers(1, 12))
def test_the_ends_of_parts_are_those_of_the_whole(parts: list[list[float]], most: int) -> None:
    whole = np.sort([v for part in parts for v in part if v == v])
    rows, low, high = ends_of([np.array(part, float) for part in parts], most)
    assert rows == len(whole)
    assert low.tolist() == whole[:most].tolist()
    assert high.tolist() == whole[-most:].tolist()


def test_times_that_are_missing_count_as_none() -> None:
    times = np.array(["NaT", "2024-01-02", "2024-01-01"], dtype="datetime64[us]")
    rows, low, high = ends_of([times], 1)
    assert (rows, low[0], high[0]) == (2, times[2], times[1])


@pytest.mark.parametrize("parts", [[], [np.empty(0)]])
def test_of_nothing_there_are_no_ends(parts: list[np.ndarray]) -> None:
    assert [len(end) for end in ends_of(parts, 3)[1:]] == [0, 0]
