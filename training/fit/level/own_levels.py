"""Each other horizon of churn at the level that its own outcomes showed.

A model of orders gets its level at the main horizon. Of a long one few moments have an outcome, while many more have
those of shorter ones, which may show another level. So each horizon is raised or lowered, in log-odds, by what its own
past moments show beside a neighbour's level (`training.priors.level`, shrunk alike); without any it keeps the
neighbour's. No horizon contradicts another (`training.model.survival.direct_curve`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from configs.settings import Settings
from features.labels.horizons import neighbour_pairs
from features.labels.inactivity import churned_column
from features.schema import SEASON_COLUMNS
from training.data.dataset import Encoder
from training.data.early_seasons import with_early_seasons
from training.data.split import matured
from training.data.treatment import without_contacted
from training.fit import assembly
from training.fit.assembly import FittedModels
from training.model.bundle import Bundle, Score
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
    rows = _with_seasons(feature_rows[feature_rows["as_of"] <= through])

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


def _with_seasons(feature_rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the season of moments before it was known, see `training.fit.level.orders`."""
    columns = [name for name in SEASON_COLUMNS if name in feature_rows]
    if not columns:
        return feature_rows
    seasons = with_early_seasons(feature_rows[["as_of", *columns]].drop_duplicates("as_of")).set_index("as_of")
    return feature_rows.assign(**{name: feature_rows["as_of"].map(seasons[name]) for name in columns})


def _known(
    rows: pd.DataFrame, labels: pd.DataFrame, days: int, settings: Settings, until: pd.Timestamp | None
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
