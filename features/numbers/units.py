"""Numbers with a unit behind them: ``12 GB``, ``85 %``; and those that are bounds or ranges: ``< 1 an``, ``18-25``."""

from __future__ import annotations

import re

import pandas as pd

MEASURE = re.compile(r"([-+]?\d[\d.,'’\s\u00a0\u202f]*)\s*([^\W\d_]{1,12}[²³]?(?:/[^\W\d_]{1,8})?|%|°C)\.?")
DIGITS = r"(?:0|[1-9]\d*)(?:[.,'’]\d+)*"  # no zero in front: 2024-05 is a month, 030-12345 a telephone number
UNIT = r"(?:\s?(?:[^\W\d_]{1,12}|%|€|\$))?"
BOUND = re.compile(
    rf"[<>≤≥＜＞]\s?=?\s*{DIGITS}{UNIT}\.?|{DIGITS}{UNIT}\s?\+|"
    rf"{DIGITS}{UNIT}\s*(?:[-–—~]|à|to|bis|a|hasta|至|到)\s*{DIGITS}{UNIT}\.?"
)
MOSTLY = 0.5
PLURAL = re.compile(r"(?:(?<=..)s|(?<=...)(?:es|en|er|e|n|x))$")  # of words; GB and Gb, mm and m are no words


def without_units(texts: pd.Series) -> tuple[pd.Series, tuple[str, ...]]:
    """Take the unit from behind the numbers of a column, where they have one and the same.

    Parameters
    ----------
    texts
        Values as text.

    Returns
    -------
    pandas.Series, tuple of str
        The numbers where there is one unit, else the texts as they are; and the units that most values have, each as
        it is first written; empty: none.

    Examples
    --------
    >>> numbers, units = without_units(pd.Series(["12 months", "1 month", "N/A"]))
    >>> numbers.tolist(), units
    (['12', '1', 'N/A'], ('months',))
    >>> without_units(pd.Series(["12 GB", "900 MB"]))[1], without_units(pd.Series(["M", "L", "2 XL"]))[1]
    (('GB', 'MB'), ())
    """
    distinct = texts.dropna().astype(str).unique()
    parts = {text: found for text in distinct if (found := MEASURE.fullmatch(text.strip()))}
    if not parts or texts.isin(list(parts)).sum() <= MOSTLY * texts.notna().sum():
        return texts, ()
    units: dict[str, str] = {}
    for found in parts.values():
        units.setdefault(_singular(found[2]), found[2])
    if len(units) > 1:
        return texts, tuple(units.values())
    return texts.map(lambda text: parts[text][1].strip() if text in parts else text, na_action="ignore"), tuple(
        units.values()
    )


def bounds(texts: pd.Series) -> list[str]:
    """Values that are bounds or ranges, the most frequent first, where they and plain numbers are most of a column.

    >>> bounds(pd.Series(["< 1 an", "< 1 an", "1 à 3 ans", "4 ans", "N/A"]))
    ['< 1 an', '1 à 3 ans']
    >>> bounds(pd.Series(["2024-05", "030-12345", "< x"])), bounds(pd.Series(["6-10", "11+", "5"]))
    ([], ['6-10', '11+'])
    """
    counts = texts.dropna().astype(str).str.strip().value_counts()
    found = [text for text in counts.index if BOUND.fullmatch(text)]
    plain = [text for text in counts.index if re.fullmatch(DIGITS + UNIT, text)]
    return found if counts[[*found, *plain]].sum() > MOSTLY * counts.sum() else []


def _singular(unit: str) -> str:
    return PLURAL.sub("", unit.casefold()) if unit.islower() or unit.istitle() else unit
