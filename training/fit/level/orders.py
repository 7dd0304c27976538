"""The level of a model of orders: how far it is off, and how much of the season counts, by its own past moments.

A model of orders knows no calendar: of who buys at Christmas it expects the same in every month, and after it more than
ever, for it goes by recent orders. So churn has two columns of the season: silence beside that of a year, and how much
rarer orders become than just before. At each past moment the model of that moment shows how far its level was off. As
much of the season counts as explains these errors (`training.fit.level.season.shares`); what is left and common to them
is the shift (`training.priors.level`).

A season is known after two years, and its first outcomes later still. Until three moments have both, earlier ones tell
too, with the season of the same time of later years, or what the newest moment lends (`training.data.early_seasons`).
That was learned from them among others, so that it fits them better than it forecasts: no more than all of it counts,
which is as far as the index itself is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from configs.settings import Settings
from features.labels.horizons import season_pairs
from features.schema import EVENTS_OF, SEASON_STEPS
from training.data.dataset import Dataset, Encoder
from training.data.early_seasons import LEAST_DATES, with_early_seasons
from training.data.horizon_rows import at_risk
from training.data.split import matured
from training.data.treatment import without_contacted
from training.fit import assembly
from training.fit.boosters import SEASON_OF, STEP_PARAMS, season_strengths
from training.fit.level.season import index_of, moments_in_season, shares, spread
from training.priors.expectation import COLUMNS as ORDERS
from training.priors.expectation import Expectation
from training.priors.level import Shift, level_shift, log_odds_shift, log_ratio

MOMENTS = 16  # a model of orders is made in no time, trees are not
ShiftAt = Callable[[pd.Timestamp], Shift | None]


@dataclass(frozen=True)
class PriorLevel:
    """What past moments say of the level of a model of orders.

    Attributes
    ----------
    encoder
        The columns that the forecast needs: those of the orders, and of the season where it counts.
    shift, shift_sd
        What is added to the raw score, and how far the next moment may differ from it.
    season
        Parameters that say how much of the season counts, see `training.fit.boosters.SEASON_OF`.
    season_known
        Whether earlier years showed any at the main horizon, whether it counts or not.
    season_unjudged
        Whether too few moments whose outcome is known knew it then.
    """

    encoder: Encoder
    shift: float = 0.0
    shift_sd: float = 0.0
    season: Mapping[str, float] = field(default_factory=dict)
    season_known: bool = False
    season_unjudged: bool = False

    @property
    def main_season(self) -> dict[str, float]:
        """Those of the main horizon."""
        return {name: share for name, share in self.season.items() if name not in STEP_PARAMS}


def prior_level(
    settings: Settings,
    data: Dataset,
    rows: pd.DataFrame,
    feature_rows: pd.DataFrame,
    until: pd.Timestamp | None = None,
) -> PriorLevel:
    """Learn the level at past moments, each forecast by the model of orders of its time.

    Parameters
    ----------
    settings
        Of the business.
    data
        The labelled rows of the task.
    rows
        Those of them that may be learned from.
    feature_rows
        Feature rows of all customers at all as-of dates up to the model's own.
    until
        No outcome past this moment may be seen, of no horizon; None: all that is labelled.
    """
    index = index_of(feature_rows, data)
    columns = [SEASON_OF["churn" if data.task == "churn" else "value"][str(name)] for name in index]
    steps = [name for name in SEASON_STEPS if len(columns) and data.task == "churn" and name in feature_rows]
    encoder = Encoder((*ORDERS, *columns, *steps), {})

    @cache
    def model_at(moment: pd.Timestamp) -> Expectation | None:
        return assembly.expectation_of(feature_rows[feature_rows["as_of"] == moment], data.task, encoder, settings)

    @cache
    def error_at(moment: pd.Timestamp) -> Shift | None:
        prior, labelled = model_at(moment), rows[rows["as_of"] == moment]
        if data.task == "churn":
            labelled = without_contacted(labelled, settings.churn.horizon_days, settings)
        matrix = encoder(labelled)
        if prior is None:
            return None
        if data.task == "churn":
            return log_odds_shift(expit(prior(matrix.x)), matrix.y)
        return log_ratio(np.exp(prior(matrix.x)), matrix.y)

    moments = sorted(rows["as_of"].unique())
    names = [*columns, *steps]
    events = [EVENTS_OF[name] for name in names if EVENTS_OF.get(name) in feature_rows]
    newest = feature_rows[["as_of", *names, *events]].drop_duplicates("as_of")
    seasons = with_early_seasons(newest, data.lent if until is None else None).set_index("as_of")
    season = _counting(index, seasons[columns].set_axis([*map(str, index)], axis=1), moments, error_at)
    if season:
        season |= _of_steps(settings, data, (rows, seasons), encoder, model_at, until)
    strengths = season_strengths(data.task, season, encoder)
    main = {place: s for place, s in strengths.items() if encoder.features[place] in columns}

    def left_at(moment: pd.Timestamp) -> Shift | None:
        shift = error_at(moment)
        if shift is None or not main:
            return shift
        at = seasons.loc[moment]
        return shift[0] - sum(s * float(at[encoder.features[place]]) for place, s in main.items()), shift[1]

    shift, sd = level_shift(moments, settings.outcome_days(data.task), left_at)
    of_param = SEASON_OF["churn" if data.task == "churn" else "value"]
    own = Encoder((*ORDERS, *(of_param[name] for name in season)), {})
    unjudged = not index.empty and len(_in_season(index, moments)) < LEAST_DATES
    return PriorLevel(own, shift, sd, season, not index.empty, unjudged)


def _in_season(index: pd.DataFrame, moments: list[Any]) -> list[Any]:
    """Those of the moments that knew a season then."""
    known = set(moments_in_season(index))
    return [moment for moment in moments if moment in known]


def _counting(index: pd.DataFrame, early: pd.DataFrame, moments: list[Any], error_at: ShiftAt) -> dict[str, float]:
    """How much of each column of the season counts, by parameter; those alone that do.

    `early` is the index with moments before it was known, see the module; they tell where few others can.
    """
    if index.empty:
        return {}
    known = _in_season(index, moments)
    few = len(known) < LEAST_DATES
    if few:
        index, known = early, [moment for moment in moments if early.loc[moment].any()]
    errors = {moment: error_at(moment) for moment in spread(known, MOMENTS)}
    there = {moment: shift[0] for moment, shift in errors.items() if shift is not None}
    found = shares(-np.array([*there.values()]), -index.loc[[*there]].to_numpy(np.float64))
    if few:
        found = (found / max(found.sum(), 1.0)).round(2)
    return {str(name): float(share) for name, share in zip(index, found, strict=True) if share}


def _of_steps(
    settings: Settings,
    data: Dataset,
    known: tuple[pd.DataFrame, pd.DataFrame],
    encoder: Encoder,
    model_at: Callable[[pd.Timestamp], Expectation | None],
    until: pd.Timestamp | None,
) -> dict[str, float]:
    """The same of the steps to the other horizons of churn, see `training.model.survival`."""
    if data.task != "churn":
        return {}
    rows, seasons = known
    out: dict[str, float] = {}
    pairs = season_pairs(settings.churn.horizon_days, settings.churn.all_horizons)
    for (param, column), (days, near) in zip(STEP_PARAMS.items(), pairs, strict=False):
        if column not in encoder.features:
            continue

        def error_at(moment: pd.Timestamp, days: int = days, near: int = near) -> Shift | None:
            prior, risky = model_at(moment), at_risk(rows[rows["as_of"] == moment], days, near, settings)
            risky = without_contacted(risky, max(days, near), settings)
            if prior is None or len(risky) < 2:
                return None
            matrix = encoder(risky)
            return log_odds_shift(expit(prior.conditional_on(days, near)(matrix.x)), matrix.y)

        index = rows.groupby("as_of")[[column]].first().set_axis([param], axis=1)
        moments = list(index.index)
        if until is not None:
            moments = list(matured(moments, max(days, near) + settings.grace_days("churn"), by=until))
        early = seasons[[column]].set_axis([param], axis=1)
        out |= _counting(index[index.any(axis=1)], early, sorted(moments), error_at)
    return out
