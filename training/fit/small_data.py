"""A company with little history: a forecast from a prior alone, with what can be said of how sure it is.

Below the limits of ``minimum`` trees learn noise. Then a model of orders answers (`training.priors.order_model`), which
needs customers but no outcome; or, where there are no orders, a strongly held ridge regression
(`training.priors.linear`). Both go through the same bundle, so answers, reasons and reports stay as they are; each
answer says its ``basis``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pandas as pd

from configs.errors import DataError, NotEnoughDataError
from configs.settings import Settings
from features.labels.eligibility import is_active
from training.data.dataset import Dataset, Encoder, Matrix, learn_encoder, shortage
from training.data.preconditions import require_features
from training.data.split import AsOfs, Plan
from training.fit import assembly
from training.fit.assembly import FittedModels
from training.fit.boosters import CHURN_LINEAR, CHURN_ORDERS, VALUE_LINEAR, VALUE_ORDERS, Fitted, Form, fit, link
from training.fit.search import SearchResult
from training.model.bundle import Bundle, HorizonModel, Score, Task, encode
from training.model.calibration import Affine
from training.model.intervals import MIN_PER_BIN, Interval, fit_interval
from training.model.survival import neighbour_pairs
from training.priors.expectation import COLUMNS as ORDERS
from training.priors.expectation import Expectation, summary_of

LEVELS = tuple((np.arange(39) + 0.5) / 39)
LEAST_FOR_INTERVAL = 10
GROUPS = 5
LEFT_OUT = "too little history: the prior was learned at the main horizon alone"


def answers_from_prior(data: Dataset, settings: Settings) -> bool:
    """Whether there is too little for trees, and the settings let a prior answer instead."""
    return settings.minimum.below == "prior" and bool(shortage(data, settings.minimum))


def fit_small_data(settings: Settings, data: Dataset, plan: Plan | None, known: pd.DataFrame) -> FittedModels:
    """Make models of one task from a prior alone.

    Parameters
    ----------
    settings
        Of the business.
    data
        The labelled rows, if any.
    plan
        What each labelled moment is for; None: too few have matured to hold any out.
    known
        Feature rows of all customers at all moments, the newest too. Those of whom nobody is asked, because they were
        silent for too long, tell a model of orders how customers leave.

    Raises
    ------
    NotEnoughDataError
        Fewer customers than ``minimum.few_customers``; or there is no label at all where one is needed.
    DataError
        A feature is infinite; or values are asked of customers whose orders bring nothing in total.
    """
    people = rows_asked_about(known, data.task, settings)
    least = settings.minimum.few_customers
    if len(people) < least:
        raise NotEnoughDataError(
            f"{data.task}: {len(people)} customers at the newest moment, and even a prior needs {least}: bring more "
            "customers, or lower minimum.few_customers"
        )
    require_features(data.task, known, data.schema.names)
    which = form_for(data, settings)
    found = SearchResult(which, {}, {}, None, None, optuna.create_study())
    judged = None
    if plan is not None:
        earlier = data.newest(plan.train_for_holdout)
        judged = _bundle(which, settings, data, plan.train_for_holdout, known, (earlier, people))
    moments = plan.final if plan else tuple(sorted(data.frame[data.by].unique()))
    return FittedModels(plan, found, judged, _bundle(which, settings, data, moments, known, (people, people)))


def small_data_model_at(settings: Settings, past: Dataset, known: pd.DataFrame) -> Bundle:
    """The model that would have answered at the newest moment of `known`, with the outcomes that had matured by then.

    Parameters
    ----------
    settings, known
        See `fit_small_data`.
    past
        The labelled rows whose outcomes were known.
    """
    people = rows_asked_about(known, past.task, settings)
    return _bundle(form_for(past, settings), settings, past, tuple(past.as_ofs), known, (people, people))


def rows_asked_about(known: pd.DataFrame, task: Task, settings: Settings) -> pd.DataFrame:
    """The rows of the newest moment whose customers a model is asked about."""
    newest = known[known["as_of"] == known["as_of"].max()]
    if task == "churn":
        newest = newest[is_active(newest, settings.churn)]
    return newest.reset_index(drop=True)


def form_for(data: Dataset, settings: Settings) -> Form:
    """A model of orders where they tell of the question, else a ridge regression."""
    orders = data.by == "as_of" and set(ORDERS) <= set(data.schema.names)
    if data.task == "churn":
        return CHURN_ORDERS if orders and settings.churn.kind == "inactivity" else CHURN_LINEAR
    return VALUE_ORDERS if orders else VALUE_LINEAR


def _bundle(
    which: Form,
    settings: Settings,
    data: Dataset,
    moments: AsOfs,
    known: pd.DataFrame,
    asked_and_scale: tuple[pd.DataFrame, pd.DataFrame],
) -> Bundle:
    """One model; the one that serves takes the model of orders from the newest moment, which needs no outcome.

    The last argument: whom it is asked of at its own moment, and whose predictions make the scale of percentiles.
    """
    asked, people = asked_and_scale
    rows = data.at(moments)
    orders = which in (CHURN_ORDERS, VALUE_ORDERS)
    if orders:
        encoder = Encoder(ORDERS, {})
        everyone = known[known["as_of"] == asked["as_of"].max()]
        fitted = _from_orders(which, settings, data, everyone, encoder)
        through = asked["as_of"].max()
        outcome_days = 0
    else:
        _require_labels(data, rows)
        encoder = learn_encoder(rows, data.schema)
        fitted = fit(which, encoder(rows), encoder, {}, seed=settings.tuning.seed, trees={})
        asked, through = data.newest(moments), rows["as_of"].max()
        outcome_days = settings.outcome_days(data.task)
    scores = tuple(Score(p.name, None, Affine(), prior) for p, prior in zip(which.parts, fitted.priors, strict=True))
    steps, left_out = _steps(fitted, settings, data)
    facts = {**assembly.info_of(fitted, data, settings), "outcome_days": outcome_days, "horizons_left_out": left_out}
    facts |= _dropout(fitted)
    bundle = Bundle(
        task=data.task,
        link=which.link,
        scores=scores,
        features=encoder.features,
        categories=encoder.categories,
        schema_hash=data.schema.hash,
        horizon_days=getattr(settings, data.task).horizon_days,
        trained_through=through.isoformat(),
        interval=_interval(which, encoder, rows, asked, fitted, settings) if data.task == "clv" else None,
        quantiles=(),
        reference=pd.DataFrame(),
        info={name: value for name, value in facts.items() if value != {}},
        event="order" if settings.churn.kind == "inactivity" else "end",
        steps=steps,
        basis="prior",
        full_season=not orders and len(rows) > 0 and assembly.full_season(data, moments, settings),
    )
    return assembly.with_reference(bundle, asked, people, settings.tuning.seed)


def _from_orders(which: Form, settings: Settings, data: Dataset, everyone: pd.DataFrame, encoder: Encoder) -> Fitted:
    expectation = assembly.expectation_of(everyone, data.task, encoder, settings)
    when = f"{everyone['as_of'].max():%Y-%m-%d}"
    if expectation is None:
        raise NotEnoughDataError(f"{data.task}: nobody had ordered by {when}: bring orders")
    if data.task == "clv" and everyone["spend_total"].sum() <= 0:
        raise DataError(
            f"clv: the orders of {len(everyone)} customers by {when} have a net revenue of "
            f"{everyone['spend_total'].sum():.2f} in total, and a value can be forecast only where customers bring "
            "something: see whether amounts have the right sign, or set clv.forecast to false"
        )
    x = encode(everyone, encoder.features, encoder.categories)
    return fit(which, Matrix(x, np.zeros(len(x))), encoder, {}, seed=0, trees={}, expectation=expectation)


def _dropout(fitted: Fitted) -> dict[str, Any]:
    """Whether the orders tell that customers leave at all, as far as a model of orders was asked."""
    prior = fitted.priors[0]
    if not isinstance(prior, Expectation):
        return {}
    model = prior.model.purchases
    return {"dropout_identifiable": model.dropout_identifiable, "dropout": model.reason}


def _require_labels(data: Dataset, rows: pd.DataFrame) -> None:
    if rows.empty or (data.task == "clv" and rows["label"].sum() <= 0):
        raise NotEnoughDataError(
            f"{data.task}: {'no outcome is known yet' if rows.empty else 'no customer has brought anything yet'}, and "
            "without orders nothing can be said beforehand: wait until a horizon has passed, or set a shorter "
            "horizon_days"
        )


def _steps(fitted: Fitted, settings: Settings, data: Dataset) -> tuple[tuple[HorizonModel, ...], dict[str, str]]:
    """The further horizons: the model of orders knows them all; a regression learned one alone."""
    if data.task == "clv" or data.by == "part":
        return (), {}
    churn, prior = settings.churn, fitted.priors[0]
    pairs = neighbour_pairs(churn.horizon_days, churn.all_horizons)
    if not isinstance(prior, Expectation):
        return (), {str(days): LEFT_OUT for days, _ in pairs}
    return tuple(
        HorizonModel(days, Score(f"until_{days}_days", None, Affine(), prior.conditional_on(days, near)))
        for days, near in pairs
    ), {}


def _interval(
    which: Form, encoder: Encoder, rows: pd.DataFrame, asked: pd.DataFrame, fitted: Fitted, settings: Settings
) -> Interval:
    """What the model of orders draws for its customers; a regression has what came to those it did not learn from."""
    clv, prior = settings.clv, fitted.priors[0]
    if isinstance(prior, Expectation):
        expected, came = _drawn(prior, encode(asked, encoder.features, encoder.categories))
        return fit_interval(expected, came, clv.coverage, clv.season_allowance, min(MIN_PER_BIN, len(expected)))
    expected, came = _held_out(which, encoder, rows, settings.tuning.seed)
    least = min(MIN_PER_BIN, max(LEAST_FOR_INTERVAL, len(expected)))
    return fit_interval(expected, came, clv.coverage, clv.season_allowance, least)


def _held_out(which: Form, encoder: Encoder, rows: pd.DataFrame, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts of each customer by a regression of the others, and what came; shape (n,) both."""
    group = pd.factorize(rows["customer_id"])[0] % GROUPS
    expected = np.zeros(len(rows))
    for one in np.unique(group):
        own = group == one
        made = fit(which, encoder(rows[~own]), encoder, {}, seed=seed, trees={})
        expected[own] = link(which.link, made.raw(encoder(rows[own]).x))
    return expected, encoder(rows).y


def _drawn(prior: Expectation, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected values of who has ordered, and quantiles of what may come of each; shape (39 n,) both."""
    columns: Any = x[:, list(prior.places)]
    bought = np.nan_to_num(columns[:, 0]) >= 1
    drawn = prior.model.value_quantiles(
        summary_of(columns[bought]), prior.horizon_days, LEVELS, prior.margin, prior.annual_discount_rate
    )
    return np.repeat(np.exp(prior(x[bought])), len(LEVELS)), drawn.ravel()
