"""The LightGBM models: which boosters a forecast is made of, what each learns, and how it is fitted.

The zero-inflated lognormal (Wang, Liu and Miao 2019) is fitted block by block. Its likelihood falls apart into that of
buying (binary), of the logarithm of the amount (squared error), and of the spread about it: with ``u`` the logarithm of
the variance and ``r`` the miss, ``u + r^2 exp(-u)``, which is the gamma deviance of ``r^2``.

Weights that spoil probabilities (``is_unbalance``, ``scale_pos_weight``) are never used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import lightgbm as lgb
import numpy as np
import pandas as pd

from features.schema import SEASON_COLUMNS, SEASON_GAP, SEASON_SILENCE, SEASON_STEPS, SEASON_VALUE, SEASON_YEAR
from training.data.dataset import Encoder, Matrix
from training.fit.distributed import Rows, Trainer, dataset
from training.model.averaging import averaged
from training.model.bundle import Basis
from training.model.calibration import Affine, Learned, fit_level, fit_log_odds, fit_shares, fit_stack
from training.model.explanation import Link, link, spans
from training.priors.credibility import COLUMNS, fit_credibility
from training.priors.expectation import COLUMNS as ORDERS
from training.priors.expectation import Expectation
from training.priors.linear import Linear, fit_linear
from training.priors.prior import Prior, Sum
from training.priors.season import fit_seasons

Params = Mapping[str, Any]
Trees = Mapping[str, int]
FIXED = {
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "bagging_freq": 1,
    "feature_pre_filter": False,
    "max_cat_to_onehot": 8,  # unless the search tries another, see `training.fit.search`
}


@dataclass(frozen=True)
class Part:
    """One raw score of a form.

    Attributes
    ----------
    name
        Of its booster.
    objective
        The booster's LightGBM objective; empty: there is no booster, the prior speaks alone.
    target
        From labels to the rows it learns from, shape (n,), and what it learns of them.
    prior
        The kind of prior that the booster corrects (`training.priors.KINDS`); empty: none.
    spread_of
        The part before whose squared miss this one learns, in place of the label; empty: none.
    """

    name: str
    objective: str
    target: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    prior: Literal["", "credibility", "expectation", "linear"] = ""
    spread_of: str = ""


@dataclass(frozen=True)
class Form:
    """How boosters make a forecast: ``link`` of their raw scores."""

    name: str
    link: Link
    parts: tuple[Part, ...]

    @property
    def basis(self) -> Basis:
        """What the forecast rests on: trees alone, trees and a prior, or a prior alone."""
        if not any(part.objective for part in self.parts):
            return "prior"
        return "hybrid" if any(part.prior for part in self.parts) else "model"


def _all(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(len(y), dtype=bool), y


def _not_negative(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(len(y), dtype=bool), np.maximum(y, 0.0)


def _buys(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(len(y), dtype=bool), (y > 0).astype(np.float64)


def _amount(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return y > 0, y[y > 0]


def _log_all(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(len(y), dtype=bool), np.log1p(np.maximum(y, 0.0))


def _log(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return y > 0, np.log(y[y > 0])


CHURN = Form("churn", "sigmoid", (Part("churn", "binary", _all),))
TWEEDIE = Form("tweedie", "exp", (Part("value", "tweedie", _not_negative),))
TWO_PART = Form("two_part", "sigmoid_exp", (Part("buys", "binary", _buys), Part("amount", "gamma", _amount)))
LOGNORMAL = Form("lognormal", "sigmoid_exp", (Part("buys", "binary", _buys), Part("log_amount", "regression", _log)))
ZILN = Form(
    "zero_inflated_lognormal",
    "ziln",
    (
        Part("buys", "binary", _buys),
        Part("log_amount", "regression", _log),
        Part("spread", "gamma", _amount, spread_of="log_amount"),
    ),
)
MEDIAN = Form("quantile", "exp", (Part("log_median", "quantile", _log_all),))
HYBRID = Form("hybrid", "exp", (Part("value", "tweedie", _not_negative, "credibility"),))
HYBRID_ORDERS = Form("hybrid_orders", "exp", (Part("value", "tweedie", _not_negative, "expectation"),))
BLEND = Form(
    "blend",
    "exp+exp+exp",
    (
        Part("value", "tweedie", _not_negative),
        Part("corrected", "tweedie", _not_negative, "credibility"),
        Part("expected", "", _not_negative, "expectation"),
    ),
)
CHURN_HYBRID_ORDERS = Form("churn_hybrid_orders", "sigmoid", (Part("churn", "binary", _all, "expectation"),))
CHURN_HYBRID_LINEAR = Form("churn_hybrid_linear", "sigmoid", (Part("churn", "binary", _all, "linear"),))
CHURN_ORDERS = Form("churn_orders", "sigmoid", (Part("churn", "", _all, "expectation"),))
CHURN_LINEAR = Form("churn_linear", "sigmoid", (Part("churn", "", _all, "linear"),))
VALUE_ORDERS = Form("value_orders", "exp", (Part("value", "", _not_negative, "expectation"),))
VALUE_LINEAR = Form("value_linear", "exp", (Part("value", "", _not_negative, "linear"),))
FORMS = {
    "churn": (CHURN, CHURN_HYBRID_ORDERS, CHURN_HYBRID_LINEAR),
    "clv": (TWEEDIE, TWO_PART, LOGNORMAL, ZILN, MEDIAN, HYBRID, HYBRID_ORDERS, BLEND),
}
SIMPLE_FORMS = {"churn": (CHURN_ORDERS, CHURN_LINEAR), "clv": (VALUE_ORDERS, VALUE_LINEAR)}
PRIOR_COLUMNS: dict[str, tuple[str, ...]] = {"credibility": COLUMNS, "expectation": ORDERS}
PRIOR_DAYS = 60.0
SELECTION = {"learning_rate": 0.1, "num_leaves": 8, "min_data_in_leaf": 20, "extra_trees": False}
SELECTION_TREES = 50
SEED_STEP = 1_000_003  # between the seeds of boosters that are averaged
BINNING = {"verbosity": -1, "feature_pre_filter": False}
# A parameter that only one objective takes; none takes that of a prior.
MIN_SQUARED_MISS = 1e-6
MIN_SHARE = 1e-9
PARAM_OBJECTIVE = {
    "tweedie_variance_power": "tweedie",
    "alpha": "quantile",
    "prior_days": "",
    "season": "",
    "season_year": "",
    "season_gap": "",
    "season_second": "",
    "season_third": "",
    "extra_trees": "binary",
}
# What all customers of a moment share moves these parts of a forecast; the others stay as trees have them.
# By parameter, which says how much of it counts, the column; steps are those of churn's other horizons.
STEP_PARAMS = dict(zip(("season_second", "season_third"), SEASON_STEPS, strict=True))
SEASON_OF = {
    "value": {"season": SEASON_VALUE, "season_year": SEASON_YEAR},
    "churn": {"season": SEASON_SILENCE, "season_gap": SEASON_GAP, **STEP_PARAMS},
}
NO_SEASON = ("buys", "spread")


def form_by_name(name: str) -> Form:
    """The form of this name."""
    every = [f for kinds in (FORMS, SIMPLE_FORMS) for forms in kinds.values() for f in forms]
    return next(f for f in every if f.name == name)


def forms(task: str, encoders: Sequence[Encoder], kinds: Mapping[str, tuple[Form, ...]] = FORMS) -> tuple[Form, ...]:
    """The forms that these columns allow: a prior needs to know what a customer ordered, and when."""

    def allowed(form: Form, encoder: Encoder) -> bool:
        return all(set(PRIOR_COLUMNS.get(part.prior, ())) <= set(encoder.features) for part in form.parts)

    return tuple(form for form in kinds[task] if all(allowed(form, encoder) for encoder in encoders))


@dataclass(frozen=True)
class Member:
    """A model, alone or in a weighted average: its form, parameters and number of trees of each part.

    Beside LightGBM's own, ``columns`` says how many columns may be split by, ``seeds`` how many boosters that differ by
    their seed alone are averaged (each has the trees), ``prior_days`` and ``season`` go to priors.
    """

    form: Form
    params: Params
    trees: Trees

    @property
    def name(self) -> str:
        """Its form, and what sets it apart from others of that form."""
        seeds, columns = self.params.get("seeds", 1), self.params.get("columns")
        return self.form.name + (f" of {columns} columns" if columns else "") + (f" x {seeds}" if seeds > 1 else "")

    @property
    def trees_asked(self) -> int:
        """How many trees an answer asks."""
        return sum(self.trees.values()) * self.params.get("seeds", 1)


def joined_form(members: Sequence[Member]) -> Form:
    """The form of one model, or of the weighted average of several, whose parts are numbered then."""
    if len(members) == 1:
        return members[0].form
    link_ = members[0].form.link if members[0].form.link == "sigmoid" else "+".join(m.form.link for m in members)
    parts = tuple(
        replace(part, name=f"{part.name}_{n}", spread_of=part.spread_of and f"{part.spread_of}_{n}")
        for n, member in enumerate(members, 1)
        for part in member.form.parts
    )
    return Form("+".join(member.form.name for member in members), link_, parts)


def joined(fitted: Sequence[Fitted]) -> Fitted:
    """One or several fitted models as one; the parameters are those of the one with the most trees."""
    members = [Member(f.form, f.params, f.trees) for f in fitted]
    largest = max(fitted, key=lambda f: sum(f.trees.values()))
    boosters = tuple(booster for f in fitted for booster in f.boosters)
    return Fitted(joined_form(members), boosters, tuple(prior for f in fitted for prior in f.priors), largest.params)


@dataclass(frozen=True)
class ScoredRows:
    """Raw scores of labelled rows: ``raw`` of shape (n, J), ``y`` and ``fold`` of shape (n,), folds numbered from 0.

    ``weight`` of shape (n,) says how much a row counts, None: all alike; ``known_days`` of shape (n,) since when each
    customer has been known, None: the data does not tell. ``keys`` names the customer and the as-of date of each row.
    """

    raw: np.ndarray
    y: np.ndarray
    fold: np.ndarray
    weight: np.ndarray | None = None
    known_days: np.ndarray | None = None
    keys: pd.DataFrame | None = None

    def __add__(self, other: ScoredRows) -> ScoredRows:
        fold = np.concatenate([self.fold, other.fold + self.fold.max() + 1])
        weight = joined_weights([self.weight, other.weight], [len(self.y), len(other.y)])
        days = None if self.known_days is None or other.known_days is None else (self.known_days, other.known_days)
        known_days = None if days is None else np.concatenate(days)
        raw, y = np.vstack([self.raw, other.raw]), np.concatenate([self.y, other.y])
        keys = None if self.keys is None or other.keys is None else pd.concat([self.keys, other.keys])
        return ScoredRows(raw, y, fold, weight, known_days, keys)


def joined_weights(weights: Sequence[np.ndarray | None], lengths: Sequence[int]) -> np.ndarray | None:
    """Weights of rows put one under another; where none are given a row weighs 1, and None if none are given at all."""
    if all(weight is None for weight in weights):
        return None
    return np.concatenate([np.ones(n) if w is None else w for w, n in zip(weights, lengths, strict=True)])


@dataclass(frozen=True)
class Fitted:
    """Boosters of one form, in the order of its parts, and the LightGBM parameters they were fitted with."""

    form: Form
    boosters: tuple[lgb.Booster | None, ...]
    priors: tuple[Prior | None, ...]
    params: Params

    @property
    def trees(self) -> dict[str, int]:
        """Number of trees of each part that has some."""
        return {p.name: b.current_iteration() for p, b in zip(self.form.parts, self.boosters, strict=True) if b}

    def raw(self, x: np.ndarray) -> np.ndarray:
        """Raw scores before calibration, shape (n, J)."""
        parts = zip(self.boosters, self.priors, strict=True)
        return np.column_stack([_raw(booster, prior, x) for booster, prior in parts])


def fit(
    form: Form,
    train: Matrix,
    encoder: Encoder,
    params: Params,
    *,
    seed: int,
    trees: Trees,
    valid: Matrix | None = None,
    stop_after: int = 0,
    expectation: Expectation | None = None,
    linear: Linear | None = None,
    trainer: Trainer | None = None,
) -> Fitted:
    """Fit the boosters of a form.

    Parameters
    ----------
    form
        The form.
    train
        Rows to learn from.
    encoder
        What the columns of the matrix are.
    params
        LightGBM parameters beside the fixed ones.
    seed
        The same seed, data and parameters give the same boosters.
    trees
        Number of trees of each part; with `valid`, the most.
    valid, stop_after
        Later rows: stop adding trees when `stop_after` of them brought nothing there.
    expectation
        The model of orders, for parts that start from it.
    linear
        The regression of these rows, for parts that start from it; None: it is fitted here.
    trainer
        Learns the boosters in place of this process, see `training.fit.distributed`; not with `valid`.
    """
    given = {"expectation": expectation, "linear": linear}
    own = (_prior(part, train, encoder, params, given) for part in form.parts)
    priors = tuple(_with_season(p, prior, train, encoder, params) for p, prior in zip(form.parts, own, strict=True))
    boosters: dict[str, lgb.Booster | None] = {}
    for p, prior in zip(form.parts, priors, strict=True):
        rows = (train, valid)
        if p.spread_of:
            known = dict(zip((part.name for part in form.parts), priors, strict=True))[p.spread_of]
            of = boosters[p.spread_of]
            rows = (_misses(of, known, train), _misses(of, known, valid) if valid else None)
        part_params = {**params, "seed": seed}
        boosters[p.name] = (
            _fit_part(p, prior, rows[0], encoder, part_params, trees[p.name], rows[1], stop_after, trainer)
            if p.objective
            else None
        )
    return Fitted(form, tuple(boosters.values()), priors, params)


def _misses(booster: lgb.Booster | None, prior: Prior | None, rows: Matrix) -> Matrix:
    """The squared miss of the logarithm of each amount, above zero; rows without an amount stay at 0."""
    miss = np.log(np.where(rows.y > 0, rows.y, 1.0)) - _raw(booster, prior, rows.x)
    return replace(rows, y=np.where(rows.y > 0, np.maximum(miss**2, MIN_SQUARED_MISS), 0.0))


def fit_member(member: Member, train: Matrix, encoder: Encoder, **options: Any) -> Fitted:
    """Fit a member by its own form, parameters and numbers of trees; `options` are the others of `fit`."""
    return fit(member.form, train, encoder, member.params, trees=member.trees, **options)


def _prior(
    part: Part, train: Matrix, encoder: Encoder, params: Params, given: Mapping[str, Prior | None]
) -> Prior | None:
    if part.prior == "credibility":
        spend, time = (encoder.features.index(name) for name in COLUMNS)
        return fit_credibility(train.x, part.target(train.y)[1], (spend, time), params.get("prior_days", PRIOR_DAYS))
    if part.prior == "linear" and given["linear"] is None:
        return linear_of(train, encoder, "churn" if part.name == "churn" else "clv")
    return given.get(part.prior)


def linear_of(train: Matrix, encoder: Encoder, task: str) -> Linear:
    """The regression of labelled rows; net revenue under zero counts as zero."""
    target = train.y if task == "churn" else np.maximum(train.y, 0.0)
    x = train.x.copy()
    x[:, season_places(encoder)] = 0.0  # a constant says nothing: the season is no number to learn from
    return fit_linear(x, target, task, encoder.category_places, train.customer, train.weight)


def _with_season(part: Part, prior: Prior | None, train: Matrix, encoder: Encoder, params: Params) -> Prior | None:
    """What a part starts from, with the season of the business where it counts (parameters of `SEASON_OF`)."""
    strengths = season_strengths("churn" if part.name == "churn" else "clv", params, encoder)
    if not strengths or part.name in NO_SEASON:
        return prior
    rows, target = part.target(train.y)
    seasons = fit_seasons(train.x[rows], target, strengths, part.objective)
    if prior is None:
        return seasons[0] if len(seasons) == 1 else Sum(tuple(seasons))
    return Sum((prior, *(replace(season, base=0.0) for season in seasons)))


def season_strengths(task: str, params: Params, encoder: Encoder) -> dict[int, float]:
    """By the place of a season's column how much of it counts in a forecast of a task; those alone that do."""
    columns = SEASON_OF["churn" if task == "churn" else "value"]
    counting = {column: params.get(name, 0.0) for name, column in columns.items() if column in encoder.features}
    return {encoder.features.index(column): strength for column, strength in counting.items() if strength}


def season_places(encoder: Encoder) -> list[int]:
    """Where the columns of the season stand: the same for all customers of a moment, they would name it."""
    return [i for i, name in enumerate(encoder.features) if name in SEASON_COLUMNS]


def _unsplit(encoder: Encoder) -> dict[str, Any]:
    """LightGBM's parameters under which no tree splits by the season."""
    places = season_places(encoder)
    return {"feature_contri": [float(i not in places) for i in range(len(encoder.features))]} if places else {}


def _fit_part(
    part: Part,
    prior: Prior | None,
    train: Matrix,
    encoder: Encoder,
    params: Params,
    trees: int,
    valid: Matrix | None,
    stop_after: int,
    trainer: Trainer | None,
) -> lgb.Booster:
    own = {k: v for k, v in params.items() if PARAM_OBJECTIVE.get(k, part.objective) == part.objective}
    n_columns, seeds = own.pop("columns", None), own.pop("seeds", 1)
    booster_params = {**FIXED, **own, **_unsplit(encoder), "objective": part.objective}
    rows = _rows(part, prior, train, encoder)
    if n_columns is not None and n_columns < rows.x.shape[1]:
        booster_params |= {"feature_contri": _most_telling(rows, booster_params, n_columns), "feature_fraction": 1.0}
    of_seeds = [booster_params | {"seed": booster_params["seed"] + SEED_STEP * n} for n in range(seeds)]
    if trainer is not None and valid is None:
        return averaged([trainer(of_seed, rows, trees) for of_seed in of_seeds])
    data = dataset(rows, BINNING)
    if valid is None:
        return averaged([lgb.train(of_seed, data, trees) for of_seed in of_seeds])
    valid_sets = [dataset(_rows(part, prior, valid, encoder), BINNING, data)]
    stop = lgb.early_stopping(stop_after, verbose=False)
    booster = lgb.train(booster_params, data, trees, valid_sets=valid_sets, callbacks=[stop])
    if booster.best_iteration > 0:
        return lgb.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))
    return booster


def _most_telling(rows: Rows, params: Params, count: int) -> list[float]:
    """1 for the columns that split best in a small model of all, 0 for the others: those are never split on."""
    booster = lgb.train({**params, **SELECTION}, dataset(rows, BINNING), SELECTION_TREES)
    gain = np.asarray(booster.feature_importance("gain"), dtype=np.float64)
    chosen = np.isin(np.arange(len(gain)), np.argsort(-gain, kind="stable")[:count])
    return (chosen * np.asarray(params.get("feature_contri", 1.0))).tolist()


def _raw(booster: lgb.Booster | None, prior: Prior | None, x: np.ndarray) -> np.ndarray:
    trees = np.asarray(booster.predict(x, raw_score=True)) if booster else np.zeros(len(x))
    return trees + prior(x) if prior else trees


def _rows(part: Part, prior: Prior | None, matrix: Matrix, encoder: Encoder) -> Rows:
    rows, target = part.target(matrix.y)
    x, weight = matrix.x[rows], None if matrix.weight is None else matrix.weight[rows]
    start = prior(x) if prior else None
    return Rows(x, target, weight, start, tuple(encoder.features), tuple(encoder.category_places))


def calibrate(form: Form, later: ScoredRows, trained: ScoredRows) -> tuple[Affine, ...]:
    """Fit the affine maps of raw scores: slopes of log-odds and shares of amounts on later rows, levels on their own.

    Parameters
    ----------
    form
        The form.
    later
        Rows that came later than all that their boosters had seen.
    trained
        The rows that the boosters learned from.
    """
    if form.link == "sigmoid":
        learned = Learned(trained.raw, trained.y, trained.weight)
        return fit_stack(later.raw, later.y, later.fold, later.weight, learned)
    bought, bought_before = ((rows.y > 0).astype(np.float64) for rows in (later, trained))
    buys = {
        span.start: fit_log_odds(
            later.raw[:, span.start],
            bought,
            later.fold,
            later.weight,
            Learned(trained.raw[:, span.start], bought_before, trained.weight),
        )
        for name, span in spans(form.link)
        if name != "exp"
    }
    level = balance(form, trained, buys)
    each = [link(name, mapped(later.raw, level)[:, span]) for name, span in spans(form.link)]
    shares = fit_shares(np.column_stack(each) * len(each), later.y, later.fold, later.weight)
    return _weighted(form, level, shares * len(each))


def balance(form: Form, trained: ScoredRows, buys: Mapping[int, Affine] = MappingProxyType({})) -> tuple[Affine, ...]:
    """Fit the levels of amounts on the rows that the boosters learned from.

    Each of several forecasts of one amount gets its own level, and all count alike; `buys` maps the log-odds of buying,
    by its place among the raw scores.
    """
    affine = [buys.get(place, Affine()) for place in range(trained.raw.shape[1])]
    for name, span in spans(form.link):
        forecasts = link(name, mapped(trained.raw, affine)[:, span])
        affine[_amount_place(name, span)] = fit_level(forecasts, trained.y, trained.weight)
    return _weighted(form, affine, np.full(len(affine), 1 / len(spans(form.link))))


def mapped(raw: np.ndarray, affine: Sequence[Affine]) -> np.ndarray:
    """Raw scores under their affine maps, shape (n, J)."""
    return np.column_stack([a(raw[:, j]) for j, a in enumerate(affine)])


def _amount_place(name: Link, span: slice) -> int:
    """Where the logarithm of the amount stands among the raw scores."""
    return span.start if name == "exp" else span.start + 1


def _weighted(form: Form, affine: Sequence[Affine], shares: np.ndarray) -> tuple[Affine, ...]:
    """The maps with each forecast of an amount multiplied by its share."""
    out = list(affine)
    for (name, span), share in zip(spans(form.link), shares, strict=False):
        place = _amount_place(name, span)
        out[place] = replace(out[place], intercept=out[place].intercept + float(np.log(max(share, MIN_SHARE))))
    return tuple(out)


def lifted(form: Form, affine: tuple[Affine, ...], by: float) -> tuple[Affine, ...]:
    """The maps with the logarithm of every amount raised by as much, and so the forecast."""
    return _weighted(form, affine, np.full(len(spans(form.link)), np.exp(by))) if by else affine


def predict(form: Form, raw: np.ndarray, affine: tuple[Affine, ...]) -> np.ndarray:
    """The forecast from raw scores and their affine maps, shape (n,)."""
    return link(form.link, mapped(raw, affine))
