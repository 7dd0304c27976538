"""Sensitive columns with many values, in ranges that a group can be: ages, birth dates, amounts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

MANY = 12  # different values from which on numbers are put into ranges
FITS = 0.95
AGES = (20, 30, 40, 50, 60, 70)
OLDEST = 120
YEAR = r"(?<!\d)((?:19|20)\d{2})(?!\d)"


def in_ranges(values: pd.Series, as_of: pd.Series | None) -> pd.Series:
    """Values as the groups that fairness compares; what has few values, or is no number or date, stays.

    Parameters
    ----------
    values
        One sensitive column as it came.
    as_of
        The moment of each row: an age is what it was then; None: birth dates stay.

    Returns
    -------
    pandas.Series
        Ages and birth dates (any writing with the year in four digits) by tens of years; other numbers by fifths of
        the rows. What cannot be read among them is missing.

    Examples
    --------
    >>> born = pd.Series([f"05.06.{year}" for year in range(1950, 1990)])
    >>> in_ranges(born, pd.Series(pd.Timestamp("2024-03-01"), index=born.index)).iloc[[0, 39]].tolist()
    ['70 and over', '30 to 39']
    """
    text = values.astype("string").str.strip()
    filled = text.notna() & (text != "")
    if text[filled].nunique() < MANY:
        return values
    numbers = pd.to_numeric(text, errors="coerce").astype("float64")
    if numbers[filled].notna().mean() < FITS:
        return values if as_of is None else _born(values, text, filled, as_of)
    if as_of is not None and numbers.between(1900, 2100)[filled].mean() >= FITS:
        return _ages(pd.to_datetime(as_of).dt.year - numbers)
    return _ages(numbers) if numbers[filled].between(0, OLDEST).mean() >= FITS else _fifths(numbers)


def _born(values: pd.Series, text: pd.Series, filled: pd.Series, as_of: pd.Series) -> pd.Series:
    """Birth dates as ages; other texts stay."""
    years = text.str.extract(YEAR, expand=False).astype("float64")
    age = pd.to_datetime(as_of).dt.year - years
    return _ages(age) if age.between(0, OLDEST)[filled].mean() >= FITS else values


def _ages(age: pd.Series) -> pd.Series:
    edges = [-np.inf, *AGES, np.inf]
    middle = [f"{low} to {high - 1}" for low, high in pairwise(AGES)]
    labels = [f"under {AGES[0]}", *middle, f"{AGES[-1]} and over"]
    known = age.where(age.between(0, OLDEST))
    return pd.cut(known, edges, right=False, labels=labels).astype("string").astype(object)


def _fifths(numbers: pd.Series) -> pd.Series:
    edges = np.unique(np.nanquantile(numbers, [0.2, 0.4, 0.6, 0.8]))
    names = [f"{edge:,.6g}" for edge in edges]
    labels = [
        f"under {names[0]}",
        *(f"{a} to {b}" for a, b in pairwise(names)),
        f"{names[-1]} and over",
    ]
    return pd.cut(numbers, [-np.inf, *edges, np.inf], right=False, labels=labels).astype("string").astype(object)
