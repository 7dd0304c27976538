"""Customers of a business that keeps no list of them: each is known from the first order, or the first contract, on."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from features.quality.check import ValidatedTable
from features.tables import CUSTOMERS

_COUNT = "events"
MERGED_AT_ONCE = 1_000_000


def customers_of(events: ValidatedTable) -> ValidatedTable:
    """Derive the table of customers from what happened to them. One row per customer, sorted by id.

    Parameters
    ----------
    events
        Checked orders or contracts; rows of aliases already belong to their persons.

    Returns
    -------
    ValidatedTable
        ``signed_up_at`` is the time of the first row; ``recorded_at`` is when the first of the rows became known, and
        empty where the events do not tell. Counts are in rows of `events`, so that the report says of how many rows
        each customer was made.
    """
    time = events.table.time
    tells = events.filled("recorded_at") > 0
    frames: list[pd.DataFrame] = []
    seen, waiting = 0, 0
    for part in events.parts(["customer_id", time, "recorded_at"]):
        frames.append(_earliest(part, time, tells))
        waiting += len(frames[-1])
        if waiting > 2 * seen + MERGED_AT_ONCE:  # or a row a customer and part would stand in memory
            frames = [_merged(frames)]
            seen, waiting = len(frames[0]), 0
    rows = _merged(frames).sort_values("customer_id", ignore_index=True)
    used = rows[list(CUSTOMERS.names)].astype({"signed_up_at": "datetime64[us]", "recorded_at": "datetime64[us]"})
    nothing = used.head(0).assign(reason=pd.Series(dtype=object))
    return ValidatedTable(CUSTOMERS, used, nothing, rows[_COUNT].astype("int64"), events.table.grain)


def _merged(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One row a customer, of parts with one row a customer each."""
    by_customer = pd.concat(parts, ignore_index=True).groupby("customer_id", sort=False)
    return by_customer.agg({"signed_up_at": "min", "recorded_at": "min", _COUNT: "sum"}).reset_index()


def _earliest(rows: pd.DataFrame, time: str, tells: bool) -> pd.DataFrame:
    known = rows["recorded_at"].fillna(rows[time]) if tells else rows["recorded_at"]
    frame = pd.DataFrame({"customer_id": rows["customer_id"], "signed_up_at": rows[time], "recorded_at": known})
    grouped = frame.groupby("customer_id", sort=False)
    return grouped.agg({"signed_up_at": "min", "recorded_at": "min"}).assign(**{_COUNT: grouped.size()}).reset_index()
