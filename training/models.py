"""The LightGBM models: which boosters a forecast is made of, what each learns, and how it is fitted.

Weights that spoil probabilities (``is_unbalance``, ``scale_pos_weight``) are never used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np

from training.calibrate import Affine, fit_level, fit_log_odds
from training.credibility import COLUMNS, Credibility, fit_credibility
from training.dataset import Encoder, Matrix
from training.explain import Link, link

Params = Mapping[str, Any]
Trees = Mapping[str, int]
FIXED = {
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "bagging_freq": 1,
    "feature_pre_filter": False,
    "max_cat_to_onehot": 8,
}


@dataclass(frozen=True)
class Part:
    """One booster of a form: its LightGBM objective, the rows and target it learns from, if it corrects a prior."""

    name: str
    objective: str
    target: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    corrects: bool = False


@dataclass(frozen=True)
class Form:
    """How boosters make a forecast: ``link`` of their raw scores."""

    name: str
    link: Link
    parts: tuple[Part, ...]


def _all(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(len(y), dtype=bool), y


def _not_negative(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(len(y), dtype=bool), np.maximum(y, 0.0)


def _buys(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(len(y), dtype=bool), (y > 0).astype(np.float64)


def _amount(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return y > 0, y[y > 0]


CHURN = Form("churn", "sigmoid", (Part("churn", "binary", _all),))
TWEEDIE = Form("tweedie", "exp", (Part("value", "tweedie", _not_negative),))
TWO_PART = Form("two_part", "sigmoid_exp", (Part("buys", "binary", _buys), Part("amount", "gamma", _amount)))
HYBRID = Form("hybrid", "exp", (Part("value", "tweedie", _not_negative, corrects=True),))
FORMS = {"churn": (CHURN,), "clv": (TWEEDIE, TWO_PART, HYBRID)}
PRIOR_DAYS = 60.0
OWN = {"tweedie_variance_power": "tweedie", "prior_days": ""}


def form(name: str) -> Form:
    """The form of this name."""
    return next(f for forms in FORMS.values() for f in forms if f.name == name)


def forms(task: str, encoders: Sequence[Encoder]) -> tuple[Form, ...]:
    """The forms that these columns allow: a prior needs what a customer spent, and how long it took."""
    known = all(set(COLUMNS) <= set(encoder.features) for encoder in encoders)
    return tuple(f for f in FORMS[task] if known or not any(part.corrects for part in f.parts))


@dataclass(frozen=True)
class Scored:
    """Raw scores of labelled rows: ``raw`` of shape (n, J), ``y`` and ``fold`` of shape (n,), folds numbered from 0."""

    raw: np.ndarray
    y: np.ndarray
    fold: np.ndarray

    def __add__(self, other: Scored) -> Scored:
        fold = np.concatenate([self.fold, other.fold + self.fold.max() + 1])
        return Scored(np.vstack([self.raw, other.raw]), np.concatenate([self.y, other.y]), fold)


@dataclass(frozen=True)
class Fitted:
    """Boosters of one form, in the order of its parts, and the LightGBM parameters they were fitted with."""

    form: Form
    boosters: tuple[lgb.Booster, ...]
    priors: tuple[Credibility | None, ...]
    params: Params

    @property
    def trees(self) -> dict[str, int]:
        """Number of trees of each part."""
        return {p.name: b.current_iteration() for p, b in zip(self.form.parts, self.boosters, strict=True)}

    def raw(self, x: np.ndarray) -> np.ndarray:
        """Raw scores before calibration, shape (n, J)."""
        found = zip(self.boosters, self.priors, strict=True)
        return np.column_stack([np.asarray(b.predict(x, raw_score=True)) + (p(x) if p else 0.0) for b, p in found])


def fit(
    which: Form,
    train: Matrix,
    encoder: Encoder,
    params: Params,
    *,
    seed: int,
    trees: Trees,
    valid: Matrix | None = None,
    stop_after: int = 0,
) -> Fitted:
    """Fit the boosters of a form.

    Parameters
    ----------
    which
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
    """
    priors = tuple(_prior(part, train, encoder, params) for part in which.parts)
    boosters = [
        _fit_part(p, prior, train, encoder, {**params, "seed": seed}, trees[p.name], valid, stop_after)
        for p, prior in zip(which.parts, priors, strict=True)
    ]
    return Fitted(which, tuple(boosters), priors, params)


def _prior(part: Part, train: Matrix, encoder: Encoder, params: Params) -> Credibility | None:
    if not part.corrects:
        return None
    spend, time = (encoder.features.index(name) for name in COLUMNS)
    return fit_credibility(train.x, part.target(train.y)[1], (spend, time), params.get("prior_days", PRIOR_DAYS))


def _fit_part(
    part: Part,
    prior: Credibility | None,
    train: Matrix,
    encoder: Encoder,
    params: Params,
    trees: int,
    valid: Matrix | None,
    stop_after: int,
) -> lgb.Booster:
    data = _lgb_data(part, prior, train, encoder)
    watched = [] if valid is None else [_lgb_data(part, prior, valid, encoder, data)]
    stop: list[Callable[..., Any]] = [lgb.early_stopping(stop_after, verbose=False)] if watched else []
    booster = lgb.train(
        {**FIXED, **_own(params, part), "objective": part.objective}, data, trees, valid_sets=watched, callbacks=stop
    )
    if booster.best_iteration > 0:
        return lgb.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))
    return booster


def _own(params: Params, part: Part) -> dict[str, Any]:
    """The parameters of a part: its objective's own ones only for that objective, those of the prior for none."""
    return {k: v for k, v in params.items() if OWN.get(k, part.objective) == part.objective}


def _lgb_data(
    part: Part, prior: Credibility | None, matrix: Matrix, encoder: Encoder, reference: lgb.Dataset | None = None
) -> lgb.Dataset:
    rows, target = part.target(matrix.y)
    return lgb.Dataset(
        matrix.x[rows],
        target,
        init_score=prior(matrix.x[rows]) if prior else None,
        feature_name=list(encoder.features),
        categorical_feature=encoder.category_places,
        reference=reference,
        params={"verbosity": -1, "feature_pre_filter": False},
        free_raw_data=False,
    )


def calibrate(which: Form, later: Scored, trained: Scored) -> tuple[Affine, ...]:
    """Fit the affine maps of raw scores: the slope of a probability on later rows, the level of an amount on its own.

    Parameters
    ----------
    which
        The form.
    later
        Rows that came later than all that their boosters had seen.
    trained
        The rows that the boosters learned from.
    """
    if which.link == "sigmoid":
        return (fit_log_odds(later.raw[:, 0], later.y, later.fold),)
    first: tuple[Affine, ...] = ()
    if which.link == "sigmoid_exp":
        first = (fit_log_odds(later.raw[:, 0], (later.y > 0).astype(np.float64), later.fold),)
    return *first, fit_level(predict(which, trained.raw, (*first, Affine())), trained.y)


def predict(which: Form, raw: np.ndarray, affine: tuple[Affine, ...]) -> np.ndarray:
    """The forecast from raw scores and their affine maps, shape (n,)."""
    return link(which.link, np.column_stack([a(raw[:, j]) for j, a in enumerate(affine)]))
