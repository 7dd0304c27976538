"""Contracts that change between two loads: each event gives what is known of one contract now.

What an event leaves out stays as it was; null takes it back, as a notice that was withdrawn. Later events count after
earlier ones. A table that was loaded later knows better: events that arrived before the end of its data do not change
rows that stand in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir

from features.store.timestamps import to_micros

GIVEN = "given_"
NEWER = "is_newer"


def fold_contracts(rows: Iterable[Mapping[str, Any]], until: datetime | None) -> list[dict[str, Any]]:
    """One row a contract from its events, oldest first.

    Parameters
    ----------
    rows
        What was given with each event, and ``recorded_at``, its arrival in microseconds since 1970.
    until
        The data of the tables goes so far, UTC without a zone; None: no event came before.

    Returns
    -------
    list of dict
        The columns given, ``recorded_at`` of the first event, and `NEWER`: an event came after `until`. Such a row
        holds what came after alone, so that it can be laid over the table's.

    Examples
    --------
    >>> start = {"subscription_id": "s", "plan": "a", "recorded_at": 1}
    >>> fold_contracts([start, {"subscription_id": "s", "plan": "b", "recorded_at": 2}], None)
    [{'subscription_id': 's', 'plan': 'b', 'recorded_at': 1, 'is_newer': 1.0}]
    """
    limit = -1 if until is None else to_micros(until)
    out: dict[str, dict[str, Any]] = {}
    for row in rows:
        before = out.get(row["subscription_id"], {})
        newer = row["recorded_at"] > limit
        kept = before if newer == bool(before.get(NEWER, newer)) else {}
        first = before.get("recorded_at", row["recorded_at"])
        out[row["subscription_id"]] = {**kept, **row, "recorded_at": first, NEWER: float(newer)}
    return list(out.values())


def merge_contracts(table: ir.Table, events: ir.Table) -> ir.Table:
    """Lay contracts of events over those of the table, and add those that are new; with the table's columns.

    Parameters
    ----------
    table
        Checked contracts.
    events
        As `fold_contracts` gives them, with a column ``given_...`` (1 or 0) for each column that may be given.
    """
    schema, key = table.schema(), "subscription_id"
    given = [n for n in schema.names if GIVEN + n in events.columns and n not in (key, "customer_id", "recorded_at")]
    laid = events.select(
        key,
        NEWER,
        event_at=events.recorded_at,
        **{f"new_{n}": events[n].cast(schema[n]) for n in given},
        **{GIVEN + n: events[GIVEN + n] for n in given},
    )
    seen = table.left_join(laid, key).drop(f"{key}_right")
    changed = {
        n: ibis.ifelse(((seen[NEWER] == 1) & (seen[GIVEN + n] == 1)).fill_null(False), seen[f"new_{n}"], seen[n])
        for n in given
    }
    sooner = (seen.event_at < seen.recorded_at).fill_null(False)
    changed["recorded_at"] = ibis.ifelse(sooner, seen.event_at, seen.recorded_at)
    known = seen.mutate(**changed).select(*schema.names)
    empty = {c: ibis.null(schema[c]) for c in schema.names if c not in events.columns}
    if "ends_unannounced" in empty:
        empty["ends_unannounced"] = ibis.literal(1.0)
    fresh = events.mutate(**empty).select(*schema.names).cast(dict(schema.items()))
    return known.union(fresh.anti_join(table, key))
