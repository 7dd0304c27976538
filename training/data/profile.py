"""What a model keeps of the customers it learned from: how each column is distributed, and nobody's row.

Drift is told column by column, so rows need not be kept. Each column is sorted by itself: what stands side by side was
never one customer. A number stands for at least `TOGETHER` customers (microaggregation, Domingo-Ferrer and Mateo-Sanz
2002, IEEE Trans. Knowl. Data Eng. 14): no outlier can be read off. The levels of a category stay with their counts: a
model must name them to read them, and taking rare ones together made a change of what was chance.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

TOGETHER = 5


def profile(rows: pd.DataFrame) -> pd.DataFrame:
    """The distribution of each column, as many values as there are rows, missing ones last; one row is nobody's.

    Numbers of fewer than `TOGETHER` customers stand together with their neighbours, as the middle one of them; where
    no more are known, none is told. Types are kept.
    """
    return pd.DataFrame({str(name): _told(rows[name]) for name in rows})


def _told(column: pd.Series) -> pd.Series:
    return _number(column) if _is_number(column) else column.sort_values(ignore_index=True)


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _number(column: pd.Series) -> pd.Series:
    known = column.dropna().sort_values()
    if len(known) < TOGETHER:
        return pd.Series(np.nan, index=range(len(column)), dtype="float64" if len(known) else column.dtype)
    counts = np.unique(known.to_numpy(), return_counts=True)[1]
    ends = _ends(counts)
    starts = np.append(0, ends[:-1])
    middle = np.repeat(known.to_numpy()[(starts + ends - 1) // 2], ends - starts)
    return pd.Series(middle, dtype=known.dtype).reindex(range(len(column)))


def _ends(counts: np.ndarray) -> np.ndarray:
    """Where groups of neighbouring values end that count at least `TOGETHER` each, as few values as may be.

    >>> _ends(np.array([1, 1, 9, 3, 1, 4, 2])).tolist()
    [11, 21]
    """
    ends, total, begun = [], 0, 0
    for count in counts.tolist():
        total += count
        if total - begun >= TOGETHER:
            ends.append(total)
            begun = total
    ends[-1] = total  # too few for a group of their own
    return np.asarray(ends)
