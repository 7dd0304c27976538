"""Rows to learn from of moments at which no season was known yet: they get the season of the same time of later years.

A season is known after two years. What came in these years was as seasonal as what came later, so that rows without it
would teach a level that no season explains. The later moments are among those that are learned from, so nothing counts
that was not known; rows that are forecast are never filled.
"""

from __future__ import annotations

import pandas as pd

from features.schema import SEASON_COLUMNS

YEAR_DAYS = 365.25
NEAR_DAYS = 16.0


def with_early_seasons(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the season filled in where it was not known: the mean of the same time of the years after.

    Parameters
    ----------
    rows
        Of the moments to learn from, ``as_of`` among the columns.
    """
    columns = [name for name in SEASON_COLUMNS if name in rows]
    if "as_of" not in rows or not columns or not rows[columns].any(axis=None):
        return rows
    seasons = rows.groupby("as_of")[columns].first()
    known = seasons[seasons.any(axis=1)]
    filled = {}
    for as_of in seasons.index[~seasons.any(axis=1)]:
        away = (known.index - as_of) / pd.Timedelta(days=YEAR_DAYS)
        same_time = (away > 0.5) & (abs(away - away.round()) * YEAR_DAYS <= NEAR_DAYS)
        if same_time.any():
            filled[as_of] = known[same_time].mean()
    if not filled:
        return rows
    of_moment = pd.DataFrame(filled).T
    early = rows["as_of"].isin(of_moment.index)
    out = rows.copy()
    out.loc[early, columns] = of_moment.loc[rows.loc[early, "as_of"], columns].to_numpy()
    return out
