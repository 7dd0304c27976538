"""What the columns of a contract mean: when it begins, when it ends, and whether it ever was one.

The facts of a row that hold at any moment stand here; what of them was known on a date, see
`features.windows.subscriptions_as_of`. Labels and features both rest on them, so that they cannot differ.

- A contract **begins** at ``started_at``, after a trial at ``trial_ends_at``.
- It **ends** at ``ended_at``. Without one, it ends at the latest of the notice (``cancelled_at``), the agreed end
  (``renews_at``) and the end of what is paid (``paid_until``); without any of them it goes on. ``cancel_at_period_end``
  says which of them a notice takes effect at: true, the end of the period (unknown if none is given); false, at once.
- Notice later on the day of a date-alone ``ended_at`` ends the contract when it is given; notice after the end counts
  for nothing. The day is over at ``ended_day_over``, by the clock of the business; without it, by UTC.
- It **never was one** if it ends before or as it begins (withdrawn, or a trial that was not converted), or if its
  ``status`` says so (``incomplete_expired``). While a trial runs, it is none yet.
- A time more than `ENDLESS_YEARS` years after the start (``9999-12-31``) stands for "no end".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

CONTRACTS = "subscriptions"
ENDLESS_YEARS = 50
ENDLESS = ("ended_at", "renews_at", "paid_until", "resumes_at", "cancelled_at")
OPTIONAL = {
    "ended_at": "timestamp(6)",
    "cancelled_at": "timestamp(6)",
    "renews_at": "timestamp(6)",
    "paid_until": "timestamp(6)",
    "trial_ends_at": "timestamp(6)",
    "paused_at": "timestamp(6)",
    "resumes_at": "timestamp(6)",
    "cancel_at_period_end": "float64",
    "status": "string",
    "ends_unannounced": "float64",
    "ended_day_over": "timestamp(6)",
    "known_until": "timestamp(6)",
    "grace_days": "float64",
}
NEVER_BEGAN = ("incomplete", "incomplete_expired", "draft", "abandoned")
IN_TRIAL = ("trialing", "in_trial", "trial", "on_trial")
ENDS_WITH_PERIOD = ("non_renewing", "pending_cancel", "pending_cancellation", "cancel_at_period_end")
OVER = ("canceled", "cancelled", "ended", "expired", "terminated", "churned", "closed", "completed")
WITHOUT_EFFECT = ("active", "live", "paused", "on_hold", "past_due", "unpaid", "overdue", "future")
STATUSES = (*NEVER_BEGAN, *IN_TRIAL, *ENDS_WITH_PERIOD, *OVER, *WITHOUT_EFFECT)


def status_word(status: Any) -> Any:
    """A status as it is compared, of one contract as a text, or of a table's (`ibis`): ``In-Trial`` is ``in_trial``.

    >>> status_word(" In-Trial")
    'in_trial'
    """
    return status.strip().lower().replace("-", "_").replace(" ", "_")


def status_words(status: pd.Series) -> pd.Series:
    """As `status_word`, of each row; missing stays missing.

    >>> status_words(pd.Series([" In-Trial", None])).tolist()
    ['in_trial', <NA>]
    """
    words = {text: status_word(str(text)) for text in status.dropna().unique()}
    return status.map(words).astype("string")


def with_grace(tables: Mapping[str, ir.Table], grace_days: int) -> dict[str, ir.Table]:
    """The tables, contracts with ``grace_days``: one that begins up to so many days after an end renews what ended.

    ``churn.grace_days`` of the business, as of labels. Without the column nothing is a renewal that does not begin
    with the end.
    """
    contracts = {n: t.mutate(grace_days=ibis.literal(float(grace_days))) for n, t in tables.items() if n == CONTRACTS}
    return {**tables, **contracts}


def with_terms(subscriptions: ir.Table) -> ir.Table:
    """Contracts with what their columns mean at any moment. One row per row of the table.

    Parameters
    ----------
    subscriptions
        Checked contracts; optional columns may be missing.

    Returns
    -------
    ibis.expr.types.Table
        All columns of `OPTIONAL`, "no end" as null and a cancellation after the end left out, and

        - ``begins_at``: when the contract begins, trials aside;
        - ``ends_at``: when it ended or will, as far as the row says; null: no end is known;
        - ``with_period`` (bool): notice takes effect at the end of the period; null: it is not said;
        - ``open_trial`` (bool): in a trial whose end is not known;
        - ``began`` (bool): no status says that it never began;
        - ``is_contract`` (bool): it is or was one, trials that were not converted aside.
    """
    s = subscriptions
    s = s.mutate(**{n: ibis.null(kind) for n, kind in OPTIONAL.items() if n not in s.columns})
    s = s.mutate(**{n: _unless_endless(s, s[n]) for n in ENDLESS})
    status = status_word(s.status)
    of_status = ibis.ifelse(status.isin(ENDS_WITH_PERIOD), True, ibis.null("boolean"))
    s = s.mutate(
        with_period=ibis.coalesce(s.cancel_at_period_end == 1, of_status),
        open_trial=(status.isin(IN_TRIAL) & s.trial_ends_at.isnull()).fill_null(False),
        begins_at=ibis.greatest(s.started_at, s.trial_ends_at.fill_null(s.started_at)),
        began=~status.isin(NEVER_BEGAN).fill_null(False),
    )
    noticed = s.with_period.fill_null(False) & s.recorded_at.notnull()
    cancelled_at = ibis.coalesce(s.cancelled_at, ibis.ifelse(noticed, s.recorded_at, ibis.null("timestamp(6)")))
    day_over = s.ended_day_over.fill_null(s.ended_at + ibis.interval(days=1))
    same_day = _is_date(s.ended_at) & ~_is_date(cancelled_at) & (cancelled_at > s.ended_at) & (cancelled_at < day_over)
    ended_at = ibis.ifelse(same_day.fill_null(False), cancelled_at, s.ended_at)
    after_end = (ended_at < cancelled_at).fill_null(False)
    s = s.mutate(ended_at=ended_at, cancelled_at=ibis.ifelse(after_end, _never(), cancelled_at))
    period_end = latest(s.renews_at, s.paid_until)
    has_length = is_after(period_end, s.begins_at)  # a period of none says nothing
    period_end = ibis.ifelse(has_length, period_end, _never())
    s = s.mutate(ends_at=ibis.coalesce(s.ended_at, end_without_record(s, s.cancelled_at, period_end)))
    is_contract = s.began & ~s.open_trial & (s.ends_at.isnull() | is_after(s.ends_at, s.begins_at))
    return s.mutate(is_contract=is_contract)


def end_without_record(s: ir.Table, cancelled_at: ir.Value, period_end: ir.Value) -> ir.Value:
    """When contracts end that have no ``ended_at``, from the notice and the end of their period; null: not known."""
    with_period = s.with_period.fill_null((s.ends_unannounced.fill_null(0.0) == 1) & period_end.isnull())
    by_notice = ibis.cases(
        (with_period & period_end.isnull(), _never()),
        (s.with_period == False, cancelled_at),  # noqa: E712
        else_=latest(cancelled_at, period_end),
    )
    return ibis.ifelse(cancelled_at.notnull(), by_notice, period_end)


def is_after(time: ir.Value, other: ir.Value) -> ir.BooleanValue:
    """By whole seconds: a moment at midnight is kept a microsecond later, to tell it from a date alone."""
    return whole_seconds(time) > whole_seconds(other)


def whole_seconds(time: ir.Value) -> ir.Value:
    """Whole seconds since 1970: DuckDB gives an epoch with fractions of a second and Spark without."""
    return time.epoch_seconds().cast("float64").floor()


def latest(first: ir.Value, second: ir.Value) -> ir.Value:
    """The later of two times, or the one that is there."""
    return ibis.greatest(first.fill_null(second), second.fill_null(first))


def _is_date(time: ir.Value) -> ir.BooleanValue:
    """A date alone: midnight UTC."""
    return time == time.truncate("D")


def _unless_endless(s: ir.Table, time: ir.Value) -> ir.Value:
    years = (time.epoch_seconds() - s.started_at.epoch_seconds()) / (365.25 * 86_400)
    return ibis.ifelse(years > ENDLESS_YEARS, _never(), time)


def _never() -> ir.Value:
    return ibis.null("timestamp(6)")
