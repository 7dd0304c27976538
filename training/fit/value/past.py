"""Forecasts of value as they would have been made at past moments, beside what came within other horizons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from configs.errors import DataError
from configs.settings import Settings
from training.data.dataset import Dataset
from training.data.preconditions import informative_folds
from training.data.split import AsOfs, matured, rolling_origin
from training.data.task_rows import search_folds
from training.fit import assembly
from training.fit.assembly import FittedModels, Forecast
from training.fit.boosters import Fitted, ScoredRows, balance, calibrate
from training.fit.level.unjudged import in_season
from training.fit.search import SearchResult
from training.fit.small_data import small_data_model_at
from training.model.calibration import Affine

MoveAt = Callable[[pd.Timestamp, Forecast], float]


def forecasts_at(
    moments: Sequence[pd.Timestamp],
    models: FittedModels,
    data: Dataset,
    rows: pd.DataFrame,
    settings: Settings,
    move_at: MoveAt = lambda moment, forecast: 0.0,
) -> pd.DataFrame:
    """What the model's recipe would have forecast at past moments, from what was known at each.

    Parameters
    ----------
    moments
        Labelled as-of dates; one at which the recipe could not be followed yet is left out, as where no outcome was
        known that it needs.
    models, data, settings
        What was fitted, to what.
    rows
        Feature rows of all customers at all as-of dates.
    move_at
        By how much the months before a moment raise the logarithm of its forecasts, see `training.fit.value.recent`.

    Returns
    -------
    pandas.DataFrame
        The labelled rows of these moments with ``expected``, in currency.
    """
    by_prior = models.search.loss is None
    parts = [
        _by_prior(moment, data, rows, settings)
        if by_prior
        else _by_search(moment, in_season(models.search, models.season), data, settings, move_at)
        for moment in moments
    ]
    forecasts = [part for part in parts if part is not None]
    return pd.concat(forecasts, ignore_index=True) if forecasts else data.frame.head(0).assign(expected=np.zeros(0))


def _by_search(
    moment: pd.Timestamp, result: SearchResult, data: Dataset, settings: Settings, move_at: MoveAt
) -> pd.DataFrame | None:
    known = matured(data.as_ofs, settings.outcome_days(data.task), by=moment)
    if not known or (data.at(known)["label"] > 0).sum() < 2:
        return None
    fitted, encoder = assembly.learn(data, known, result, settings)
    trained = assembly.score_rows(fitted, encoder, data.training_rows(known))
    try:
        affine = _calibrated(fitted, trained, known, result, data, settings)
    except DataError:
        return None
    asked, forecast = data.at([moment]), assembly.forecaster(fitted, encoder, affine)
    return asked.assign(expected=forecast(asked) * np.exp(move_at(moment, forecast)))


def _calibrated(
    fitted: Fitted, trained: ScoredRows, known: AsOfs, result: SearchResult, data: Dataset, settings: Settings
) -> tuple[Affine, ...]:
    """The affine maps as `training.fit.assembly.assemble` learns them, from folds of what was known."""
    if fitted.form.link == "exp":  # one amount has no share to learn, and its level is learned from `trained`
        return balance(fitted.form, trained)
    past = replace(data, frame=data.at(known))
    by_time = rolling_origin(past.as_ofs, settings.outcome_days(data.task), settings.tuning.folds)
    rows, plans = search_folds(past, by_time, settings)
    folds = assembly.fold_data(rows, informative_folds(rows, plans), settings)
    return calibrate(fitted.form, assembly.validation_scores(folds, result, settings.tuning.seed), trained)


def _by_prior(moment: pd.Timestamp, data: Dataset, rows: pd.DataFrame, settings: Settings) -> pd.DataFrame | None:
    known = matured(data.as_ofs, settings.outcome_days(data.task), by=moment)
    past = replace(data, frame=data.frame[data.frame["as_of"].isin(known)])
    try:
        bundle = small_data_model_at(settings, past, rows[rows["as_of"] <= moment])
    except DataError:
        return None
    asked = data.at([moment])
    return asked.assign(expected=bundle.predict(bundle.encode(asked)))
