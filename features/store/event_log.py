"""What arrives between two ingests, orders to contracts: a durable log, and its union with the checked tables.

An event that was acknowledged survives a crash of the process and of the machine (`features.store.durable_file`). An
event is told apart by its ``event_id``: the same again is ignored, the same id with other content is a conflict. When
it became known (``recorded_at``) is set here, at arrival, and rises strictly along the log, so that the newest one read
says how far the log was read.

A contract may have several events, see `features.store.contract_events`; a row of any other table has one.

An order that stands in the log and in a table (the same ``order_id``) is one order: the table's row is taken, because
a later export knows better, and it counts as known from the earlier of the two on.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis.backends import BaseBackend

from configs.errors import DataError
from configs.settings import Settings
from configs.workspace import Workspace
from features.contract_terms import with_grace
from features.engine import create_temp_table
from features.ingest import with_local_time
from features.labels.by_kind import end_of_known
from features.people.identity import NO_ALIASES, AliasMap, load_alias_map
from features.quality.check import ValidatedTable, check_table, read_times
from features.quality.quality_verdict import loaded_at
from features.store.contract_events import (
    GIVEN,
    NEWER,
    NO_SKEW,
    NOT_LOADED,
    SUPERSEDED,
    LoadedContracts,
    at_arrival,
    fold_contracts,
    loaded_contracts,
    merge_contracts,
)
from features.store.durable_file import DurableFile, select_in
from features.store.kept_notice import shown_by
from features.store.log_position import newest_recorded_at
from features.store.timestamps import to_micros
from features.tables import KINDS_THAT_COUNT, LARGEST, REDEMPTIONS_UNKNOWN, TABLES, Field, Table, moments

OLDEST = "1900-01-01"  # nothing that a customer of today did is older
KINDS: Mapping[str, str] = {
    "order": "orders",
    "interaction": "interactions",
    "contract": "subscriptions",
    "contact": "contacts",
    "customer": "customers",
}
LAST_YEAR = 9999  # no calendar goes on: of "never" with an offset, the day as it is written
TIME = re.compile(r"\d{4}-\d\d-\d\d")
NO_DATES: Mapping[str, Collection[str]] = MappingProxyType({})
Status = Literal["accepted", "known"]
_TABLE = """
CREATE TABLE IF NOT EXISTS events (
    recorded_at INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    table_name TEXT NOT NULL,
    row_id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    content TEXT NOT NULL,
    UNIQUE (table_name, row_id)
);
CREATE INDEX IF NOT EXISTS events_by_customer ON events (customer_id, recorded_at);
"""


class ConflictError(DataError):
    """An event comes again with other content, or its row came already with another event."""

    def __init__(self, place: int, field: str, detail: str) -> None:
        super().__init__(f"event {place}: {field} {detail}")
        self.place, self.field, self.detail = place, field, detail


@dataclass(frozen=True)
class Event:
    """One row that became known between two ingests.

    Attributes
    ----------
    event_id
        Given by the sender; tells the event apart for ever.
    table
        One of the tables of `KINDS`.
    row
        The columns of that table that were given, as JSON values; times in ISO 8601.
    """

    event_id: str
    table: str
    row: Mapping[str, Any]

    @property
    def customer_id(self) -> str:
        """Whose event it is."""
        return str(self.row["customer_id"])


IsOwn = Callable[[Event, Sequence[str]], bool]


@dataclass(frozen=True)
class Fault:
    """What is wrong with one field of one event."""

    place: int
    field: str
    detail: str


def find_faults(events: Sequence[Event], tables: Collection[str], customers: set[str], now: datetime) -> list[Fault]:
    """Check events with the rules of an ingest, see `features.quality.check`.

    Parameters
    ----------
    events
        What came.
    tables
        Names of the tables of the business; an event of another cannot be used.
    customers
        Of the customers the events are about, those who are known.
    now
        The present, UTC; an event that happened at or after it is not believed.

    Returns
    -------
    list of Fault
        In the order of the events; empty if all can be used.
    """
    faults = [
        Fault(i, "type", f"this business has no table '{e.table}', only {', '.join(sorted(tables))}")
        for i, e in enumerate(events)
        if e.table not in tables
    ]
    faults += [Fault(i, name, why) for i, e in enumerate(events) for name, why in _old_times(e.table, e.row)]
    for name in sorted({e.table for e in events} & set(tables)):
        places = [i for i, e in enumerate(events) if e.table == name]
        raw = pd.DataFrame([dict(events[i].row) for i in places]).assign(place=places)
        faults += _row_faults(TABLES[name], raw, None if name == "customers" else customers, now)
        faults += [fault for i in places for fault in _kind_faults(i, events[i])]
    return sorted(faults, key=lambda f: f.place)


def _old_times(table: str, row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Times of the row of an event that lie before `OLDEST`, with what is wrong."""
    for field in TABLES[table].fields:
        text = row.get(field.name)
        if field.kind == "time" and isinstance(text, str) and text.strip() < OLDEST:
            yield field.name, f"'{text[:10]}' lies before {OLDEST}: leave out what is not known"


def _kind_faults(place: int, event: Event) -> list[Fault]:
    """A kind that is spelt almost as one that columns tell apart: it would count as another."""
    kind = str(event.row.get("kind", "")).strip()
    near = get_close_matches(kind.lower(), KINDS_THAT_COUNT, 1, 0.8)
    if event.table != "interactions" or not near or kind == near[0]:
        return []
    known = ", ".join(KINDS_THAT_COUNT)
    return [Fault(place, "kind", f"is not '{near[0]}', but like it; kinds that columns tell apart: {known}")]


def _row_faults(spec: Table, raw: pd.DataFrame, customers: set[str] | None, now: datetime) -> list[Fault]:
    raw = raw.drop(columns="status", errors="ignore")  # what it says needs the contract, see `change_faults`
    bad = check_table(replace(spec, key=""), raw, now, customers).quarantined
    parts = re.compile(r"; (?=(?:" + "|".join(map(re.escape, spec.names)) + r"): )")
    reasons = zip(bad["place"], bad["reason"], strict=True) if len(bad) else ()
    return [Fault(int(i), *part.split(": ", 1)) for i, reason in reasons for part in parts.split(reason)]


def _same_id(event: Event, others: Sequence[str]) -> bool:
    return {*others} <= {event.customer_id}


class EventLog(DurableFile):
    """The log in its file, opened as a `DurableFile`; several processes may write to one file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _TABLE)
        self._queueing = threading.Lock()
        self._waiting: list[_Batch] = []

    def append(self, events: Sequence[Event], now: datetime) -> list[Status]:
        """Write events, all or none; they are on disk when this returns.

        Events that arrive while another thread writes go to disk together, with one sync.

        Parameters
        ----------
        events
            Checked events, see `find_faults`.
        now
            The present, UTC: when they became known.

        Returns
        -------
        list of str
            For each event ``accepted``, or ``known`` if the very same stood in the log before.

        Raises
        ------
        ConflictError
            An event id, or the id of its row, stands in the log with other content, or a contract as another
            customer's. Nothing is written.
        sqlite3.Error
            They could not be written.
        """
        (outcome,) = self.append_each([events], now)
        if isinstance(outcome, ConflictError):
            raise outcome
        return outcome

    def append_each(
        self, requests: Sequence[Sequence[Event]], now: datetime, is_own: IsOwn = _same_id
    ) -> list[list[Status] | ConflictError]:
        """Write the events of several requests with one sync: those of each all or none.

        Parameters
        ----------
        requests, now
            As for `append`.
        is_own
            Whether a contract that earlier events gave to these customers is that of a new event's customer. It is
            asked while the log is held, so it may ask nobody who reads it.

        Returns
        -------
        list
            For each request its statuses, or the conflict for which none of it is written; else as `append`.
        """
        mine = [_Batch(list(events), to_micros(now), is_own) for events in requests]
        with self._queueing:
            self._waiting += mine
        with self._writing:
            if not all(batch.done for batch in mine):
                self._write_waiting()
        return [batch.outcome() for batch in mine]

    def position(self) -> int:
        """When the newest event became known, in microseconds since 1970; 0 if there is none."""
        with self._writing:
            return newest_recorded_at(self._connection)

    def read(self, customers: Sequence[str] | None = None) -> tuple[list[Any], int]:
        """Read the rows of events, oldest first; one that nothing can be computed with is left out (`is_readable`).

        Parameters
        ----------
        customers
            Only theirs; None: everybody's.

        Returns
        -------
        list, int
            One ``(table, content, recorded_at)`` an event, and the position up to which the log was read.
        """
        with self._writing:
            self._connection.execute("BEGIN")
            try:
                rows = [row for row in self._rows(customers) if is_readable(row[0], row[1])]
                return rows, newest_recorded_at(self._connection)
            finally:
                self._connection.execute("COMMIT")

    def known(self, event_ids: Sequence[str]) -> set[str]:
        """Of these events, those that stand in the log."""
        with self._writing:
            asked = "SELECT event_id FROM events WHERE event_id = ?"
            return {i for i in event_ids if self._connection.execute(asked, [i]).fetchone()}

    def signed_up(self, customers: Sequence[str]) -> set[str]:
        """Of these customers, those whom an event made known."""
        with self._writing:
            asked = "SELECT 1 FROM events WHERE table_name = 'customers' AND row_id = ?"
            return {i for i in customers if self._connection.execute(asked, [i]).fetchone()}

    def _rows(self, customers: Sequence[str] | None) -> Iterable[Any]:
        query = "SELECT table_name, content, recorded_at FROM events"
        if customers is None:
            yield from self._connection.execute(f"{query} ORDER BY recorded_at")
            return
        yield from select_in(self._connection, f"{query} WHERE customer_id", customers, "ORDER BY recorded_at")

    def _write_waiting(self) -> None:
        """Write all that waits in one transaction; a batch with a conflict is left out and gets the error."""
        with self._queueing:
            batches, self._waiting = self._waiting, []
        try:
            with self._transaction():
                for batch in batches:
                    self._insert_batch(batch)
        except BaseException as error:
            for batch in batches:
                batch.error = error
        for batch in batches:
            batch.done = True

    def _insert_batch(self, batch: _Batch) -> None:
        self._connection.execute("SAVEPOINT batch")
        try:
            batch.statuses = [self._insert(i, event, batch) for i, event in enumerate(batch.events)]
        except ConflictError as error:
            self._connection.execute("ROLLBACK TO batch")
            batch.error = error
        self._connection.execute("RELEASE batch")

    def _insert(self, place: int, event: Event, batch: _Batch) -> Status:
        row_id = str(event.row[TABLES[event.table].key])
        row_id = json.dumps([row_id, event.event_id]) if event.table == "subscriptions" else row_id
        content = json.dumps(_canonical_row(event), sort_keys=True)
        query = "SELECT event_id, table_name, content FROM events WHERE event_id = ? OR (table_name = ? AND row_id = ?)"
        same = self._connection.execute(query, [event.event_id, event.table, row_id]).fetchall()
        if (event.event_id, event.table, content) in same:
            return "known"
        if any(event_id == event.event_id for event_id, _, _ in same):
            raise ConflictError(place, "event_id", "came before with other content")
        if same and event.table == "contacts" and same[0][2] == content:
            return "known"  # an earlier version told its event id from the id of the contact with the blanks around it
        if same:
            raise ConflictError(place, TABLES[event.table].key, "came before with another event_id")
        if event.table == "subscriptions" and not batch.is_own(event, self._owners(event)):
            raise ConflictError(place, "subscription_id", "came before as another customer's: give this one its own id")
        recorded = max(batch.now, newest_recorded_at(self._connection) + 1)
        row = (recorded, event.event_id, event.table, row_id, event.customer_id, content)
        self._connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", row)
        return "accepted"

    def _owners(self, event: Event) -> list[str]:
        """Whose an event's contract is by the events before: their states and those of another's would be mixed."""
        start = json.dumps([str(event.row["subscription_id"])])[:-1] + ', "'  # of its row ids, and of no others'
        query = "SELECT DISTINCT customer_id FROM events WHERE table_name = ? AND row_id >= ? AND row_id < ?"
        rows = self._connection.execute(query, [event.table, start, start[:-1] + chr(ord('"') + 1)])
        return [customer for (customer,) in rows]


def is_readable(table: str, content: Any) -> bool:
    """Whether a row of the log can be computed with: an object with all that its table needs, each of its kind.

    Events are judged before they are logged; this is for rows of earlier versions, and for a file that was damaged.

    >>> is_readable("orders", '{"order_id": "7", "customer_id": "1", "ordered_at": "2024-01-01", "amount": "ten"}')
    False
    """
    try:
        row, spec = json.loads(content), TABLES[table]
        return isinstance(row, dict) and all(_is_of_kind(field, row.get(field.name)) for field in spec.fields)
    except (ValueError, TypeError, KeyError):
        return False


def _is_of_kind(field: Field, value: Any) -> bool:
    if value is None:
        return field.nullable
    if field.kind in ("number", "flag"):
        return isinstance(value, int | float) and abs(value) <= LARGEST
    return isinstance(value, str) and (field.kind != "time" or bool(TIME.match(value)))


@dataclass(eq=False)
class _Batch:
    """Events of one call, and how it ended."""

    events: list[Event]
    now: int
    is_own: IsOwn
    statuses: list[Status] = None  # type: ignore[assignment]  # set when it is done
    error: BaseException | None = None
    done: bool = False

    def outcome(self) -> list[Status] | ConflictError:
        """Its statuses, or the conflict; any other error is raised."""
        if self.error is None or isinstance(self.error, ConflictError):
            return self.error or self.statuses
        raise self.error


def _canonical_row(event: Event) -> dict[str, Any]:
    """The row with equal values written alike: one spelling of each time and number, nothing that is not known."""
    kinds = {f.name: f.kind for f in TABLES[event.table].fields}
    takes_back = event.table == "subscriptions"
    return {n: v if v is None else _value(kinds[n], v) for n, v in event.row.items() if takes_back or v is not None}


def _value(kind: str, value: Any) -> Any:
    if kind == "time":
        given = pd.Timestamp(value)
        time = given.tz_convert("UTC")
        time = time if time.year <= LAST_YEAR else given.tz_localize(None).tz_localize("UTC")
        return time.isoformat(timespec="microseconds")
    return float(value) if kind in ("number", "flag") else str(value).strip()


def event_frames(
    rows: Iterable[Any],
    zone: ZoneInfo,
    aliases: AliasMap = NO_ALIASES,
    until: datetime | None = None,
    counts_orders: bool = False,
    dates: Mapping[str, Collection[str]] = NO_DATES,
    loaded: LoadedContracts = NOT_LOADED,
    skew: timedelta = NO_SKEW,
    shown: frozenset[str] | None = None,
) -> dict[str, pd.DataFrame]:
    """The rows of events as checked tables, by name, see `EventLog.read`; only tables with a row.

    An event of an alias is given to the person, as an ingest does: the log keeps ids as they were sent, so that a
    link that is found later holds for earlier events, too. One with a number that cannot be computed with, or a time
    before `OLDEST`, from before such were refused, is left out. `until`: the data of the tables goes so far, and
    `loaded`, `shown`: the contracts of the table, see `fold_contracts`. Where orders are counted (`counts_orders`) they
    have no amounts, whatever an event says. `dates`: columns of the tables in which midnight is a date alone, see
    `date_columns`; in all others it is a moment. `skew`: how far clocks may differ, see `at_arrival`.
    """
    by_table: dict[str, list[dict[str, Any]]] = {}
    for table, content, recorded in rows:
        row = {**json.loads(content), "recorded_at": recorded}
        numbers = [value for name, value in row.items() if isinstance(value, float) and name != "recorded_at"]
        is_nothing = table == "orders" and str(row["amount"]) == "-0.0"  # as a load leaves it out
        if all(abs(value) <= LARGEST for value in numbers) and not is_nothing and not any(_old_times(table, row)):
            by_table.setdefault(table, []).append(row)
    if "subscriptions" in by_table:
        contracts = [at_arrival(row, skew) for row in by_table["subscriptions"]]
        by_table["subscriptions"] = fold_contracts(contracts, until, loaded, shown)
    frames = {name: _frame(TABLES[name], own, zone, dates.get(name, ())) for name, own in by_table.items()}
    if counts_orders and "orders" in frames:
        frames["orders"]["amount"] = 1.0
    return {name: aliases.assign_persons(frame, TABLES[name].time) for name, frame in frames.items()}


def contract_ids(rows: Iterable[Any]) -> list[str]:
    """Ids of the contracts that events are about, see `EventLog.read`."""
    return [json.loads(content)["subscription_id"] for table, content, _ in rows if table == "subscriptions"]


def empty_events(name: str, zone: ZoneInfo) -> pd.DataFrame:
    """A checked table without a row."""
    return _frame(TABLES[name], [], zone)


def date_columns(tables: Mapping[str, ir.Table]) -> dict[str, tuple[str, ...]]:
    """Columns of loaded tables that hold dates alone: all their times are midnight UTC, and there are some.

    A time of an event says by its offset that it is a moment, as one of a file does: at midnight, too, unless all times
    of its column are dates.
    """
    found = {}
    for name in set(KINDS.values()) & set(tables):
        table = tables[name]
        times = [f.name for f in TABLES[name].fields if f.kind == "time" and f.name in table.columns]
        asked = {n: (table[n] == table[n].truncate("D")).all().fill_null(False) for n in times if n != "recorded_at"}
        told = table.aggregate(**asked).to_pandas().iloc[0]
        found[name] = tuple(n for n in asked if told[n])
    return found


def _frame(spec: Table, rows: list[dict[str, Any]], zone: ZoneInfo, dates: Collection[str] = ()) -> pd.DataFrame:
    own = [SUPERSEDED, NEWER, GIVEN] if spec.name == "subscriptions" else []
    raw = pd.DataFrame(rows, columns=[*spec.names, *own])
    columns: dict[str, pd.Series[Any]] = {}
    for field in spec.fields:
        if field.kind == "time":
            of_log = field.name == "recorded_at"
            times = _log_times(raw[field.name]) if of_log else read_times(raw[field.name].astype("string"))
            columns[field.name] = times if of_log or field.name in dates else moments(times)
        else:
            columns[field.name] = raw[field.name].astype("float64" if field.kind in ("number", "flag") else "string")
    if spec.name == "subscriptions":
        given = {GIVEN + n: [float(n in names) for names in raw[GIVEN]] for n in spec.names}
        given[GIVEN + "ended_day_over"] = given[GIVEN + "ended_at"]
        columns |= {n: pd.Series(v, dtype="float64") for n, v in given.items()} | {NEWER: raw[NEWER].astype("float64")}
        columns[SUPERSEDED] = _log_times(raw[SUPERSEDED])
    used = pd.DataFrame(columns)
    return with_local_time(ValidatedTable(spec, used, used.head(0)), zone)


def _log_times(micros: pd.Series) -> pd.Series:
    """Microseconds since 1970 as times without a zone."""
    return pd.to_datetime(micros, unit="us", utc=True).dt.tz_localize(None).astype("datetime64[us]")


def tables_with_events(
    backend: BaseBackend, tables: Mapping[str, ir.Table], settings: Settings, workspace: Workspace
) -> tuple[dict[str, ir.Table], int]:
    """The checked tables and all events as one: every row once, by its key.

    Parameters
    ----------
    backend
        Where the tables are open.
    tables
        Checked tables by name.
    settings, workspace
        Of the business.

    Returns
    -------
    dict, int
        The tables with the same columns (where there is no event, the very table; for contracts, see `with_grace`), and
        the position up to which the event log was read.
    """
    if not workspace.events.is_file():
        return with_grace(tables, settings.churn.grace_days), 0
    with EventLog(workspace.events) as log:
        rows, position = log.read()
    until = end_of_known(tables, settings, loaded_at(workspace))
    aliases, counted = load_alias_map(workspace.tables), settings.counts_orders
    loaded, shown = NOT_LOADED, None
    if "subscriptions" in tables:
        loaded = loaded_contracts(tables["subscriptions"], contract_ids(rows))
        shown = shown_by(tables["subscriptions"], until)
    zone, dates = ZoneInfo(settings.time_zone), date_columns(tables)
    frames = event_frames(rows, zone, aliases, until, counted, dates, loaded, settings.quality.clock_skew, shown)
    out = {n: _union(backend, n, t, frames[n]) if n in frames else t for n, t in tables.items()}
    return with_grace(out, settings.churn.grace_days), position


def _union(backend: BaseBackend, name: str, table: ir.Table, frame: pd.DataFrame) -> ir.Table:
    on_duckdb = backend.name == "duckdb"
    events = create_temp_table(backend, events_table(name), frame) if on_duckdb else ibis.memtable(frame)
    return merge_events(table, events, TABLES[name].key)


def events_table(name: str) -> str:
    """Name of the temporary table that holds the events of a table."""
    return f"events_{name}"


def merge_events(table: ir.Table, events: ir.Table, key: str) -> ir.Table:
    """A table and the events of its kind as one, with the table's columns; a row that stands in both is the table's."""
    if key == "subscription_id":
        return merge_contracts(table, events)
    schema = table.schema()
    empty = {c: ibis.null(schema[c]) for c in schema.names if c not in events.columns}
    if REDEMPTIONS_UNKNOWN in empty:
        empty[REDEMPTIONS_UNKNOWN] = ibis.literal(1.0)
    events = events.mutate(**empty).cast(dict(schema.items())).select(*schema.names)
    seen = table.left_join(events.select(key, event_at=events.recorded_at), key).drop(f"{key}_right")
    sooner = seen.event_at.notnull() & (seen.event_at < seen.recorded_at)
    seen = seen.mutate(recorded_at=ibis.ifelse(sooner, seen.event_at, seen.recorded_at)).select(*schema.names)
    return seen.union(events.anti_join(table, key))
