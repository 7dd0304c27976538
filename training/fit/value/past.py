"""Forecasts of value as they would have been made at past moments, beside what came within other horizons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from configs.settings import Settings
from training.data.dataset import Dataset
from training.data.split import matured
from training.fit import assembly
from training.fit.assembly import FittedModels
from training.fit.boosters import balance, predict
from training.fit.search import SearchResult
from training.fit.small_data import small_data_model_at


def apart(moments: Iterable[pd.Timestamp], days: float, most: int) -> list[pd.Timestamp]:
    """The newest moments that lie so many days apart, newest first.

    >>> [f"{m:%m-%d}" for m in apart(pd.date_range("2024-01-01", periods=6, freq="30D"), 60, 2)]
    ['05-30', '03-31']
    """
    chosen: list[pd.Timestamp] = []
    for moment in sorted(moments, reverse=True):
        if not chosen or chosen[-1] - moment >= pd.Timedelta(days=days):
            chosen.append(moment)
    return chosen[:most]


def forecasts_at(
    moments: Sequence[pd.Timestamp],
    models: FittedModels,
    data: Dataset,
    rows: pd.DataFrame,
    settings: Settings,
) -> pd.DataFrame:
    """What the model's recipe would have forecast at past moments, from what was known at each.

    Parameters
    ----------
    moments
        Labelled as-of dates; one before which no outcome was known is left out, unless a prior needs none.
    models, data, settings
        What was fitted, to what.
    rows
        Feature rows of all customers at all as-of dates.

    Returns
    -------
    pandas.DataFrame
        The labelled rows of these moments with ``expected``, in currency.
    """
    by_prior = models.search.loss is None
    parts = [
        _by_prior(moment, data, rows, settings) if by_prior else _by_search(moment, models.search, data, settings)
        for moment in moments
    ]
    made = [part for part in parts if part is not None]
    return pd.concat(made, ignore_index=True) if made else data.frame.head(0).assign(expected=np.zeros(0))


def _by_search(moment: pd.Timestamp, result: SearchResult, data: Dataset, settings: Settings) -> pd.DataFrame | None:
    known = matured(data.as_ofs, settings.outcome_days(data.task), by=moment)
    if not known or (data.at(known)["label"] > 0).sum() < 2:
        return None
    fitted, encoder = assembly.learn(data, known, result, settings)
    trained = assembly.score_rows(fitted, encoder, data.training_rows(known))
    affine = balance(fitted.form, trained)
    asked = data.at([moment])
    return asked.assign(expected=predict(fitted.form, fitted.raw(encoder(asked).x), affine))


def _by_prior(moment: pd.Timestamp, data: Dataset, rows: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    known = matured(data.as_ofs, settings.outcome_days(data.task), by=moment)
    past = replace(data, frame=data.frame[data.frame["as_of"].isin(known)])
    bundle = small_data_model_at(settings, past, rows[rows["as_of"] <= moment])
    asked = data.at([moment])
    return asked.assign(expected=bundle.predict(bundle.encode(asked)))
