"""From JSON back to what a frozen dataclass holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def lists_to_tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass as JSON gives them back, lists as the tuples that they were.

    >>> lists_to_tuples({"edges": [1.0, 2.0], "floor": 0.0})
    {'edges': (1.0, 2.0), 'floor': 0.0}
    """
    return {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
