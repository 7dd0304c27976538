"""As-of arithmetic: what was known on a date, and how long ago it was.

Every window is ``[as_of - days, as_of)``: closed at its old end, open at `as_of` itself. A row counts only
if it happened before it and had been recorded by then. All times are UTC without a zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir

from features.contract_terms import end_without_record, is_after, latest, whole_seconds, with_terms

SECONDS_A_DAY = 86_400.0
DAYS_A_MONTH = 30.4375
OVERLAP_DAYS = 14  # a contract that is booked to begin longer before another's end runs beside it
ENDLESS = datetime(9000, 1, 1)  # stands for no end where ends are compared


def known(table: ir.Table, happened: str, as_of: datetime) -> ir.Table:
    """Keep the rows that happened before `as_of` and were recorded by then; a row without record time was at once."""
    return recorded_by(table.filter(table[happened] < timestamp(as_of)), as_of)


def known_contracts(subscriptions: ir.Table, begins: str, as_of: datetime, now: ir.Value | None = None) -> ir.Table:
    """Contracts known as of a moment: those that began before it, and those that were booked by then to begin later.

    Without ``recorded_at`` nothing says since when a booking is known, so that it is not. `now`: where they are looked
    at from, see `contract_clock`.
    """
    rows = contracts_recorded_by(subscriptions, as_of)
    now = timestamp(as_of) if now is None else now
    return rows.filter((rows[begins] < now) | ((rows.started_at == rows[begins]) & rows.recorded_at.notnull()))


def contract_clock(rows: ir.Table, as_of: datetime) -> ir.Value:
    """Up to when a customer's contracts are known, as `clock` for what happens: a time, at most the as-of date.

    Where ``known_until`` says how far they were loaded, this is the first second from it on, or after the customer's
    newest record: of a contract that was to begin, to end or to be paid since, nothing says that it did.
    """
    now = timestamp(as_of)
    if "known_until" not in rows.columns:
        return now
    known_at = ibis.ifelse(rows.recorded_at <= now, rows.recorded_at, ibis.null("timestamp(6)"))
    newest = known_at.max().over(ibis.window(group_by=rows.customer_id))
    loaded = _last_known(rows)
    complete = ibis.greatest(newest.fill_null(loaded), loaded)
    return ibis.least(complete.truncate("s") + ibis.interval(seconds=1), now)


def contracts_recorded_by(subscriptions: ir.Table, until: datetime) -> ir.Table:
    """Contracts recorded by then (inclusive), each in the state that was known then (``superseded_at``)."""
    rows = recorded_by(subscriptions, until)
    if "superseded_at" not in rows.columns:
        return rows
    return rows.filter(rows.superseded_at.isnull() | (rows.superseded_at > timestamp(until)))


def recorded_by(table: ir.Table, until: datetime) -> ir.Table:
    """Keep the rows that had been recorded by then (inclusive); a row without record time was at once."""
    return table.filter(table.recorded_at.isnull() | (table.recorded_at <= timestamp(until)))


def _last_known(rows: ir.Table) -> ir.TimestampValue:
    """The newest time before ``known_until``, which is exclusive."""
    return rows.known_until - ibis.interval(microseconds=1)


def whole_second(time: datetime) -> datetime:
    """The first whole second that does not lie before a time.

    >>> whole_second(datetime(2024, 3, 1, 12, 0, 0, 1)).time(), whole_second(datetime(2024, 3, 1)).time()
    (datetime.time(12, 0, 1), datetime.time(0, 0))
    """
    whole = time.replace(microsecond=0)
    return whole if whole == time else whole + timedelta(seconds=1)


def timestamp(time: datetime) -> ir.TimestampScalar:
    """A time without a zone as a literal, to the microsecond."""
    return ibis.literal(time, type="timestamp(6)")


def days_before(time: ir.Value, as_of: datetime | ir.Value) -> ir.Value:
    """Days from a time to the as-of date (or a clock), with fractions; a time counts from the start of its second.

    DuckDB gives an epoch with fractions of a second and Spark without: both are brought to whole seconds.
    """
    return ((_epoch(as_of) if isinstance(as_of, datetime) else as_of) - whole_seconds(time)) / SECONDS_A_DAY


def clock(rows: ir.Table, happened: str, as_of: datetime, *later: ir.Value) -> ir.Value:
    """Up to when a customer's rows of a table are known, in whole seconds since 1970: at most up to the as-of date.

    Where ``known_until`` says how far the tables were loaded, this is the first second from it on, or after the newest
    row of the customer that happened or came since: that nothing else came does not say that nothing else happened.
    `later`: what else happened to a row, as far as it is known at the as-of date.
    """
    if "known_until" not in rows.columns:
        return _epoch(as_of)
    times = ibis.greatest(*(t.fill_null(rows[happened]) for t in (rows[happened], rows.recorded_at, *later)))
    newest = times.max().over(ibis.window(group_by=rows.customer_id))
    return ibis.least(whole_seconds(ibis.greatest(newest, _last_known(rows))) + 1.0, _epoch(as_of))


def _epoch(as_of: datetime) -> ir.Value:
    return ibis.literal((as_of - datetime(1970, 1, 1)).total_seconds(), type="float64")


def orders_as_of(orders: ir.Table, as_of: datetime) -> ir.Table:
    """Orders known as of a date. One row per order.

    Beside the table's columns it has

    - ``days_ago``: days from the order to the as-of date, or to where the customer's orders are known, see `clock`;
    - ``is_purchase``: false for a return, see `is_purchase`;
    - ``gap_days``: whole days since the customer's previous day with a purchase; null on the first such day.
    """
    rows = known(orders, "ordered_at", as_of)
    days_ago = days_before(rows.ordered_at, clock(rows, "ordered_at", as_of))
    rows = rows.mutate(days_ago=days_ago, is_purchase=is_purchase(rows))
    before = ibis.window(group_by=[rows.customer_id, rows.is_purchase], order_by=rows.ordered_at)
    gap = (rows.local_day - rows.local_day.lag().over(before)).nullif(0)
    return rows.mutate(gap_days=ibis.ifelse(rows.is_purchase, gap, ibis.null("int64")).cast("float64"))


def is_purchase(orders: ir.Table) -> ir.BooleanValue:
    """False for a return: a negative amount, or an amount of zero for a negative quantity. A gift is a purchase."""
    taken_back = (orders.quantity < 0).fill_null(False) if "quantity" in orders.columns else ibis.literal(False)
    return (orders.amount > 0) | ((orders.amount == 0) & ~taken_back)


def interactions_as_of(interactions: ir.Table, as_of: datetime) -> ir.Table:
    """Interactions known as of a date. One row per interaction, with ``days_ago``."""
    rows = known(interactions, "occurred_at", as_of)
    return rows.mutate(days_ago=days_before(rows.occurred_at, clock(rows, "occurred_at", as_of)))


def contacts_as_of(contacts: ir.Table, as_of: datetime) -> ir.Table:
    """Contacts known as of a date. One row per contact, with ``days_ago`` and ``redeemed_days_ago``.

    A redemption that came later is not known yet, although it stands in the same row.
    """
    rows = known(contacts, "contacted_at", as_of)
    redeemed = ibis.ifelse(rows.redeemed_at < timestamp(as_of), rows.redeemed_at, ibis.null("timestamp(6)"))
    until = clock(rows, "contacted_at", as_of, redeemed)
    return rows.mutate(days_ago=days_before(rows.contacted_at, until), redeemed_days_ago=days_before(redeemed, until))


def subscriptions_as_of(subscriptions: ir.Table, as_of: datetime) -> ir.Table:
    """Contracts known as of a date. One row per contract period that has begun; a trial is none until it is converted.

    What the columns mean, see `features.contract_terms`. An end that lies ahead stands in the row from the start, but
    was not known from the start. ``ended_at`` is known

    - if it has come before the date;
    - else, where ends are announced (``ends_unannounced`` is not 1): if the contract had been cancelled before it; or,
      for one that was never cancelled, if ``recorded_at`` says that the row was known as it stands. A ``recorded_at``
      that says only when the contract was made must not be given for rows that are changed later.

    Where ``known_until`` says how far contracts were loaded, they are looked at from there, or from the customer's
    newest record (`contract_clock`). Of a customer of whom one came, a contract whose period ended since, and that
    nobody had cancelled by then, is taken to go on: whether it was renewed is not known. Notice that is given later
    takes effect at the end of a period that is not known either, unless it says that it does at once.

    ``renews_at``, the end agreed when the contract was made, is always known. ``paid_until`` moves on with every
    payment: where it stands is known once it has come, or once notice was given; until then only that it lies ahead.
    A contract that was booked by then and begins later is no row yet. It is the *successor* of one that ends up to
    ``grace_days`` before it begins: that one is under notice, and comes to its end, as the successor does.

    Beside the table's columns the rows have

    - ``days_ago``: days from the beginning to the as-of date;
    - ``ends_in_days``: days from the as-of date to the end as it was known, agreed ends included; ``alive``: it is not
      past (an end at the date itself is not); ``notice``: it was cancelled, or an end ahead is known that nobody
      agreed at the start;
    - ``renews_in_days``: days to the agreed end, if it lies ahead; ``cancelled``: cancelled before the date;
    - ``is_paused``: alive, and within a pause;
    - ``is_current``: of the customer's contracts alive, the one that started last, see `_in_order`;
    - ``price_before``, ``plan_before``: of the customer's contract before this one;
    - ``paid``: price times months of 30.4375 days alive before the date, pauses left out.
    """
    none = ibis.null("timestamp(6)")
    rows, now, seconds = _looked_at(subscriptions, as_of)
    rows = known_contracts(rows, "begins_at", as_of, now)
    withdrawn_at = ibis.coalesce(rows.cancelled_at, rows.ended_at)
    rows = rows.filter(rows.is_contract | ((rows.begins_at >= now) & rows.began & (withdrawn_at >= now)))
    cancelled_at = ibis.ifelse(rows.cancelled_at < now, rows.cancelled_at, none)
    as_it_stands = cancelled_at.notnull() | (rows.cancelled_at.isnull() & rows.recorded_at.notnull())
    announced = as_it_stands & (rows.ends_unannounced.fill_null(0.0) != 1)
    ended_at = ibis.ifelse((rows.ended_at < now) | announced, rows.ended_at, none)
    is_paid_ahead = cancelled_at.isnull() & (rows.paid_until >= now).fill_null(False)
    renews_at = ibis.ifelse(is_paid_ahead & (rows.renews_at < now), none, rows.renews_at)
    paid_until = ibis.ifelse(is_paid_ahead, none, rows.paid_until)
    period_end = latest(renews_at, paid_until)
    planned = end_without_record(rows, cancelled_at, period_end)
    is_at_once = cancelled_at.notnull() & (rows.with_period == False).fill_null(False)  # noqa: E712
    is_unknown = (period_end >= rows.known_until) & (period_end < cancelled_at.fill_null(now)) & ~is_at_once
    planned = ibis.ifelse(is_unknown.fill_null(False), none, planned)
    rows = rows.mutate(ended_at=ended_at, cancelled_at=cancelled_at, end=ibis.coalesce(ended_at, planned))
    rows = _succeeded(rows.mutate(notice=rows.cancelled_at.notnull() | (rows.ended_at >= now).fill_null(False)), now)
    alive = rows.end.isnull() | (rows.end >= now)
    pause_ends = ibis.least(*(t.fill_null(now) for t in (rows.resumes_at, rows.end)), now)
    paused_days = (days_before(rows.paused_at, seconds) - days_before(pause_ends, seconds)).clip(lower=0.0)
    rows = rows.mutate(
        days_ago=days_before(rows.begins_at, seconds),
        ends_in_days=-days_before(rows.end, seconds),
        renews_in_days=ibis.ifelse(
            (rows.renews_at >= now) & ~rows.is_succeeded, -days_before(rows.renews_at, seconds), ibis.null("float64")
        ),
        alive=alive,
        cancelled=rows.cancelled_at.notnull(),
        notice=alive & rows.notice,
        is_paused=(alive & (rows.paused_at < now) & (rows.resumes_at.isnull() | (rows.resumes_at > now))).fill_null(
            False
        ),
        paused_days=paused_days.fill_null(0.0),
    )
    own = ibis.window(group_by=rows.customer_id, order_by=in_order(rows))
    newest = ibis.window(group_by=[rows.customer_id, rows.alive], order_by=[key.desc() for key in in_order(rows)])
    days_paid = rows.days_ago - (-rows.ends_in_days).fill_null(0.0).clip(lower=0.0) - rows.paused_days
    return rows.mutate(
        price_before=rows.price_per_month.lag().over(own),
        plan_before=rows.plan.lag().over(own),
        is_current=rows.alive & (ibis.row_number().over(newest) == 0),
        paid=rows.price_per_month * days_paid.clip(lower=0.0) / DAYS_A_MONTH,
    )


def _looked_at(subscriptions: ir.Table, as_of: datetime) -> tuple[ir.Table, ir.Value, datetime | ir.Value]:
    """Contracts with their terms, and from where they are looked at: as a time, and as `days_before` takes it."""
    rows = with_terms(subscriptions)
    if "known_until" not in subscriptions.columns:
        return rows, timestamp(as_of), as_of
    rows = rows.mutate(looked_at=contract_clock(rows, as_of))
    return rows, rows.looked_at, whole_seconds(rows.looked_at)


def in_order(contracts: ir.Table) -> list[ir.Value]:
    """What contracts of a customer are sorted by: beginning, of one moment the record, then the end, then the id.

    A missing record is older than any, a missing end later than any, and of two ids s10 comes after s9.
    """
    recorded = contracts.recorded_at.fill_null(timestamp(datetime(1, 1, 1)))
    end = contracts.end.fill_null(timestamp(ENDLESS))
    return [contracts.begins_at, recorded, end, contracts.subscription_id.length(), contracts.subscription_id]


def _succeeded(rows: ir.Table, now: ir.Value) -> ir.Table:
    """Contracts that have begun: ``end`` and ``notice`` of the successors that are booked, and ``is_succeeded``.

    Of the bookings those are one chain that follow the first without a break of more than ``grace_days``, as contracts
    do in labels. It succeeds a contract around whose end it begins: that many days after it at most, and no more than
    `OVERLAP_DAYS` before; what begins earlier runs beside it.
    """
    never, none = timestamp(ENDLESS), ibis.null("timestamp(6)")
    rows = rows.mutate(grace=rows.grace_days.fill_null(0.0) * SECONDS_A_DAY)
    rows = rows.mutate(booked=rows.begins_at >= now, ends=rows.end.fill_null(never))
    alike, order = [rows.customer_id, rows.booked], in_order(rows)
    reached = rows.ends.max().over(ibis.cumulative_window(group_by=alike, order_by=order))
    rows = rows.mutate(reached=reached)
    before = rows.reached.lag().over(ibis.window(group_by=alike, order_by=order))
    breaks = (rows.begins_at.epoch_seconds() - before.epoch_seconds() > rows.grace).fill_null(False)
    rows = rows.mutate(breaks=breaks.cast("int64"))
    chain = rows.breaks.sum().over(ibis.cumulative_window(group_by=alike, order_by=order))
    rows = rows.mutate(booked_next=rows.booked & (chain == 0))
    of_customer = ibis.window(group_by=rows.customer_id)
    rows = rows.mutate(
        booked_begins=ibis.ifelse(rows.booked_next, rows.begins_at, none).min().over(of_customer),
        booked_end=ibis.ifelse(rows.booked_next, rows.ends, none).max().over(of_customer),
        booked_runs=ibis.ifelse(rows.booked_next, ~rows.notice, False).any().over(of_customer),
    )
    rows = rows.filter(rows.begins_at < now)
    gap = rows.booked_begins.epoch_seconds() - rows.end.epoch_seconds()
    follows = (rows.end >= now) & gap.between(-OVERLAP_DAYS * SECONDS_A_DAY, rows.grace) & (rows.booked_end > rows.end)
    is_succeeded = follows.fill_null(False)
    return rows.mutate(
        is_succeeded=is_succeeded,
        notice=ibis.ifelse(is_succeeded, ~rows.booked_runs, rows.notice),
        end=ibis.ifelse(is_succeeded, rows.booked_end.nullif(never), rows.end),
    ).drop("grace", "booked", "ends", "reached", "breaks", "booked_next", "booked_begins", "booked_end", "booked_runs")


def bookings_as_of(subscriptions: ir.Table, as_of: datetime) -> ir.Table:
    """Contracts booked as of a date that begin later. One row per contract, with ``days_ago`` (not positive)."""
    rows, now, seconds = _looked_at(subscriptions, as_of)
    rows = known_contracts(rows, "begins_at", as_of, now)
    withdrawn_at = ibis.coalesce(rows.cancelled_at, rows.ended_at)
    withdrawn = (withdrawn_at < now) & (rows.ends_at <= rows.begins_at)
    rows = rows.filter(rows.begins_at >= now, rows.began, ~rows.open_trial, ~withdrawn.fill_null(False))
    return rows.mutate(days_ago=days_before(rows.begins_at, seconds))


def trials_as_of(subscriptions: ir.Table, as_of: datetime) -> ir.Table:
    """Trials known as of a date. One row per contract that began with one.

    Beside the table's columns: ``days_ago``, days since the trial began; ``is_running``; ``is_lost``: it is over, and
    no contract came of it.
    """
    rows, now, seconds = _looked_at(subscriptions, as_of)
    rows = rows.filter(rows.open_trial | is_after(rows.trial_ends_at, rows.started_at))
    rows = contracts_recorded_by(rows.filter(rows.started_at < now), as_of)
    over = (rows.ended_at < now) | ((rows.trial_ends_at < now) & ~rows.open_trial)
    over = over.fill_null(False)
    return rows.mutate(
        days_ago=days_before(rows.started_at, seconds), is_running=~over, is_lost=over & ~rows.is_contract
    )


def activity_as_of(tables: Mapping[str, ir.Table], as_of: datetime) -> ir.Table:
    """What a customer is known to have done of own accord: purchases (if there are orders) and interactions.

    One row each: ``customer_id, days_ago``. A payment that failed is an interaction, but none of the customer's doing.
    """
    interactions = interactions_as_of(tables["interactions"], as_of)
    rows = interactions.filter(interactions.kind != "payment_failed").select("customer_id", "days_ago")
    if "orders" not in tables:
        return rows
    orders = orders_as_of(tables["orders"], as_of)
    return rows.union(orders.filter(orders.is_purchase).select("customer_id", "days_ago"))


def attribute_changes_as_of(changes: ir.Table, as_of: datetime) -> ir.Table:
    """The newest change of each attribute of each customer known as of a date, with ``days_ago``."""
    rows = known(changes, "changed_at", as_of)
    by_number = (rows.change_id.length().desc(), rows.change_id.desc())  # of one moment: 10 comes after 9
    newest = ibis.window(group_by=[rows.customer_id, rows.attribute], order_by=[rows.changed_at.desc(), *by_number])
    rows = rows.mutate(days_ago=days_before(rows.changed_at, as_of), place=ibis.row_number().over(newest))
    return rows.filter(rows.place == 0).drop("place")


AS_OF = {
    "orders": orders_as_of,
    "subscriptions": subscriptions_as_of,
    "interactions": interactions_as_of,
    "contacts": contacts_as_of,
    "attribute_changes": attribute_changes_as_of,
}
OF_CONTRACTS = {"trials": trials_as_of, "bookings": bookings_as_of}


def as_of_table(name: str, tables: Mapping[str, ir.Table], as_of: datetime) -> ir.Table:
    """One of the tables that columns are computed from, as known then; a key of `OF_CONTRACTS` is one made of them."""
    if name in OF_CONTRACTS:
        return OF_CONTRACTS[name](tables["subscriptions"], as_of)
    return activity_as_of(tables, as_of) if name == "activity" else AS_OF[name](tables[name], as_of)


def after(table: ir.Table, happened: str, as_of: datetime, horizon_days: int) -> ir.Table:
    """Keep the rows of the label window ``[as_of, as_of + horizon)``."""
    time = table[happened]
    return table.filter(time >= timestamp(as_of), -days_before(time, as_of) < float(horizon_days))


def within(table: ir.Table, days: int) -> ir.Value:
    """True for rows of the window ``[as_of - days, as_of)``."""
    return table.days_ago <= days


def rows_per_day(table: ir.Table, where: ir.Value | None = None) -> ir.Value:
    """Rows a day since the first of them, counted as at least a day ago: nobody has a pace within hours."""
    return table.count(where=where) / table.days_ago.max(where=where).clip(lower=1.0)
