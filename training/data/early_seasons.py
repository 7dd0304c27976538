"""Rows to learn from of moments at which no season was known yet: they get the season of the same time of later years.

A season is known after two years. What came in these years was as seasonal as what came later, so that rows without it
would teach a level that no season explains. The later moments are among those that are learned from, so nothing counts
that was not known; rows that are forecast are never filled.

Where hardly any labelled moment knows a season, the newest moment does: it lends what it knows of the same time of the
year to come (`lent_seasons`), which the model that serves may learn from, and none that is judged at an earlier one.

Each column is judged alone, and without what events of the calendar make of it: these move from year to year, so that a
moment keeps its own, and a later one lends it none.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from features.schema import EVENTS_OF, SEASON_COLUMNS
from features.seasons.curve import DAYS_AHEAD, SeasonCurve
from features.seasons.index import LARGEST

YEAR_DAYS = 365.25
NEAR_DAYS = 16.0
LEAST_DATES = 3  # moments that knew a season: fewer cannot judge it


def with_early_seasons(rows: pd.DataFrame, lent: pd.DataFrame | None = None) -> pd.DataFrame:
    """Rows with the season filled in where it was not known: the mean of the same time of the years after.

    Parameters
    ----------
    rows
        Of the moments to learn from, ``as_of`` among the columns.
    lent
        What the newest moment lends, see `lent_seasons`, before that of the rows; None: nothing.
    """
    columns = [name for name in SEASON_COLUMNS if name in rows and name not in EVENTS_OF.values()]
    if "as_of" not in rows or not columns or (lent is None and not rows[columns].any(axis=None)):
        return rows
    there = rows.groupby("as_of")[[name for name in SEASON_COLUMNS if name in rows]].first()
    own = pd.DataFrame(index=there.index) if lent is None else lent.reindex(there.index)
    filled = pd.DataFrame({name: _filled(there[name], _events(there, name), own.get(name)) for name in columns})
    if filled.equals(there[columns]):
        return rows
    out = rows.copy()
    out[columns] = filled.loc[rows["as_of"]].to_numpy()
    return out


def lent_seasons(curve: SeasonCurve, as_ofs: Iterable[pd.Timestamp]) -> pd.DataFrame:
    """The season of the time of year of some moments as the newest one knows it for the days ahead of it.

    Columns are those of the season without events, the index is ``as_of``; without a column where none is known.
    """
    names = [name for name in curve.columns if name not in EVENTS_OF.values()]
    days = max((len(values) for values in curve.columns.values()), default=DAYS_AHEAD) - DAYS_AHEAD
    newest, out = pd.Timestamp(curve.first) + pd.Timedelta(days=days), {}
    for as_of in as_ofs:
        years = np.ceil(max((newest - as_of.tz_localize(None)) / pd.Timedelta(days=YEAR_DAYS), 0.0))
        then = (as_of.tz_localize(None) + pd.Timedelta(days=round(years * YEAR_DAYS))).to_pydatetime()
        out[as_of] = [curve.at(n, then) - (curve.at(EVENTS_OF[n], then) if n in EVENTS_OF else 0.0) for n in names]
    return pd.DataFrame.from_dict(out, orient="index", columns=names)


def _events(there: pd.DataFrame, name: str) -> pd.Series:
    own = EVENTS_OF.get(name)
    return there[own] if own in there else pd.Series(0.0, there.index)


def _filled(column: pd.Series, events: pd.Series, lent: pd.Series | None) -> pd.Series:
    """A column by moment, filled where without events it is 0 and the same time of later years lends it a season.

    What is filled stays within the bound of the index, as what events make of a moment does where both exceed it.
    """
    season = column - events
    known, out = season[season != 0], column.copy()
    for as_of in season.index[season == 0]:
        away = (known.index - as_of) / pd.Timedelta(days=YEAR_DAYS)
        same_time = (away > 0.5) & (abs(away - away.round()) * YEAR_DAYS <= NEAR_DAYS)
        if lent is not None and np.isfinite(lent[as_of]):
            out[as_of] = np.clip(lent[as_of] + events[as_of], -LARGEST, LARGEST)
        elif same_time.any():
            out[as_of] = np.clip(known[same_time].mean() + events[as_of], -LARGEST, LARGEST)
    return out
