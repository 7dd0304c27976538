"""What is asked of contracts beyond single columns: dates that fit the status, and when an end is written down."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Literal

import pandas as pd

from configs.errors import DataError
from configs.settings import naive_utc
from features.contract_terms import ENDLESS_YEARS, ENDS_WITH_PERIOD, IN_TRIAL, NEVER_BEGAN, OVER, STATUSES, status_words

Ends = Literal["announced", "unannounced"]
ENDS = ["ended_at", "cancelled_at", "renews_at", "paid_until"]
A_DAY = pd.Timedelta(days=1)
BOOKED_DAYS = 731  # no contract is booked further ahead


def with_announcement(
    checked: Mapping[str, Any], ends: Ends | None, data_until: datetime | None, now: datetime
) -> dict[str, Any]:
    """Write into the contracts whether an end ahead is written down as soon as notice is given.

    Parameters
    ----------
    checked
        All checked tables, each a `features.quality.check.ValidatedTable`.
    ends
        As ``churn.ends`` says; None: as the contracts tell, see `announcement`.
    data_until, now
        End of the data, UTC without a zone, None if it is not said; and the present, UTC.

    Returns
    -------
    dict
        The tables; where ends are not announced, the contracts have a column ``ends_unannounced`` of ones.
    """
    one = checked.get("subscriptions")
    if one is None:
        return dict(checked)
    cancelled = one.select(lambda rows: rows.loc[rows["cancelled_at"].notna()])
    if (ends or announcement(cancelled, data_until, now)) == "announced":
        return dict(checked)
    return {**checked, "subscriptions": one.map_rows(partial(pd.DataFrame.assign, ends_unannounced=1.0))}


def announcement(cancelled: pd.DataFrame, data_until: datetime | None, now: datetime) -> Ends:
    """Tell from cancelled contracts when ``ended_at`` is filled in: with the notice, or once the contract is over.

    If it is only once it is over, a cancelled contract without it still runs. It is *unannounced* if there are
    contracts that ended later than their notice, none whose end lies ahead, and cancelled ones without any end that
    were cancelled no longer ago than the longest notice lasted.

    Raises
    ------
    DataError
        Contracts were cancelled longer ago than that, and nothing says when they end.

    Examples
    --------
    >>> times = {"started_at": ["2024-01-01"] * 2, "cancelled_at": ["2024-02-01", "2024-05-10"]}
    >>> times |= {"ended_at": ["2024-03-01", None], "renews_at": [None] * 2, "paid_until": [None] * 2}
    >>> rows = pd.DataFrame(times).apply(pd.to_datetime).assign(cancel_at_period_end=None)
    >>> announcement(rows, None, datetime(2024, 6, 1))
    'unannounced'
    """
    present = pd.Timestamp(naive_utc(now))
    end, notice = cancelled["ended_at"].where(~is_endless(cancelled)), cancelled["cancelled_at"]
    lasted = (end - notice)[(end < present) & (end > notice + A_DAY)]
    bare = cancelled[end.isna() & ~(cancelled["cancel_at_period_end"] == 0)]
    if not len(lasted) or not len(bare) or (end >= present).any():
        return "announced"
    unsaid = bare[bare[["renews_at", "paid_until"]].isna().all(axis=1) & ~(bare["cancel_at_period_end"] == 1)]
    known_until = (
        pd.Timestamp(data_until) if data_until else min(max(cancelled["started_at"].max(), notice.max()), present)
    )
    long_ago = unsaid[unsaid["cancelled_at"] < known_until - lasted.max() - A_DAY]
    if len(long_ago):
        raise DataError(
            f"subscriptions: {len(long_ago):,} contracts were cancelled, one of them on "
            f"{long_ago['cancelled_at'].min():%Y-%m-%d}, and no ended_at, renews_at or paid_until says when they end; "
            f"{len(lasted):,} others ended up to {lasted.max().days:,} days after their notice. Set churn.ends to "
            "'announced' if such a contract ended when it was cancelled, to 'unannounced' if it still runs; or map "
            "the end of its period as paid_until"
        )
    return "unannounced"


def contract_reasons(contracts: pd.DataFrame, now: datetime) -> pd.Series:
    """A reason against each contract (by index) whose columns cannot all be true, or do not say when it ended."""
    undated = contracts[ENDS].isna().all(axis=1) & status_words(contracts["status"]).isin(OVER)
    ahead = (contracts["cancelled_at"] >= pd.Timestamp(naive_utc(now))) & ~is_endless(contracts, "cancelled_at")
    beyond = contracts["started_at"] >= pd.Timestamp(naive_utc(now)) + pd.Timedelta(days=BOOKED_DAYS)
    parts = [
        _reason(beyond, f"started_at: lies in the future, more than {BOOKED_DAYS:,} days ahead"),
        _reason(undated, f"status: is one of a contract that is over, and none of {', '.join(ENDS)} says since when"),
        _reason(ahead, "cancelled_at: lies in the future; it is when notice was given, an end ahead is ended_at"),
    ]
    return pd.concat([part for part in parts if len(part)] or parts[:1])


def contract_notes(checked: Mapping[str, Any], now: datetime) -> list[str]:
    """What is worth knowing about contracts before anyone reads a number: one sentence each; `now` is UTC."""
    one = checked.get("subscriptions")
    if one is None:
        return []
    present = pd.Timestamp(naive_utc(now))

    def is_odd(rows: pd.DataFrame) -> pd.Series:
        is_booked = rows["started_at"] >= present
        return rows["status"].notna() | (rows["cancel_at_period_end"] == 1) | _lasting(rows) | is_booked

    odd = one.select(lambda rows: rows.loc[is_odd(rows)])
    status = status_words(odd["status"])
    with_period = (odd["cancel_at_period_end"] == 1) | status.isin(ENDS_WITH_PERIOD).fillna(False)
    unknown = sorted(set(status.dropna()) - set(STATUSES))
    counts = {
        "never began, as their status says, and count as no contract": int(status.isin(NEVER_BEGAN).sum()),
        "are in a trial, and count as a contract once it is converted": int(status.isin(IN_TRIAL).sum()),
        f"end more than {ENDLESS_YEARS} years after their start, which is read as no end": int(_lasting(odd).sum()),
        "are booked ahead: they begin after this load, and renew what ends up to two weeks before": int(
            (odd["started_at"] >= present).sum()
        ),
        "end with their period; without a cancelled_at, their notice is known from the end of the data on": int(
            (with_period & odd["ended_at"].isna()).sum()
        ),
    }
    notes = [f"subscriptions: {count:,} contracts {what}" for what, count in counts.items() if count]
    if unknown:
        said = ", ".join(repr(word[:20]) for word in unknown[:5])
        notes.append(f"subscriptions: status {said} changes nothing; map it under values.status if it should")
    return notes


def _lasting(rows: pd.DataFrame) -> pd.Series:
    return is_endless(rows) | is_endless(rows, "renews_at") | is_endless(rows, "paid_until")


def is_endless(rows: pd.DataFrame, column: str = "ended_at") -> pd.Series:
    """True where a time is so far from the start that it stands for none."""
    return (rows[column] - rows["started_at"]) > pd.Timedelta(days=365.25 * ENDLESS_YEARS)


def _reason(broken: pd.Series, text: str) -> pd.Series:
    return pd.Series(text, index=broken.index[broken], dtype=object)
