"""Who is a customer now, by a feature row: whom the churn model learned from and is asked about."""

from __future__ import annotations

import numpy as np
import pandas as pd

from configs.errors import NotReadyError
from configs.settings import Churn


def is_active(frame: pd.DataFrame, churn: Churn) -> np.ndarray:
    """Who counts as a customer, shape (n,), bool.

    By inactivity: ordered within `activity_days`, the bound included; who never ordered is none. By contract: has one
    alive. By label: everyone.

    Raises
    ------
    NotReadyError
        The column that decides is missing.
    """
    if churn.kind == "label":
        return np.ones(len(frame), dtype=bool)
    if churn.kind == "contract":
        return numbers(frame, "contracts_active") > 0
    return numbers(frame, "days_since_last_order") <= churn.activity_days


def is_booked(frame: pd.DataFrame, churn: Churn) -> np.ndarray:
    """Whose only contract now is one that begins later, shape (n,), bool: neither a customer nor one who has left.

    Without ``recorded_at`` no row of the past knows a booking, so that a model took such a person for one without any.
    """
    if churn.kind != "contract":
        return np.zeros(len(frame), dtype=bool)
    return (numbers(frame, "contracts_booked") > 0) & ~is_active(frame, churn)


def numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    """A column as float64, NaN where it is not known.

    Raises
    ------
    NotReadyError
        The column is missing.
    """
    if column not in frame.columns:
        raise NotReadyError(f"the feature table lacks '{column}', which stages are told from: rebuild the features")
    return frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
