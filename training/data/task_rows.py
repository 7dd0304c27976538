"""The rows that one task is learned from, and what each as-of date of them is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from configs.errors import ConfigError, NotEnoughDataError
from configs.settings import Settings
from configs.workspace import Workspace
from features.labels.ready_label import VALUE
from features.quality.twins import twin_groups
from training.data import split
from training.data.dataset import Dataset, load
from training.data.split import ASIDE, HOLDOUT, Fold, Plan, customer_parts, plan_customers, plan_held_out_customers
from training.model.bundle import Task

TENTHS = 10


def feature_rows(workspace: Workspace) -> pd.DataFrame:
    """Feature rows of all customers at all as-of dates."""
    return pd.read_parquet(workspace.features / "rows.parquet")


def labels_of(workspace: Workspace) -> pd.DataFrame:
    """Labels of all customers at all as-of dates, NaN where not known; none where none were built."""
    path = workspace.features / "labels.parquet"
    return pd.read_parquet(path) if path.is_file() else pd.DataFrame(columns=["customer_id", "as_of"])


def labelled(settings: Settings, workspace: Workspace, task: Task) -> Dataset:
    """The labelled rows of a task; without dates shared out by customer, twins together; see `parted_by_customer`.

    Raises
    ------
    ConfigError
        This business has no such model.
    NotReadyError
        No features were built yet.
    """
    if task not in settings.tasks:
        has_none = settings.churn.kind == "label" and not settings.has_realised_value
        why = f"source.options.profiles.columns names no {VALUE}" if has_none else f"{task}.forecast is false"
        raise ConfigError(
            f"{task}: there is no such model for '{settings.name}', {why}; train {settings.tasks[0]} alone"
        )
    data = load(workspace, task)
    if settings.churn.kind != "label":
        return parted_by_customer(data, settings)
    return replace(data, frame=in_parts(data.frame, data.schema.names, settings), by="part")


def in_parts(frame: pd.DataFrame, features: Sequence[str], settings: Settings) -> pd.DataFrame:
    """Labelled rows of customers without dates, shared out: ``part`` says to which part each goes, twins together."""
    folds, groups = max(2, settings.tuning.folds), twin_groups(frame[list(features)])
    share, seed, y = settings.churn.holdout_share, settings.tuning.seed, strata(frame["label"])
    return frame.assign(part=customer_parts(frame["customer_id"], y, share, folds, seed, groups))


def strata(label: pd.Series) -> np.ndarray:
    """What folds hold alike: each outcome of churn; of value, who brought nothing or less, and tenths of the others.

    >>> strata(pd.Series([0.0, 1.0, 1.0])).tolist(), strata(pd.Series([-3.0, 0.0, 5.0, 80.0])).tolist()
    ([0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 6.0])
    """
    y = label.to_numpy(np.float64)
    if np.isin(y, (0.0, 1.0)).all():
        return y
    place = pd.Series(np.where(y > 0, y, np.nan)).rank() - 1
    return np.asarray((1 + place * TENTHS // max(place.count(), 1)).fillna(0.0))


def parted_by_customer(data: Dataset, settings: Settings) -> Dataset:
    """Dated rows shared out by customer (``customer_part``) where no two dates lie a horizon apart.

    Then no later date can judge, and customers do: those held out at the newest date; their earlier rows go aside.
    Who is held out follows from seed and id alone, as without dates. As it came where dates can judge, and where nobody
    would be held out, or left to learn from.
    """
    if data.by != "as_of" or data.frame.empty or plan_if_any(data, settings) is not None:
        return data
    part = _part_of_customers(data.frame["customer_id"], settings, settings.churn.holdout_share)
    is_newest = (data.frame["as_of"] == data.frame["as_of"].max()).to_numpy()
    if not ((part == HOLDOUT) & is_newest).any() or not (part > HOLDOUT).any():
        return data
    part = np.where((part == HOLDOUT) & ~is_newest, ASIDE, part)
    return replace(data, frame=data.frame.assign(customer_part=part), by="customer_part")


def _part_of_customers(customer_ids: pd.Series, settings: Settings, holdout_share: float) -> np.ndarray:
    """The part of each row's customer, shape (n,); all rows of one go to the same."""
    customers = customer_ids.drop_duplicates()
    folds, seed = max(2, settings.tuning.folds), settings.tuning.seed
    part = customer_parts(customers, np.zeros(len(customers)), holdout_share, folds, seed)
    return customer_ids.map(dict(zip(customers, part, strict=True))).to_numpy()


def plan_of(data: Dataset, settings: Settings) -> Plan:
    """What each as-of date is for, or each group of customers where the data has no dates.

    Raises
    ------
    NotEnoughDataError
        No as-of date can be held out that another was known before.
    """
    if data.by == "part":
        return plan_customers(max(2, settings.tuning.folds))
    if data.by == "customer_part":
        return plan_held_out_customers(data.as_ofs, max(2, settings.tuning.folds))
    held_out = getattr(settings, data.task).holdout_as_ofs
    return split.plan_as_ofs(data.as_ofs, settings.outcome_days(data.task), held_out, settings.tuning.folds)


def newest_judged(data: Dataset, plan: Plan) -> pd.Timestamp | None:
    """The newest moment at which a plan judges; None where the data has no dates."""
    return None if data.by == "part" else data.at(plan.holdout)["as_of"].max()


def search_folds(data: Dataset, by_time: Sequence[Fold], settings: Settings) -> tuple[Dataset, tuple[Fold, ...]]:
    """The folds of a search and the rows that they share out: by time, or by customers where time allows none.

    Each customer's rows go to one part (``part``), so that nobody both teaches and judges.
    """
    if by_time:
        return data, tuple(by_time)
    parts = _part_of_customers(data.frame["customer_id"], settings, 0.0)
    folds = plan_customers(max(2, settings.tuning.folds)).folds
    return replace(data, frame=data.frame.assign(part=parts), by="part"), folds


def shortened(plan: Plan, data: Dataset, settings: Settings) -> list[str]:
    """What a plan does without because the history is short, a sentence each; empty: nothing."""
    if data.by != "as_of":
        return [said] if (said := judged_by(data, settings)) else []
    held_out, asked = len(plan.holdout), getattr(settings, data.task).holdout_as_ofs
    judged = [f"{_moments(held_out)} held out to judge it, not {asked}"] if held_out < asked else []
    folds, wanted = len(plan.folds), settings.tuning.folds
    if not folds:
        return [*judged, "its search went by customers, as no two moments before that lie a horizon apart"]
    return [*judged, f"{_moments(folds)} left to choose its settings by, not {wanted}"] if folds < wanted else judged


def judged_by(data: Dataset, settings: Settings) -> str:
    """That customers judge where dates could not, and what that leaves open, in one sentence; else empty."""
    if data.by != "customer_part":
        return ""
    return (
        f"no two labelled moments lie {settings.outcome_days(data.task)} days apart, so customers held out at the "
        "newest one judged it, not a later moment: how the level differs between moments is not tested"
    )


def _moments(count: int) -> str:
    return "one moment was" if count == 1 else f"{count} moments were"


def plan_if_any(data: Dataset, settings: Settings) -> Plan | None:
    """As `plan_of`; None where no as-of date can be held out that another was known before."""
    try:
        return plan_of(data, settings)
    except NotEnoughDataError:
        return None


def holdout(settings: Settings, workspace: Workspace, task: Task) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The hold-out rows of a task, and the rows that may be learned from before them.

    Raises
    ------
    NotEnoughDataError
        Too few as-of dates have matured to hold any out.
    """
    data = labelled(settings, workspace, task)
    plan = plan_of(data, settings)
    return data.at(plan.holdout), data.at(plan.train_for_holdout)
