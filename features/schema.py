"""Which columns a feature row has.

`feature_columns` lists the features that can be computed from the tables a business has. `FeatureSchema` is that list
as data: saved beside the feature rows, read by the feature repository, compared by serving.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from configs.errors import DataError, NotReadyError
from configs.settings import Columns
from features.columns import (
    activity,
    breadth,
    campaign,
    contract,
    discount,
    engagement,
    frequency,
    recency,
    regularity,
    season,
    spend,
    support,
    timing,
    trend,
)
from features.columns.attributes import attribute_columns, changing_attribute_columns
from features.columns.column import Column, columns_of, first_text
from features.columns.topics import TEXTS, topic_of
from features.tables import LARGEST

MODULES = (
    recency,
    frequency,
    spend,
    trend,
    regularity,
    season,
    discount,
    timing,
    breadth,
    engagement,
    activity,
    support,
    campaign,
    contract,
)
SCHEMA_FILE = "schema.json"
SEASON = "season"
SEASON_COLUMNS = tuple(c.name for c in columns_of(season) if c.table == SEASON)
SEASON_VALUE, SEASON_YEAR, SEASON_SILENCE, SEASON_GAP, *_STEPS = SEASON_COLUMNS
SEASON_STEPS = tuple(_STEPS[:2])  # of two other horizons, in the order of `features.labels.horizons.season_pairs`
SEASON_LONGER = tuple(_STEPS[2:5])  # of the steps beyond value's main horizon, the nearest first; no model takes them
EVENTS_OF = dict(zip((SEASON_VALUE, SEASON_YEAR), _STEPS[5:], strict=True))  # what of them events make; none takes it
RESERVED = (
    "customer_id", "signed_up_at", "recorded_at", "as_of", "known_at", "event_timestamp", "created_timestamp",
    "created", "active", "churned", "contacted", "training_weight", "clv", "forecast", "baseline", "prediction",
    "low", "high", "value", "label", "exported_at",
)  # fmt: skip
SHARES = ("weekend_share", "morning_share", "evening_share", "redemption_share", "discounted_orders_share_90d")
LABEL = re.compile(r"churned_\d+")


def feature_columns(
    tables: Iterable[str], attributes: tuple[str, ...], changing: tuple[str, ...] = (), numbers: Collection[str] = ()
) -> list[Column]:
    """All columns that can be computed from these tables, in a fixed order.

    Parameters
    ----------
    tables
        Names of the tables, or the tables by name: an attribute is then a number if its column is.
    attributes
        Attributes that stand in the customers table.
    changing, numbers
        Attributes that stand in attribute_changes, left out if there is no such table; and which of them are numbers.

    Examples
    --------
    >>> [c.name for c in feature_columns(["orders"], ("region",))][:3]
    ['days_since_last_order', 'tenure_days', 'silent_share']
    """
    present = set(tables)
    present |= {"activity"} if "interactions" in present else set()
    present |= {SEASON} if "orders" in present else set()
    present |= {"trials", "bookings"} if "subscriptions" in present else set()
    modules = [m for m in MODULES if m is not contract or "subscriptions" in present]
    columns = [c for module in modules for c in columns_of(module) if c.table in present]
    typed = tables["customers"].schema() if attributes and isinstance(tables, Mapping) else {}
    numeric = [name for name in attributes if name in typed and typed[name].is_numeric()]
    dated = changing_attribute_columns(changing, numbers) if "attribute_changes" in present else []
    return columns + attribute_columns(attributes, numeric) + dated


@dataclass(frozen=True)
class Feature:
    """One column of the feature rows, as data."""

    name: str
    table: str
    dtype: str
    doc: str


@dataclass(frozen=True)
class FeatureSchema:
    """The columns of the feature rows of one workspace."""

    features: tuple[Feature, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all features, in order."""
        return tuple(f.name for f in self.features)

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """Names of the features that hold text."""
        return tuple(f.name for f in self.features if f.dtype == "string")

    @property
    def views(self) -> dict[str, list[str]]:
        """Names of the features by the view that Feast has of each table."""
        tables = dict.fromkeys(f.table for f in self.features)
        return {f"customer_{table}": [f.name for f in self.features if f.table == table] for table in tables}

    @property
    def hash(self) -> str:
        """A short hash of names, origins and types: the contract between features, models and serving."""
        text = json.dumps([(f.name, f.table, f.dtype) for f in self.features])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Write the schema beside the feature rows."""
        text = json.dumps({"hash": self.hash, "features": [asdict(f) for f in self.features]}, indent=1)
        (folder / SCHEMA_FILE).write_text(text, "utf-8")


def features_of(tables: Iterable[str], declared: Columns, amounts: bool = True) -> list[Column]:
    """The features of a business: all that its tables give, and the attributes that it declares.

    Without amounts, where each order counts as one, a column of amounts is one only if it means something then.
    """
    columns = feature_columns(tables, declared.constant_attributes, declared.changing_attributes, declared.numbers)
    return columns if amounts else [c for c in columns if c.counted or not c.of_amounts]


def require_free_names(declared: Columns) -> None:
    """Refuse declared columns whose names are taken, as Feast and SQL tell names apart: without regard to case.

    Raises
    ------
    DataError
        Names every one of them, and what to do.
    """
    names = [*declared.attributes, *declared.sensitive]
    lower = [name.lower() for name in names]
    features = {name.lower() for name in _by_name()}
    taken = [n for n in declared.attributes if n.lower() in features or LABEL.fullmatch(n.lower())]
    taken += [n for n in names if n.lower() in RESERVED]
    twice = [n for n in names if lower.count(n.lower()) > 1]
    if clashes := list(dict.fromkeys([*taken, *twice])):
        raise DataError(
            f"columns: {', '.join(map(repr, clashes))} {'have names' if len(clashes) > 1 else 'has a name'} that a "
            "feature, a label or another declared column has, upper and lower case being one: call each something else "
            f"under source.options.customers.columns (crm_{clashes[0].lower()}: {clashes[0]}) and under columns"
        )


def schema_of(columns: Iterable[Column]) -> FeatureSchema:
    """The schema of these columns."""
    return FeatureSchema(tuple(Feature(c.name, c.table, c.dtype, c.doc) for c in columns))


def load_schema(folder: Path) -> FeatureSchema:
    """Read the schema that was saved beside the feature rows.

    Raises
    ------
    NotReadyError
        No features were built yet.
    """
    path = folder / SCHEMA_FILE
    if not path.is_file():
        raise NotReadyError(f"no features at {folder}: run `staycast features` first")
    return FeatureSchema(tuple(Feature(**f) for f in json.loads(path.read_text("utf-8"))["features"]))


def features_folder() -> Path:
    """The feature rows of the workspace named by the environment variable STAYCAST_WORKSPACE."""
    return Path(os.environ.get("STAYCAST_WORKSPACE", ".")).resolve() / "state" / "features"


def describe(feature: str, row: Mapping[str, Any], currency: str = "") -> str:
    """Describe the value of a feature for one customer in plain words, with the customer's own numbers.

    Parameters
    ----------
    feature
        Name of the column.
    row
        The customer's columns by name.
    currency
        ISO 4217, told beside amounts; ``XXX``: the business has no amounts, and each order counts as one.

    Examples
    --------
    >>> describe("days_since_last_order", {"days_since_last_order": 41.3, "median_gap_days": 9.0})
    'Last order 41 days ago; usual gap is 9 days'
    >>> describe("spend_30d", {"spend_30d": 12.0}, "EUR")
    'Spent 12.00 EUR in the last 30 days'
    """
    known = _by_name()
    column = known[feature] if feature in known else attribute_columns((feature,))[0]
    return column.describe(row, currency)


def describe_topic(feature: str, row: Mapping[str, Any], currency: str = "") -> str:
    """Describe what the topic of a feature says of one customer, see `features.columns.topics`; else as `describe`.

    Examples
    --------
    >>> row = {"days_since_last_order": 41.3, "median_gap_days": 9.0, "orders_total": 7.0}
    >>> describe_topic("orders_total", row)
    'Last order 41 days ago, usually one every 9 days; 7 orders so far'
    """
    texts = TEXTS.get(topic_of(feature))
    return describe(feature, row, currency) if texts is None else first_text(texts, row, currency)


def value_fault(feature: str, value: float) -> str:
    """Why a feature cannot have a value, in words; empty where it can.

    A count is whole and not negative, a time since is not negative, a share lies between 0 and 1.

    Examples
    --------
    >>> value_fault("orders_30d", 2.5), value_fault("days_since_last_order", -1.0), value_fault("spend_30d", -20.0)
    ('must be a whole number', 'must not be negative', '')
    """
    column = _by_name().get(feature)
    text = column.texts[0] if column and column.texts else ""
    if abs(value) > LARGEST:
        return f"must not be larger than {LARGEST:g}"
    if value < 0 and (re.search(r"{value:(count|times)|since|_gap_days", f"{text} {feature}") or "share" in feature):
        return "must not be negative"
    if value > 1 and feature in SHARES:
        return "must not be larger than 1: it is a share"
    return "must be a whole number" if "{value:count " in text and value % 1 and feature != "units_90d" else ""


def of_customers(names: Iterable[str]) -> list[str]:
    """The columns of customers: all but the season of the business, which all of one moment share."""
    return [name for name in names if name not in SEASON_COLUMNS]


@cache
def _by_name() -> dict[str, Column]:
    return {c.name: c for module in MODULES for c in columns_of(module)}
