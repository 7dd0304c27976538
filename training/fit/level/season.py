"""How much the season of the business counts: learned at its own past moments, before anything is searched.

The index says how the days ahead differ from those before (`features.seasons`), of value twice: beside the quarter
before, and beside a whole year. Customers' columns look back further or less far, and tell some of it themselves, so
that a model needs only a part of each. Plain trees forecast up to eight past moments without the index and with all of
each column, from what was known then; between their errors of the level lie the shares that bring them nearest to 0,
by least squares, held to a half in total as far as few moments tell. That no share helps is what more moments tell than
there are shares; from fewer, whose errors a level explains as well, the season counts as far as its index is believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import lsq_linear
from scipy.special import logit

from configs.settings import Settings
from training.data.dataset import Dataset, Encoder, Matrix, learn_encoder
from training.data.early_seasons import LEAST_DATES
from training.data.split import matured
from training.fit.boosters import (
    CHURN,
    SEASON_OF,
    STEP_PARAMS,
    TWEEDIE,
    Fitted,
    Params,
    ScoredRows,
    balance,
    fit,
    predict,
)
from training.fit.search import FIRST_TRIAL
from training.model.bundle import Task
from training.model.calibration import Affine
from training.priors.level import smoothed_share
from training.priors.prior import terms
from training.priors.season import Season

TREES, MOMENTS, MOST_ROWS = 60, 8, 20_000
USUAL, SD = 0.5, 0.3
SD_LEVEL = 0.3  # of what errors of a business have in common
LEAST_SD = 0.02
MOST = 2.0  # of a column: recency tells the season of the past, and a model that goes by it errs by more than one


def season_params(data: Dataset, as_ofs: Iterable[Any], settings: Settings) -> dict[str, float]:
    """Parameters of a model that say how much of the season counts, within [0, 2]; none where it brings nothing.

    Parameters
    ----------
    data
        Labelled rows.
    as_ofs
        The dates that may be learned from.
    settings
        Of the business.
    """
    if data.by != "as_of":
        return {}
    rows = data.training_rows(as_ofs)
    index = index_of(data.at(as_ofs) if data.lent is None else rows, data)
    if index.empty:
        return {}
    index = index[index.index.isin(rows["as_of"])]
    wait = settings.outcome_days(data.task)
    known = {v: matured(list(index.index), wait, by=v) for v in moments_in_season(index)}
    asked = [
        v
        for v, dates in known.items()
        if len(index.loc[list(dates)].drop_duplicates()) >= LEAST_DATES and _tells(rows, dates, v, data.task)
    ]
    moments = spread(asked)
    errors = [_errors(data, known[v], v, [*map(str, index)], settings.tuning.seed) for v in moments]
    table = np.array(errors).reshape(len(moments), 1 + index.shape[1])
    strengths = shares(table[:, 0], table[:, :1] - table[:, 1:])
    return {str(name): float(share) for name, share in zip(index, strengths, strict=True) if share}


def moments_in_season(index: pd.DataFrame) -> list[Any]:
    """The moments that knew a season then, of `index_of`."""
    return list(index.index[index.any(axis=1)])


def _tells(rows: pd.DataFrame, train: Iterable[Any], valid: Any, task: str) -> bool:
    """Whether the error at a moment can be told: both outcomes were known before it, or some value, and came at it."""
    before = rows.loc[rows["as_of"].isin(list(train)), "label"]
    if task == "churn":
        return before.nunique() > 1
    return bool((before > 0).any() and (rows.loc[rows["as_of"] == valid, "label"] > 0).any())


def index_of(rows: pd.DataFrame, data: Dataset) -> pd.DataFrame:
    """The season of each moment: a row a moment, columns named as the parameters; empty where none is known."""
    columns = SEASON_OF["churn" if data.task == "churn" else "value"]
    there = {param: c for param, c in columns.items() if param not in STEP_PARAMS and c in rows}
    if not there:
        return pd.DataFrame()
    index = rows.groupby("as_of")[list(there.values())].first().set_axis(list(there), axis=1)
    return index.loc[:, index.any()] if index.any(axis=None) else pd.DataFrame()


def spread(moments: Sequence[Any], most: int = MOMENTS) -> list[Any]:
    """At most so many of the moments, as far apart as can be."""
    places = np.linspace(0, len(moments) - 1, min(most, len(moments)))
    return [moments[i] for i in np.unique(places.round().astype(int))]


def shares(errors: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """The share of each column of the season that brings errors of the level nearest to 0, shape (k,).

    Parameters
    ----------
    errors
        Of each moment without the season, shape (moments,).
    gains
        By how much all of each column lowers them, shape (moments, k).

    Examples
    --------
    >>> shares(np.array([0.4, -0.4, 0.2, -0.2]), np.array([[0.4], [-0.4], [0.2], [-0.2]])).tolist()
    [0.99]
    >>> shares(np.array([0.1, -0.1]), np.array([[-0.3], [0.3]])).tolist()
    [0.0]
    >>> shares(np.empty(0), np.empty((0, 2))).tolist()
    [0.25, 0.25]
    >>> shares(np.array([0.5]), np.array([[0.6, 0.4]])).tolist()  # one moment does not tell a season from a level
    [0.31, 0.29]
    """
    n, k = gains.shape
    usual = np.full(k, USUAL / k)
    if not n:
        return usual
    prior = np.diag([1 / SD_LEVEL, *np.full(k, 1 / SD)])
    aim = np.concatenate([[0.0], usual / SD])
    level = np.column_stack([np.ones(n), gains])
    bounds = np.array([-np.inf, *np.zeros(k)]), np.array([np.inf, *np.full(k, MOST)])

    def solved(sd: float) -> tuple[np.ndarray, np.ndarray]:
        found = lsq_linear(np.vstack([level / sd, prior]), np.concatenate([errors / sd, aim]), bounds).x
        return found[1:], errors - level @ found

    if n <= k:
        return solved(SD_LEVEL)[0].round(2)
    _, left = solved(LEAST_SD)
    strengths, left = solved(max(float(np.sqrt(left @ left / max(n - k, 1))), LEAST_SD))
    common = errors.sum() / (n + float(np.var(errors)) / SD_LEVEL**2)
    helps = left @ left < (errors - common) @ (errors - common)
    return strengths.round(2) if helps else np.zeros(k)


def has_season(fitted: Fitted) -> bool:
    """Whether the season of the business counts in a forecast."""
    return any(isinstance(term, Season) for prior in fitted.priors for term in terms(prior))


def _errors(data: Dataset, train: Iterable[Any], valid: Any, names: Sequence[str], seed: int) -> list[float]:
    """How far plain trees are off in the level at a moment: without the season, then with each column; raw scores."""
    learned, encoder = learn_some(data, train, seed)
    later, out = encoder(data.training_rows([valid])), []
    for name in (None, *names):
        fitted, affine = fit_plain_trees(data.task, learned, encoder, seed, {} if name is None else {name: 1.0})
        out.append(_level_error(data.task, predict(fitted.form, fitted.raw(later.x), affine), later.y))
    return out


def learn_some(data: Dataset, train: Iterable[Any], seed: int) -> tuple[Matrix, Encoder]:
    """Encoded rows of some dates, of many a part."""
    rows = data.training_rows(train)
    rows = rows.sample(min(len(rows), MOST_ROWS), random_state=seed)
    encoder = learn_encoder(rows, data.schema)
    return encoder(rows), encoder


def fit_plain_trees(
    task: Task, learned: Matrix, encoder: Encoder, seed: int, params: Params = MappingProxyType({})
) -> tuple[Fitted, tuple[Affine, ...]]:
    """Trees that nothing was searched for, at the level of what they learned from; `params` beside the usual ones."""
    form = CHURN if task == "churn" else TWEEDIE
    fitted = fit(form, learned, encoder, {**FIRST_TRIAL, **params}, seed=seed, trees={form.parts[0].name: TREES})
    trained = ScoredRows(fitted.raw(learned.x), learned.y, np.zeros(len(learned.y), dtype=int))
    return fitted, (Affine(),) if task == "churn" else balance(form, trained)


def _level_error(task: str, forecast: np.ndarray, y: np.ndarray) -> float:
    if task == "churn":
        return float(logit(np.mean(forecast)) - logit(smoothed_share(y)))
    return float(np.log(forecast.sum() / np.maximum(y, 0.0).sum()))
