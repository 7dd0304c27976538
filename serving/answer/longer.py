"""Value within longer horizons, as answers say it. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from training.model.bundle import Bundle
from training.model.longer import Amounts


def longer_values(
    bundle: Bundle, frame: pd.DataFrame, matrix: np.ndarray, main: Amounts
) -> list[dict[str, dict[str, Any]] | None]:
    """What each customer brings within each longer horizon; None for all where the value model holds none.

    Parameters
    ----------
    bundle
        The value model.
    frame, matrix
        Feature rows, and as the model encodes them.
    main
        Their forecast of the main horizon.

    Returns
    -------
    list of dict or None
        By days ``expected``, ``low``, ``high`` and ``basis``.
    """
    found = bundle.longer_values(frame, matrix, main)
    if not found:
        return [None] * len(frame)
    columns = [
        [
            {"expected": expected, "low": low, "high": high, "basis": amounts.basis}
            for expected, low, high in zip(
                *((v + 0.0).tolist() for v in (amounts.expected, amounts.low, amounts.high)), strict=True
            )
        ]
        for amounts in found.values()
    ]
    names = [str(days) for days in found]
    return [dict(zip(names, of_customer, strict=True)) for of_customer in zip(*columns, strict=True)]
