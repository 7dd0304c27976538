"""What events announced of a contract before a load that does not say since when its rows are known: what of it holds.

A load is newer than the events that arrived before the end of its data, and counts. But a notice or an end that they
gave and it does not contradict is not lost, and was known from their arrival on:

- An **end** that the load has, too, on the same day, was announced with the event; where it has another day, the load
  counts. One that it has not holds where it lies ahead and the load shows no end ahead for any contract.
- A **notice** that the load has, too, is known from the event on, where that came first.
- Else the contract is open in the load, although others show their end or notice: the load counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

import ibis.expr.types as ir

from features.contract_terms import ENDS_WITH_PERIOD, status_word
from features.store.contract_notice import has_day, is_noticed, says_over
from features.store.timestamps import micros_of
from features.windows import timestamp

MICROS_A_DAY = 86_400_000_000
NOTICE, END_AHEAD = "a notice", "an end ahead"
OF_NOTICE = ("ended_at", "cancelled_at", "cancel_at_period_end")


def shown_by(contracts: ir.Table, until: datetime) -> frozenset[str]:
    """What a load shows of any contract: columns of `OF_NOTICE`, `NOTICE`, and `END_AHEAD` of the end of its data."""
    asked = {name: contracts[name].notnull().any() for name in OF_NOTICE if name in contracts.columns}
    if "ended_at" in asked:
        asked[END_AHEAD] = (contracts.ended_at >= timestamp(until)).any()
    if "status" in asked:
        asked[NOTICE] = status_word(contracts.status).isin(ENDS_WITH_PERIOD).any()
    if not asked:
        return frozenset()
    values = contracts.aggregate(**{name: value.fill_null(False) for name, value in asked.items()}).to_pandas().iloc[0]
    found = {str(name) for name, value in values.items() if value}
    return frozenset(found | ({NOTICE} if found & {"cancelled_at", "cancel_at_period_end"} else set()))


def kept_of(
    told: Sequence[Mapping[str, Any]], row: Mapping[str, Any], shown: frozenset[str], until: int
) -> list[tuple[int, dict[str, Any]]]:
    """What of the events of a contract holds beside the row of a later load.

    Parameters
    ----------
    told
        What was known from its events alone, one state each, oldest first; ``recorded_at``: their arrival. All came by
        `until`.
    row
        The row of the load.
    shown
        What the load shows of any contract, see `shown_by`.
    until
        The end of the load's data. It and the arrivals are in microseconds since 1970.

    Returns
    -------
    list
        Since when a state was known, and the columns to lay over the row then; without any, it is known by then as the
        row has it. Empty where the row alone counts: it says since when it is known, or nothing is left.

    Examples
    --------
    >>> told = [{"started_at": "2024-01-01T00:00:00Z", "ended_at": "2024-05-20T00:00:00Z", "recorded_at": 7}]
    >>> until = micros_of("2024-04-01T00:00:00Z")
    >>> kept_of(told, {"ended_at": "2024-05-20"}, frozenset(["ended_at", END_AHEAD]), until)
    [(7, {})]
    >>> kept_of(told, {}, frozenset(["ended_at"]), until)
    [(7, {'ended_at': '2024-05-20T00:00:00Z'})]
    >>> kept_of(told, {}, frozenset(["ended_at", END_AHEAD]), until)
    []
    """
    since = _announced_since(told)
    if row.get("recorded_at") is not None or since is None or is_contradicted(told[-1], row, shown, until):
        return []
    kept: list[tuple[int, dict[str, Any]]] = []
    for state in (s for s in told if s["recorded_at"] >= since):
        columns = _announcement(state, row)
        if not kept or kept[-1][1] != columns:
            kept.append((state["recorded_at"], columns))
    noticed = micros_of(row["cancelled_at"]) + 1 if row.get("cancelled_at") is not None else until
    if kept and kept[-1][0] < noticed < until:
        kept.append((noticed, {n: v for n, v in kept[-1][1].items() if n != "cancelled_at"}))
    return kept


def is_contradicted(told: Mapping[str, Any], row: Mapping[str, Any], shown: frozenset[str], until: int) -> bool:
    """Whether a load has a contract as open of which an event gave a notice or an end, or has it end on another day."""
    if row.get("ended_at") is not None and has_day(told, "ended_at"):
        return abs(micros_of(row["ended_at"]) - micros_of(told["ended_at"])) >= MICROS_A_DAY
    if row.get("ended_at") is not None or says_over(row):
        return False
    ends = has_day(told, "ended_at") and "ended_at" in shown
    is_open = ends and (END_AHEAD in shown or micros_of(told["ended_at"]) < until)
    return is_open or (NOTICE in shown and is_noticed(told) and not is_noticed(row))


def _announced_since(told: Sequence[Mapping[str, Any]]) -> int | None:
    """Since when the newest notice or end was known; None: there is none."""
    if not (is_noticed(told[-1]) or has_day(told[-1], "ended_at")):
        return None
    alike = takewhile(lambda state: _notice(state) == _notice(told[-1]), reversed(told))
    return min(int(state["recorded_at"]) for state in alike)


def _notice(state: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*(state.get(name) for name in OF_NOTICE), is_noticed(state))


def _announcement(state: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of a notice or an end to lay over a row that does not contradict it: what it has not, or has of later."""
    out = {}
    if row.get("ended_at") is None and has_day(state, "ended_at"):
        out["ended_at"] = state["ended_at"]
    if is_noticed(state) and not has_day(state, "cancelled_at"):
        out["cancel_at_period_end"] = 1.0
    known, given = row.get("cancelled_at"), state.get("cancelled_at")
    if known != given and (known is None or micros_of(known) > state["recorded_at"]):
        out["cancelled_at"] = given
    return out
