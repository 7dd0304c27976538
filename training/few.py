"""A company with little history: a forecast from a prior alone, with what can be said of how sure it is.

Below the limits of ``minimum`` trees learn noise. Then a model of orders answers (`training.probabilistic`), which
needs customers but no outcome; or, where there are no orders, a strongly held ridge regression (`training.linear`).
Both go through the same bundle, so answers, reasons and reports stay as they are; each answer says its ``basis``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pandas as pd

from configs.errors import NotEnoughDataError
from configs.settings import Settings
from training import assemble
from training.assemble import Made
from training.bundle import Bundle, Score, Step, encode
from training.calibrate import Affine
from training.dataset import Dataset, Encoder, Matrix, learn_encoder
from training.expectation import COLUMNS as ORDERS
from training.expectation import Expectation, summary_of
from training.intervals import MIN_PER_BIN, Interval, fit_interval
from training.models import CHURN_LINEAR, CHURN_ORDERS, VALUE_LINEAR, VALUE_ORDERS, Fitted, Form, fit, link
from training.split import Moments, Plan
from training.survival import outwards
from training.tune import Found

LEVELS = tuple((np.arange(39) + 0.5) / 39)
LEAST_FOR_INTERVAL = 10
LEFT_OUT = "too little history: the prior was learned at the main horizon alone"


def make_few(settings: Settings, data: Dataset, parts: Plan | None, people: pd.DataFrame) -> Made:
    """Make models of one task from a prior alone.

    Parameters
    ----------
    settings
        Of the business.
    data
        The labelled rows, if any.
    parts
        What each labelled moment is for; None: too few have matured to hold any out.
    people
        Feature rows of the newest moment whose customers are asked about.

    Raises
    ------
    NotEnoughDataError
        Fewer customers than ``minimum.few_customers``; or there is no label at all where one is needed.
    """
    least = settings.minimum.few_customers
    if len(people) < least:
        raise NotEnoughDataError(
            f"{data.task}: {len(people)} customers at the newest moment, and even a prior needs {least}: bring more "
            "customers, or lower minimum.few_customers"
        )
    which = form_for(data, settings)
    found = Found(which, {}, {}, None, None, optuna.create_study())
    judged = None
    if parts is not None:
        judged = _bundle(which, settings, data, parts.train_for_holdout, people)
    moments = parts.final if parts else tuple(sorted(data.frame[data.by].unique()))
    return Made(parts, found, judged, _bundle(which, settings, data, moments, people, newest=True))


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
    moments: Moments,
    people: pd.DataFrame,
    newest: bool = False,
) -> Bundle:
    """One model; the one that serves takes the model of orders from the newest moment, which needs no outcome."""
    rows = data.at(moments)
    if which in (CHURN_ORDERS, VALUE_ORDERS):
        asked = people if newest else data.newest(moments)
        encoder = Encoder(ORDERS, {})
        fitted = _from_orders(which, settings, data, asked, encoder)
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
    facts = {**assemble.info_of(fitted, data, settings), "outcome_days": outcome_days, "horizons_left_out": left_out}
    bundle = Bundle(
        task=data.task,
        link=which.link,
        scores=scores,
        features=encoder.features,
        categories=encoder.categories,
        schema_hash=data.schema.hash,
        horizon_days=getattr(settings, data.task).horizon_days,
        trained_through=through.isoformat(),
        interval=_interval(fitted, encoder, rows, asked, settings) if data.task == "clv" else None,
        quantiles=(),
        reference=pd.DataFrame(),
        info={name: value for name, value in facts.items() if value != {}},
        event="order" if settings.churn.kind == "inactivity" else "end",
        steps=steps,
        basis="prior",
        full_season=len(rows) > 0 and assemble.full_season(data, moments, settings),
    )
    return assemble.with_reference(bundle, asked, people, settings.tuning.seed)


def _from_orders(which: Form, settings: Settings, data: Dataset, asked: pd.DataFrame, encoder: Encoder) -> Fitted:
    expectation = assemble.expectation_of(asked, data.task, encoder, settings)
    if expectation is None:
        raise NotEnoughDataError(f"{data.task}: nobody had ordered by {asked['as_of'].max():%Y-%m-%d}: bring orders")
    x = encode(asked, encoder.features, encoder.categories)
    return fit(which, Matrix(x, np.zeros(len(x))), encoder, {}, seed=0, trees={}, expectation=expectation)


def _require_labels(data: Dataset, rows: pd.DataFrame) -> None:
    if rows.empty or (data.task == "clv" and rows["label"].sum() <= 0):
        raise NotEnoughDataError(
            f"{data.task}: no outcome is known yet, and without orders nothing can be said beforehand: wait until a "
            "horizon has passed, or set a shorter horizon_days"
        )


def _steps(fitted: Fitted, settings: Settings, data: Dataset) -> tuple[tuple[Step, ...], dict[str, str]]:
    """The further horizons: the model of orders knows them all; a regression learned one alone."""
    if data.task == "clv" or data.by == "part":
        return (), {}
    churn, prior = settings.churn, fitted.priors[0]
    pairs = outwards(churn.horizon_days, churn.all_horizons)
    if not isinstance(prior, Expectation):
        return (), {str(days): LEFT_OUT for days, _ in pairs}
    return tuple(
        Step(days, Score(f"until_{days}_days", None, Affine(), prior.step(days, near))) for days, near in pairs
    ), {}


def _interval(
    fitted: Fitted, encoder: Encoder, rows: pd.DataFrame, asked: pd.DataFrame, settings: Settings
) -> Interval:
    """What the model of orders draws for its customers, its own parameters too; a regression has what came to go by."""
    clv, prior = settings.clv, fitted.priors[0]
    if isinstance(prior, Expectation):
        expected, drawn = _drawn(prior, encode(asked, encoder.features, encoder.categories))
        return fit_interval(expected, drawn, clv.coverage, clv.season_allowance)
    matrix = encoder(rows)
    expected = link(fitted.form.link, fitted.raw(matrix.x))
    least = min(MIN_PER_BIN, max(LEAST_FOR_INTERVAL, len(expected)))
    return fit_interval(expected, matrix.y, clv.coverage, clv.season_allowance, least)


def _drawn(prior: Expectation, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected values of who has ordered, and quantiles of what may come of each; shape (39 n,) both."""
    columns: Any = x[:, list(prior.places)]
    bought = np.nan_to_num(columns[:, 0]) >= 1
    drawn = prior.model.value_quantiles(
        summary_of(columns[bought]), prior.horizon_days, LEVELS, prior.margin, prior.annual_discount_rate
    )
    return np.repeat(np.exp(prior(x[bought])), len(LEVELS)), drawn.ravel()
