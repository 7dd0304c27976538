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
    return json.dumps(_finite(content), indent=1, default=str, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
