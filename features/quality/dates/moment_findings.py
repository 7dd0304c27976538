"""Who leaves between two moments: ends that lie in no label window, so that they are learned as if nobody had left.

Each moment looks at ``[moment, moment + horizon_days)``. Where moments lie farther apart than that, the days in between
belong to none: with firsts of the month and 30 days, the 31st. Contracts often end just there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import ibis
import pandas as pd
import pyarrow as pa

from configs.errors import NotEnoughDataError
from configs.settings import Settings
from features.contract_terms import OPTIONAL
from features.labels.by_kind import BEGINS, EVENTS, data_end
from features.labels.contract import leaving_times
from features.labels.moments import LONGEST_MONTH, as_of_dates, between_windows, days_apart
from features.quality.anomalies import Finding
from features.quality.check import ValidatedTable
from features.quality.dates.load_facts import newest_times
from features.sql import connect_duckdb
from features.tables import is_return
from features.windows import ENDLESS, timestamp

RULE = "ends_between_moments"
TERMS = dict.fromkeys(("subscription_id", "customer_id"), "string") | {
    **dict.fromkeys(("started_at", "recorded_at"), "timestamp(6)"),
    **OPTIONAL,
}


def moment_findings(checked: Mapping[str, ValidatedTable], settings: Settings, now: datetime) -> list[Finding]:
    """How many of those who left were looked at by no moment as they left; a warning, if there are any."""
    if settings.churn.kind == "label":
        return []
    table, column = BEGINS[settings.churn.kind]
    churn, by_contract = settings.churn, settings.churn.kind == "contract"
    window = churn.horizon_days if by_contract else churn.activity_days
    if table not in checked or window >= LONGEST_MONTH * settings.as_of.every_months:
        return []
    moments = _moments(checked, settings, now)
    apart = days_apart(moments)
    if apart <= window:
        return []
    one = checked[table]
    ends = _contract_ends(one, churn.grace_days) if by_contract else _last_purchases(one, window, moments[-1])
    missed = int(between_windows(ends, moments, window, back=not by_contract).sum())
    if not missed:
        return []
    key, what = ("horizon_days", "ends of contracts") if by_contract else ("activity_days", "silences")
    why = "each looks ahead" if by_contract else "who ordered longer ago counts as a customer no longer"
    total = int(ends.between(moments[0], moments[-1], inclusive="left").sum())
    got = (
        f"{missed:,} of {total:,} {what} fall between two moments and into no label window: moments lie up to "
        f"{apart} days apart, and {why} ({window} days, churn.{key}), so that these leavers count as none"
    )
    further = sorted({apart if days == window else days for days in churn.horizons_days})
    beside = f", horizons_days: {further}" if by_contract and window in churn.horizons_days else ""
    todo = f"say churn: {{{key}: {apart}{beside}}}"
    todo += ", or bring moments closer together by as_of.every_months" if settings.as_of.every_months > 1 else ""
    return [Finding(table, "ended_at" if by_contract else column, RULE, "warn", got, "every leaver in one", todo)]


def _moments(checked: Mapping[str, ValidatedTable], settings: Settings, now: datetime) -> list[datetime]:
    """Moments of the features, as far as the tables tell; none where there is too little history."""
    name, time = BEGINS[settings.churn.kind]
    events = [table for table, _ in EVENTS] if settings.churn.kind == "contract" else [name]
    given = {n: checked[n] for n in dict.fromkeys(events) if n in checked}
    end = data_end(settings, newest_times(given), now)
    first = pd.Series([part[time].min() for part in checked[name].parts([time])], dtype="datetime64[us]").min()
    try:
        return [] if end is None or pd.isna(first) else as_of_dates(first.to_pydatetime(), end, settings.as_of)
    except NotEnoughDataError:
        return []


def _contract_ends(one: ValidatedTable, grace_days: int) -> pd.Series:
    """When customers left: the end of their contracts, none following within the grace. Shape (n,), UTC."""
    names = [n for n in TERMS if n in one.used.columns]
    rows = pd.concat(list(one.parts(names)), ignore_index=True)
    with connect_duckdb() as connection:
        connection.register("contracts", pa.Table.from_pandas(rows, preserve_index=False))
        contracts = ibis.duckdb.from_connection(connection).table("contracts")
        typed = contracts.cast({n: kind for n, kind in TERMS.items() if n in names})
        breaks = leaving_times(typed, grace_days)
        return breaks.filter(breaks.end < timestamp(ENDLESS)).end.execute()


def _last_purchases(one: ValidatedTable, days: int, until: datetime) -> pd.Series:
    """The last purchases before silences of more than so many days, the end of the data being one. Shape (n,), UTC."""
    names = [n for n in ("customer_id", "ordered_at", "amount", "quantity") if n in one.used.columns]
    parts = (part.loc[~is_return(part), ["customer_id", "ordered_at"]] for part in one.parts(names))
    rows = pd.concat(list(parts), ignore_index=True).sort_values(["customer_id", "ordered_at"])
    following = rows.groupby("customer_id")["ordered_at"].shift(-1).fillna(pd.Timestamp(until))
    return rows.loc[following - rows["ordered_at"] > timedelta(days=days), "ordered_at"]
