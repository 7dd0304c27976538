"""What a load says of contracts that no column dates: bookings ahead, and notices without a day.

A contract that begins after the load was read is *booked*: its row shows that it is known, and without ``recorded_at``
not since when. A contract that ends with its period (``cancel_at_period_end``, or such a status) is under notice, and
without ``cancelled_at`` and ``recorded_at`` not since when. Both count as known from the end of the data on: no earlier
moment may know of them, and no label that rests on a past moment does.

Contacts of which not one was redeemed do not tell that nobody redeemed: nobody may have written it down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any

import pandas as pd

from configs.settings import Settings, naive_utc
from features.contract_terms import ENDS_WITH_PERIOD, NEVER_BEGAN, status_words
from features.labels.by_kind import EVENTS, data_end
from features.quality.check import ValidatedTable
from features.quality.contract_rows import is_endless
from features.tables import REDEMPTIONS_UNKNOWN

TICK = pd.Timedelta(microseconds=1)


def with_load_facts(checked: Mapping[str, ValidatedTable], settings: Settings, now: datetime) -> dict[str, Any]:
    """The tables, with ``recorded_at`` of bookings and ``cancelled_at`` of undated notices at the end of the data.

    Where no contact was redeemed, contacts have a column `REDEMPTIONS_UNKNOWN` of ones.

    Parameters
    ----------
    checked
        All checked tables.
    settings
        Of the business, for ``data_until``.
    now
        The present, UTC.
    """
    checked = {name: _with_known_redemptions(one) if name == "contacts" else one for name, one in checked.items()}
    one = checked.get("subscriptions")
    if one is None or not one.table_rows:
        return checked
    present = pd.Timestamp(naive_utc(now))
    events = {name: checked[name] for name in dict.fromkeys(name for name, _ in EVENTS) if name in checked}
    end = data_end(settings, newest_times(events, present), now)
    known = min(pd.Timestamp(end or present), present)
    return {**checked, "subscriptions": one.map_rows(partial(_with_facts, now=present, known=known))}


def _with_known_redemptions(contacts: ValidatedTable) -> ValidatedTable:
    if not contacts.table_rows or contacts.filled("redeemed_at"):
        return contacts
    return contacts.map_rows(lambda rows: rows.assign(**{REDEMPTIONS_UNKNOWN: 1.0}))


def _with_facts(rows: pd.DataFrame, now: pd.Timestamp, known: pd.Timestamp) -> pd.DataFrame:
    booked = (rows["started_at"] >= now) & rows["recorded_at"].isna()
    given = rows["cancelled_at"].mask(is_endless(rows, "cancelled_at"))
    rows = rows.assign(cancelled_at=given)
    period_end = rows[["renews_at", "paid_until"]].max(axis=1)
    is_over = (period_end < known) & (period_end > rows["started_at"])
    noticed = undated_notice(rows) & (rows["started_at"] < known) & ~is_over
    return rows.assign(
        recorded_at=rows["recorded_at"].mask(booked, known - TICK).astype("datetime64[us]"),
        cancelled_at=given.mask(noticed, known - TICK).astype("datetime64[us]"),
    )


def undated_notice(rows: pd.DataFrame) -> pd.Series:
    """True where contracts end with their period and nothing says when notice was given."""
    words = status_words(rows["status"])
    ends = (rows["cancel_at_period_end"] == 1) | (rows["cancel_at_period_end"].isna() & _among(words, ENDS_WITH_PERIOD))
    undated = rows[["cancelled_at", "ended_at", "recorded_at"]].isna().all(axis=1)
    return ends & undated & ~_among(words, NEVER_BEGAN)


def _among(words: pd.Series, some: Iterable[str]) -> pd.Series:
    return words.isin(list(some)).fillna(False).astype(bool)


def event_times(one: ValidatedTable) -> Iterator[pd.Series]:
    """When the rows of a table happened, part by part; a contract that was booked ahead, when that was recorded."""
    time = one.table.time
    if one.table.name != "subscriptions":
        yield from (part[time] for part in one.parts([time]))
        return
    for part in one.parts([time, "recorded_at"]):
        yield part[time].mask(part["recorded_at"] < part[time], part["recorded_at"])


def rows_a_day(times: Iterable[pd.Series]) -> pd.Series:
    """How many of the times there are of each day, by the day (midnight) in ascending order.

    >>> rows_a_day([pd.Series(pd.to_datetime(["2024-01-02 10:00", "2024-01-01 00:00"]))]).tolist()
    [1, 1]
    """
    counts = [part.dt.floor("D").value_counts() for part in times]
    return pd.concat(counts).groupby(level=0).sum() if counts else pd.Series(dtype="int64")


def newest_times(checked: Mapping[str, ValidatedTable], before: pd.Timestamp = pd.Timestamp.max) -> Iterator[Any]:
    """When the newest row of each table happened, and the newest notice: they tell how far the data goes.

    Times from `before` on say nothing.
    """
    for one in checked.values():
        if one.table_rows:
            notices = one.parts(["cancelled_at"]) if one.table.name == "subscriptions" else ()
            for times in chain(event_times(one), (part["cancelled_at"] for part in notices)):
                yield times[times < before].max()
