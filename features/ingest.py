"""From raw tables to checked ones. Every row is either used, or stands in quarantine with its reason.

A value is first read as what its column holds (`read_values`), then the table's rules are checked with pandera
(`check_table`). A table with too few usable rows is refused before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from configs.errors import DataError, nearest
from configs.settings import Settings
from configs.workspace import Workspace, fingerprint, replacing
from features import quality
from features.schema import TABLES, Field, Table, customers_table
from features.sources import loader

REQUIRED = ("customers", "orders")
CODE_VERSION = 1


@dataclass(frozen=True)
class Checked:
    """A table after its check: the rows to use, and the others with a column ``reason``."""

    table: Table
    used: pd.DataFrame
    quarantined: pd.DataFrame

    @property
    def valid_share(self) -> float:
        """Share of the rows read that can be used."""
        read = len(self.used) + len(self.quarantined)
        return len(self.used) / read if read else 0.0


def mark(settings: Settings) -> str:
    """A short hash of all that the checked tables depend on."""
    source = loader(settings.source.loader).mark(settings.source.options)
    return fingerprint(
        CODE_VERSION, source, settings.columns, settings.quality, settings.time_zone, settings.data_until
    )


def ingest(
    settings: Settings,
    workspace: Workspace,
    now: datetime | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, object]:
    """Load, check and store the tables of a business; write the quarantine and the quality report.

    Parameters
    ----------
    settings
        Of the business.
    workspace
        Where tables, quarantine and report go; what was there stays if anything is refused.
    now
        The present, in UTC; a row that happened later is not believed.
    say
        Told what is being done.

    Returns
    -------
    dict
        The quality report, see `features.quality.report`.

    Raises
    ------
    DataError
        A required table or column is missing, a table is empty, or too many of its rows cannot be used.
    """
    workspace.claim(settings.name)
    say(f"Reading {settings.source.loader}")
    raw = loader(settings.source.loader).load(settings.source.options)
    say("Checking every row")
    checked = check_tables(raw, settings, now or datetime.now(UTC))
    report = quality.report(checked, settings)
    _refuse_bad(checked, settings)
    say("Writing tables, quarantine and report")
    _write(checked, report, settings, workspace)
    return report


def check_tables(raw: dict[str, pd.DataFrame], settings: Settings, now: datetime) -> dict[str, Checked]:
    """Check every table, customers first: rows of other tables must belong to a known customer."""
    missing = [name for name in REQUIRED if name not in raw]
    if missing:
        raise DataError(f"no table {' and '.join(missing)} in the source: both customers and orders are needed")
    specs = {**TABLES, "customers": customers_table(settings.columns.attributes + settings.columns.sensitive)}
    customers = check_table(specs["customers"], raw["customers"], now)
    ids = set(customers.used["customer_id"])
    rest = {n: check_table(specs[n], raw[n], now, ids) for n in TABLES if n in raw and n != "customers"}
    return {"customers": customers, **rest}


def check_table(spec: Table, raw: pd.DataFrame, now: datetime, customers: set[str] | None = None) -> Checked:
    """Split one table into rows to use and rows with a reason against them.

    Parameters
    ----------
    spec
        What the table should look like.
    raw
        The table as its source gave it; it is not changed.
    now
        A row that happened at or after this moment is not believed.
    customers
        Ids a row's ``customer_id`` must be among; None for the customers themselves.

    Raises
    ------
    DataError
        The table is empty or lacks a required column.
    """
    if raw.empty:
        raise DataError(f"{spec.name}: the table is empty; one row per {spec.grain} is expected")
    _require_columns(spec, raw)
    frame, unread = read_values(spec, raw.reset_index(drop=True))
    broken = _broken_rules(spec, frame, now, customers)
    reasons = pd.concat([unread, broken[~broken.index.isin(unread.index)]]).groupby(level=0).agg("; ".join)
    bad = raw.reset_index(drop=True).loc[reasons.index].assign(reason=reasons)
    return Checked(spec, frame.drop(index=reasons.index).reset_index(drop=True), bad.reset_index(drop=True))


def read_values(spec: Table, raw: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Read every value as what its column holds; optional columns that are missing are added empty.

    Returns
    -------
    pandas.DataFrame, pandas.Series
        The table with exactly the columns of `spec`, and a reason for each row (by index) with an unreadable value.
    """
    columns, reasons = {}, []
    for field in spec.fields:
        given = raw[field.name] if field.name in raw else pd.Series(None, index=raw.index, dtype=object)
        columns[field.name] = _read(field, given)
        lost = columns[field.name].isna() & _given(given)
        if lost.any():
            what = {"time": "a time", "number": "a number"}.get(field.kind, "a text")
            reasons.append(field.name + ": " + given[lost].map(lambda value: repr(str(value)[:40])) + f" is not {what}")
    unread = pd.concat(reasons) if reasons else pd.Series(dtype=str)
    return pd.DataFrame(columns), unread


def _read(field: Field, given: pd.Series) -> pd.Series:
    if field.kind == "number":
        return _finite(pd.to_numeric(given, errors="coerce").astype("float64"))
    if field.kind == "time":
        return _utc(given)
    return _text(given)


def _finite(numbers: pd.Series) -> pd.Series:
    return numbers.where(np.isfinite(numbers))


def _utc(given: pd.Series) -> pd.Series:
    if not pd.api.types.is_datetime64_any_dtype(given):
        given = given.where(_given(given))
        given = pd.to_datetime(given, errors="coerce", utc=True, format="ISO8601")
    times = given.dt.tz_convert("UTC").dt.tz_localize(None) if given.dt.tz is not None else given
    return times.astype("datetime64[us]")


def _text(given: pd.Series) -> pd.Series:
    if pd.api.types.is_float_dtype(given) and (given.dropna() % 1 == 0).all():
        given = given.astype("Int64")
    text = given.astype("string").str.strip()
    return text.where(text.str.len() > 0)


def _given(values: pd.Series) -> pd.Series:
    return values.notna() & (values.astype("string").str.strip() != "").fillna(False).astype(bool)


def _require_columns(spec: Table, raw: pd.DataFrame) -> None:
    for field in spec.fields:
        if field.required and field.name not in raw.columns:
            raise DataError(
                f"{spec.name}: column '{field.name}' is missing{nearest(field.name, raw.columns)}; "
                f"the table has {', '.join(map(str, raw.columns))}; rename it under source.options.{spec.name}.columns"
            )


def _broken_rules(spec: Table, frame: pd.DataFrame, now: datetime, customers: set[str] | None) -> pd.Series:
    try:
        _rules(spec, now, customers).validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases.dropna(subset=["index"])
        return pd.Series(
            [f"{c}: {_RULES.get(r, r)}" for c, r in zip(cases["column"], cases["check"], strict=True)],
            index=cases["index"].astype(int),
            dtype=object,
        )
    return pd.Series(dtype=object)


_RULES = {
    "not_nullable": "is empty",
    "field_uniqueness": "occurs more than once; the first is used",
    "past": "lies in the future",
    "known_customer": "is no known customer",
}


def _rules(spec: Table, now: datetime, customers: set[str] | None) -> pa.DataFrameSchema:
    moment = pd.Timestamp(now).tz_convert("UTC").tz_localize(None)
    past = pa.Check(lambda times: times < moment, name="past", error="past")
    known = pa.Check(lambda ids: ids.isin(customers or set()), name="known_customer", error="known_customer")

    def checks(field: Field) -> list[pa.Check]:
        found = [past] if field.name == spec.time else []
        if field.name == "customer_id" and customers is not None:
            found.append(known)
        if field.at_least is not None:
            found.append(pa.Check.ge(field.at_least, error=f"is less than {field.at_least:g}"))
        return found

    return pa.DataFrameSchema(
        {
            f.name: pa.Column(
                nullable=f.nullable,
                checks=checks(f),
                unique=f.name == spec.key,
                report_duplicates="exclude_first",
            )
            for f in spec.fields
        }
    )


def _refuse_bad(checked: dict[str, Checked], settings: Settings) -> None:
    for name, one in checked.items():
        if one.valid_share < settings.quality.min_valid_share:
            top = one.quarantined["reason"].value_counts()
            raise DataError(
                f"{name}: only {one.valid_share:.1%} of {len(one.used) + len(one.quarantined):,} rows can be used, "
                f"{settings.quality.min_valid_share:.0%} are needed (quality.min_valid_share). "
                f"Most common reason ({top.iloc[0]:,} rows): {top.index[0]}. "
                "Correct the export or the column mapping; nothing was changed"
            )


def _write(checked: dict[str, Checked], report: dict[str, object], settings: Settings, workspace: Workspace) -> None:
    zone = ZoneInfo(settings.time_zone)
    with replacing(workspace.quarantine) as folder:
        for name, one in checked.items():
            one.quarantined.astype(str).to_parquet(folder / f"{name}.parquet", index=False)
    quality.write(report, workspace.reports / "quality")
    with replacing(workspace.tables) as folder:
        for name, one in checked.items():
            with_local_time(one, zone).to_parquet(folder / f"{name}.parquet", index=False)


def with_local_time(one: Checked, zone: ZoneInfo) -> pd.DataFrame:
    """Add hour, weekday (Monday 0) and day (since 1970) of the customers' own clock to the orders."""
    if one.table.name != "orders":
        return one.used
    local = one.used["ordered_at"].dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)
    return one.used.assign(
        local_hour=local.dt.hour.astype("int64"),
        local_weekday=local.dt.weekday.astype("int64"),
        local_day=(local.dt.normalize() - pd.Timestamp("1970-01-01")).dt.days.astype("int64"),
    )
