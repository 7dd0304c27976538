"""Each other horizon of churn at the level that its own outcomes showed.

A model of orders gets its level at the main horizon. Of a long one few moments have an outcome, while many more have
those of shorter ones, which may show another level. So each horizon is raised or lowered, in log-odds, by what its own
past moments show beside a neighbour's level (`training.priors.level`, shrunk alike); without any it keeps the
neighbour's. No horizon contradicts another (`training.model.survival.direct_curve`). Where the main horizon itself has
no outcome yet, the longest one that has gives the level of all.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from configs.settings import Settings
from features.labels.horizons import neighbour_pairs
from features.labels.inactivity import churned_column
from training.data.dataset import Encoder
from training.data.early_seasons import with_early_seasons
from training.data.split import matured
from training.data.treatment import without_contacted
from training.fit import assembly
from training.fit.assembly import FittedModels
from training.fit.small_data import days_past
from training.model.bundle import Bundle, HorizonModel, Score
from training.model.calibration import Affine
from training.model.encoding import encode
from training.priors.expectation import COLUMNS as ORDERS
from training.priors.expectation import Expectation
from training.priors.level import Shift, level_shift, log_odds_shift
from training.priors.prior import Prior, Sum, terms

TINY = 1e-9


def with_levels_of_horizons(
    models: FittedModels, settings: Settings, feature_rows: pd.DataFrame, labels: pd.DataFrame
) -> FittedModels:
    """The model that serves with levels of its other horizons, and the one that is judged by dates, see below."""
    if models.final.task != "churn":
        return models
    final, judged = with_own_levels(models.final, settings, feature_rows, labels), models.judged
    begins = min(models.plan.holdout) if models.plan and models.plan.holdout else None
    if judged is not None and isinstance(begins, pd.Timestamp):
        judged = with_own_levels(judged, settings, feature_rows, labels, begins)
    return replace(models, final=final, judged=judged)


def with_own_levels(
    bundle: Bundle,
    settings: Settings,
    feature_rows: pd.DataFrame,
    labels: pd.DataFrame,
    until: pd.Timestamp | None = None,
) -> Bundle:
    """A churn model of orders with a level of each other horizon; any other model as it came.

    Parameters
    ----------
    bundle
        Of `training.fit.small_data`.
    settings
        Of the business.
    feature_rows
        Of all customers at all as-of dates up to the model's own.
    labels
        ``customer_id, as_of``, ``churned_<days>`` and ``contacted_<days>``; NaN: not known.
    until
        No outcome past this moment may be seen; None: all that is labelled.
    """
    orders = next((t for t in terms(bundle.scores[0].prior) if isinstance(t, Expectation)), None)
    if bundle.task != "churn" or orders is None or not bundle.steps or bundle.steps[0].direct:
        return bundle
    encoder = Encoder(bundle.features, bundle.categories)
    through = pd.Timestamp(bundle.trained_through)
    rows = with_early_seasons(feature_rows[feature_rows["as_of"] <= through])  # as `training.fit.level.orders` has them

    @cache
    def bundle_at(moment: pd.Timestamp) -> Bundle | None:
        then = assembly.expectation_of(rows[rows["as_of"] == moment], "churn", encoder, settings)
        return None if then is None else _with_orders(bundle, then)

    found: dict[int, float] = {bundle.horizon_days: 0.0}
    for days, near in neighbour_pairs(bundle.horizon_days, [step.days for step in bundle.steps]):
        known = _known(rows, labels, days, settings, until)

        def shift_at(
            moment: pd.Timestamp, days: int = days, near: int = near, known: pd.DataFrame = known
        ) -> Shift | None:
            model, asked = bundle_at(moment), known[known["as_of"] == moment]
            if model is None:
                return None
            x = model.encode(asked)
            chance = model.survival(x, model.predict(x)).no_event[days]
            at_level = expit(logit(np.clip(chance, TINY, 1 - TINY)) + found[near])
            return log_odds_shift(at_level, asked[churned_column(days)].to_numpy(np.float64))

        moments = list(known["as_of"].unique())
        found[days] = found[near] + (level_shift(moments, days, shift_at)[0] if moments else 0.0)
    return replace(bundle, steps=tuple(replace(step, level=found[step.days]) for step in bundle.steps))


def with_shorter_level(
    bundle: Bundle, settings: Settings, feature_rows: pd.DataFrame, labels: pd.DataFrame, population: pd.DataFrame
) -> Bundle:
    """A churn model of orders at the level that past moments showed at the longest horizon known of any.

    For a main horizon that has not passed since any moment; as it came where a season counts in it. In log-odds, the
    level is that of every horizon, so that none contradicts another; learned it is at one, which `info` names
    (``learned_horizon_days``) for the answer.

    Parameters
    ----------
    bundle
        Of `training.fit.small_data`, without an outcome.
    settings, feature_rows
        See `training.fit.small_data.fit_small_data`.
    labels
        ``customer_id, as_of``, ``churned_<days>`` and ``contacted_<days>`` of the horizons; NaN: not known yet when the
        model is made, so that no outcome counts that had not come.
    population
        The customers who are asked about.
    """
    prior, churn = bundle.scores[0].prior, settings.churn
    shorter = sorted((d for d in churn.all_horizons if d < churn.horizon_days), reverse=True)
    outcomes = ((d, _known(feature_rows, labels, d, settings)) for d in shorter)
    days, rows = next(((d, known) for d, known in outcomes if len(known)), (0, feature_rows.head(0)))
    in_season = not all(isinstance(p, Expectation) for p in (prior, *(step.score.prior for step in bundle.steps)))
    if not isinstance(prior, Expectation) or in_season or not days:
        return bundle
    encoder = Encoder(ORDERS, {})

    def shift_at(moment: pd.Timestamp) -> Shift | None:
        then = feature_rows[feature_rows["as_of"] == moment]
        orders = assembly.expectation_of(then, "churn", encoder, settings)
        if orders is None:
            return None
        asked = rows[rows["as_of"] == moment]
        chance = expit(replace(orders, horizon_days=days)(encode(asked, ORDERS, {})))
        return log_odds_shift(chance, asked[churned_column(days)].to_numpy(np.float64))

    moments = list(rows["as_of"].unique())
    shift, sd = level_shift(moments, days, shift_at)
    level = Affine(1.0, shift)
    others = [d for d, _ in neighbour_pairs(churn.horizon_days, churn.all_horizons)]
    steps = tuple(
        HorizonModel(d, Score(f"until_{d}_days", None, level, replace(prior, horizon_days=d)), True) for d in others
    )
    through = pd.Timestamp(bundle.trained_through)
    facts: dict[str, Any] = {"learned_horizon_days": days, "learned_moments": len(moments)}
    facts |= {"outcome_days": days_past(through, rows, days), "level_sd": max(sd, bundle.level_sd)}
    leveled = replace(
        bundle, scores=(replace(bundle.scores[0], affine=level),), steps=steps, info={**bundle.info, **facts}
    )
    return assembly.with_reference(leveled, population, population, settings.tuning.seed)


def _known(
    rows: pd.DataFrame, labels: pd.DataFrame, days: int, settings: Settings, until: pd.Timestamp | None = None
) -> pd.DataFrame:
    """Feature rows whose outcome within a horizon is known, with it."""
    if churned_column(days) not in labels:
        return rows.head(0)
    known = labels.dropna(subset=[churned_column(days)])
    if until is not None:
        known = known[known["as_of"].isin(matured(known["as_of"], days + settings.grace_days("churn"), by=until))]
    known = without_contacted(known, days, settings)[["customer_id", "as_of", churned_column(days)]]
    return rows.merge(known, on=["customer_id", "as_of"], validate="1:1")


def _with_orders(bundle: Bundle, orders: Expectation) -> Bundle:
    """The model with the orders of another moment."""

    def moved(prior: Prior) -> Prior:
        if isinstance(prior, Expectation):
            return replace(orders, horizon_days=prior.horizon_days, near_days=prior.near_days)
        return Sum(tuple(moved(term) for term in prior.priors)) if isinstance(prior, Sum) else prior

    def score(of: Score) -> Score:
        return replace(of, prior=moved(of.prior)) if of.prior is not None else of

    steps = tuple(replace(step, score=score(step.score)) for step in bundle.steps)
    return replace(bundle, scores=tuple(map(score, bundle.scores)), steps=steps)
