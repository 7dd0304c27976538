"""To JSON as every reader takes it: what is not a finite number is null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def json_text(content: Any) -> str:
    """Content as JSON; NaN and infinity, which JSON does not know, are null, and what else it does not know is text.

    >>> print(json_text({"auc": float("nan"), "interval": (0.5, float("inf"))}))
    {
     "auc": null,
     "interval": [
      0.5,
      null
     ]
    }
    """
    return json.dumps(without_nan(content), indent=1, default=str, allow_nan=False)


def without_nan(value: Any) -> Any:
    """A value, or all within mappings and lists, with None for what is not a finite number."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
