"""One table's check: each row is usable, or has a reason against it.

A value is first read as what its column holds (`read_values`), then the table's rules are checked with pandera
(`check_table`).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from configs.errors import DataError, nearest
from configs.settings import Columns
from features.schema import TABLES, Field, Table, customers_table

REQUIRED = ("customers", "orders")


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


def check_tables(raw: dict[str, pd.DataFrame], declared: Columns, now: datetime) -> dict[str, Checked]:
    """Check every table, customers first: rows of other tables must belong to a known customer."""
    missing = [name for name in REQUIRED if name not in raw]
    if missing:
        raise DataError(f"no table {' and '.join(missing)} in the source: both customers and orders are needed")
    specs = {**TABLES, "customers": customers_table(declared.attributes + declared.sensitive)}
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
    reasons = _join([unread, broken[~broken.index.isin(unread.index)]])
    bad = raw.reset_index(drop=True).loc[reasons.index].assign(reason=reasons)
    return Checked(spec, frame.drop(index=reasons.index).reset_index(drop=True), bad.reset_index(drop=True))


def _join(parts: list[pd.Series]) -> pd.Series:
    """All reasons against each row in one text, by the row's index."""
    filled = [part for part in parts if len(part)]
    return pd.concat(filled).groupby(level=0).agg("; ".join) if filled else pd.Series(dtype=object)


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # pandera's own, while it collects what failed
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
