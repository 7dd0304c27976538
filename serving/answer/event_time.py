"""When the next order, or the end of the contract, is expected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NOTICE_COLUMNS = ("contracts_active", "contracts_under_notice", "contracts_booked", "days_to_end")


def event_days(row: Mapping[str, Any], forecast: float, kind: str) -> float:
    """Days until the event: as it is known, else as forecast.

    Where the only contract of a customer is under notice, its end is known. Where several are, the first of their ends
    is: the last comes no earlier.

    Parameters
    ----------
    row
        One feature row; for contracts with `NOTICE_COLUMNS`.
    forecast
        Days until the event is as likely as not to have come; NaN: past the longest horizon.
    kind
        ``inactivity``, ``contract`` or ``label``.

    Examples
    --------
    >>> row = {"contracts_active": 1, "contracts_under_notice": 1, "contracts_booked": 0, "days_to_end": 15.0}
    >>> event_days(row, 4.9, "contract")
    15.0
    >>> event_days(row | {"contracts_active": 2, "contracts_under_notice": 2}, 40.0, "contract")
    40.0
    """
    if kind != "contract":
        return forecast
    active, noticed, booked, end = (_number(row[name]) for name in NOTICE_COLUMNS)
    if math.isnan(end) or noticed != active:
        return forecast
    return end if active == 1 and not booked > 0 else max(forecast, end)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
