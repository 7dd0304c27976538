"""What an event may not change of a contract that has begun: its plan and its price, which would rewrite the past.

A row of contracts has one price and one plan for all its days. Another one is another contract, as in an export: what
was paid so far, price rises and changes of plan are told from the contracts of a customer, one after the other.

Nor may a pause or a trial be over before it begins, or a status say that a contract is over of which no date says when.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from features.store.contract_notice import has_day, says_over
from features.store.timestamps import micros_of, to_micros

ENDS = ("ended_at", "cancelled_at", "renews_at", "paid_until")
UNDATED = f"says that the contract is over, and none of {', '.join(ENDS)} is known, which say since when: give one"
IN_ORDER = (("paused_at", "resumes_at"), ("started_at", "trial_ends_at"))
FIXED = ("plan", "price_per_month")
ASKED = "end this contract (ended_at) and begin the next one, with an id of its own, in the same request"


def change_faults(
    rows: Iterable[tuple[int, Mapping[str, Any]]], known: Mapping[str, Mapping[str, Any]], now: datetime
) -> list[tuple[int, str, str]]:
    """Changes of plan or price that events bring to contracts that have begun, and times that lie the wrong way round.

    Parameters
    ----------
    rows
        Place and columns of events of contracts, in order.
    known
        What is known of the contracts before them, by id.
    now
        The present, UTC.

    Returns
    -------
    list
        Place, column and what is wrong. What was not known before may be given, and a booked contract changed.

    Examples
    --------
    >>> known = {"s": {"started_at": "2024-01-01T00:00:00Z", "plan": "a", "price_per_month": None}}
    >>> event = {"subscription_id": "s", "plan": "b", "price_per_month": 9.0}
    >>> [(place, column) for place, column, _ in change_faults([(0, event)], known, datetime(2024, 2, 1))]
    [(0, 'plan')]
    """
    states, faults = {key: dict(state) for key, state in known.items()}, []
    for place, row in rows:
        state = states.setdefault(row["subscription_id"], {})
        if has_begun(state, now):
            faults += [(place, name, _detail(name)) for name in FIXED if _differs(state.get(name), row, name)]
        state.update(row)
        if says_over(row) and not any(has_day(state, name) for name in ENDS):
            faults.append((place, "status", UNDATED))
        faults += [
            (place, later, f"lies before {first}: give both, or null where it is not known")
            for first, later in _swapped(state, row)
        ]
    return faults


def has_begun(state: Mapping[str, Any], now: datetime) -> bool:
    """Whether a contract runs, or ran: it is known, and neither its start nor the end of its trial lies ahead."""
    begins = [micros_of(state[n]) for n in ("started_at", "trial_ends_at") if state.get(n) is not None]
    return bool(begins) and max(begins) < to_micros(now)


def _swapped(state: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Pairs of `IN_ORDER` in the wrong order, of which the event gives one; every event gives ``started_at``."""
    for first, later in IN_ORDER:
        is_given = later in row or (first in row and first != "started_at")
        if is_given and state.get(first) and state.get(later) and micros_of(state[later]) < micros_of(state[first]):
            yield first, later


def _differs(before: Any, row: Mapping[str, Any], name: str) -> bool:
    return before is not None and name in row and row[name] != before


def _detail(name: str) -> str:
    return f"a contract that has begun keeps its {name}, or its past would change: {ASKED}"
