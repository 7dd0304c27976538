"""Notice of a contract as events give and withdraw it: what goes along when a notice is taken back.

There is notice where ``cancelled_at`` stands, or ``cancel_at_period_end`` is yes, or a word of ``status`` says so. It
is withdrawn by ``cancelled_at: null``; where it takes effect at the end of the period, by ``cancel_at_period_end`` no
or null, too; and where the status said so, by another status that does not say that the contract is over. The end
(``ended_at``) follows from the notice and goes with it, unless the same event gives one. An event that gives a notice
withdraws none. A ``cancelled_at`` that stands for never (``9999-12-31``) is none, as in `with_terms`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.contract_terms import ENDLESS_YEARS, ENDS_WITH_PERIOD, NEVER_BEGAN, OVER, status_word
from features.store.timestamps import from_micros, micros_of

FOLLOWS = ("cancelled_at", "cancel_at_period_end", "ended_at")


def taken_back(given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, None]:
    """What an event takes back beside the columns that it gives: those that follow from a notice that it withdraws.

    Parameters
    ----------
    given
        The columns of the event.
    known
        What was known of the contract before.

    Returns
    -------
    dict
        Columns that were known, and not any more, each with None.

    Examples
    --------
    >>> known = {"cancelled_at": "2024-01-02", "ended_at": "2024-02-01", "cancel_at_period_end": 1.0}
    >>> taken_back({"cancelled_at": None}, known)
    {'cancel_at_period_end': None, 'ended_at': None}
    >>> taken_back({"cancel_at_period_end": 0.0}, known)
    {'cancelled_at': None, 'ended_at': None}
    """
    by_status = _word(known) in (*ENDS_WITH_PERIOD, *OVER)
    with_period = _with_period(known)
    if not (is_noticed(known) or by_status) or is_noticed({"started_at": known.get("started_at"), **given}):
        return {}
    drops_flag = with_period and "cancel_at_period_end" in given
    drops_status = by_status and "status" in given and _word(given) not in (*OVER, *NEVER_BEGAN)
    if not ("cancelled_at" in given or drops_flag or drops_status):
        return {}
    columns = [*FOLLOWS, *(["status"] if by_status else [])]
    kept = {"cancel_at_period_end"} if known.get("cancel_at_period_end") == 0 else set()
    return {n: None for n in columns if known.get(n) is not None and n not in given and n not in kept}


def is_noticed(row: Mapping[str, Any]) -> bool:
    """Whether a contract is under notice, as `features.contract_terms.with_terms` has it."""
    return has_day(row, "cancelled_at") or _with_period(row)


def says_over(row: Mapping[str, Any]) -> bool:
    """Whether the status says that a contract is over, or will be at the end of what is paid."""
    return _word(row) in OVER


def ended_by_status(given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """What an event adds whose status says that a contract is over that has neither notice nor an end.

    It is notice, given as the event arrives, and the end is that of the period: of what is paid, or as it was agreed.

    Examples
    --------
    >>> ended_by_status({"status": "Canceled"}, {"paid_until": "2024-02-01T00:00:00Z"})
    {'ended_at': '2024-02-01T00:00:00+00:00', 'cancel_at_period_end': 1.0}
    >>> ended_by_status({"status": "Canceled"}, {"cancelled_at": "2024-01-01T00:00:00Z"})
    {}
    """
    state = {**known, **given}
    ends = [micros_of(state[name]) for name in ("renews_at", "paid_until") if has_day(state, name)]
    if not says_over(given) or not ends or has_day(state, "ended_at") or is_noticed(state):
        return {}
    return {"ended_at": from_micros(max(ends)).isoformat(), "cancel_at_period_end": 1.0}


def _word(row: Mapping[str, Any]) -> str:
    return str(status_word(str(row.get("status") or "")))


def _with_period(row: Mapping[str, Any]) -> bool:
    """Whether a notice takes effect at the end of the period, as `features.contract_terms.with_terms` has it."""
    flag = row.get("cancel_at_period_end")
    return flag == 1 if flag is not None else _word(row) in ENDS_WITH_PERIOD


def has_day(row: Mapping[str, Any], name: str) -> bool:
    """Whether there is a day of notice or an end, as `features.contract_terms.with_terms` has it: none that is never.

    >>> row = {"started_at": "2024-01-01T00:00:00+00:00", "cancelled_at": "9999-12-31T00:00:00+00:00"}
    >>> has_day(row, "cancelled_at"), has_day({**row, "cancelled_at": "2024-01-02T00:00:00+00:00"}, "cancelled_at")
    (False, True)
    """
    time, started = row.get(name), row.get("started_at")
    if not time or not started:
        return bool(time)
    return (micros_of(time) - micros_of(started)) / (365.25 * 86_400e6) <= ENDLESS_YEARS
