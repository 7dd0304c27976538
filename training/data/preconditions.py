"""Whether rows can be learned from at all: what no booster tells, or tells as nonsense, is said here beforehand.

LightGBM stops deep inside when there is no revenue or no column, and it gives everyone the probability 0 or 1 when all
rows have one outcome. Too few rows are another matter, see `training.data.dataset.require_enough`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from configs.errors import DataError, NotEnoughDataError
from training.data.dataset import Dataset
from training.data.split import AsOfs, Fold
from training.model.bundle import Task

LARGEST = float(np.finfo(np.float32).max)  # labels are four-byte numbers to LightGBM


def require_values(data: Dataset) -> None:
    """Check that labels and features are numbers that can be learned from; a missing feature is none the worse.

    Raises
    ------
    DataError
        A label is missing or infinite, a churn label is neither 0 nor 1, or a feature is infinite.
    """
    label = data.frame["label"].to_numpy(np.float64, na_value=np.nan)
    finite = np.abs(label) < LARGEST  # False where it is missing
    _refuse(data.task, data.frame, ~finite, "label", "a finite number", "correct the amounts or dates it is made of")
    if data.task == "churn":
        wrong = ~np.isin(label, (0.0, 1.0))
        _refuse(data.task, data.frame, wrong, "label", "0 (stayed) or 1 (left)", "correct the label column")
    require_features(data.task, data.frame, data.schema.names)


def require_features(task: Task, rows: pd.DataFrame, names: Iterable[str]) -> None:
    """Check that features are finite or missing.

    Raises
    ------
    DataError
        One is infinite.
    """
    for name in names:
        if pd.api.types.is_numeric_dtype(rows[name]):
            infinite = np.isinf(rows[name].to_numpy(np.float64, na_value=np.nan))
            remedy = "correct the table that this feature is told from"
            _refuse(task, rows, infinite, name, "a finite number or none", remedy)


def require_learnable(data: Dataset, as_ofs: AsOfs) -> None:
    """Check that the rows of some as-of dates hold something to learn.

    Raises
    ------
    DataError
        No column varies, or the net revenue is not above zero in total.
    NotEnoughDataError
        All rows have one outcome.
    """
    rows = data.training_rows(as_ofs)
    where = f"{data.task}: the {len(rows)} rows to learn from ({_when(data, as_ofs)})"
    if not any(rows[name].nunique(dropna=False) > 1 for name in data.schema.names):
        raise DataError(
            f"{where} are alike in all {len(data.schema.names)} columns, so nothing tells one customer from another: "
            "map more columns, or correct the tables"
        )
    label = rows["label"].to_numpy(np.float64)
    if data.task == "churn" and len(np.unique(label)) < 2:
        raise NotEnoughDataError(
            f"{where} hold only customers who {'left' if label[0] else 'stayed'}: bring a longer history, or another "
            "churn.horizon_days, churn.activity_days or churn.treatment, so that there are some of either"
        )
    if data.task == "clv" and label.sum() <= 0:
        raise DataError(
            f"{where} have a net revenue of {label.sum():.2f} in total, and a value can be forecast only where "
            "customers bring something: see whether amounts have the right sign, or set clv.forecast to false"
        )


def informative_folds(data: Dataset, folds: Sequence[Fold]) -> tuple[Fold, ...]:
    """Leave out folds that cannot judge: nothing to learn in their training rows, or nobody to be judged by.

    There is nobody where all customers of a month were contacted, and such customers teach nothing
    (`training.data.treatment`).

    Raises
    ------
    DataError, NotEnoughDataError
        None is left; the message is of the newest fold, see `require_learnable`.
    """
    informative = tuple(f for f in folds if _learnable(data, f.train) and len(data.training_rows([f.valid])))
    if not informative:
        require_learnable(data, folds[-1].train)
        raise NotEnoughDataError(
            f"{data.task}: no month is left to judge a search by, as every customer of those that could was contacted "
            "within the horizon: bring a longer history, or set churn.treatment: keep"
        )
    return informative


def _learnable(data: Dataset, as_ofs: AsOfs) -> bool:
    try:
        require_learnable(data, as_ofs)
    except DataError:
        return False
    return True


def _refuse(task: Task, rows: pd.DataFrame, wrong: np.ndarray, name: str, expected: str, remedy: str) -> None:
    if not wrong.any():
        return
    row = rows.iloc[int(np.argmax(wrong))]
    raise DataError(
        f"{task}: {int(wrong.sum())} of {len(wrong)} rows have a {name} that is not {expected}, the first that of "
        f"customer '{row['customer_id']}' at {row['as_of']:%Y-%m-%d}: {row[name]}; {remedy}"
    )


def _when(data: Dataset, as_ofs: Iterable[object]) -> str:
    if data.by != "as_of":
        return "customers not held out"
    days = sorted(f"{as_of:%Y-%m-%d}" for as_of in as_ofs)
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
