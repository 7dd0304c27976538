"""Ready-made exports: one row a customer, a label, perhaps the value that came, any other columns, and no dates.

There is one as-of date: `data_until`, or else the day of the ingest. Features are the columns as they stand: numbers as
float64, anything else as text. Nothing here can tell whether a column was known before the label came true.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from configs.errors import DataError, nearest
from configs.settings import Columns, Settings, naive_utc
from features.columns.attributes import attribute_columns
from features.columns.column import Column
from features.labels.profile_numbers import read_numbers
from features.schema import RESERVED, load_schema
from features.tables import CURRENCY, PROFILES, REASON, SOURCE_ROWS, Field, Kind, Table

VALUE = "realised_value"
OF_SOURCE = (REASON, SOURCE_ROWS, CURRENCY)  # what a source says of its rows, beside their columns
NOT_FEATURES = ("customer_id", "label", VALUE, "exported_at")
NO_EVENTS = (
    "churn.kind is 'label': a table of profiles takes no events; ingest the new export and run "
    "`staycast features --refresh`"
)
TAKEN = {*RESERVED, "part", *OF_SOURCE} - {*PROFILES.names, "signed_up_at", "recorded_at"}


@dataclass(frozen=True)
class ReadyTable:
    """Feature rows and labels as of the one date, as `features.build` writes them."""

    columns: list[Column]
    rows: pd.DataFrame
    labels: pd.DataFrame
    as_of: datetime

    @property
    def kept(self) -> pd.DataFrame:
        """The rows of who has not left: they are asked about, the others only teach."""
        return self.rows[(self.labels["churned"] != 1).to_numpy()].reset_index(drop=True)


def prepare(raw: Mapping[str, Any], settings: Settings, now: datetime) -> dict[str, Any]:
    """Give the profiles simple column names, numbers and the time of their export; other tables pass as they are.

    A name keeps letters, digits and underscores; anything else in it becomes an underscore. Columns under `exclude` go,
    and where `attributes` are declared, so do all that are neither declared nor sensitive. Rows without ``exported_at``
    take `data_until`, or else the last midnight before `now`, UTC. Without a label, for value
    alone, nobody is known to have left.

    Raises
    ------
    DataError
        Two columns would have one name, capitals aside, or a name that Staycast uses itself; there is no column of
        a name under `exclude`; an outcome is declared as a feature; or a value that came is named and not there, or
        there and not named.
    """
    if "profiles" not in raw:
        return {**raw, **_with_numeric_attributes(raw, settings)}
    profiles = _with_simple_names(_without(raw["profiles"], settings))
    _require_outcomes_apart(profiles, settings)
    if not settings.churn.forecast and "label" not in profiles:
        profiles = profiles.assign(label=None)
    if "exported_at" not in profiles:
        exported_at = settings.data_until_utc or pd.Timestamp(naive_utc(now)).normalize()
        profiles = profiles.assign(exported_at=pd.Timestamp(exported_at, tz="UTC"))
    left = {*NOT_FEATURES, *OF_SOURCE, *settings.columns.sensitive}
    return {**raw, "profiles": read_numbers(profiles, left, _with_given_signs(settings))}


def _require_outcomes_apart(profiles: pd.DataFrame, settings: Settings) -> None:
    """Check that label and value are outcomes and nothing else, and that the mapping names a value that is there."""
    declared = {*settings.columns.attributes, *settings.columns.sensitive}
    if outcomes := sorted(name for name in declared if name.casefold() in ("label", VALUE)):
        raise DataError(
            f"profiles: {', '.join(outcomes)} stand under columns.attributes or columns.sensitive, and are what is "
            "forecast: a model that read them would know the answer; take them out there"
        )
    unnamed = [str(name) for name in profiles if str(name).casefold() == VALUE]
    if unnamed and not settings.has_realised_value:
        raise DataError(
            f"profiles: the column '{unnamed[0]}' would be what customers brought in the time after the other columns "
            f"were known. If it is, say columns: {{{VALUE}: {unnamed[0]}}} under source.options.profiles, and the days "
            "over which it counts as clv.horizon_days, and it is forecast; if not, give it another name there, or "
            "leave it out by columns.exclude"
        )
    if settings.has_realised_value and VALUE not in profiles:
        raise DataError(
            f"profiles: source.options.profiles.columns names {VALUE}, and the table has no such column; it has "
            f"{', '.join(map(str, profiles))}"
        )


def _with_numeric_attributes(raw: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The customers, with attributes that are numbers read as such."""
    customers, names = raw.get("customers"), settings.columns.constant_attributes
    if customers is None or not names:
        return {}
    left = customers.columns.difference(list(names))
    return {"customers": read_numbers(customers, set(left), _with_given_signs(settings, "customers"), "customers")}


def _with_given_signs(settings: Settings, table: str = "profiles") -> tuple[str, ...]:
    """Columns whose numbers the mapping says how to read."""
    options = settings.source.options.get("tables", settings.source.options).get(table, {})
    numbers = options.get("numbers", {}) if isinstance(options, dict) else {}
    return tuple(column_name(name) for name in numbers)


def _without(profiles: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """The columns that are read."""
    declared = settings.columns
    simple = {str(name): column_name(name) for name in profiles}
    for name in declared.exclude:
        if name not in simple and column_name(name) not in simple.values():
            raise DataError(
                f"profiles: columns.exclude: there is no column '{name}'{nearest(name, simple)}; "
                f"the table has {', '.join(simple)}"
            )
    named = {VALUE} if settings.has_realised_value else set()
    if required := ({"customer_id", "label"} | named) & {*declared.exclude}:
        raise DataError(f"profiles: columns.exclude: {', '.join(sorted(required))} cannot be left out")
    exact = set(declared.exclude) & set(simple)
    out = exact | {n for n in simple if simple[n] in set(map(column_name, set(declared.exclude) - exact))}
    if declared.attributes:
        kept = {*declared.attributes, *declared.sensitive, *PROFILES.names, *OF_SOURCE}
        out |= {name for name in simple if not {name, simple[name]} & kept}
    return profiles[[name for name in profiles if str(name) not in out]]


def _with_simple_names(profiles: pd.DataFrame) -> pd.DataFrame:
    names = [n if n in OF_SOURCE else column_name(n) or f"column_{place}" for place, n in enumerate(profiles, start=1)]
    folded = [name.casefold() for name in names]
    twice = sorted({name for name in names if folded.count(name.casefold()) > 1})
    reserved = sorted({name for name in names if name.casefold() in TAKEN and name not in OF_SOURCE})
    if twice or reserved:
        is_said = "stands there more than once, capitals aside" if twice else "is used by Staycast itself"
        raise DataError(
            f"profiles: column name {', '.join(map(repr, twice or reserved))} {is_said}: give it another name under "
            "source.options.profiles.columns, or leave it out by columns.exclude"
        )
    return profiles.set_axis(names, axis=1)


def column_name(name: object) -> str:
    """A column's name with letters, digits and underscores only.

    >>> column_name(" Monthly charges (EUR)")
    'Monthly_charges_EUR'
    """
    return re.sub(r"\W+", "_", str(name).strip()).strip("_")


def table_of(profiles: pd.DataFrame, declared: Columns) -> Table:
    """The profiles table with all columns that these rows have; without a value that came, where they have none.

    A column of a numeric type is a number (`prepare` makes it one); any other is text, and so is a sensitive column.

    Raises
    ------
    DataError
        A declared column is missing.
    """
    for name in (*declared.attributes, *declared.sensitive):
        if name not in profiles:
            raise DataError(
                f"profiles: the declared column '{name}' is missing{nearest(name, profiles.columns)}; "
                f"the table has {', '.join(profiles.columns)}"
            )
    extra = tuple(
        Field(name, "text" if name in declared.sensitive else _kind(profiles[name]), nullable=True)
        for name in map(str, profiles)
        if name not in (*NOT_FEATURES, *OF_SOURCE)
    )
    own = tuple(field for field in PROFILES.fields if field.name != VALUE or VALUE in profiles)
    return replace(PROFILES, fields=own + extra)


def _kind(values: pd.Series) -> Kind:
    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    return "number" if is_number else "text"


def read_ready_table(profiles: pd.DataFrame, settings: Settings) -> ReadyTable:
    """Feature rows and labels from the checked profiles.

    Features are the declared attributes, or every column if none are declared; never a sensitive one, nor an outcome.
    The value is that of the table times ``clv.margin``, and unknown where the table leaves it empty.
    """
    excluded = {*NOT_FEATURES, *settings.columns.sensitive}
    names = settings.columns.attributes or tuple(str(c) for c in profiles if c not in excluded)
    as_of = profiles["exported_at"].max()
    columns = [_column(name, pd.api.types.is_numeric_dtype(profiles[name])) for name in names]
    stamp = pd.Series(pd.Timestamp(as_of, tz="UTC"), index=profiles.index).astype("datetime64[us, UTC]")
    keys = pd.DataFrame({"customer_id": profiles["customer_id"], "as_of": stamp})
    values = {c.name: profiles[c.name].astype("float64" if c.dtype == "float64" else object) for c in columns}
    labels = keys.assign(active=True, churned=profiles["label"].astype("float64"), clv=_value(profiles, settings))
    return ReadyTable(columns, keys.assign(**values), labels, as_of.to_pydatetime())


def _value(profiles: pd.DataFrame, settings: Settings) -> pd.Series | float:
    """What each customer brought, NaN where it is not known; NaN alone where no value is forecast."""
    return profiles[VALUE].astype("float64") * settings.clv.margin if "clv" in settings.tasks else float("nan")


def known_to_have_left(features: Path) -> set[str]:
    """Customers who left, as their ready label says; nobody where labels are computed, as they tell of the past there.

    Parameters
    ----------
    features
        The folder of the feature rows.
    """
    if not any(feature.table == PROFILES.name for feature in load_schema(features).features):
        return set()
    labels = pd.read_parquet(features / "labels.parquet", columns=["customer_id", "churned"])
    return set(labels["customer_id"][labels["churned"] == 1])


def count_known_to_have_left(features: Path) -> int:
    """How many customers `known_to_have_left` names."""
    if not any(feature.table == PROFILES.name for feature in load_schema(features).features):
        return 0
    churned = pq.read_table(features / "labels.parquet", columns=["churned"])["churned"]
    return int(pc.sum(pc.equal(churned, 1)).as_py() or 0)


def left_by_label(tables: Path, customer_ids: Sequence[str]) -> set[str]:
    """Of these customers, those who left as the label of a load says.

    Parameters
    ----------
    tables
        The folder of the checked tables of the load.
    """
    path = tables / f"{PROFILES.name}.parquet"
    rows = pq.read_table(
        path, columns=["customer_id"], filters=[("customer_id", "in", customer_ids), ("label", "=", 1)]
    )
    return set(rows["customer_id"].to_pylist())


def _column(name: str, is_number: bool) -> Column:
    dtype = "float64" if is_number else "string"
    return replace(attribute_columns((name,))[0], table="profiles", dtype=dtype, doc=f"Column '{name}' of the export.")
