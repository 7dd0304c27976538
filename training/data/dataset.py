"""Customers x as-of dates with their labels: what a model learns from, read through the feature store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from configs.errors import NotEnoughDataError, NotReadyError
from configs.fingerprint import files_fingerprint
from configs.settings import Minimum, Settings
from configs.workspace import Workspace
from features.labels.inactivity import CONTACTED, churned_column
from features.schema import EVENTS_OF, SEASON_LONGER, FeatureSchema, load_schema
from training.data.early_seasons import with_early_seasons
from training.model.bundle import Task
from training.model.encoding import encode
from training.model.ends.known_end import END_COLUMNS

LABEL = {"churn": "churned", "clv": "clv"}
WEIGHT = "training_weight"
DAYS_A_MONTH = 365.25 / 12


@dataclass(frozen=True)
class Dataset:
    """Labelled rows of one task. One row per customer and as-of date, sorted by date and customer.

    Attributes
    ----------
    task
        ``churn`` or ``clv``.
    frame
        ``customer_id, as_of``, the features, and ``label``; for churn also ``contacted``, and ``churned_<days>`` and
        ``contacted_<days>`` of the other horizons, and what `training.data.treatment` adds.
    schema
        Of the feature rows.
    fingerprint
        A hash of the feature rows and labels.
    by
        The column that folds and hold-out go by: ``as_of``; ``part`` where the data has no dates; ``customer_part``
        where it has, but no two dates lie a horizon apart, see `training.data.task_rows.parted_by_customer`.
    treatment
        What was done about customers who were contacted, in numbers, see `training.data.treatment`.
    lent
        The season that the newest moment lends to labelled ones, see `training.data.early_seasons`; None: none.
    """

    task: Task
    frame: pd.DataFrame
    schema: FeatureSchema
    fingerprint: str
    by: Literal["as_of", "part", "customer_part"] = "as_of"
    treatment: dict[str, Any] = field(default_factory=dict)
    lent: pd.DataFrame | None = None

    @property
    def as_ofs(self) -> list[pd.Timestamp]:
        """The labelled as-of dates, rising."""
        return sorted(self.frame["as_of"].unique())

    def at(self, as_ofs: Iterable[Any]) -> pd.DataFrame:
        """The rows of some as-of dates, or of some groups of customers where the data goes by those."""
        return self.frame[self.frame[self.by].isin(list(as_ofs))].reset_index(drop=True)

    def training_rows(self, as_ofs: Iterable[Any], weight: str = WEIGHT) -> pd.DataFrame:
        """As `at`, without the rows that shall not be learned from: those of weight 0 in a column, where it exists.

        Moments at which no season was known have that of later ones, see `training.data.early_seasons`.
        """
        rows = with_early_seasons(self.at(as_ofs), self.lent)
        return rows[rows[weight] > 0].reset_index(drop=True) if weight in rows else rows

    def newest(self, as_ofs: Iterable[Any]) -> pd.DataFrame:
        """The rows of the newest of some as-of dates; without dates, of all groups."""
        rows = self.at(as_ofs)
        return rows[rows["as_of"] == rows["as_of"].max()].reset_index(drop=True)


@dataclass(frozen=True)
class Matrix:
    """Rows as a model takes them.

    ``x`` of shape (n, features), ``y`` and ``weight`` of shape (n,), None: all weigh alike; ``customer`` of shape (n,),
    the number of each row's customer, None: every row is its own.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None = None
    customer: np.ndarray | None = None


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
        customer = pd.factorize(rows["customer_id"])[0] if "customer_id" in rows else None
        return Matrix(x, rows["label"].to_numpy(np.float64), weight_of(rows), customer)


def weight_of(rows: pd.DataFrame) -> np.ndarray | None:
    """The weight of each row, shape (n,); None if all weigh alike."""
    if WEIGHT not in rows or (rows[WEIGHT] == 1).all():
        return None
    return rows[WEIGHT].to_numpy(np.float64)


def weight_column(days: int, main: int) -> str:
    """The column of weights for a horizon: ``training_weight``, or ``training_weight_60`` of another one."""
    return WEIGHT if days == main else f"{WEIGHT}_{days}"


def learn_encoder(rows: pd.DataFrame, schema: FeatureSchema) -> Encoder:
    """Keep the features that vary in these rows, and note the values of the categories.

    Those that tell of a known end are kept in any case: it counts, though none was known in these rows.

    The season of longer horizons is none of them: it continues a forecast, see `training.model.longer`. Nor is what
    events make of a season, which is in it already: it fills moments, see `training.data.early_seasons`.
    """
    asked = [name for name in schema.names if name not in (*SEASON_LONGER, *EVENTS_OF.values())]
    varying = tuple(name for name in asked if name in END_COLUMNS or rows[name].nunique(dropna=False) > 1)
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
    prefixes = (churned_column(""), CONTACTED) if task == "churn" else ()
    label_columns = [name for name in known if name == LABEL[task] or str(name).startswith(prefixes)]
    merged = rows.merge(known[["customer_id", "as_of", *label_columns]], on=["customer_id", "as_of"], validate="1:1")
    frame = merged.rename(columns={LABEL[task]: "label"}).sort_values(["as_of", "customer_id"], ignore_index=True)
    return Dataset(
        task, frame, load_schema(workspace.features), files_fingerprint(workspace.features.glob("*.parquet"))
    )


def _unlabelled(workspace: Workspace, task: Task) -> Dataset:
    """No outcome is known yet: the columns of the rows, without a row."""
    schema = load_schema(workspace.features)
    rows = pd.read_parquet(workspace.features / "rows.parquet", columns=["customer_id", "as_of", *schema.names])
    fingerprint = files_fingerprint(workspace.features.glob("*.parquet"))
    return Dataset(task, rows.head(0).assign(label=pd.Series(dtype=float)), schema, fingerprint)


def with_open_label(data: Dataset, settings: Settings) -> Dataset:
    """The rows with the part of the label that nobody knows beforehand: that is what no column may tell alone.

    Value that contracts cost follows from the present price; what is open is whether a customer with a contract pays
    clearly less than is usual for it (under 98 %). Where orders count beside the fees, so that less than half of the
    customers bring what is usual, it is what they bring beyond the price. Any other label is open itself.
    """
    clv = settings.clv
    if data.task != "clv" or data.by == "part" or "price_now" not in data.frame or clv.contracts == "orders":
        return data
    rows, has_orders = data.frame[data.frame["price_now"] > 0], "spend_total" in data.frame
    if has_orders and rows.empty:
        return data
    share = rows["label"] / rows["price_now"]
    usual = share.median()
    if not has_orders or ((share - usual).abs() <= 0.02 * usual).mean() >= 0.5:
        return replace(data, frame=rows.assign(label=(share < 0.98 * usual).astype(float)))
    fees = rows["price_now"] * clv.horizon_days / DAYS_A_MONTH * clv.margin
    return replace(data, frame=rows.assign(label=rows["label"] - fees))


def has_fees(rows: pd.DataFrame) -> bool:
    """Whether feature rows tell of contracts with a price."""
    return "price_now" in rows and bool(rows["price_now"].notna().any())


def shortage(data: Dataset, minimum: Minimum) -> list[str]:
    """What trees would need more of; empty: it is enough. One sentence each: what was found, and the least."""
    as_ofs = data.as_ofs
    n_newest = int((data.frame["as_of"] == as_ofs[-1]).sum()) if as_ofs else 0
    n_positive = int((data.frame["label"] > 0).sum())
    counts = {"customers at the newest labelled moment": (n_newest, minimum.customers)}
    if data.by != "part":
        counts["labelled moments"] = (len(as_ofs), minimum.as_ofs)
    least = minimum.labels_of_each_kind
    if data.task == "churn":
        counts["labels of customers who left"] = (n_positive, least)
        counts["labels of customers who stayed"] = (len(data.frame) - n_positive, least)
    else:
        did = "brought something" if data.by == "part" else "bought"
        counts[f"labels of customers who {did}"] = (n_positive, least)
    return [f"{count:,} {name}, {least:,} are needed" for name, (count, least) in counts.items() if count < least]


def require_enough(data: Dataset, minimum: Minimum) -> None:
    """Check that trees can learn at all.

    Raises
    ------
    NotEnoughDataError
        Too few moments, customers or labels of a kind; says what was found, the least and what to do.
    """
    shortages = shortage(data, minimum)
    if shortages:
        raise NotEnoughDataError(
            f"{data.task}: too little to learn from: {'; '.join(shortages)}. Give a longer history or more customers, "
            "a shorter horizon_days, or lower the limits under `minimum` if you accept a weaker model; with "
            "`minimum.below: prior` the service answers from priors instead"
        )
