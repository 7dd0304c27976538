"""From folds and the result of a search to whole models: fitted, calibrated, bounded, with their reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from configs.settings import Settings
from training.data.dataset import Dataset, Encoder, Matrix, learn_encoder
from training.data.profile import profile
from training.data.split import AsOfs, Fold, Plan
from training.data.task_rows import judged_by
from training.fit.boosters import (
    SIMPLE_FORMS,
    Fitted,
    Form,
    ScoredRows,
    calibrate,
    fit_member,
    forms,
    joined,
    lifted,
    linear_of,
    predict,
)
from training.fit.distributed import Trainer, make_trainer
from training.fit.folds import FoldData, blocks_of
from training.fit.horizons import fit_horizons, horizons_without_season
from training.fit.level.season import has_season, season_params
from training.fit.search import SearchResult
from training.model.bundle import Bundle, Score, Task
from training.model.calibration import Affine
from training.model.conformal import MIN_PER_BIN, Outcomes, fit_intervals
from training.model.encoding import encode
from training.model.ends.known_end import END_COLUMNS, PRICE, Fees, PastEnds, paid_no_more
from training.model.intervals import known_days
from training.model.profit_range import level_miss
from training.model.tiers import tier_edges
from training.priors.expectation import COLUMNS as ORDERS
from training.priors.expectation import Expectation, fit_expectation
from training.priors.growth import DAYS_A_MONTH
from training.priors.level import log_odds_shift, log_ratio, unseen_level
from training.priors.linear import Linear

QUANTILES = 101
MAX_REFERENCE_ROWS = 20_000
YEAR_DAYS = 365
ROUNDING = 1e-6
KEYS = ["customer_id", "as_of"]
TWINS_TOGETHER = ", twins together"
Forecast = Callable[[pd.DataFrame], np.ndarray]
Move = Callable[[Forecast], tuple[float, dict[str, Any]]]


def forecaster(fitted: Fitted, encoder: Encoder, affine: tuple[Affine, ...]) -> Forecast:
    """The calibrated forecasts of feature rows, shape (n,) each."""
    return lambda rows: predict(fitted.form, fitted.raw(encode(rows, encoder.features, encoder.categories)), affine)


def no_move(forecast: Forecast) -> tuple[float, dict[str, Any]]:
    """The level stays as it was learned, and nothing is told of it."""
    return 0.0, {}


@dataclass(frozen=True)
class FittedModels:
    """What search and fit came to: the plan, the choice, the model that was judged and the one that serves.

    Without a plan nothing has matured to judge by, and no model was judged. ``season`` says how much of a season counts
    in the one that serves that no fold could judge, see `training.fit.level.unjudged`; None: there is none such.
    """

    plan: Plan | None
    search: SearchResult
    judged: Bundle | None
    final: Bundle
    season: Mapping[str, float] | None = None


def fold_data(data: Dataset, folds: Sequence[Fold], settings: Settings) -> list[FoldData]:
    """Encode the rows of each fold by its training rows."""
    folds_data = []
    for fold in folds:
        rows = data.training_rows(fold.train)
        encoder = learn_encoder(rows, data.schema)
        valid = data.training_rows([fold.valid])
        candidates = (*forms(data.task, [encoder]), *forms(data.task, [encoder], SIMPLE_FORMS))
        expectation = _expectation(data, fold.train, encoder, candidates, settings)
        block = blocks_of(valid["customer_id"].tolist())
        matrix = encoder(rows)
        linear = linear_of(matrix, encoder, data.task)
        folds_data.append(FoldData(matrix, encoder(valid), encoder, block, expectation, linear, valid[KEYS]))
    season = season_params(data, {v for f in folds for v in (*f.train, f.valid)}, settings)
    return [replace(fold, season_params=season) for fold in folds_data]


def _expectation(
    data: Dataset, as_ofs: AsOfs, encoder: Encoder, candidates: Sequence[Form], settings: Settings
) -> Expectation | None:
    """The model of orders of the customers at the newest of some as-of dates; None where no form needs it."""
    if not _start_from("expectation", candidates):
        return None
    return expectation_of(data.newest(as_ofs), data.task, encoder, settings)


def _start_from(prior: str, candidates: Sequence[Form]) -> bool:
    """Whether a part of any of these forms starts from a kind of prior."""
    return any(part.prior == prior for form in candidates for part in form.parts)


def expectation_of(rows: pd.DataFrame, task: Task, encoder: Encoder, settings: Settings) -> Expectation | None:
    """The model of orders, fitted to the customers of one as-of date."""
    places = tuple(encoder.features.index(name) for name in ORDERS)
    x = encode(rows, encoder.features, encoder.categories)
    clv, days = settings.clv, getattr(settings, task).horizon_days
    return fit_expectation(x, places, task, days, clv.margin, clv.annual_discount_rate)  # type: ignore[arg-type]


def validation_scores(folds: Sequence[FoldData], result: SearchResult, seed: int) -> ScoredRows:
    """Score the later rows of every fold with a model of its earlier ones."""
    parts = []
    for fold in folds:
        fitted = _fit(result, fold.train, fold.encoder, fold.expectation, fold.linear, seed)
        same_fold = np.zeros(len(fold.valid.y), dtype=int)
        days = known_days(fold.valid.x, fold.encoder.features)
        parts.append(ScoredRows(fitted.raw(fold.valid.x), fold.valid.y, same_fold, fold.valid.weight, days, fold.keys))
    return sum(parts[1:], parts[0])


def learn(data: Dataset, as_ofs: AsOfs, result: SearchResult, settings: Settings) -> tuple[Fitted, Encoder]:
    """Fit what the search chose on all rows of some as-of dates."""
    rows = data.training_rows(as_ofs)
    encoder = learn_encoder(rows, data.schema)
    matrix, chosen = encoder(rows), [member.form for member in result.members]
    expectation = _expectation(data, as_ofs, encoder, chosen, settings)
    linear = linear_of(matrix, encoder, data.task) if _start_from("linear", chosen) else None
    trainer = make_trainer(settings.training)
    return _fit(result, matrix, encoder, expectation, linear, settings.tuning.seed, trainer), encoder


def _fit(
    result: SearchResult,
    train: Matrix,
    encoder: Encoder,
    expectation: Expectation | None,
    linear: Linear | None,
    seed: int,
    trainer: Trainer | None = None,
) -> Fitted:
    options = {"seed": seed, "expectation": expectation, "linear": linear, "trainer": trainer}
    return joined([fit_member(member, train, encoder, **options) for member in result.members])


def score_rows(fitted: Fitted, encoder: Encoder, rows: pd.DataFrame) -> ScoredRows:
    """Raw scores of labelled rows; every as-of date is a fold of its own."""
    matrix = encoder(rows)
    days = known_days(matrix.x, encoder.features)
    moments = pd.factorize(rows["as_of"])[0]
    return ScoredRows(fitted.raw(matrix.x), matrix.y, moments, matrix.weight, days, rows[KEYS])


def assemble(
    fitted: Fitted,
    encoder: Encoder,
    later: ScoredRows,
    data: Dataset,
    trained: AsOfs,
    until: pd.Timestamp | None,
    population: pd.DataFrame,
    settings: Settings,
    recent: Move = no_move,
) -> Bundle:
    """Make a whole model.

    Parameters
    ----------
    fitted, encoder
        The boosters, and what the columns of their matrix are.
    later
        Out-of-time scores on which calibration and interval are learned.
    data
        The labelled rows.
    trained
        The as-of dates (or groups of customers) the boosters learned from; see `reference_rows` for drift.
    until
        No outcome past this moment may be seen; None: all that is labelled.
    population
        Feature rows of the customers who are asked about: their predictions make the scale of percentiles and tiers.
    settings
        Of the business.
    recent
        Tells by how much the newest months raise the logarithm of a forecast, see `training.fit.value.recent`, and what
        of it people are told; the interval moves with it.
    """
    affine = calibrate(fitted.form, later, score_rows(fitted, encoder, data.training_rows(trained)))
    expected = predict(fitted.form, later.raw, affine)
    level = {"level_sd": _level_sd(data, expected, later)} if data.task == "churn" else {}
    has_season = full_season(data, trained, settings)
    by, moved = recent(forecaster(fitted, encoder, affine))
    maps = lifted(fitted.form, affine, by)
    parts = zip(fitted.form.parts, fitted.boosters, maps, fitted.priors, strict=True)
    scores = tuple(Score(part.name, booster, map_, prior) for part, booster, map_, prior in parts)
    steps, left_out = fit_horizons(data, trained, until, encoder, fitted, settings)
    info = info_of(fitted, data, settings) | level | known_ends_of(data, data.training_rows(trained), settings)
    info |= {name: what for name, what in {"horizons_left_out": left_out, "recent_level": moved}.items() if what}
    if not season_repeats(data, trained, settings):
        info["season_repeats"] = False
    if steps and info.get("season") and (without := horizons_without_season(settings)):
        info["horizons_without_season"] = without
    bundle = bundle_without_reference(
        fitted.form,
        encoder,
        data,
        settings,
        scores=scores,
        trained_through=data.newest(trained)["as_of"].iloc[0].isoformat(),
        interval=None,
        info=info,
        steps=steps,
        full_season=has_season,
    )
    bundle = with_reference(bundle, reference_rows(data, trained, population), population, settings.tuning.seed)
    if data.task == "churn":
        return bundle
    seen = outcomes(later, expected)
    if by:  # as if their moments had been at that level, too
        seen = replace(seen, expected=seen.expected * np.exp(by), actual=seen.actual * np.exp(by))
    return with_interval(bundle, seen, settings, allowance_of(data, seen, has_season, settings))


def _level_sd(data: Dataset, probability: np.ndarray, later: ScoredRows) -> float:
    """How far the level misses at later moments; where one moment alone judged, at least as far as one leaves open."""
    miss = level_miss(probability, later.y, later.fold, later.weight)
    return miss if data.by != "customer_part" else max(miss, unseen_level(log_odds_shift(probability, later.y)))


def allowance_of(data: Dataset, seen: Outcomes, has_season: bool, settings: Settings) -> float:
    """How much wider an interval of values is: for seasons not learned from, and levels that one moment cannot show."""
    season = 0.0 if has_season else settings.clv.season_allowance
    if data.by != "customer_part":
        return season
    return max(season, unseen_level(log_ratio(seen.expected, seen.actual)))


def outcomes(later: ScoredRows, expected: np.ndarray) -> Outcomes:
    """Out-of-time forecasts beside what came, as an interval is learned from them."""
    if later.keys is None:
        return Outcomes(expected, later.y, later.known_days)
    days = (later.keys["as_of"] - later.keys["as_of"].min()) / pd.Timedelta(days=1)
    return Outcomes(expected, later.y, later.known_days, later.keys["customer_id"].to_numpy(), days.to_numpy())


def with_interval(
    bundle: Bundle, seen: Outcomes, settings: Settings, allowance: float, min_rows: int = MIN_PER_BIN
) -> Bundle:
    """The bundle with the interval of its values, learned for each tier of its scale, see `with_reference`."""
    interval = fit_intervals(
        seen,
        settings.clv.coverage,
        horizon_days=settings.clv.horizon_days,
        new_days=settings.decisions.stages.new_days,
        allowance=allowance,
        tier_edges=tier_edges(bundle, settings.decisions.tiers),
        min_rows=min_rows,
    )
    return replace(bundle, interval=interval)


def bundle_without_reference(form: Form, encoder: Encoder, data: Dataset, settings: Settings, **fitted: Any) -> Bundle:
    """A bundle of what was fitted, before its reference rows and the scale of percentiles, see `with_reference`."""
    return Bundle(
        task=data.task,
        link=form.link,
        features=encoder.features,
        categories=encoder.categories,
        schema_hash=data.schema.hash,
        horizon_days=getattr(settings, data.task).horizon_days,
        quantiles=(),
        reference=pd.DataFrame(),
        full_price=full_price(encoder, data, pd.Timestamp(fitted["trained_through"]), settings),
        event="order" if settings.churn.kind == "inactivity" else "end",
        basis=form.basis,
        **fitted,
    )


def full_price(encoder: Encoder, data: Dataset, through: pd.Timestamp, settings: Settings) -> float | None:
    """How often a month's price is paid within the horizon, where nobody with a price ever brought more; else None.

    Of fees alone, by what came at all labelled moments up to one.
    """
    clv, has_orders = settings.clv, set(ORDERS) <= set(data.frame)
    fees_alone = clv.contracts == "fees" or (not has_orders and clv.contracts != "orders")
    if data.task != "clv" or data.by == "part" or PRICE not in encoder.features or not fees_alone:
        return None
    priced = data.frame[(data.frame["as_of"] <= through) & (data.frame[PRICE] > 0)]
    most = clv.horizon_days / DAYS_A_MONTH * clv.margin
    return most if len(priced) and (priced["label"] <= priced[PRICE] * most * (1 + ROUNDING)).all() else None


def known_ends_of(data: Dataset, rows: pd.DataFrame, settings: Settings) -> dict[str, Any]:
    """How known ends of contracts came true in the rows learned from, as facts of a model; none without contracts.

    With the discount of the fees, which the value of what is known to be paid takes.
    """
    if not set(END_COLUMNS) <= set(rows) or settings.churn.kind != "contract":
        return {}
    if data.task == "churn":
        past = PastEnds.of(rows, settings.churn.horizon_days, rows["label"] == 1)
        return {"known_ends": past.to_dict()}
    clv = settings.clv
    fees = Fees(clv.margin / DAYS_A_MONTH, clv.annual_discount_rate)
    past = PastEnds.of(rows, clv.horizon_days, paid_no_more(rows, rows["label"], fees))
    return {"known_ends": past.to_dict(), "annual_discount_rate": clv.annual_discount_rate}


def full_season(data: Dataset, as_ofs: AsOfs, settings: Settings) -> bool:
    """Whether the outcomes of some as-of dates cover a whole year; what has no dates has no season."""
    return data.by == "part" or _covered(data, as_ofs, settings) >= pd.Timedelta(days=YEAR_DAYS)


def season_repeats(data: Dataset, as_ofs: AsOfs, settings: Settings) -> bool:
    """Whether the outcomes of some as-of dates cover two whole years; what has no dates has no season to repeat."""
    return data.by == "part" or _covered(data, as_ofs, settings) >= pd.Timedelta(days=2 * YEAR_DAYS)


def _covered(data: Dataset, as_ofs: AsOfs, settings: Settings) -> pd.Timedelta:
    """How long the outcomes of some as-of dates last, from the first day to the last."""
    dates = data.at(as_ofs)["as_of"]
    return pd.Timedelta(dates.max() - dates.min()) + pd.Timedelta(days=settings.outcome_days(data.task))


def reference_rows(data: Dataset, trained: AsOfs, population: pd.DataFrame) -> pd.DataFrame:
    """What later customers are compared with: the labelled rows of the newest date.

    Without dates it is the `population`: rows of who has left teach, but nobody asks about such customers later.
    """
    return population if data.by == "part" else data.newest(trained)


def with_reference(bundle: Bundle, rows: pd.DataFrame, population: pd.DataFrame, seed: int) -> Bundle:
    """The bundle with the profile of its reference rows for drift, and with the scale of percentiles and tiers."""
    sample = rows.sample(min(len(rows), MAX_REFERENCE_ROWS), random_state=seed).sort_index()
    reference = sample[list(bundle.features)].reset_index(drop=True)
    reference = profile(reference.assign(prediction=bundle.predict(bundle.encode(sample))))
    scale = np.quantile(bundle.predict(bundle.encode(population)), np.linspace(0, 1, QUANTILES))
    return Bundle(**{**vars(bundle), "quantiles": tuple(float(q) for q in scale), "reference": reference})


def with_facts(bundle: Bundle, **facts: Any) -> Bundle:
    """The bundle with more facts for people; what is empty is left out."""
    return replace(bundle, info={**bundle.info, **{name: value for name, value in facts.items() if value}})


def info_of(fitted: Fitted, data: Dataset, settings: Settings) -> dict[str, Any]:
    """Facts of a model for people."""
    return {
        "business": settings.name,
        "form": fitted.form.name,
        "trees": fitted.trees,
        "data_fingerprint": data.fingerprint,
        "rows": len(data.frame),
        "outcome_days": settings.outcome_days(data.task),
        "holdout": None if data.by == "as_of" else holdout_rule(settings),
        **({"judged_by": said} if (said := judged_by(data, settings)) else {}),
        **({"treatment": data.treatment} if data.treatment else {}),
        **({"season": True} if has_season(fitted) else {}),
    }


def holdout_rule(settings: Settings) -> str:
    """What decides which customers are held out where no later date judges: models of one rule never saw them.

    Twins, rows alike in all columns, go together where nothing is dated; of dated rows the id alone decides.
    """
    twins = TWINS_TOGETHER if settings.churn.kind == "label" else ""
    return f"share {settings.churn.holdout_share:g}, seed {settings.tuning.seed}{twins}"


def held_out_alike(bundle: Bundle, settings: Settings) -> bool:
    """Whether a model left out the customers whom the settings hold out; earlier ones name twins of dated rows, too."""
    rule = holdout_rule(settings)
    return bundle.info.get("holdout") in (rule, f"{rule.removesuffix(TWINS_TOGETHER)}{TWINS_TOGETHER}")


def forecast(bundle: Bundle, rows: pd.DataFrame) -> pd.DataFrame:
    """Forecasts of labelled rows.

    ``customer_id, as_of, label, forecast`` and, for values, ``low, high`` and the quantiles ``q10, q50, q90``.
    """
    matrix = bundle.encode(rows)
    out = rows[["customer_id", "as_of", "label"]].assign(forecast=bundle.predict(matrix))
    if bundle.interval is None:
        return out
    expected = out["forecast"].to_numpy()
    low, high = bundle.bounds(expected, matrix)
    quantiles = {f"q{percent}": at for percent, at in bundle.value_quantiles(expected, matrix).items()}
    return out.assign(low=low, high=high, **quantiles)
