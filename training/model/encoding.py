"""Feature rows as the matrix that models take."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from configs.errors import RegistryError

FEW_ROWS = 64  # up to so many are read sooner one by one
FEW_COLUMNS = 8  # up to so many are taken out of a frame sooner one by one


def encode(
    frame: pd.DataFrame,
    features: tuple[str, ...],
    categories: dict[str, tuple[str, ...]],
    rows: list[list[Any]] | None = None,
) -> np.ndarray:
    """Turn feature columns into a float64 matrix; a category becomes its place in the known values, else NaN.

    `rows`: see `Bundle.encode`.
    """
    places = {name: place for place, name in enumerate(frame.columns)}
    missing = [f for f in features if f not in places]
    if missing:
        raise RegistryError(
            f"the model learned from columns that the feature table lacks: {missing}; "
            "rebuild the features with the settings the model was trained with, or retrain"
        )
    if rows is not None and len(rows) <= FEW_ROWS:
        return _encode_few(rows, [places[f] for f in features], features, categories)
    if len(features) <= FEW_COLUMNS and not categories:
        columns = [frame[f].to_numpy(dtype=np.float64, na_value=np.nan) for f in features]
        return np.column_stack(columns) if columns else np.empty((len(frame), 0))
    numbers = [i for i, name in enumerate(features) if name not in categories]
    out = np.empty((len(frame), len(features)), dtype=np.float64)
    out[:, numbers] = frame[[features[i] for i in numbers]].to_numpy(dtype=np.float64, na_value=np.nan)
    for i, name in enumerate(features):
        if name in categories:
            codes = pd.Categorical(frame[name], categories=list(categories[name])).codes
            out[:, i] = np.where(codes < 0, np.nan, codes)
    return out


def _encode_few(
    rows: list[list[Any]], places: list[int], features: tuple[str, ...], categories: dict[str, tuple[str, ...]]
) -> np.ndarray:
    """As `encode`, row by row: picking columns of a frame takes longer than what is in few rows of them."""
    numbers = [i for i, name in enumerate(features) if name not in categories]
    out = np.empty((len(rows), len(features)), dtype=np.float64)
    out[:, numbers] = _numbers([[row[places[i]] for i in numbers] for row in rows], len(numbers))
    for i, name in enumerate(features):
        if name in categories:
            codes = {value: float(code) for code, value in enumerate(categories[name])}
            out[:, i] = [codes.get(row[places[i]], math.nan) for row in rows]
    return out


def _numbers(values: list[list[Any]], columns: int) -> np.ndarray:
    """Numbers as a matrix, NaN where none is known; numpy knows None for that, but no other word of pandas."""
    try:
        found = np.array(values, dtype=np.float64)
    except TypeError:
        found = np.array([[_number(value) for value in row] for row in values], dtype=np.float64)
    return found.reshape(len(values), columns)


def _number(value: Any) -> float:
    return math.nan if value is None or value is pd.NA else float(value)
