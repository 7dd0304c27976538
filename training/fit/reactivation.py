"""The chance that a lapsed customer orders again: P(no order) of the model of orders, set right by what came.

Who has ordered but is silent for longer than ``churn.activity_days`` is no customer who could leave, and the model of
churn never learned from such. The model of orders (`training.priors.order_model`) knows them: they are part of the
histories it is fitted to. Its chance is mapped by slope and level in log-odds (Platt 1999), learned from lapsed
customers at moments whose outcome is known. A weak prior holds the map near "as the model says", so that a handful of
outcomes cannot bend it far.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit

from configs.errors import DataError
from configs.settings import Settings
from configs.workspace import Workspace
from features.labels.inactivity import returned_column
from training.data.dataset import Encoder
from training.data.task_rows import feature_rows, labels_of
from training.fit.assembly import FittedModels, expectation_of
from training.metrics import auc, log_loss
from training.model.bundle import Bundle, HorizonModel, Score
from training.model.calibration import Affine
from training.model.encoding import encode
from training.priors.expectation import COLUMNS, Expectation
from training.priors.level import smoothed_share

SLOPE_SD, LEVEL_SD = 0.5, 2.0
RETURNS_NOT_BUILT = "the labels were built before returns were counted: run `staycast features` again"
NO_COLUMNS = "the features of orders it rests on are switched off"


def with_reactivation(models: FittedModels, settings: Settings, workspace: Workspace) -> FittedModels:
    """The churn models of a business by inactivity, with the chance of return of its lapsed customers.

    The model that is judged knows no outcome past the beginning of the hold-out, and no history past it.
    """
    if models.final.task != "churn" or settings.churn.kind != "inactivity":
        return models
    everyone = feature_rows(workspace)
    rows, why = lapsed_rows(everyone, workspace, settings)
    if rows is None:
        return replace(models, final=_without(models.final, why))
    judged = models.judged
    if judged is not None and models.plan is not None and models.plan.begins is not None:
        begins = models.plan.begins
        judged = _add(judged, matured_by(rows, begins, settings), everyone[everyone["as_of"] <= begins], settings)
    return replace(models, judged=judged, final=_add(models.final, rows, everyone, settings))


def lapsed_rows(rows: pd.DataFrame, workspace: Workspace, settings: Settings) -> tuple[pd.DataFrame | None, str]:
    """The lapsed customers among feature rows with what came, one row each; or None, and why.

    ``customer_id, as_of``, the columns of the model of orders, and ``returned_<days>`` of every horizon (NaN: not
    known).
    """
    days = [returned_column(d) for d in settings.churn.all_horizons]
    labels = labels_of(workspace)
    if not set(days) <= set(labels.columns):
        return None, RETURNS_NOT_BUILT
    if not set(COLUMNS) <= set(rows.columns):
        return None, NO_COLUMNS
    known = labels.loc[labels[days].notna().any(axis=1), ["customer_id", "as_of", *days]]
    keys = ["customer_id", "as_of"]
    return rows[[*keys, *COLUMNS]].merge(known, on=keys, validate="1:1").sort_values(keys, ignore_index=True), ""


def matured_by(rows: pd.DataFrame, moment: pd.Timestamp, settings: Settings) -> pd.DataFrame:
    """The rows of earlier moments, without the outcomes that were not known at a moment."""
    out = rows[rows["as_of"] < moment].reset_index(drop=True)
    for days in settings.churn.all_horizons:
        known = out["as_of"] + pd.Timedelta(days=days) <= moment
        out[returned_column(days)] = out[returned_column(days)].astype(np.float64).where(known)
    return out


def fit_return(score: np.ndarray, returned: np.ndarray) -> Affine:
    """Map log-odds of no order to log-odds of an order, by what came.

    A weak prior (slope normal about -1, level normal about 0) gives a finite map where nobody returned, and the model's
    own word where nothing is known. The slope never rises above 0: a longer expected silence never tells of a return.

    >>> rng = np.random.default_rng(0)
    >>> silent = rng.normal(2, 1, 50_000)
    >>> fitted = fit_return(silent, (rng.random(50_000) < expit(-0.6 * silent - 1)).astype(float))
    >>> round(fitted.slope, 1), round(fitted.intercept, 1)
    (-0.6, -1.0)

    Raises
    ------
    DataError
        A score of a customer whose outcome is known is no finite number: nothing can be learned from it.
    """
    known = np.isfinite(returned)
    s, y = score[known], returned[known]
    if wrong := int((~np.isfinite(s)).sum()):
        raise DataError(
            f"the model of orders gives {wrong} of {len(s)} lapsed customers no finite chance of an order: see whether "
            "counts, days and amounts of their orders are plausible"
        )

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        z = theta[0] * s + theta[1]
        off = np.array([(theta[0] + 1) / SLOPE_SD, theta[1] / LEVEL_SD])
        gap = expit(z) - y
        slope = np.array([gap @ s, gap.sum()]) + off / np.array([SLOPE_SD, LEVEL_SD])
        return float((np.logaddexp(0, z) - y * z).sum() + off @ off / 2), slope

    found = minimize(loss, np.array([-1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(None, 0.0), (None, None)]).x
    return Affine(float(found[0]), float(found[1]))


def examine_returns(bundle: Bundle, rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    """What the chance of return showed on lapsed customers it had not seen, by days of the horizon.

    ``customers``; ``share_returned`` and ``mean_probability``, alike where the level is right; ``auc``; ``log_loss``
    beside ``base_log_loss``, that of the share who returned among those it was calibrated on.
    """
    chances = bundle.reactivation(rows) if len(rows) else None
    out: dict[str, dict[str, float]] = {}
    for days, chance in (chances or {}).items():
        came = rows[returned_column(days)].to_numpy(np.float64, na_value=np.nan)
        known = np.isfinite(came)
        y, p = came[known], chance[known]
        if len(y) == 0:
            continue
        base = np.full(len(y), bundle.info["reactivation"]["share_returned"][str(days)])
        both = 0 < y.mean() < 1
        out[str(days)] = {
            "customers": float(len(y)),
            "share_returned": float(y.mean()),
            "mean_probability": float(p.mean()),
            "auc": auc(y, p) if both else float("nan"),
            "log_loss": log_loss(y, p),
            "base_log_loss": log_loss(y, base),
        }
    return out


def examine_returns_at(
    bundle: Bundle, held_out: pd.DataFrame, workspace: Workspace, settings: Settings
) -> dict[str, dict[str, float]]:
    """`examine_returns` on the lapsed customers at the moments of the hold-out; empty where nothing is held."""
    rows = lapsed_rows(feature_rows(workspace), workspace, settings)[0] if bundle.returns else None
    return {} if rows is None else examine_returns(bundle, rows[rows["as_of"].isin(held_out["as_of"].unique())])


def _add(bundle: Bundle, rows: pd.DataFrame, everyone: pd.DataFrame, settings: Settings) -> Bundle:
    newest = everyone[everyone["as_of"] == everyone["as_of"].max()]
    orders = expectation_of(newest, "churn", Encoder(COLUMNS, {}), settings)
    if orders is None:
        return _without(bundle, "nobody has ordered yet")
    x, models, shares = encode(rows, COLUMNS, {}), [], {}
    for days in settings.churn.all_horizons:
        prior = replace(orders, horizon_days=days)
        came = rows[returned_column(days)].to_numpy(np.float64, na_value=np.nan)
        try:
            affine = fit_return(_raw(prior, x), came)
        except DataError as error:
            return _without(bundle, str(error))
        models.append(HorizonModel(days, Score(f"return_{days}_days", None, affine, prior)))
        shares[str(days)] = smoothed_share(came[np.isfinite(came)])
    known_rows = rows[returned_column(settings.churn.horizon_days)].notna()
    facts: dict[str, Any] = {
        "rows": int(known_rows.sum()),
        "moments": int(rows.loc[known_rows, "as_of"].nunique()),
        "share_returned": shares,
    }
    return replace(bundle, returns=tuple(models), info={**bundle.info, "reactivation": facts})


def _raw(prior: Expectation, x: np.ndarray) -> np.ndarray:
    return prior(x) if len(x) else np.zeros(0)


def _without(bundle: Bundle, why: str) -> Bundle:
    return replace(bundle, info={**bundle.info, "reactivation": {"left_out": why}})
