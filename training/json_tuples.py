"""From JSON back to what a frozen dataclass holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def lists_to_tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass as JSON gives them back, lists as the tuples that they were.

    >>> lists_to_tuples({"edges": [1.0, 2.0], "rows": [[1.0], [2.0]], "floor": 0.0})
    {'edges': (1.0, 2.0), 'rows': ((1.0,), (2.0,)), 'floor': 0.0}
    """
    return {name: _tuple(value) for name, value in content.items()}


def _tuple(value: Any) -> Any:
    return tuple(_tuple(v) for v in value) if isinstance(value, list) else value
