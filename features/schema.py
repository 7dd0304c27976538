"""What the tables look like, and which columns a feature row has.

`TABLES` says grain, columns and checks of every input table. `feature_columns` lists the features that can be
computed from the tables a business has. `FeatureSchema` is that list as data: saved beside the feature rows, read by
the feature repository, compared by serving.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from configs.errors import NotReadyError
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
from features.columns.attributes import attribute_columns
from features.columns.column import Column, columns_of

Kind = Literal["id", "time", "number", "text", "flag"]
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
REASON = "source_reason"  # a column of a raw table in which its source says why a row cannot be used
SOURCE_ROWS = "source_rows"  # a column of a raw table: of how many rows of the source each row was made
SOURCE_GRAIN = "source_grain"  # in ``attrs`` of such a table: what one row of the source is


@dataclass(frozen=True)
class Field:
    """One column of an input table.

    Attributes
    ----------
    name, kind
        Name, and what it holds: an id, a UTC time, a number, a text, or a flag (yes or no, true or false, 1 or 0).
    required
        The column must exist.
    nullable
        A row may leave it empty.
    at_least
        Smallest number allowed, or None.
    """

    name: str
    kind: Kind
    required: bool = True
    nullable: bool = False
    at_least: float | None = None


@dataclass(frozen=True)
class Table:
    """An input table: one row per `grain`, told apart by `key`, happening at `time`."""

    name: str
    grain: str
    key: str
    time: str
    fields: tuple[Field, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(f.name for f in self.fields)


def _optional(name: str, kind: Kind, at_least: float | None = None) -> Field:
    return Field(name, kind, required=False, nullable=True, at_least=at_least)


def _event_table(name: str, grain: str, key: str, time: str, *own: Field) -> Table:
    """A table of what happens to customers: which row, to whom, when, what, and when it became known."""
    keys = (Field(key, "id"), Field("customer_id", "id"), Field(time, "time"))
    return Table(name, grain, key, time, (*keys, *own, _optional("recorded_at", "time")))


CUSTOMERS = Table(
    "customers",
    "customer",
    key="customer_id",
    time="signed_up_at",
    fields=(Field("customer_id", "id"), Field("signed_up_at", "time"), _optional("recorded_at", "time")),
)
ORDERS = _event_table(
    "orders",
    "order",
    "order_id",
    "ordered_at",
    Field("amount", "number"),
    _optional("quantity", "number"),
    _optional("channel", "text"),
    _optional("category", "text"),
    _optional("discount", "number", at_least=0),
)
INTERACTIONS = _event_table(
    "interactions",
    "contact by the customer",
    "interaction_id",
    "occurred_at",
    Field("kind", "text"),
    _optional("value", "number"),
    _optional("channel", "text"),
)
CONTACTS = _event_table(
    "contacts",
    "treatment by the company",
    "contact_id",
    "contacted_at",
    Field("campaign", "text"),
    _optional("arm", "text"),
    _optional("cost", "number", at_least=0),
    _optional("redeemed_at", "time"),
)
SUBSCRIPTIONS = _event_table(
    "subscriptions",
    "contract period",
    "subscription_id",
    "started_at",
    _optional("ended_at", "time"),
    _optional("cancelled_at", "time"),
    _optional("renews_at", "time"),
    _optional("plan", "text"),
    _optional("price_per_month", "number", at_least=0),
)
PROFILES = Table(
    "profiles",
    "customer",
    key="customer_id",
    time="exported_at",
    fields=(
        Field("customer_id", "id"),
        Field("label", "flag", nullable=True),
        _optional("exported_at", "time"),
    ),
)
IDENTITIES = Table(
    "identities",
    "alias of a customer",
    key="alias",
    time="seen_at",
    fields=(
        Field("customer_id", "id"),
        Field("alias", "id"),
        _optional("source", "text"),
        Field("seen_at", "time"),
    ),
)
TABLES: Mapping[str, Table] = {t.name: t for t in (CUSTOMERS, ORDERS, SUBSCRIPTIONS, INTERACTIONS, CONTACTS, PROFILES)}
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "inactivity": ("customers", "orders"),
    "contract": ("customers", "subscriptions"),
    "label": ("profiles",),
}


def customers_table(attributes: Iterable[str]) -> Table:
    """The customers table with the columns that the business declares."""
    extra = tuple(Field(name, "text", required=True, nullable=True) for name in attributes)
    return Table(CUSTOMERS.name, CUSTOMERS.grain, CUSTOMERS.key, CUSTOMERS.time, CUSTOMERS.fields + extra)


def feature_columns(tables: Iterable[str], attributes: tuple[str, ...]) -> list[Column]:
    """All columns that can be computed from these tables, in a fixed order.

    Examples
    --------
    >>> [c.name for c in feature_columns(["orders"], ("region",))][:3]
    ['days_since_last_order', 'tenure_days', 'silent_share']
    """
    present = set(tables)
    present |= {"activity"} if "interactions" in present else set()
    modules = [m for m in MODULES if m is not contract or "subscriptions" in present]
    columns = [c for module in modules for c in columns_of(module) if c.table in present]
    return columns + attribute_columns(attributes)


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

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all features, in order."""
        return tuple(f.name for f in self.features)

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the features that hold text."""
        return tuple(f.name for f in self.features if f.dtype == "string")

    @property
    def hash(self) -> str:
        """A short hash of names, origins and types: the contract between features, models and serving."""
        text = json.dumps([(f.name, f.table, f.dtype) for f in self.features])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Write the schema beside the feature rows."""
        text = json.dumps({"hash": self.hash, "features": [asdict(f) for f in self.features]}, indent=1)
        (folder / SCHEMA_FILE).write_text(text, "utf-8")


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


def describe(feature: str, row: Mapping[str, Any]) -> str:
    """Describe the value of a feature for one customer in plain words, with the customer's own numbers.

    Examples
    --------
    >>> describe("days_since_last_order", {"days_since_last_order": 41.3, "median_gap_days": 9.0})
    'Last order 41 days ago; usual gap is 9 days'
    """
    known = _by_name()
    column = known[feature] if feature in known else attribute_columns((feature,))[0]
    return column.describe(row)


@cache
def _by_name() -> dict[str, Column]:
    return {c.name: c for module in MODULES for c in columns_of(module)}
