"""What each kind of churn needs of the tables: when the data begins and ends, and how labels are computed.

``inactivity`` rests on orders, ``contract`` on subscriptions; either may have the other table beside it. ``label`` has
no dates and goes its own way, see `features.labels.ready_label`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial, reduce
from operator import or_
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from configs.errors import ConfigError, NotEnoughDataError
from configs.settings import Settings, ValueOfContracts, naive_utc
from features.labels.contract import contract_labels_as_of
from features.labels.gaps import Gap, find_gaps
from features.labels.inactivity import churned_column, labels_as_of, value_column, value_horizons
from features.labels.value_sources import TABLES, add_value, value_source, without_looking
from features.windows import SECONDS_A_DAY, timestamp

BEGINS = {"inactivity": ("orders", "ordered_at"), "contract": ("subscriptions", "started_at")}
EVENTS = (
    ("orders", "ordered_at"),
    ("subscriptions", "started_at"),
    ("subscriptions", "cancelled_at"),
    ("interactions", "occurred_at"),
)
LATE_SHARE, LATE_SINCE_DAYS = 0.005, 365


@dataclass(frozen=True)
class Knowledge:
    """Up to when what happened is known, and where not.

    Attributes
    ----------
    until
        The end of what is known, exclusive, UTC without a zone: no as-of date lies after it.
    labels_until
        Up to here everything that happened is surely recorded: a label whose window goes further is unknown. None:
        `until`.
    recorded_until
        Rows recorded up to here count. None: `until`.
    gaps
        Stretches without rows by table: a label whose window touches one is unknown.
    value_from
        What value is made of where there are contracts and orders, see `features.labels.value_sources`.
    """

    until: datetime
    labels_until: datetime | None = None
    recorded_until: datetime | None = None
    gaps: Mapping[str, tuple[Gap, ...]] = field(default_factory=dict)
    value_from: ValueOfContracts = "both"

    def in_gap(self, table: str, begins: datetime, days: int) -> ir.BooleanScalar | None:
        """True if days of ``[begins, begins + days)`` are missing in a table; None for one without gaps.

        Asked in SQL, so that labels are the same statement whatever the date.
        """
        time = timestamp(begins)
        inside = [
            (time > timestamp(gap.begins - timedelta(days=days))) & (time < timestamp(gap.ends))
            for gap in self.gaps.get(table, ())
        ]
        return reduce(or_, inside) if inside else None


def what_is_known(tables: Mapping[str, ir.Table], settings: Settings, loaded_at: datetime | None = None) -> Knowledge:
    """Up to when what happened is known, as far as the tables and ``data_until`` tell.

    Without ``data_until``, rows that come in late tell how long it takes until all of a day is recorded: labels end so
    long before the newest record, and all that is recorded counts. `loaded_at`: see `data_end`.

    Raises
    ------
    NotEnoughDataError
        See `end_of_known`.
    """
    until = end_of_known(tables, settings, loaded_at)
    names = [name for name, _ in BEGINS.values() if name in tables]
    gaps = {name: tuple(find_gaps(name, _rows_a_day(tables, name), until, settings.closed_days)) for name in names}
    source = value_source(tables, settings).name
    if settings.data_until_utc is not None:
        return Knowledge(until, gaps=gaps, value_from=source)
    name, time = BEGINS[settings.churn.kind]
    sure, newest = _recorded_span(tables[name], time, partial(_known_after, settings=settings, loaded_at=loaded_at))
    return Knowledge(until, min(until, sure or until), max(until, newest or until), gaps, source)


def _rows_a_day(tables: Mapping[str, ir.Table], name: str) -> pd.Series:
    """Rows by the day on which they happened (midnight UTC)."""
    time = dict(BEGINS.values())[name]
    rows = tables[name].filter(tables[name][time].notnull())
    counts = rows.group_by(day=rows[time].truncate("D")).agg(rows=rows.count()).to_pandas()
    return pd.Series(counts["rows"].to_numpy(), index=pd.DatetimeIndex(counts["day"]))


def _recorded_span(
    table: ir.Table, time: str, known_after: Callable[[Any], datetime]
) -> tuple[datetime | None, datetime | None]:
    """Up to when (nearly) all that happened is recorded, and the newest record; None where no row tells.

    How late rows come is seen in what was recorded in the last `LATE_SINCE_DAYS`; a share of `LATE_SHARE` may come
    later still. A row that was changed later counts from its newest change. Of dates alone the ends are compared: what
    was recorded on its day is not late. `known_after`: up to when what a newest time tells is known.
    """
    rows = table.filter(table.recorded_at.notnull(), table[time].notnull())
    newest = rows.recorded_at.max().execute()
    if pd.isna(newest):
        return None, None
    recorded = pd.Timestamp(newest).to_pydatetime()
    changes = [rows[name] for name in ("cancelled_at", "ended_at") if name in rows.columns]
    known = [ibis.ifelse(change <= rows.recorded_at, change, rows[time]).fill_null(rows[time]) for change in changes]
    since = rows.recorded_at >= timestamp(recorded - timedelta(days=LATE_SINCE_DAYS))
    late = _day_ends(rows.recorded_at) - _day_ends(ibis.greatest(rows[time], *known))
    seconds = float(late.clip(lower=0).cast("float64").quantile(1 - LATE_SHARE, where=since).execute())
    return known_after(newest) - timedelta(seconds=seconds), recorded


def _day_ends(time: ir.Value) -> ir.Value:
    """Seconds since 1970 of a time; of a date alone, those of the end of its day."""
    return time.epoch_seconds() + ibis.ifelse(time == time.truncate("D"), int(SECONDS_A_DAY), 0)


def first_event(tables: Mapping[str, ir.Table], settings: Settings) -> datetime:
    """When the first order was placed, or the first contract began.

    Raises
    ------
    NotEnoughDataError
        There is not a single usable one.
    """
    name, time = BEGINS[settings.churn.kind]
    first = pd.Timestamp(tables[name][time].min().execute())
    if pd.isna(first):
        raise NotEnoughDataError(f"{name}: not a single row can be used; the quarantine says why, row by row")
    return first.to_pydatetime()


def data_end(settings: Settings, newest: Iterable[Any], loaded_at: datetime | None = None) -> datetime | None:
    """Where the data ends, exclusive: as ``data_until`` says, else after the newest of these times. UTC without a zone.

    A moment is known of, and nothing after it. A date alone tells that its whole day is known, so that an order of the
    day before is one day old at the end of the data, as it is at the firsts of a month. But a day that was not over
    when the load was made is known up to then only.

    Parameters
    ----------
    settings
        Of the business.
    newest
        When the newest row of each table happened that tells how far the data goes; missing where a table has none.
    loaded_at
        When the load was made, UTC; None: the days of all dates were over.

    Returns
    -------
    datetime or None
        None if neither is there.

    Examples
    --------
    >>> from configs.settings import load
    >>> of_new_york = load("test").model_copy(update={"time_zone": "America/New_York"})
    >>> loads = (None, datetime(2024, 3, 2, 5), datetime(2024, 3, 2, 4), datetime(2024, 3, 1, 9))
    >>> [data_end(of_new_york, ["2024-03-01"], at).strftime("%m-%d %H:%M") for at in loads]
    ['03-02 00:00', '03-02 00:00', '03-01 23:00', '03-01 04:00']
    """
    if settings.data_until_utc is not None:
        return settings.data_until_utc
    return max((_known_after(time, settings, loaded_at) for time in newest if pd.notna(time)), default=None)


def _known_after(newest: Any, settings: Settings, loaded_at: datetime | None) -> datetime:
    """Up to when is known what a newest time tells, see `data_end`: never later than the load, by no clock."""
    time = pd.Timestamp(newest).to_pydatetime()
    just_after = time + timedelta(microseconds=1)
    if time != pd.Timestamp(time).normalize():  # no date alone
        return just_after
    ends = time + timedelta(days=1)
    if loaded_at is not None:
        loaded = pd.Timestamp(naive_utc(loaded_at)).floor("s").tz_localize("UTC")
        clocks = (loaded.tz_convert(zone).tz_localize(None) for zone in ("UTC", settings.time_zone))
        ends = min(ends, *(clock.to_pydatetime() for clock in clocks))
    return max(just_after, ends)


def end_of_known(tables: Mapping[str, ir.Table], settings: Settings, loaded_at: datetime | None = None) -> datetime:
    """The end of what is known, exclusive: as set; else after the newest order, or for contracts the newest event.

    The end of a contract may be set in advance, so it does not tell that the data goes so far. `loaded_at`: see
    `data_end`.

    Raises
    ------
    NotEnoughDataError
        No event has a time.
    """
    times = EVENTS if settings.churn.kind == "contract" else (BEGINS["inactivity"],)
    newest = (_happened(tables[name], time).max().execute() for name, time in times if name in tables)
    end = data_end(settings, newest, loaded_at)
    if end is None:
        raise NotEnoughDataError("no event tells how far the data goes; the quarantine says why, row by row")
    return end


def _happened(table: ir.Table, time: str) -> ir.Value:
    """When rows happened; a contract that was booked ahead, when that was recorded."""
    return ibis.least(table[time], table.recorded_at.fill_null(table[time])) if time == "started_at" else table[time]


def labels_at(
    tables: Mapping[str, ir.Table], customers: ir.Table, as_of: datetime, known: Knowledge, settings: Settings
) -> ir.Table:
    """Labels as of one date, one row per customer: ``customer_id, active, churned, clv, contacted``.

    Value is the net revenue of orders, what contracts cost, or both (`Knowledge.value_from`). A label over a gap is
    unknown.

    Parameters
    ----------
    tables
        All checked tables by name.
    customers
        The customers known then, one row each.
    as_of
        The as-of date, UTC without a zone.
    known
        Up to when what happened is known.
    settings
        Of the business.
    """
    own, _ = BEGINS[settings.churn.kind]
    named = without_looking(tables, settings) or known.value_from
    labels = _labels_from(own, tables, customers, as_of, known, settings, tables.get("contacts"))
    for other in set(TABLES[named]) - {own}:
        value = _labels_from(other, tables, customers, as_of, known, settings)
        labels = add_value(labels, value, add=own in TABLES[named])
    return _unknown_over_gaps(labels, as_of, known, settings, TABLES[named])


def _labels_from(
    name: str,
    tables: Mapping[str, ir.Table],
    customers: ir.Table,
    as_of: datetime,
    known: Knowledge,
    settings: Settings,
    contacts: ir.Table | None = None,
) -> ir.Table:
    """Labels that rest on one table alone."""
    compute = labels_as_of if name == "orders" else contract_labels_as_of
    end = known.labels_until or known.until
    recorded = known.recorded_until or end
    return compute(customers, tables[name], as_of, end, settings.churn, settings.clv, contacts, recorded)


def _unknown_over_gaps(
    labels: ir.Table, as_of: datetime, known: Knowledge, settings: Settings, value_from: tuple[str, ...]
) -> ir.Table:
    """Labels with null in place of those over a gap, for all customers: else stayers alone would be left."""
    churn, own = settings.churn, (BEGINS[settings.churn.kind][0],)
    windows = {
        "churned" if days == churn.horizon_days else churned_column(days): (own, days + settings.grace_days("churn"))
        for days in churn.all_horizons
    } | {
        "clv" if days == settings.clv.horizon_days else value_column(days): (value_from, days)
        for days in value_horizons(settings.clv)
    }
    lost = {
        name: [gap for table in read if (gap := known.in_gap(table, as_of, days)) is not None]
        for name, (read, days) in windows.items()
    }
    none = ibis.null("float64")
    return labels.mutate(**{n: ibis.ifelse(ibis.or_(*gaps), none, labels[n]) for n, gaps in lost.items() if gaps})


def require_amounts(tables: Mapping[str, ir.Table], settings: Settings) -> None:
    """Check that a value model, if there is to be one, has amounts to learn from.

    Raises
    ------
    ConfigError
        Contracts without a single price, and no orders that count.
    """
    if "clv" not in settings.tasks or "subscriptions" not in tables:
        return
    if "orders" in tables and settings.clv.contracts in (None, "orders"):
        return
    if int(tables["subscriptions"].price_per_month.count().execute()) == 0:
        raise ConfigError(
            "subscriptions: no contract has a price_per_month and no orders count, so no value can be forecast: "
            "map the price, give payments as orders if there are any, or set clv.forecast to false"
        )
