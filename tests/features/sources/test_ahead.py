"""Fetching ahead changes neither the parts nor their order, and hides no error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from features.sources.ahead import ahead


@pytest.mark.parametrize("size", [0, 1, 5])
def test_parts_come_in_their_order(size: int) -> None:
    assert list(ahead(iter(range(size)))) == list(range(size))


def test_an_error_comes_after_the_parts_before_it() -> None:
    def parts() -> Iterator[int]:
        yield 1
        raise OSError("disk full")

    read = ahead(parts())
    assert next(read) == 1
    with pytest.raises(OSError, match="disk full"):
        next(read)


def test_at_most_one_part_is_fetched_ahead_of_the_one_in_hand() -> None:
    fetched = []

    def parts() -> Iterator[int]:
        for n in range(9):
            fetched.append(n)
            yield n

    read = ahead(parts())
    next(read)
    next(read)
    read.close()
    assert fetched == [0, 1, 2]
