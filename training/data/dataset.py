"""Customers x moments with their labels: what a model learns from, read through the feature store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from configs.errors import NotEnoughDataError, NotReadyError
from configs.fingerprint import files_fingerprint
from configs.settings import Minimum
from configs.workspace import Workspace
from features.labels.inactivity import CONTACTED, churned_column
from features.schema import FeatureSchema, load_schema
from training.model.bundle import Task, encode

LABEL = {"churn": "churned", "clv": "clv"}
WEIGHT = "training_weight"


@dataclass(frozen=True)
class Dataset:
    """Labelled rows of one task. One row per customer and moment, sorted by moment and customer.

    Attributes
    ----------
    task
        ``churn`` or ``clv``.
    frame
        ``customer_id, as_of``, the features, and ``label``; for churn also ``contacted``, and ``churned_<days>`` and
        ``contacted_<days>`` of further horizons, and what `training.data.treatment` adds.
    schema
        Of the feature rows.
    fingerprint
        A hash of the feature rows and labels.
    by
        The column that folds and hold-out go by: ``as_of``, or ``part`` where the data has no dates.
    treatment
        What was done about customers who were contacted, in numbers, see `training.data.treatment`.
    """

    task: Task
    frame: pd.DataFrame
    schema: FeatureSchema
    fingerprint: str
    by: Literal["as_of", "part"] = "as_of"
    treatment: dict[str, Any] = field(default_factory=dict)

    @property
    def as_ofs(self) -> list[pd.Timestamp]:
        """The labelled moments, rising."""
        return sorted(self.frame["as_of"].unique())

    def at(self, moments: Iterable[Any]) -> pd.DataFrame:
        """The rows of some moments, or of some groups of customers where the data has no dates."""
        return self.frame[self.frame[self.by].isin(list(moments))].reset_index(drop=True)

    def training_rows(self, moments: Iterable[Any], weight: str = WEIGHT) -> pd.DataFrame:
        """As `at`, without the rows that shall teach nothing: those of weight 0 in a column, where it exists."""
        rows = self.at(moments)
        return rows[rows[weight] > 0].reset_index(drop=True) if weight in rows else rows

    def newest(self, moments: Iterable[Any]) -> pd.DataFrame:
        """The rows of the newest of some moments; without dates, of all groups."""
        rows = self.at(moments)
        return rows[rows["as_of"] == rows["as_of"].max()].reset_index(drop=True)


@dataclass(frozen=True)
class Matrix:
    """Rows as a model takes them: ``x`` of shape (n, features), ``y`` and ``weight`` of shape (n,); None: all alike."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None = None


@dataclass(frozen=True)
class Encoder:
    """Which columns a model takes, and the known values of its categories: learned from training rows alone."""

    features: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]

    @cached_property
    def category_places(self) -> list[int]:
        """Where the category columns stand."""
        return [i for i, name in enumerate(self.features) if name in self.categories]

    def __call__(self, rows: pd.DataFrame) -> Matrix:
        """Encode labelled rows."""
        x = encode(rows, self.features, self.categories)
        return Matrix(x, rows["label"].to_numpy(np.float64), weight_of(rows))


def weight_of(rows: pd.DataFrame) -> np.ndarray | None:
    """The weight of each row, shape (n,); None if all weigh alike."""
    if WEIGHT not in rows or (rows[WEIGHT] == 1).all():
        return None
    return rows[WEIGHT].to_numpy(np.float64)


def weight_column(days: int, main: int) -> str:
    """The column of weights for a horizon: ``training_weight``, or ``training_weight_60`` of a further one."""
    return WEIGHT if days == main else f"{WEIGHT}_{days}"


def learn_encoder(rows: pd.DataFrame, schema: FeatureSchema) -> Encoder:
    """Keep the features that vary in these rows, and note the values of the categories."""
    varying = tuple(name for name in schema.names if rows[name].nunique(dropna=False) > 1)
    categories = {name: tuple(sorted(rows[name].dropna().unique())) for name in schema.categories if name in varying}
    return Encoder(varying, categories)


def load(workspace: Workspace, task: Task) -> Dataset:
    """Read the labelled rows of a task through Feast's offline store.

    For churn, only customers who were active at the moment; a label that is not known yet leaves its row out.

    Raises
    ------
    NotReadyError
        No features were built yet.
    """
    from features.store import feature_store

    path = workspace.features / "labels.parquet"
    if not path.is_file():
        raise NotReadyError(f"no labels in workspace '{workspace.root}': run `staycast features` first")
    labels = pd.read_parquet(path)
    known = labels[labels[LABEL[task]].notna()]
    if known.empty:
        return _unlabelled(workspace, task)
    rows = feature_store.training_rows(workspace, known, task)
    beside = (churned_column(""), CONTACTED) if task == "churn" else ()
    told = [name for name in known if name == LABEL[task] or str(name).startswith(beside)]
    merged = rows.merge(known[["customer_id", "as_of", *told]], on=["customer_id", "as_of"], validate="1:1")
    frame = merged.rename(columns={LABEL[task]: "label"}).sort_values(["as_of", "customer_id"], ignore_index=True)
    return Dataset(
        task, frame, load_schema(workspace.features), files_fingerprint(workspace.features.glob("*.parquet"))
    )


def _unlabelled(workspace: Workspace, task: Task) -> Dataset:
    """No outcome is known yet: the columns of the rows, without a row."""
    schema = load_schema(workspace.features)
    rows = pd.read_parquet(workspace.features / "rows.parquet", columns=["customer_id", "as_of", *schema.names])
    mark = files_fingerprint(workspace.features.glob("*.parquet"))
    return Dataset(task, rows.head(0).assign(label=pd.Series(dtype=float)), schema, mark)


def with_open_label(data: Dataset) -> Dataset:
    """What of the label nobody knows beforehand: that is what no column may tell alone.

    Value that contracts cost follows from the present price; what is open is whether a customer with a contract pays
    clearly less than is usual for it (under 98 %). Any other label is open itself.
    """
    if data.task != "clv" or "spend_total" in data.frame or "price_now" not in data.frame:
        return data
    rows = data.frame[data.frame["price_now"] > 0]
    share = rows["label"] / rows["price_now"]
    return replace(data, frame=rows.assign(label=(share < 0.98 * share.median()).astype(float)))


def shortage(data: Dataset, minimum: Minimum) -> list[str]:
    """What trees would need more of; empty: it is enough. One sentence each: what was found, and the least."""
    moments = data.as_ofs
    newest = int((data.frame["as_of"] == moments[-1]).sum()) if moments else 0
    happened = int((data.frame["label"] > 0).sum())
    found = {"customers at the newest labelled moment": (newest, minimum.customers)}
    if data.by == "as_of":
        found["labelled moments"] = (len(moments), minimum.as_ofs)
    kinds = {"churn": ("customers who left", "customers who stayed"), "clv": ("customers who bought", "")}[data.task]
    for name, count in zip(kinds, (happened, len(data.frame) - happened), strict=True):
        if name:
            found[f"labels of {name}"] = (count, minimum.labels_of_each_kind)
    return [f"{count:,} {name}, {least:,} are needed" for name, (count, least) in found.items() if count < least]


def require_enough(data: Dataset, minimum: Minimum) -> None:
    """Check that trees can learn at all.

    Raises
    ------
    NotEnoughDataError
        Too few moments, customers or labels of a kind; says what was found, the least and what to do.
    """
    lack = shortage(data, minimum)
    if lack:
        raise NotEnoughDataError(
            f"{data.task}: too little to learn from: {'; '.join(lack)}. Give a longer history or more customers, a "
            "shorter horizon_days, or lower the limits under `minimum` if you accept a weaker model; with "
            "`minimum.below: prior` the service answers from priors instead"
        )
