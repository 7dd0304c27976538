"""Contracts that change between two loads: each event gives what is known of one contract from its arrival on.

What an event leaves out stays as it was; null takes it back. A notice that is withdrawn takes along what follows from
it, see `features.store.contract_notice`. So a contract has a row for each state that it was known in, from
``recorded_at`` until ``superseded_at``: a later event changes no earlier moment. A table that was loaded later knows
better: events that arrived before the end of its data do not change what it says, see `features.store.kept_notice`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import ibis
import ibis.expr.types as ir

from features.store.contract_notice import ended_by_status, taken_back
from features.store.kept_notice import kept_of
from features.store.timestamps import MICROSECOND, from_micros, micros_of, to_micros
from features.tables import TABLES

GIVEN = "given_"
NEWER = "is_newer"
SUPERSEDED = "superseded_at"
TIMES = tuple(f.name for f in TABLES["subscriptions"].fields if f.kind == "time" and f.name != "recorded_at")
NO_SKEW = timedelta(0)
LoadedContracts = Mapping[str, Mapping[str, Any]]
NOT_LOADED: LoadedContracts = MappingProxyType({})


def fold_contracts(
    rows: Iterable[Mapping[str, Any]],
    until: datetime | None,
    loaded: LoadedContracts = NOT_LOADED,
    shown: frozenset[str] | None = None,
) -> list[dict[str, Any]]:
    """One row a state of a contract from its events, oldest first.

    Parameters
    ----------
    rows
        What was given with each event, and ``recorded_at``, its arrival in microseconds since 1970.
    until
        The data of the tables goes so far, UTC without a zone; None: no event came before.
    loaded
        The rows of the table of these contracts, by id, see `loaded_contracts`: what an event takes back may stand
        there.
    shown
        What the table shows of any contract, see `features.store.kept_notice`; None: it contradicts all older events.

    Returns
    -------
    list of dict
        The columns given so far; ``recorded_at``, and ``superseded_at``, that of the next state, or None; `NEWER`: the
        event came after `until`, or the table does not contradict it; `GIVEN`: what such events have given, to be laid
        over the table's row.

    Examples
    --------
    >>> start = {"subscription_id": "s", "plan": "a", "recorded_at": 1}
    >>> first, second = fold_contracts([start, {"subscription_id": "s", "price_per_month": 2, "recorded_at": 3}], None)
    >>> first["superseded_at"], second["plan"], second["recorded_at"], second["superseded_at"]
    (3, 'a', 3, None)
    """
    limit = -1 if until is None else to_micros(until)
    of_contract: dict[str, list[dict[str, Any]]] = {}
    newer = []
    for row in rows:
        if row["recorded_at"] > limit:
            newer.append(row)
        else:
            _append(of_contract.setdefault(row["subscription_id"], []), row, NOT_LOADED)
    for key, states in of_contract.items():
        if key in loaded:
            of_contract[key] = _beside(loaded[key], states, shown, limit)
    for row in newer:
        _append(of_contract.setdefault(row["subscription_id"], []), row, loaded, is_newer=True)
    return [state for states in of_contract.values() for state in states]


def _append(
    states: list[dict[str, Any]], row: Mapping[str, Any], loaded: LoadedContracts, is_newer: bool = False
) -> None:
    """Append the state of a contract that an event gives."""
    before = states[-1] if states else {"subscription_id": row["subscription_id"], GIVEN: frozenset()}
    known = state_of(before, loaded)
    row = {**row, **taken_back(row, known), **ended_by_status(row, known)}
    given = before[GIVEN] | row.keys() if is_newer else before[GIVEN]
    before[SUPERSEDED] = row["recorded_at"]
    states.append({**before, **row, SUPERSEDED: None, NEWER: float(is_newer), GIVEN: given})


def _beside(
    row: Mapping[str, Any], states: list[dict[str, Any]], shown: frozenset[str] | None, limit: int
) -> list[dict[str, Any]]:
    """States of older events beside the table's row: those before it is known, and those that it does not contradict.

    A row without a record is known from its beginning on, and if that lies past the end of the data, all along.
    """
    is_known_later = row.get("recorded_at") is not None or micros_of(row["started_at"]) < limit
    out = states if is_known_later else []
    kept = [] if shown is None else kept_of(states, row, shown, limit)
    ends = [*(since for since, _ in kept), None][1:]
    for (since, columns), end in zip(kept, ends, strict=True):
        state = {**states[-1], **columns, "recorded_at": since, SUPERSEDED: end}
        out = [*out, {**state, NEWER: 1.0, GIVEN: frozenset(columns)}]
    return out


def at_arrival(row: Mapping[str, Any], skew: timedelta) -> dict[str, Any]:
    """A row of an event whose times are ahead of its arrival by no more than clocks differ: they are just before it.

    What is known of a customer ends with the newest arrival: what a faster clock stamped after it would never come.

    Parameters
    ----------
    row
        Times in ISO 8601 with their offset; ``recorded_at``: its arrival in microseconds since 1970.
    skew
        How far the clock of a sender may be ahead; times that are further ahead are plans and stay.

    Examples
    --------
    >>> row = {"recorded_at": to_micros(datetime(2024, 7, 5, 10)), "cancelled_at": "2024-07-05T10:00:03+00:00"}
    >>> at_arrival(row, timedelta(seconds=3))["cancelled_at"]
    '2024-07-05T09:59:59.999999+00:00'
    >>> at_arrival(row, timedelta(seconds=2)) == row
    True
    """
    arrival = row["recorded_at"]
    times = {n: micros_of(row[n]) for n in TIMES if row.get(n) is not None}
    ahead = [n for n, time in times.items() if arrival <= time <= arrival + skew // MICROSECOND]
    return {**row, **dict.fromkeys(ahead, from_micros(arrival - 1).isoformat())}


def state_of(folded: Mapping[str, Any], loaded: LoadedContracts) -> dict[str, Any]:
    """What is known of a contract: its row of the table, and over it what newer events gave; else all of the events."""
    of_table = loaded.get(folded["subscription_id"])
    return dict(folded) if of_table is None else {**of_table, **{n: folded[n] for n in folded[GIVEN]}}


def loaded_contracts(table: ir.Table, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The rows of a table of contracts that have these ids, by id; what is missing is None."""
    rows = table.filter(table.subscription_id.isin(sorted(set(ids)))).to_pandas().astype(object)
    return {row["subscription_id"]: row for row in rows.where(rows.notna(), None).to_dict("records")}


def with_states(subscriptions: ir.Table) -> ir.Table:
    """Contracts with ``superseded_at``, empty where there is none: each row is the only state that is known."""
    if SUPERSEDED in subscriptions.columns:
        return subscriptions
    return subscriptions.mutate(**{SUPERSEDED: ibis.null("timestamp(6)")})


def merge_contracts(table: ir.Table, events: ir.Table) -> ir.Table:
    """All states of the contracts of a table and of events; with the table's columns and ``superseded_at``.

    Parameters
    ----------
    table
        Checked contracts, one row each.
    events
        As `fold_contracts` gives them, with a column ``given_...`` (1 or 0) for each column that may be given. One is
        newer than a row of the table only if it came after the row's record, too.
    """
    key, names = "subscription_id", table.columns
    of_table = table.group_by(key).agg(row_at=table.recorded_at.max())
    events = events.left_join(of_table, key).drop(f"{key}_right")
    is_newer = (events[NEWER] == 1) & (events.row_at.isnull() | (events.recorded_at > events.row_at))
    events = events.mutate(**{NEWER: is_newer.cast("float64")}).drop("row_at")
    first = events.filter(events[NEWER] == 1).group_by(key).agg(first_newer=events.recorded_at.min())
    seen = table.left_join(first, key).drop(f"{key}_right")
    loaded = seen.mutate(**{SUPERSEDED: seen.first_newer}).select(*names, SUPERSEDED)
    changed = _laid_over(table, events)
    known_at = seen.recorded_at.fill_null(seen.started_at + ibis.interval(microseconds=1))  # without: once it has begun
    known_at = ibis.least(known_at, seen.first_newer.fill_null(known_at))
    before = events.inner_join(seen.select(key, known_at=known_at), key)
    before = before.filter((before[NEWER] == 0) & (before.recorded_at < before.known_at))
    ends = ibis.least(before[SUPERSEDED].fill_null(before.known_at), before.known_at)
    alone = [_alone(table, rows) for rows in (before.mutate(**{SUPERSEDED: ends}), events.anti_join(table, key))]
    kinds = {**table.schema(), SUPERSEDED: "timestamp(6)"}
    return ibis.union(*(rows.cast(kinds) for rows in (loaded, changed, *alone)))


def _laid_over(table: ir.Table, events: ir.Table) -> ir.Table:
    """States of contracts of the table by events that came after it: what these gave, and else what it says."""
    schema, key = table.schema(), "subscription_id"
    given = [n for n in schema.names if GIVEN + n in events.columns and n not in (key, "customer_id", "recorded_at")]
    newer = events.filter(events[NEWER] == 1).select(
        key,
        SUPERSEDED,
        event_at=events.recorded_at,
        **{f"new_{n}": events[n].cast(schema[n]) for n in given},
        **{GIVEN + n: events[GIVEN + n] for n in given},
    )
    rows = table.inner_join(newer, key)
    values = {n: ibis.ifelse(rows[GIVEN + n] == 1, rows[f"new_{n}"], rows[n]) for n in given}
    return rows.mutate(**values, recorded_at=rows.event_at).select(*schema.names, SUPERSEDED)


def _alone(table: ir.Table, events: ir.Table) -> ir.Table:
    """States of contracts of which events alone tell, with the table's columns."""
    schema = table.schema()
    empty = {c: ibis.null(schema[c]) for c in schema.names if c not in events.columns}
    if "ends_unannounced" in empty:
        empty["ends_unannounced"] = ibis.literal(1.0)
    return events.mutate(**empty).select(*schema.names, SUPERSEDED)
