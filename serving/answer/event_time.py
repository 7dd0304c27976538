"""When the next order, or the end of the contract, is expected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from training.model.bundle import Bundle
from training.model.ends.known_end import NOTICE_COLUMNS

NOTHING: Mapping[int, float] = MappingProxyType({})
KNOWN_END = " A contract is under notice and ends on {}: that is known, and counts before what the model learned."


def event_days(row: Mapping[str, Any], forecast: float, kind: str, left: Mapping[int, float] = NOTHING) -> float:
    """Days until the event: as it is known, else as forecast.

    Where the only contract of a customer is under notice, its end is known; the customer is expected to leave with it
    unless the probability of the next horizon says that such ends rather come to nothing. Where several are, the first
    of their ends is known: the last comes no earlier.

    Parameters
    ----------
    row
        One feature row; for contracts with `NOTICE_COLUMNS`.
    forecast
        Days until the event is as likely as not to have come; NaN: past the longest horizon.
    kind
        ``inactivity``, ``contract`` or ``label``.
    left
        Probability of leaving by horizon, the nearest first.

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
    next_chance = next((chance for days, chance in left.items() if days > end), 1.0)
    return end if active == 1 and not booked > 0 and next_chance >= 0.5 else max(forecast, end)


def with_known_end(basis: dict[str, Any], row: Mapping[str, Any], bundle: Bundle) -> dict[str, Any]:
    """What a prediction rests on, with the known end of a contract where there is one and the model reads it."""
    if not bundle.reads_known_ends:
        return basis
    active, noticed, _, end = (_number(row.get(name)) for name in NOTICE_COLUMNS)
    if math.isnan(end) or not active > 0 or (bundle.task == "clv" and (noticed != active or bundle.fees is None)):
        return basis
    day = (row["as_of"].to_pydatetime() + timedelta(days=end)).date()
    return {**basis, "text": basis["text"] + KNOWN_END.format(day)}


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
