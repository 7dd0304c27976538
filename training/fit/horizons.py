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
from features.labels.horizons import neighbour_pairs, season_pairs
from features.labels.inactivity import churned_column
from training.data.dataset import WEIGHT, Dataset, Encoder, weight_column
from training.data.split import AsOfs, customer_folds, matured, rolling_origin
from training.fit.boosters import CHURN, CHURN_LINEAR, STEP_PARAMS, Fitted, Member, ScoredRows, fit_member
from training.fit.distributed import make_trainer
from training.fit.search import FIRST_TRIAL
from training.metrics import log_losses
from training.model.bundle import HorizonModel, Score
from training.model.calibration import Affine, Learned, fit_log_odds
from training.priors.linear import Linear
from training.priors.prior import terms
from training.priors.season import Season

MIN_OF_EACH = 50
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
    models: list[HorizonModel] = []
    left_out: dict[str, str] = {}
    for days, near in neighbour_pairs(settings.churn.horizon_days, settings.churn.all_horizons):
        if str(near) in left_out:
            left_out[str(days)] = f"rests on {near} days"
            continue
        wait = max(days, near) + settings.grace_days("churn")
        known_as_ofs = as_ofs if until is None else matured(as_ofs, wait, by=until)
        rows = _at_risk(data, known_as_ofs, days, near, settings)
        counts = np.bincount(rows["label"].astype(int), minlength=2)
        if counts.min() < MIN_OF_EACH:
            left_out[str(days)] = (
                f"{counts[1]} customers without the event and {counts[0]} with it, {MIN_OF_EACH} needed"
            )
            continue
        models.append(_fit_horizon(data, rows, known_as_ofs, (days, near, wait), encoder, main, settings))
    return tuple(models), left_out


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
    params = {**FIRST_TRIAL, **main.params, "season": 0.0, "seeds": 1}  # the index is that of the main horizon
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
        train, valid = (encoder(_at_risk(data, dates, days, near, settings)) for dates in (fold.train, [fold.valid]))
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
    """As much of the step's own season as of the main horizon's counts; none where none is known."""
    pairs = season_pairs(settings.churn.horizon_days, settings.churn.all_horizons)
    own = dict(zip(pairs, STEP_PARAMS.items(), strict=False)).get((days, near))
    strength = main.params.get("season", 0.0)
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


def _at_risk(data: Dataset, as_ofs: AsOfs | list, days: int, near: int, settings: Settings) -> pd.DataFrame:
    """Rows that a step forecasts, see `at_risk`.

    They weigh as much as at the longer horizon: who was contacted only after the shorter one counts there alone.
    """
    weight = weight_column(max(days, near), settings.churn.horizon_days)
    rows = data.training_rows(as_ofs, weight)
    return at_risk(rows.assign(**{WEIGHT: rows[weight]}) if weight in rows else rows, days, near, settings)


def at_risk(rows: pd.DataFrame, days: int, near: int, settings: Settings) -> pd.DataFrame:
    """The rows that a step forecasts; ``label`` is 1 where nothing happened until its horizon."""
    inner, outer = (no_event_until(rows, d, settings) for d in (near, days))
    open_ = (inner == 1) if days > near else (inner == 0)
    return rows.assign(label=outer)[open_ & ~np.isnan(outer)].reset_index(drop=True)


def no_event_until(rows: pd.DataFrame, days: int, settings: Settings) -> np.ndarray:
    """1 where nothing had happened by a horizon (no order, no end of the contract), 0 where it had, NaN if unknown."""
    churned = churn_label_at(rows, days, settings)
    return churned if settings.churn.kind == "inactivity" else 1 - churned


def churn_label_at(rows: pd.DataFrame, days: int, settings: Settings) -> np.ndarray:
    """The churn label at a horizon, NaN where it is not known (yet), shape (n,)."""
    name = "label" if days == settings.churn.horizon_days else churned_column(days)
    if name not in rows:
        return np.full(len(rows), np.nan)
    return rows[name].to_numpy(dtype=np.float64, na_value=np.nan)
