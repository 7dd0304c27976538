"""Models of the other horizons: each learns the step from its neighbour, see `training.model.survival`.

A step learns only from dates whose longer horizon has passed, and is calibrated on folds with that longer gap. Where
the history is too short for a horizon, it is left out, with everything beyond it, and the model says so.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from configs.settings import Settings
from features.labels.inactivity import churned_column
from training.data.dataset import WEIGHT, Dataset, Encoder, weight_column
from training.data.split import AsOfs, matured, rolling_origin
from training.fit.boosters import CHURN, Fitted, fit
from training.fit.distributed import make_trainer
from training.model.bundle import HorizonModel, Score
from training.model.calibration import Affine, fit_log_odds
from training.model.survival import neighbour_pairs

MIN_OF_EACH = 50


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
    params = {**main.params, "season": 0.0}  # the index is that of the main horizon
    seed = settings.tuning.seed
    tree_counts: list[int] = []
    later: list[tuple[np.ndarray, ...]] = []
    for fold in rolling_origin(known_as_ofs, wait, settings.tuning.folds):
        train, valid = (encoder(_at_risk(data, dates, days, near, settings)) for dates in (fold.train, [fold.valid]))
        if len(np.unique(train.y)) < 2 or len(valid.y) == 0:
            continue
        fitted = fit(
            CHURN,
            train,
            encoder,
            params,
            seed=seed,
            trees=main.trees,
            valid=valid,
            stop_after=settings.tuning.early_stopping_trees,
        )
        tree_counts.append(fitted.trees["churn"])
        weight = np.ones(len(valid.y)) if valid.weight is None else valid.weight
        later.append((fitted.raw(valid.x)[:, 0], valid.y, np.full(len(valid.y), len(later)), weight))
    trees = {"churn": max(1, round(np.mean(tree_counts)))} if tree_counts else main.trees
    matrix, trainer = encoder(rows), make_trainer(settings.training)
    whole = fit(CHURN, matrix, encoder, params, seed=seed, trees=trees, trainer=trainer)
    affine = Affine()
    if later:
        score, label, folds, weight = (np.concatenate(c) for c in zip(*later, strict=True))
        affine = fit_log_odds(score, label, folds, weight, whole.raw(matrix.x)[:, 0])
    return HorizonModel(days, Score(f"until_{days}_days", whole.boosters[0], affine))


def _at_risk(data: Dataset, as_ofs: AsOfs | list, days: int, near: int, settings: Settings) -> pd.DataFrame:
    """Rows that a step forecasts; ``label`` is 1 where nothing happened until its horizon.

    They weigh as much as at the longer horizon: who was contacted only after the shorter one counts there alone.
    """
    weight = weight_column(max(days, near), settings.churn.horizon_days)
    rows = data.training_rows(as_ofs, weight)
    rows = rows.assign(**{WEIGHT: rows[weight]}) if weight in rows else rows
    inner, outer = (no_event_until(rows, d, settings) for d in (near, days))
    at_risk = (inner == 1) if days > near else (inner == 0)
    return rows.assign(label=outer)[at_risk & ~np.isnan(outer)].reset_index(drop=True)


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
