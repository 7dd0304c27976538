"""A company with little history: a forecast from a prior alone, with what can be said of how sure it is.

Below the limits of ``minimum`` trees learn noise. Then a model of orders answers (`training.priors.order_model`), which
needs customers but no outcome; or, where there are no orders, a strongly held ridge regression
(`training.priors.linear`). Both go through the same bundle, so answers, reasons and reports stay as they are; each
answer says its ``basis``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from configs.errors import DataError, NotEnoughDataError
from configs.settings import Settings
from features.labels.eligibility import is_active
from features.labels.horizons import neighbour_pairs, season_pairs
from training.data.dataset import Dataset, Encoder, Matrix, has_fees, learn_encoder
from training.data.horizon_rows import left_out_by_main_alone
from training.data.preconditions import require_features
from training.data.split import AsOfs, Plan
from training.data.task_rows import newest_judged
from training.data.treatment import with_treatment_weights
from training.fit import assembly
from training.fit.assembly import FittedModels
from training.fit.boosters import (
    CHURN_LINEAR,
    CHURN_ORDERS,
    STEP_PARAMS,
    VALUE_LINEAR,
    VALUE_ORDERS,
    Fitted,
    Form,
    Member,
    fit,
    link,
)
from training.fit.horizons import horizons_without_season
from training.fit.level.orders import PriorLevel, prior_level
from training.fit.search import SearchResult, no_search
from training.model.bundle import Bundle, HorizonModel, Score, Task
from training.model.calibration import Affine, fit_level
from training.model.conformal import MIN_PER_BIN, Outcomes
from training.model.encoding import encode
from training.priors.expectation import COLUMNS as ORDERS
from training.priors.expectation import Expectation, summary_of
from training.priors.level import level_shift, log_odds_shift
from training.priors.prior import Prior, Sum, terms
from training.priors.season import Season

LEVELS = tuple((np.arange(39) + 0.5) / 39)
MIN_FOR_INTERVAL = 10
GROUPS = 5


def fit_small_data(
    settings: Settings, data: Dataset, plan: Plan | None, feature_rows: pd.DataFrame, why: str = ""
) -> FittedModels:
    """Make models of one task from a prior alone.

    Parameters
    ----------
    settings
        Of the business.
    data
        The labelled rows, if any.
    plan
        What each labelled as-of date is for; None: too few have matured to hold any out.
    feature_rows
        Feature rows of all customers at all as-of dates, the newest too. Those of whom nobody is asked, because they
        were silent for too long, show a model of orders how customers leave.
    why
        Why no trees answer, for people.

    Raises
    ------
    NotEnoughDataError
        Fewer customers than ``minimum.few_customers``; or there is no label at all where one is needed.
    DataError
        A feature is infinite; or values are asked of customers whose orders bring nothing in total.
    """
    population = rows_asked_about(feature_rows, data.task, settings)
    least = settings.minimum.few_customers
    if len(population) < least:
        raise NotEnoughDataError(
            f"{data.task}: {len(population)} customers at the newest moment, and even a prior needs {least}: bring "
            "more customers, or lower minimum.few_customers"
        )
    require_features(data.task, feature_rows, data.schema.names)
    form = form_for(data, settings)
    result = SearchResult((Member(form, {}, {}),), None, None, no_search())
    judged = None
    if plan is not None and not _tells_a_judge(data, plan):
        plan = None
    if plan is not None:
        earlier = data.newest(plan.train_for_holdout)
        then = rows_asked_about(feature_rows, data.task, settings, newest_judged(data, plan))
        seen = feature_rows
        if data.by == "customer_part":
            seen = seen[~seen["customer_id"].isin(data.at(plan.holdout)["customer_id"])]
        begins = min(plan.holdout) if data.by == "as_of" else None
        judged = _bundle(form, settings, data, plan.train_for_holdout, seen, then, earlier, begins)
    as_ofs = plan.final if plan else tuple(sorted(data.frame[data.by].unique()))
    final = _bundle(form, settings, data, as_ofs, feature_rows, population)
    if plan is None:
        final = replace(final, info={**final.info, "holdout": None})
    return FittedModels(plan, result, judged, assembly.with_facts(final, why=why))


def _tells_a_judge(data: Dataset, plan: Plan) -> bool:
    """Whether somebody is held out and the others can be learned from: where customers judge, not always."""
    if data.by == "as_of":
        return True
    rows = data.at(plan.train_for_holdout)
    return len(data.at(plan.holdout)) > 0 and len(rows) > 0 and (data.task == "churn" or rows["label"].sum() > 0)


def small_data_model_at(settings: Settings, past: Dataset, feature_rows: pd.DataFrame) -> Bundle:
    """The model that would have answered at the newest date of `feature_rows`, with the outcomes matured by then.

    Parameters
    ----------
    settings, feature_rows
        See `fit_small_data`.
    past
        The labelled rows whose outcomes were known.
    """
    population = rows_asked_about(feature_rows, past.task, settings)
    form, now = form_for(past, settings), feature_rows["as_of"].max()
    past = replace(past, lent=None)
    return _bundle(form, settings, past, tuple(past.as_ofs), feature_rows, population, until=now)


def rows_asked_about(
    feature_rows: pd.DataFrame, task: Task, settings: Settings, until: pd.Timestamp | None = None
) -> pd.DataFrame:
    """The rows of the newest as-of date, up to `until`, whose customers a model is asked about."""
    past = feature_rows if until is None else feature_rows[feature_rows["as_of"] <= until]
    newest = past[past["as_of"] == past["as_of"].max()]
    if task == "churn":
        newest = newest[is_active(newest, settings.churn)]
    return newest.reset_index(drop=True)


def form_for(data: Dataset, settings: Settings) -> Form:
    """A model of orders where they alone tell of the question, else a ridge regression."""
    orders = data.by != "part" and set(ORDERS) <= set(data.schema.names)
    if data.task == "churn":
        return CHURN_ORDERS if orders and settings.churn.kind == "inactivity" else CHURN_LINEAR
    return VALUE_ORDERS if orders and (not has_fees(data.frame) or settings.clv.contracts == "orders") else VALUE_LINEAR


def _bundle(
    form: Form,
    settings: Settings,
    data: Dataset,
    as_ofs: AsOfs,
    feature_rows: pd.DataFrame,
    population: pd.DataFrame,
    asked: pd.DataFrame | None = None,
    until: pd.Timestamp | None = None,
) -> Bundle:
    """One model; the one that serves takes the model of orders from the newest as-of date, which needs no outcome.

    `population` makes the scale of percentiles; `asked` are the customers at the model's own date, None: the same.
    No outcome past `until` may be seen; None: all that is labelled.
    """
    asked = population if asked is None else asked
    rows = data.at(as_ofs)
    orders = form in (CHURN_ORDERS, VALUE_ORDERS)
    level = PriorLevel(Encoder(ORDERS, {}))
    if orders:
        known = feature_rows[feature_rows["as_of"] <= asked["as_of"].max()]
        level = prior_level(settings, data, rows, known, until)
        encoder = level.encoder
        customers = feature_rows[feature_rows["as_of"] == asked["as_of"].max()]
        fitted = _from_orders(form, settings, data, customers, level)
        through = asked["as_of"].max()
        outcome_days = days_past(through, rows, settings.outcome_days(data.task))
    else:
        data = with_treatment_weights(data, as_ofs, settings, until, few=True)
        rows = _rows_that_teach(data, as_ofs)
        encoder = learn_encoder(rows, data.schema)
        fitted = fit(form, encoder(rows), encoder, {}, seed=settings.tuning.seed, trees={})
        asked, through = assembly.reference_rows(data, as_ofs, population), rows["as_of"].max()
        outcome_days = settings.outcome_days(data.task)
        level = replace(level, shift_sd=_level_sd(fitted, encoder, data, rows, settings))
    affine = level_of_values(fitted, encoder(rows)) if form is VALUE_LINEAR else Affine(1.0, level.shift)
    scores = tuple(Score(p.name, None, affine, prior) for p, prior in zip(form.parts, fitted.priors, strict=True))
    steps, left_out = _horizon_models(fitted, settings, data, level)
    facts = {**assembly.info_of(fitted, data, settings), "outcome_days": outcome_days, "horizons_left_out": left_out}
    facts |= assembly.known_ends_of(data, rows, settings)
    if data.task == "churn":
        facts["level_sd"] = level.shift_sd
    if level.season and data.task == "churn" and (without := horizons_without_season(settings)):
        facts["horizons_without_season"] = without
    if not orders and not assembly.season_repeats(data, as_ofs, settings):
        facts["season_repeats"] = False
    if level.season_known and not level.main_season:
        facts["season"] = False  # known, and not helpful
    if level.season_unjudged:
        facts["season_unjudged"] = True
    prior = _model_of_orders(fitted)
    if prior is not None:
        purchases = prior.model.purchases
        facts |= {"dropout_identifiable": purchases.dropout_identifiable, "dropout": purchases.reason}
    bundle = assembly.bundle_without_reference(
        form,
        encoder,
        data,
        settings,
        scores=scores,
        trained_through=through.isoformat(),
        interval=None,
        info={name: value for name, value in facts.items() if value != {}},
        steps=steps,
        full_season=not orders and len(rows) > 0 and assembly.full_season(data, as_ofs, settings),
    )
    bundle = assembly.with_reference(bundle, asked, population, settings.tuning.seed)
    if data.task == "churn":
        return bundle
    seen = _outcomes(form, encoder, rows, asked, fitted, settings.tuning.seed)
    if orders:
        season = float(_season_at(fitted, encoder, asked))
        seen = _at_level(seen, level.shift + season, level.shift_sd, settings.tuning.seed)
    least = len(seen.actual) if orders else max(MIN_FOR_INTERVAL, len(seen.actual))
    allowance = settings.clv.season_allowance if orders else assembly.allowance_of(data, seen, False, settings)
    return assembly.with_interval(bundle, seen, settings, allowance, min(MIN_PER_BIN, least))


def _from_orders(form: Form, settings: Settings, data: Dataset, customers: pd.DataFrame, level: PriorLevel) -> Fitted:
    encoder = level.encoder
    expectation = assembly.expectation_of(customers, data.task, encoder, settings)
    when = f"{customers['as_of'].max():%Y-%m-%d}"
    if expectation is None:
        raise NotEnoughDataError(f"{data.task}: nobody had ordered by {when}: bring orders")
    if data.task == "clv" and customers["spend_total"].sum() <= 0:
        raise DataError(
            f"clv: the orders of {len(customers)} customers by {when} have a net revenue of "
            f"{customers['spend_total'].sum():.2f} in total, and a value can be forecast only where customers bring "
            "something: see whether amounts have the right sign, or set clv.forecast to false"
        )
    x = encode(customers, encoder.features, encoder.categories)
    return fit(form, Matrix(x, np.zeros(len(x))), encoder, level.main_season, seed=0, trees={}, expectation=expectation)


def days_past(through: pd.Timestamp, rows: pd.DataFrame, outcome_days: int) -> int:
    """How many days past a moment the outcomes lie that the level was learned from; 0: none does."""
    if rows.empty:
        return 0
    until = rows["as_of"].max() + pd.Timedelta(days=outcome_days)
    return max(0, -((through - until) // pd.Timedelta(days=1)))


def _at_level(seen: Outcomes, shift: float, sd: float, seed: int) -> Outcomes:
    """Drawn values at the level of past moments, spread by what the next moment may differ from it."""
    z = np.random.default_rng(seed).standard_normal(len(seen.actual))
    return replace(seen, expected=seen.expected * np.exp(shift), actual=seen.actual * np.exp(shift + sd * z))


def _level_sd(fitted: Fitted, encoder: Encoder, data: Dataset, rows: pd.DataFrame, settings: Settings) -> float:
    """How far the level of a regression of churn may differ at a moment to come, by how it differed at past ones."""
    if data.task != "churn":
        return 0.0

    def shift_at(moment: pd.Timestamp) -> tuple[float, float] | None:
        own = encoder(rows[rows["as_of"] == moment])
        return log_odds_shift(expit(fitted.raw(own.x)[:, 0]), own.y)

    return level_shift(list(rows["as_of"].unique()), settings.outcome_days(data.task), shift_at)[1]


def _rows_that_teach(data: Dataset, as_ofs: AsOfs) -> pd.DataFrame:
    rows = data.training_rows(as_ofs)
    if rows.empty and len(data.at(as_ofs)):
        raise NotEnoughDataError(
            f"{data.task}: all {len(data.at(as_ofs))} rows whose outcome is known are of customers who were contacted "
            "within the horizon, and without orders nothing can be said beforehand: set churn.treatment to keep, or "
            "narrow what counts as a retention contact under churn.contacts"
        )
    _require_labels(data, rows)
    return rows


def _require_labels(data: Dataset, rows: pd.DataFrame) -> None:
    if rows.empty or (data.task == "clv" and rows["label"].sum() <= 0):
        what = "no outcome is known yet"
        if len(rows):
            gave, total = int((rows["label"] > 0).sum()), rows["label"].sum()
            what = f"{gave} of {len(rows)} rows have brought something, and {total:,.2f} in total"
            what = what if gave else "no customer has brought anything yet"
        wait = "wait until a horizon has passed, or set a shorter horizon_days"
        if data.task == "clv" and data.by == "part":
            wait = (
                "give realised_value of more customers, see whether it has the right sign, or set clv.forecast to false"
            )
        raise NotEnoughDataError(f"{data.task}: {what}, and without orders nothing can be said beforehand: {wait}")


def _horizon_models(
    fitted: Fitted, settings: Settings, data: Dataset, level: PriorLevel
) -> tuple[tuple[HorizonModel, ...], dict[str, str]]:
    """The other horizons: the model of orders knows them all; a regression learned one alone."""
    if data.task == "clv" or data.by == "part":
        return (), {}
    churn, prior = settings.churn, _model_of_orders(fitted)
    pairs = neighbour_pairs(churn.horizon_days, churn.all_horizons)
    if prior is None:
        return (), left_out_by_main_alone(settings)
    own = dict(zip(season_pairs(churn.horizon_days, churn.all_horizons), STEP_PARAMS, strict=False))
    return tuple(
        HorizonModel(
            days,
            Score(
                f"until_{days}_days",
                None,
                Affine(),
                _in_season(prior.conditional_on(days, near), level, own.get((days, near), "")),
            ),
        )
        for days, near in pairs
    ), {}


def _in_season(prior: Expectation, level: PriorLevel, param: str) -> Prior:
    """The model of orders of a step, with as much of the step's season as counts."""
    strength = level.season.get(param, 0.0)
    if not strength:
        return prior
    return Sum((prior, Season(level.encoder.features.index(STEP_PARAMS[param]), strength)))


def _model_of_orders(fitted: Fitted) -> Expectation | None:
    return next((term for term in terms(fitted.priors[0]) if isinstance(term, Expectation)), None)


def _season_at(fitted: Fitted, encoder: Encoder, asked: pd.DataFrame) -> float:
    """What the season adds to the raw score of all customers of a moment."""
    x = encode(asked.head(1), encoder.features, encoder.categories)
    return float(sum(term(x).sum() for term in terms(fitted.priors[0]) if isinstance(term, Season)))


def _outcomes(
    form: Form, encoder: Encoder, rows: pd.DataFrame, asked: pd.DataFrame, fitted: Fitted, seed: int
) -> Outcomes:
    """What the model of orders draws for its customers; a regression has what came to those it did not learn from."""
    prior = _model_of_orders(fitted)
    if prior is not None:
        return Outcomes(*_drawn_values(prior, encode(asked, encoder.features, encoder.categories)))
    expected, actual = _cross_forecasts(form, encoder, rows, seed)
    days = (rows["as_of"] - rows["as_of"].min()) / pd.Timedelta(days=1)
    return Outcomes(expected, actual, None, rows["customer_id"].to_numpy(), days.to_numpy())


def level_of_values(fitted: Fitted, learned: Matrix) -> Affine:
    """The level at which a regression of amounts sums to what came: it learns of money paid back as of nothing."""
    expected = link(fitted.form.link, fitted.raw(learned.x))
    return fit_level(expected, learned.y, learned.weight)


def _cross_forecasts(form: Form, encoder: Encoder, rows: pd.DataFrame, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts of each customer by a regression of the others, at their level, and what came; shape (n,) both."""

    def forecast(others: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
        fitted = fit(form, encoder(others), encoder, {}, seed=seed, trees={})
        level = level_of_values(fitted, encoder(others))
        return link(form.link, level(fitted.raw(encoder(asked).x)))

    group = pd.factorize(rows["customer_id"])[0] % GROUPS
    if group.max(initial=0) == 0:  # one customer alone: there are no others to forecast it
        return forecast(rows, rows), encoder(rows).y
    expected = np.zeros(len(rows))
    for number in np.unique(group):
        members = group == number
        expected[members] = forecast(rows[~members], rows[members])
    return expected, encoder(rows).y


def _drawn_values(prior: Expectation, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected values of who has ordered, and quantiles of what may come of each; shape (39 n,) both."""
    columns: Any = x[:, list(prior.places)]
    has_ordered = np.nan_to_num(columns[:, 0]) >= 1
    values = prior.model.value_quantiles(
        summary_of(columns[has_ordered]), prior.horizon_days, LEVELS, prior.margin, prior.annual_discount_rate
    )
    return np.repeat(np.exp(prior(x[has_ordered])), len(LEVELS)), values.ravel()
