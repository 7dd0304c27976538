"""Recompute the customers of whom something new is known, and put their rows online at once.

A customer is *touched* if the rows known of them differ from those known at the last run: an event came, a table
brought, changed or lost a row, or a row that lay ahead has happened or was recorded since. This is found by a
fingerprint of each customer's known rows, so it does not matter in which way a change came.

The row of a touched customer is computed from all that is known at the moment of the refresh, a whole second that lies
not before the present. But what was not loaded is not known: orders, contacts and the like are looked at from where the
tables are complete, or from the customer's newest event of their kind (`features.windows.clock`), so that nobody has
lapsed because a login arrived. So are contracts, from the customer's newest record (`features.windows.contract_clock`).
That moment of what churn rests on, orders or contracts, is the ``as_of`` of the row; ``features.age_seconds`` of an
answer counts from there.

Ready-made profiles (``churn.kind: label``) have no events in time: there a customer is touched whose columns differ,
and the row gets the moment of the export.

A customer who is not touched keeps the row of an earlier moment. Nothing new is known of them, but time has passed:
``days_since_last_order`` and all that depends on the moment are those of that ``as_of``, which every answer names.
``everyone`` recomputes all of them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import ibis.expr.types as ir
import pandas as pd
from ibis.backends import BaseBackend

from configs.errors import NotReadyError, StaycastError
from configs.files import replacing, replacing_file
from configs.settings import Settings, naive_utc
from configs.workspace import Workspace
from features.build import customers_as_of, features_as_of
from features.columns.column import Column
from features.contract_terms import CONTRACTS, whole_seconds, with_grace
from features.engine import as_of_statements, connect, create_temp_table, read_tables, replace_temp_table
from features.labels.by_kind import BEGINS, end_of_known
from features.labels.ready_label import NO_EVENTS, read_ready_table
from features.people.identity import load_alias_map
from features.quality import quality_verdict
from features.schema import features_of, load_schema, schema_of
from features.seasons.curve import SeasonCurve, load_curve
from features.sql import quote_identifier, quote_literal
from features.store.contract_events import (
    NOT_LOADED,
    SUPERSEDED,
    LoadedContracts,
    fold_contracts,
    loaded_contracts,
    state_of,
    with_states,
)
from features.store.event_log import (
    KINDS,
    EventLog,
    contract_ids,
    date_columns,
    empty_events,
    event_frames,
    events_table,
    merge_events,
    tables_with_events,
)
from features.store.feature_store import OnlineWriter, known_by_load
from features.store.kept_notice import shown_by
from features.store.timestamps import from_micros, to_micros
from features.tables import TABLES
from features.windows import clock, contract_clock, known, known_contracts, timestamp, whole_second

FINGERPRINTS = "prints.parquet"  # one row a customer: ``customer_id, print``
SORTED_TABLES = "tables"
SORTED_FROM = "of.txt"  # the state of the tables of which the sorted ones are a copy
CHUNK = 100_000
EVENT_BUSY_SECONDS = 0.15  # an event waits no longer for another who writes: its sender hears 503, and sends it again
ROW_GROUP = 20_000
CLOCKED = ("orders", "subscriptions", "interactions", "contacts")
OnProgress = Callable[[str, int, int], None]


class CompiledFeatures:
    """Computes the feature rows of picked customers; the columns are turned into SQL once, for all moments.

    Parameters
    ----------
    backend
        Where the tables are open.
    tables
        The tables by name, for their columns.
    columns
        The features.
    complete
        The table that churn rests on, and how far it was loaded, UTC without a zone: ``as_of`` of a row is up to when
        the customer's rows in it are known. None: it is the moment.
    seasons
        The season of the business by day; None: none is known.
    """

    def __init__(
        self,
        backend: BaseBackend,
        tables: Mapping[str, ir.Table],
        columns: Sequence[Column],
        complete: tuple[str, datetime] | None = None,
        seasons: SeasonCurve | None = None,
    ) -> None:
        self._backend, self._columns, self._complete, self._seasons = backend, list(columns), complete, seasons
        self._names = list(tables)
        for name, table in tables.items():
            query = f"CREATE OR REPLACE TEMP TABLE {_picked(name)} AS SELECT * FROM ({backend.compile(table)}) LIMIT 0"
            backend.raw_sql(query)
        picked = {name: backend.table(_picked(name)) for name in self._names}
        self._query = as_of_statements(backend, picked, self._expressions)

    def rows(self, selects: Mapping[str, str], as_of: datetime) -> pd.DataFrame:
        """Compute the rows of customers.

        Parameters
        ----------
        selects
            For each table the SQL that gives the rows of the customers to compute.
        as_of
            The moment, UTC without a zone, a whole second.

        Returns
        -------
        pandas.DataFrame
            A feature frame: ``customer_id, as_of``, then the features, sorted by customer.
        """
        for name in self._names:
            self._backend.raw_sql(f"CREATE OR REPLACE TEMP TABLE {_picked(name)} AS {selects[name]}")
        query, *clocks = self._query.at(as_of)
        rows = self._backend.con.execute(query).df().sort_values("customer_id", ignore_index=True)
        times = pd.Series(pd.Timestamp(as_of), index=rows.index)
        for until in clocks:
            known = self._backend.con.execute(until).df().set_index("customer_id")["until"]
            seconds = rows["customer_id"].map(known).fillna(to_micros(self.latest(as_of)) / 1e6)
            times = pd.to_datetime(seconds, unit="s")
        rows.insert(1, "as_of", times.dt.tz_localize("UTC").astype("datetime64[us, UTC]"))
        return rows if self._seasons is None else self._seasons.fill(rows)

    def latest(self, as_of: datetime) -> datetime:
        """The moment of customers of whom nothing came since the tables were loaded."""
        return as_of if self._complete is None else min(as_of, whole_second(self._complete[1]))

    def _expressions(self, tables: dict[str, ir.Table], as_of: datetime) -> list[ir.Table]:
        queries = [features_as_of(tables, self._columns, as_of)]
        if self._complete is not None:
            rows = _with_clock(tables, self._complete[0], as_of)
            queries.append(rows.group_by("customer_id").agg(until=rows.until.max()))
        return queries


def _with_clock(tables: Mapping[str, ir.Table], name: str, as_of: datetime) -> ir.Table:
    """Orders or contracts, with the second up to which those of their customer are known (``until``, since 1970)."""
    if name == "orders":
        rows = known(tables[name], "ordered_at", as_of)
        return rows.mutate(until=clock(rows, "ordered_at", as_of))
    return tables[name].mutate(until=whole_seconds(contract_clock(tables[name], as_of)))


def _picked(name: str) -> str:
    return f"picked_{name}"


def next_whole_second(now: datetime, position: int) -> datetime:
    """The first whole second that lies neither before `now` (UTC) nor before the newest event; without a zone.

    Examples
    --------
    >>> next_whole_second(datetime(2024, 3, 1, 12, 0, 0, 1, tzinfo=UTC), 0)
    datetime.datetime(2024, 3, 1, 12, 0, 1)
    """
    return whole_second(max(now.astimezone(UTC), from_micros(position)).replace(tzinfo=None))


def refresh(
    settings: Settings,
    workspace: Workspace,
    now: datetime | None = None,
    as_of: datetime | None = None,
    everyone: bool = False,
    on_progress: OnProgress = lambda what, done, of: None,
) -> dict[str, Any]:
    """Recompute the touched customers and put them online.

    Parameters
    ----------
    settings
        Of the business.
    workspace
        Holds tables, events and registered features.
    now
        The present, UTC.
    as_of
        The moment to compute, UTC, to the second; None: the present.
    everyone
        Recompute all customers, touched or not.
    on_progress
        Called with what is done, and how much of how much.

    Returns
    -------
    dict
        ``as_of``, the newest of the rows; ``customers``: known now; ``touched``: of them recomputed, of which
        ``with_newer_rows``, as of events or late records, as of a moment of their own after ``data_until``, the others
        as of that; ``online``: of
        these written, the others are online with a later moment; ``gone``: customers not known now who were at the last
        run, taken offline.

    Raises
    ------
    NotReadyError
        No features were built yet, or they have other columns than this code and these tables give.
    QualityError
        The newest load is not good enough, and nobody accepted it.
    StaycastError
        A moment is given, and the business has none but that of the export (``churn.kind: label``).
    """
    quality_verdict.require(workspace)
    began = now or datetime.now(UTC)
    if settings.churn.kind == "label":
        return _refresh_profiles(settings, workspace, began, as_of, everyone)
    backend = connect()
    tables, columns = open_tables(backend, workspace.tables, settings, workspace)
    until = end_of_known(tables, settings, quality_verdict.loaded_at(workspace))
    tables, position = tables_with_events(backend, tables, settings, workspace)
    known_by = known_by_load(workspace, position)
    tables = complete_tables(tables, until)
    is_present = as_of is None
    as_of = next_whole_second(began, position) if as_of is None else _whole_second(as_of)
    on_progress("what is known", 0, 1)
    _create_fingerprints(backend, tables, as_of)
    touched, removed = _changed(backend, workspace.refresh / FINGERPRINTS, everyone)
    seasons = load_curve(workspace.features)
    features = CompiledFeatures(backend, tables, columns, complete_until(settings, until), seasons)
    written, later, moments, newer = 0, 0, list[datetime](), list[str]()
    loaded_to = features.latest(as_of)
    with closing(OnlineWriter(workspace)) as online:
        for start in range(0, len(touched), CHUNK):
            on_progress("customers", start, len(touched))
            selects = _select_customers(backend, tables, touched[start : start + CHUNK])
            rows = features.rows(selects, as_of)
            later += int((rows["as_of"] > pd.Timestamp(loaded_to, tz="UTC")).sum())
            rows = online.not_earlier(rows) if is_present else rows
            count = online.write(rows, known_by)
            newer += online.newer(rows) if count < len(rows) else []
            written += count
            moments += rows["as_of"].dt.tz_localize(None).drop_duplicates().tolist()
        online.delete(removed, as_of)
    known = _save_fingerprints(backend, workspace, without=newer)
    return _summary((loaded_to, max(moments, default=loaded_to)), known, touched, later, written, removed)


def start_from_build(settings: Settings, workspace: Workspace, now: datetime | None = None) -> int:
    """Start anew from a full build: remember what was known at its newest moment, and fold in what came later.

    Computed again from the new tables, as of now, is who has a row online of a later moment, from a refresh or an
    event, and of whom something became known since the build's moment; who is no longer known goes offline.

    Returns
    -------
    int
        How many customers were computed again.
    """
    began = now or datetime.now(UTC)
    if settings.churn.kind == "label":
        return _refresh_profiles(settings, workspace, began, None, everyone=True, first=True)["online"]
    backend = connect()
    base, _ = open_tables(backend, workspace.tables, settings, workspace)
    tables, position = tables_with_events(backend, base, settings, workspace)
    until = end_of_known(base, settings, quality_verdict.loaded_at(workspace))
    tables = complete_tables(tables, until)
    newest = pd.read_parquet(workspace.features / "rows.parquet", columns=["as_of"])["as_of"].max().to_pydatetime()
    as_of, just_before = next_whole_second(began, position), newest - timedelta(microseconds=1)
    with closing(OnlineWriter(workspace)) as online:
        later = online.newer_than(newest)
        known = customers_as_of(tables["customers"], as_of).customer_id.execute()
        online.delete(sorted(set(online.newer_than(just_before)).difference(known)), as_of)
    _create_fingerprints(backend, tables, newest.replace(tzinfo=None))
    _save_fingerprints(backend, workspace, without=later)
    _sort_tables(backend, base, workspace)
    return int(refresh(settings, workspace, began)["touched"])


def _refresh_profiles(
    settings: Settings,
    workspace: Workspace,
    began: datetime,
    as_of: datetime | None,
    everyone: bool,
    first: bool = False,
) -> dict[str, Any]:
    """As `refresh`, for a table of profiles: customers whose columns differ from those of the last run."""
    if as_of is not None:
        raise StaycastError("profiles have one moment, that of their export: leave --as-of out")
    backend = connect()
    ready = read_ready_table(read_tables(backend, workspace.tables)["profiles"].to_pandas(), settings)
    _require_registered(workspace, ready.columns)
    kept = ready.kept
    create_temp_table(backend, "profiles_now", kept.drop(columns="as_of"))
    backend.raw_sql(
        "CREATE OR REPLACE TEMP TABLE fingerprints AS SELECT customer_id, hash(t) AS print FROM profiles_now t"
    )
    before = workspace.refresh / FINGERPRINTS
    touched, removed = (list(kept["customer_id"]), []) if first else _changed(backend, before, everyone)
    with closing(OnlineWriter(workspace)) as online:
        if first:
            just_before = pd.Timestamp(ready.as_of, tz="UTC") - pd.Timedelta(microseconds=1)
            removed = sorted(set(online.newer_than(just_before)) - set(touched))
        written = online.write(kept[kept["customer_id"].isin(touched)], to_micros(began))
        online.delete(removed, began)
    _save_fingerprints(backend, workspace)
    return _summary((ready.as_of, ready.as_of), len(kept), touched, 0, written, removed)


def _summary(
    moments: tuple[datetime, datetime],
    customers: int,
    touched: Sequence[str],
    with_newer_rows: int,
    written: int,
    removed: Sequence[str],
) -> dict[str, Any]:
    until, newest = (f"{moment.isoformat()}Z" for moment in moments)
    recomputed = {"touched": len(touched), "with_newer_rows": with_newer_rows}
    counts = {"customers": customers, **recomputed, "online": written, "gone": len(removed)}
    return {"as_of": newest, "data_until": until, **counts}


class OnEventRefresher:
    """Recomputes a few customers at once, as soon as something is known of them. May be called from several threads.

    Rests on the tables as they were when it was opened, sorted by customer; opens them again when they change.

    Parameters
    ----------
    settings, workspace
        Of the business.
    log
        The events.
    """

    def __init__(self, settings: Settings, workspace: Workspace, log: EventLog) -> None:
        self._settings, self._workspace, self._log = settings, workspace, log
        self._zone = ZoneInfo(settings.time_zone)
        self._busy = threading.Lock()
        self._state: tuple[Any, ...] = ()
        self._online: OnlineWriter

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables of the business."""
        with self._busy:
            self._open()
            return tuple(self._tables)

    def known(self, customer_ids: Sequence[str]) -> set[str]:
        """Of these customers, those who stand in the customers table."""
        return set(self.signed_up(customer_ids))

    def signed_up(self, customer_ids: Sequence[str]) -> dict[str, datetime]:
        """When those of these customers signed up who stand in the customers table, UTC without a zone."""
        with self._busy:
            self._open()
            query = f"SELECT customer_id, signed_up_at FROM {self._sql('customers')} WHERE {_in_list(customer_ids)}"
            return dict(self._backend.raw_sql(query).fetchall())

    def persons(self, customer_ids: Sequence[str]) -> list[str]:
        """The person behind each id; an id that is no alias is its own."""
        return load_alias_map(self._workspace.tables).of(customer_ids)

    def repaired(self, customer_ids: Sequence[str]) -> list[str]:
        """Ids as the tables hold them."""
        return load_alias_map(self._workspace.tables).repaired(customer_ids)

    def owners(self, table: str, row_ids: Sequence[str]) -> dict[str, str]:
        """Of these rows, those that stand in a table, and whose they are there."""
        with self._busy:
            self._open()
            key = TABLES[table].key
            query = f"SELECT {key}, customer_id FROM {self._sql(table)} WHERE {_in_list(row_ids, key)}"
            return dict(self._backend.raw_sql(query).fetchall())

    def contracts(self, customer_ids: Sequence[str], contracts: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What is known of these contracts of these persons, by id: of the table, and of events since."""
        with self._busy:
            self._open()
            rows = self._log.read(self._aliases.all_ids(sorted(set(customer_ids))))[0]
            loaded = loaded_contracts(self._tables[CONTRACTS], contracts)
        sent = [{**json.loads(c), "recorded_at": at} for name, c, at in rows if name == CONTRACTS]
        asked = [row for row in sent if row["subscription_id"] in contracts]
        folded = {row["subscription_id"]: row for row in fold_contracts(asked, self._until, loaded, self._shown)}
        return {**loaded, **{key: state_of(state, loaded) for key, state in folded.items()}}

    def __call__(self, customer_ids: Sequence[str], clock: Callable[[], datetime]) -> datetime:
        """Recompute these persons from all that is known, and put them online; their moment, UTC.

        The clock is read before the log: of two that run at once for one customer, the one that read further has
        no earlier moment, and its row is the one that stays.
        """
        ids = sorted(set(customer_ids))
        with self._busy:
            self._open()
            began = clock()
            rows, position = self._log.read(self._aliases.all_ids(ids))
            as_of = next_whole_second(began, position)
            self._load(ids, rows)
            written = self._online.not_earlier(self._features.rows(self._selects, as_of))
            self._online.write(written, max(position, self._known_by))
        return written["as_of"].min().to_pydatetime() if len(written) else as_of.replace(tzinfo=UTC)

    def require_writable(self) -> None:
        """Raise if nothing could be put online now."""
        with self._busy:
            self._open()
            self._online.require_writable()

    def close(self) -> None:
        """Close the online store."""
        with self._busy:
            if self._state:
                self._online.close()

    def _open(self) -> None:
        """Open tables and store, unless they are open and unchanged."""
        tables = self._workspace.tables  # asked once: another load may become current at any moment
        state = _workspace_state(self._workspace, tables)
        if state == self._state:
            return
        if self._state:
            self._online.close()
            self._state = ()
        self._backend = connect()
        folder = self._workspace.refresh / SORTED_TABLES if _is_sorted_copy(self._workspace, tables) else tables
        self._tables, columns = open_tables(self._backend, folder, self._settings, self._workspace)
        loaded_at = quality_verdict.loaded_at(self._workspace)
        self._until = end_of_known(self._tables, self._settings, loaded_at)
        self._dates = date_columns(self._tables)
        self._shown = shown_by(self._tables[CONTRACTS], self._until) if CONTRACTS in self._tables else None
        complete = self._complete(self._tables)
        until = complete_until(self._settings, self._until)
        seasons = load_curve(self._workspace.features)
        self._features = CompiledFeatures(self._backend, complete, columns, until, seasons)
        self._online = OnlineWriter(self._workspace, busy_seconds=EVENT_BUSY_SECONDS)
        self._known_by = known_by_load(self._workspace)
        self._aliases = load_alias_map(tables)
        self._superseded = self._events_in_tables()
        self._backend.raw_sql("SET threads = 1")
        self._no_events = {name: empty_events(name, self._zone) for name in KINDS.values() if name in self._tables}
        self._selects = {name: self._select(name) for name in self._tables}
        self._state = state

    def _sql(self, name: str) -> str:
        return quote_identifier(self._tables[name].get_name())

    def _events_in_tables(self) -> dict[str, set[str]]:
        """Ids of the rows of events that stand in the tables too, whoever's they are there."""
        ids = {}
        for name, events in event_frames(self._log.read()[0], self._zone, self._aliases, self._until).items():
            key = TABLES[name].key
            self._backend.con.register("logged", events[[key]])
            query = f"SELECT {key} FROM {self._sql(name)} SEMI JOIN logged USING ({key})"
            ids[name] = {row[0] for row in self._backend.raw_sql(query).fetchall()}
            self._backend.con.unregister("logged")
        return ids

    def _select(self, name: str) -> str:
        """The SQL that gives the rows of a table that `_load` keeps, their events included."""
        self._load_rows(name, [])
        if name not in self._no_events:
            return f"SELECT * FROM own_{name}"
        events = create_temp_table(self._backend, events_table(name), self._no_events[name])
        rows = merge_events(self._backend.table(f"own_{name}"), events, TABLES[name].key)
        return str(self._backend.compile(self._complete({name: rows})[name]))

    def _complete(self, tables: Mapping[str, ir.Table]) -> dict[str, ir.Table]:
        return with_grace(complete_tables(tables, self._until), self._settings.churn.grace_days)

    def _load(self, ids: list[str], logged: list[Any]) -> None:
        """Keep all rows of these customers, and their events, where `_select` looks for them."""
        for name in self._tables:
            self._load_rows(name, ids)
        counted, loaded = self._settings.counts_orders, self._loaded_contracts(logged)
        skew = self._settings.quality.clock_skew
        known = (self._zone, self._aliases, self._until, counted, self._dates, loaded, skew, self._shown)
        frames = event_frames(logged, *known)
        for name in self._tables:
            if name in self._no_events:
                key, events = TABLES[name].key, frames.get(name, self._no_events[name])
                own = self._backend.raw_sql(f"SELECT {key} FROM own_{name}").fetchall()
                elsewhere = self._superseded.get(name, set()).difference(row[0] for row in own)
                replace_temp_table(self._backend, events_table(name), events[~events[key].isin(elsewhere)])

    def _loaded_contracts(self, logged: list[Any]) -> LoadedContracts:
        """The rows that `_load` keeps of the contracts that these events are about."""
        ids = contract_ids(logged) if CONTRACTS in self._tables else []
        return loaded_contracts(self._backend.table(f"own_{CONTRACTS}"), ids) if ids else NOT_LOADED

    def _load_rows(self, name: str, ids: list[str]) -> None:
        query = f"SELECT * FROM {self._sql(name)} WHERE {_in_list(ids)}"
        self._backend.raw_sql(f"CREATE OR REPLACE TEMP TABLE own_{name} AS {query}")


def open_tables(
    backend: BaseBackend, folder: Path, settings: Settings, workspace: Workspace
) -> tuple[dict[str, ir.Table], list[Column]]:
    """The tables of a folder and the features computed from them, which must be those that are registered.

    Raises
    ------
    NotReadyError
        See `refresh`.
    StaycastError
        See `refresh`.
    """
    if settings.churn.kind == "label":
        raise StaycastError(NO_EVENTS)
    tables = read_tables(backend, folder)
    columns = features_of(tables, settings.columns, not settings.counts_orders)
    _require_registered(workspace, columns)
    return tables, columns


def complete_tables(tables: Mapping[str, ir.Table], until: datetime) -> dict[str, ir.Table]:
    """The tables with ``known_until`` in what happens, see `features.windows.clock` and `subscriptions_as_of` there.

    Parameters
    ----------
    tables
        Events included.
    until
        How far the tables were loaded, UTC without a zone.
    """
    out = {n: t.mutate(known_until=timestamp(until)) if n in CLOCKED else t for n, t in tables.items()}
    return out if "subscriptions" not in out else {**out, "subscriptions": with_states(out["subscriptions"])}


def complete_until(settings: Settings, until: datetime) -> tuple[str, datetime]:
    """The table that churn rests on, and how far it was loaded."""
    return BEGINS[settings.churn.kind][0], until


def _require_registered(workspace: Workspace, columns: Sequence[Column]) -> None:
    registered, current = load_schema(workspace.features).hash, schema_of(columns).hash
    if registered != current:
        raise NotReadyError(
            f"the features of workspace '{workspace.root}' have other columns ({registered}) than the tables and the "
            f"code give now ({current}): run `staycast features` once without --refresh"
        )


def _whole_second(as_of: datetime) -> datetime:
    naive = naive_utc(as_of)
    if naive.microsecond:
        raise StaycastError(f"a moment is a whole second, got {as_of.isoformat()}: leave out the fraction")
    return naive


def _create_fingerprints(backend: BaseBackend, tables: Mapping[str, ir.Table], as_of: datetime) -> None:
    """Table ``fingerprints``: one row a customer known at the moment, with a fingerprint of all rows known by then.

    ``recorded_at`` is left out: a row known by then is known, whenever it came. Whether a time lies ahead is part of
    it, so that it changes when the time has come.
    """
    time = f"TIMESTAMP '{as_of.isoformat(sep=' ')}'"
    parts = []
    for number, (name, table) in enumerate(tables.items()):
        is_contracts = name == "subscriptions"
        rows = known_contracts(table, "started_at", as_of) if is_contracts else known(table, TABLES[name].time, as_of)
        rows = rows.drop("recorded_at", *(c for c in ("known_until", SUPERSEDED) if c in rows.columns))
        times = [c for c, kind in rows.schema().items() if kind.is_timestamp()]
        ahead = "".join(f", {quote_identifier(c)} >= {time}" for c in times)
        parts.append(
            f"SELECT customer_id, hash({number}, bit_xor(row_print), count(*)) AS part FROM "
            f"(SELECT customer_id, hash(t{ahead}) AS row_print FROM ({backend.compile(rows)}) t) GROUP BY customer_id"
        )
    customers = backend.compile(customers_as_of(tables["customers"], as_of).select("customer_id"))
    backend.raw_sql(
        "CREATE OR REPLACE TEMP TABLE fingerprints AS SELECT customer_id, bit_xor(part) AS print "
        f"FROM ({' UNION ALL '.join(parts)}) SEMI JOIN ({customers}) USING (customer_id) GROUP BY customer_id"
    )


def _changed(backend: BaseBackend, before: Path, everyone: bool) -> tuple[list[str], list[str]]:
    """Customers whose fingerprint is new or another than before, and customers who have none any more."""
    if not before.is_file():
        raise NotReadyError("it is not known what the features online rest on: run `staycast features --again` once")
    old = f"read_parquet({quote_literal(str(before))})"
    differ = f"SELECT customer_id FROM fingerprints ANTI JOIN {old} old USING (customer_id, print) ORDER BY customer_id"
    touched = "SELECT customer_id FROM fingerprints ORDER BY customer_id" if everyone else differ
    removed = f"SELECT customer_id FROM {old} old ANTI JOIN fingerprints USING (customer_id) ORDER BY customer_id"
    first, second = ([row[0] for row in backend.raw_sql(query).fetchall()] for query in (touched, removed))
    return first, second


def _save_fingerprints(backend: BaseBackend, workspace: Workspace, without: Sequence[str] = ()) -> int:
    """Remember what is known now, and of how many customers.

    Not of those whose row was not written, so that they count as touched again.
    """
    if without:
        create_temp_table(backend, "unwritten", pd.DataFrame({"customer_id": without}, dtype=object))
        backend.raw_sql("DELETE FROM fingerprints WHERE customer_id IN (SELECT customer_id FROM unwritten)")
    with replacing_file(workspace.refresh / FINGERPRINTS) as part:
        backend.con.table("fingerprints").write_parquet(str(part))
    return int(backend.raw_sql("SELECT count(*) FROM fingerprints").fetchone()[0])


def _select_customers(backend: BaseBackend, tables: Mapping[str, ir.Table], ids: list[str]) -> dict[str, str]:
    """For each table the SQL that gives the rows of these customers."""
    touched = create_temp_table(backend, "touched", pd.DataFrame({"customer_id": ids}, dtype=object))
    return {n: str(backend.compile(t.semi_join(touched, "customer_id"))) for n, t in tables.items()}


def _sort_tables(backend: BaseBackend, tables: Mapping[str, ir.Table], workspace: Workspace) -> None:
    """Keep a copy of the tables sorted by customer: the rows of one are then found without reading all."""
    with replacing(workspace.refresh / SORTED_TABLES) as folder:
        for name, table in tables.items():
            to = quote_literal(str(folder / f"{name}.parquet"))
            query = f"SELECT * FROM ({backend.compile(table)}) ORDER BY customer_id"
            backend.raw_sql(f"COPY ({query}) TO {to} (FORMAT parquet, ROW_GROUP_SIZE {ROW_GROUP})")
        (folder / SORTED_FROM).write_text(_tables_state(workspace.tables), "utf-8")


def sorted_copy_is_current(workspace: Workspace) -> bool:
    """True if the copy of the tables that is sorted by customer holds what the tables hold."""
    return _is_sorted_copy(workspace, workspace.tables)


def _is_sorted_copy(workspace: Workspace, tables: Path) -> bool:
    state = workspace.refresh / SORTED_TABLES / SORTED_FROM
    return state.is_file() and state.read_text("utf-8") == _tables_state(tables)


def confirm_sorted_copy(workspace: Workspace) -> None:
    """Say that the sorted copy holds what the tables hold: the same rows were taken out of both."""
    (workspace.refresh / SORTED_TABLES / SORTED_FROM).write_text(_tables_state(workspace.tables), "utf-8")


def _tables_state(folder: Path) -> str:
    """Names, sizes and times of the tables: changes whenever an ingest replaces them."""
    files = [(p.name, p.stat()) for p in sorted(folder.glob("*.parquet"))]
    return repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in files])


def _workspace_state(workspace: Workspace, tables: Path) -> tuple[Any, ...]:
    """Changes whenever tables, features or their registration change."""
    schema = workspace.features / "schema.json"
    sorted_ = workspace.refresh / SORTED_TABLES / SORTED_FROM
    files = [(p.stat().st_mtime_ns, p.stat().st_ino) if p.is_file() else None for p in (schema, sorted_)]
    return (str(tables), _tables_state(tables), *files)


def _in_list(ids: Sequence[str], column: str = "customer_id") -> str:
    return f"{column} IN ({', '.join(map(quote_literal, ids))})" if ids else "false"
