"""Which columns a feature row has.

`feature_columns` lists the features that can be computed from the tables a business has. `FeatureSchema` is that list
as data: saved beside the feature rows, read by the feature repository, compared by serving.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

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


def feature_columns(tables: Iterable[str], attributes: tuple[str, ...]) -> list[Column]:
    """All columns that can be computed from these tables, in a fixed order.

    Examples
    --------
    >>> [c.name for c in feature_columns(["orders"], ("region",))][:3]
    ['days_since_last_order', 'tenure_days', 'silent_share']
    """
    present = set(tables)
    present |= {"activity"} if "interactions" in present else set()
    present |= {"trials"} if "subscriptions" in present else set()
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
