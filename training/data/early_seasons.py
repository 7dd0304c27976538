"""Rows to learn from of moments at which no season was known yet: they get the season of the same time of later years.

A season is known after two years. What came in these years was as seasonal as what came later, so that rows without it
would teach a level that no season explains. The later moments are among those that are learned from, so nothing counts
that was not known; rows that are forecast are never filled.

Each column is judged alone, and without what events of the calendar make of it: these move from year to year, so that a
moment keeps its own, and a later one lends it none.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.schema import EVENTS_OF, SEASON_COLUMNS
from features.seasons.index import LARGEST

YEAR_DAYS = 365.25
NEAR_DAYS = 16.0


def with_early_seasons(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the season filled in where it was not known: the mean of the same time of the years after.

    Parameters
    ----------
    rows
        Of the moments to learn from, ``as_of`` among the columns.
    """
    columns = [name for name in SEASON_COLUMNS if name in rows and name not in EVENTS_OF.values()]
    if "as_of" not in rows or not columns or not rows[columns].any(axis=None):
        return rows
    there = rows.groupby("as_of")[[name for name in SEASON_COLUMNS if name in rows]].first()
    filled = pd.DataFrame({name: _filled(there[name], _events(there, name)) for name in columns})
    if filled.equals(there[columns]):
        return rows
    out = rows.copy()
    out[columns] = filled.loc[rows["as_of"]].to_numpy()
    return out


def _events(there: pd.DataFrame, name: str) -> pd.Series:
    own = EVENTS_OF.get(name)
    return there[own] if own in there else pd.Series(0.0, there.index)


def _filled(column: pd.Series, events: pd.Series) -> pd.Series:
    """A column by moment, filled where without events it is 0 and the same time of later years lends it a season.

    What is filled stays within the bound of the index, as what events make of a moment does where both exceed it.
    """
    season = column - events
    known, out = season[season != 0], column.copy()
    for as_of in season.index[season == 0]:
        away = (known.index - as_of) / pd.Timedelta(days=YEAR_DAYS)
        same_time = (away > 0.5) & (abs(away - away.round()) * YEAR_DAYS <= NEAR_DAYS)
        if same_time.any():
            out[as_of] = np.clip(known[same_time].mean() + events[as_of], -LARGEST, LARGEST)
    return out
