"""Numbers with a unit behind them: ``12 GB``, ``24 months``, ``85 %``."""

from __future__ import annotations

import re

import pandas as pd

MEASURE = re.compile(r"([-+]?\d[\d.,'’\s\u00a0\u202f]*)\s*([^\W\d_]{1,12}[²³]?(?:/[^\W\d_]{1,8})?|%|°C)\.?")
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


def _singular(unit: str) -> str:
    return PLURAL.sub("", unit.casefold()) if unit.islower() or unit.istitle() else unit
