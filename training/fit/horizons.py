"""Models of the other horizons: each learns the step from its neighbour, see `training.model.survival`.

A step learns only from dates whose longer horizon has passed, and is calibrated on folds with that longer gap. Where
the history is too short for a horizon, it is left out, with everything beyond it, and the model says so.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.special import expit

from configs.settings import Settings
from features.labels.horizons import season_pairs
from training.data.dataset import Dataset, Encoder
from training.data.horizon_rows import horizons_to_learn, rows_at_risk
from training.data.split import AsOfs, customer_folds, rolling_origin
from training.fit.boosters import (
    CHURN,
    CHURN_LINEAR,
    SEASON_OF,
    STEP_PARAMS,
    Fitted,
    Member,
    ScoredRows,
    fit_member,
    season_strengths,
)
from training.fit.distributed import make_trainer
from training.fit.search import FIRST_TRIAL
from training.metrics import log_losses
from training.model.bundle import HorizonModel, Score
from training.model.calibration import Affine, Learned, fit_log_odds
from training.priors.linear import Linear
from training.priors.prior import terms
from training.priors.season import Season

TREES_WITHOUT_A_FOLD = 100


def fit_horizons(
    data: Dataset,
    as_ofs: AsOfs,
    until: pd.Timestamp | None,
    encoder: Encoder,
    main: Fitted,
    settings: Settings,
) -> tuple[tuple[HorizonModel, ...], dict[str, str]]:
    """Fit the models of a churn model's other horizons; a value model, or a ready label, has none.

    Parameters
    ----------
    data
        The labelled rows, with the labels of all horizons.
    as_ofs
        Those that may be learned from.
    until
        No outcome past this moment may be seen; None: all that is labelled.
    encoder, main
        The main model: the others take its columns and parameters, and have no more trees.
    settings
        Of the business.

    Returns
    -------
    tuple of Step
        Nearest to the main horizon first on either side.
    dict
        The horizons left out, and why.
    """
    if data.task == "clv" or data.by == "part":
        return (), {}
    to_learn, left_out = horizons_to_learn(data, as_ofs, until, settings)
    models = tuple(_fit_horizon(data, rows, dates, span, encoder, main, settings) for span, dates, rows in to_learn)
    return models, left_out


def _fit_horizon(
    data: Dataset,
    rows: pd.DataFrame,
    known_as_ofs: AsOfs,
    span: tuple[int, int, int],
    encoder: Encoder,
    main: Fitted,
    settings: Settings,
) -> HorizonModel:
    days, near, wait = span
    seed = settings.tuning.seed
    without_season = dict.fromkeys(SEASON_OF["churn"], 0.0)  # the main horizon's says nothing of a step
    params = {**FIRST_TRIAL, **main.params, **without_season, "seeds": 1}
    members = [Member(CHURN, params, {"churn": _most_trees(main, settings)})]
    if any(isinstance(term, Linear) for prior in main.priors for term in terms(prior)):  # it earned its place there
        members.insert(0, Member(CHURN_LINEAR, {}, {}))
    if season := _season_of(days, near, main, encoder, settings):  # the step's own counts if its folds are better so
        members += [replace(member, params={**member.params, **season}) for member in members]
    tree_counts: list[int] = []
    later: list[list[ScoredRows]] = [[] for _ in members]
    by_time = data.by == "as_of"
    folds = rolling_origin(known_as_ofs, wait, settings.tuning.folds) if by_time else customer_folds(known_as_ofs)
    for fold in folds:
        train, valid = (
            encoder(rows_at_risk(data, dates, days, near, settings)) for dates in (fold.train, [fold.valid])
        )
        if len(np.unique(train.y)) < 2 or len(valid.y) == 0:
            continue
        for rows_of_member, m in zip(later, members, strict=True):
            stop = settings.tuning.early_stopping_trees
            fitted = fit_member(m, train, encoder, seed=seed, valid=valid, stop_after=stop)
            tree_counts += fitted.trees.values()
            number = np.full(len(valid.y), len(rows_of_member))
            rows_of_member.append(ScoredRows(fitted.raw(valid.x), valid.y, number, valid.weight))
    limit = min(TREES_WITHOUT_A_FOLD, members[-1].trees["churn"])
    trees = {"churn": max(1, round(np.mean(tree_counts))) if tree_counts else limit}
    matrix, trainer = encoder(rows), make_trainer(settings.training)
    joined_later = [sum(parts[1:], parts[0]) for parts in later if parts]
    chosen = int(np.argmin([_loss(scored) for scored in joined_later])) if joined_later else 0
    whole = fit_member(replace(members[chosen], trees=trees), matrix, encoder, seed=seed, trainer=trainer)
    affine = Affine()
    if joined_later:
        scored, learned = joined_later[chosen], Learned(whole.raw(matrix.x)[:, 0], matrix.y, matrix.weight)
        affine = fit_log_odds(scored.raw[:, 0], scored.y, scored.fold, scored.weight, learned)
    return HorizonModel(days, Score(f"until_{days}_days", whole.boosters[0], affine, whole.priors[0]))


def _season_of(days: int, near: int, main: Fitted, encoder: Encoder, settings: Settings) -> dict[str, float]:
    """As much of the step's own season as the main horizon's columns count together, at most all; none if unknown."""
    pairs = season_pairs(settings.churn.horizon_days, settings.churn.all_horizons)
    own = dict(zip(pairs, STEP_PARAMS.items(), strict=False)).get((days, near))
    counting = {name: share for name, share in main.params.items() if name not in STEP_PARAMS}
    strength = min(sum(season_strengths("churn", counting, encoder).values()), 1.0)
    return {own[0]: strength} if own and strength and own[1] in encoder.features else {}


def horizons_without_season(settings: Settings) -> list[int]:
    """The horizons of churn for whose steps there is no column of the season, see `season_pairs`."""
    pairs = season_pairs(settings.churn.horizon_days, settings.churn.all_horizons)
    return sorted(days for days, _ in pairs[len(STEP_PARAMS) :])


def _most_trees(main: Fitted, settings: Settings) -> int:
    """At most as many as the main model's; where a prior spared it some, as many as folds find useful."""
    if any(not isinstance(term, Season) for prior in main.priors for term in terms(prior)):
        return settings.tuning.max_trees
    return max(main.trees.values()) // int(main.params.get("seeds", 1))


def _loss(scored: ScoredRows) -> float:
    return float(np.average(log_losses(scored.y, expit(scored.raw[:, 0])), weights=scored.weight))
