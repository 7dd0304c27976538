"""The next part of a long table is fetched while the one before is worked on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")


def ahead(parts: Iterator[Part]) -> Iterator[Part]:
    """The same parts in the same order, each fetched by another thread while the caller has the one before.

    >>> list(ahead(iter([1, 2])))
    [1, 2]
    """
    end = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, parts, end)
        while (part := coming.result()) is not end:
            coming = pool.submit(next, parts, end)
            yield part  # type: ignore[misc]
