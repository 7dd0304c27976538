"""Customers of a business that keeps no list of them: each is known from the first order, or the first contract, on."""

from __future__ import annotations

import pandas as pd

from features.quality.check import ValidatedTable
from features.tables import CUSTOMERS

_COUNT = "events"


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
    parts = events.select(lambda rows: _earliest(rows, time, tells))  # in chunks: one row a customer and chunk
    merged = parts.groupby("customer_id", sort=True)
    rows = merged.agg({"signed_up_at": "min", "recorded_at": "min", _COUNT: "sum"}).reset_index()
    used = rows[list(CUSTOMERS.names)].astype({"signed_up_at": "datetime64[us]", "recorded_at": "datetime64[us]"})
    nothing = used.head(0).assign(reason=pd.Series(dtype=object))
    return ValidatedTable(CUSTOMERS, used, nothing, rows[_COUNT].astype("int64"), events.table.grain)


def _earliest(rows: pd.DataFrame, time: str, tells: bool) -> pd.DataFrame:
    known = rows["recorded_at"].fillna(rows[time]) if tells else rows["recorded_at"]
    frame = pd.DataFrame({"customer_id": rows["customer_id"], "signed_up_at": rows[time], "recorded_at": known})
    grouped = frame.groupby("customer_id", sort=False)
    return grouped.agg({"signed_up_at": "min", "recorded_at": "min"}).assign(**{_COUNT: grouped.size()}).reset_index()
