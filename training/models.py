"""The LightGBM models: which boosters a forecast is made of, what each learns, and how it is fitted.

Weights that spoil probabilities (``is_unbalance``, ``scale_pos_weight``) are never used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np

from training.calibrate import Affine, fit_level, fit_log_odds
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
    """One booster of a form: its LightGBM objective, and the rows and target it learns from."""

    name: str
    objective: str
    target: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


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
FORMS = {"churn": (CHURN,), "clv": (TWEEDIE, TWO_PART)}


def form(name: str) -> Form:
    """The form of this name."""
    return next(f for forms in FORMS.values() for f in forms if f.name == name)


@dataclass(frozen=True)
class Fitted:
    """Boosters of one form, in the order of its parts."""

    form: Form
    boosters: tuple[lgb.Booster, ...]

    @property
    def trees(self) -> dict[str, int]:
        """Number of trees of each part."""
        return {p.name: b.current_iteration() for p, b in zip(self.form.parts, self.boosters, strict=True)}

    def raw(self, x: np.ndarray) -> np.ndarray:
        """Raw scores before calibration, shape (n, J)."""
        return np.column_stack([b.predict(x, raw_score=True) for b in self.boosters])


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
    boosters = [
        _fit_part(p, train, encoder, {**params, "seed": seed}, trees[p.name], valid, stop_after) for p in which.parts
    ]
    return Fitted(which, tuple(boosters))


def _fit_part(
    part: Part, train: Matrix, encoder: Encoder, params: Params, trees: int, valid: Matrix | None, stop_after: int
) -> lgb.Booster:
    data = _lgb_data(part, train, encoder)
    watched = [] if valid is None else [_lgb_data(part, valid, encoder, data)]
    stop: list[Callable[..., Any]] = [lgb.early_stopping(stop_after, verbose=False)] if watched else []
    booster = lgb.train(
        {**FIXED, **_own(params, part), "objective": part.objective}, data, trees, valid_sets=watched, callbacks=stop
    )
    if booster.best_iteration > 0:
        return lgb.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))
    return booster


def _own(params: Params, part: Part) -> dict[str, Any]:
    """The parameters of a part: its objective's own ones only for that objective."""
    power = "tweedie_variance_power"
    return {k: v for k, v in params.items() if k != power or part.objective == "tweedie"}


def _lgb_data(part: Part, matrix: Matrix, encoder: Encoder, reference: lgb.Dataset | None = None) -> lgb.Dataset:
    rows, target = part.target(matrix.y)
    return lgb.Dataset(
        matrix.x[rows],
        target,
        feature_name=list(encoder.features),
        categorical_feature=encoder.category_places,
        reference=reference,
        params={"verbosity": -1, "feature_pre_filter": False},
        free_raw_data=False,
    )


def calibrate(which: Form, raw: np.ndarray, y: np.ndarray) -> tuple[Affine, ...]:
    """Fit the affine maps of raw scores on rows that the boosters have not seen.

    Parameters
    ----------
    which
        The form.
    raw
        Raw scores of later rows, shape (n, J).
    y
        What came, shape (n,).
    """
    if which.link == "sigmoid":
        return (fit_log_odds(raw[:, 0], y),)
    if which.link == "exp":
        return (fit_level(np.exp(raw[:, 0]), y),)
    buys = fit_log_odds(raw[:, 0], (y > 0).astype(np.float64))
    level = fit_level(link("sigmoid_exp", np.column_stack([buys(raw[:, 0]), raw[:, 1]])), y)
    return buys, level


def predict(which: Form, raw: np.ndarray, affine: tuple[Affine, ...]) -> np.ndarray:
    """The forecast from raw scores and their affine maps, shape (n,)."""
    return link(which.link, np.column_stack([a(raw[:, j]) for j, a in enumerate(affine)]))
