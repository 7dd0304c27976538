"""A contestant on CDNOW, not part of the service: the probabilistic forecast as a prior that trees correct.

The probabilistic model knows how orders and silence turn into a forecast over any horizon, also one longer than any
that has matured. It does not know what was bought. Trees know that, but learn only from horizons that have passed. The
hybrid keeps the first as an offset and lets the second learn by which factor customers differ from it, at earlier
moments of the same history: ``forecast = prior x factor(columns)``.

The total of each earlier window is taken out before the factor is learned, and the forecast keeps the prior's total:
trees say who lies above, not how far all do. Half of what they say is believed (in logarithms), as columns drift.

How far all will lie above the prior is asked of one earlier window alone, that of the same relative horizon (39 weeks
after 39 are like 20 after 20), and only if nearly all customers of today were known then; else it is left at the
prior. On CDNOW, averages over unlike windows were worse than no level at all at most of the earlier moments tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from configs.errors import DataError, NotEnoughDataError
from training.priors.order_model import OrderModel, summarise
from training.priors.purchases import Array, PurchasePrior

FIXED = {
    "objective": "poisson",
    "num_leaves": 7,
    "learning_rate": 0.05,
    "lambda_l2": 20.0,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "deterministic": True,
    "force_row_wise": True,
    "feature_pre_filter": False,
    "num_threads": 1,
    "verbosity": -1,
}
TREES = 100
STRENGTH = 0.5
KNOWN_THEN = 0.95
LEVEL_STRENGTH = 0.5
LIMIT = 2.0
MIN_POSITIVE = 1e-9
BASKET = ("mean_amount_log", "last_amount_log", "quantity_log", "mean_quantity_log", "first_quantity_log",
          "unit_price_log", "orders_same_day")  # fmt: skip


def basket_columns(orders: pd.DataFrame, as_of: Any) -> pd.DataFrame:
    """What was bought, beside how often. One row per customer who had ordered, indexed by ``customer_id``.

    Parameters
    ----------
    orders
        ``customer_id, ordered_at, amount, quantity`` and, if known, ``recorded_at``; returns are left out.
    as_of
        The moment; see `training.priors.order_model.summarise`.

    Returns
    -------
    pandas.DataFrame
        ``log(1 + .)`` of the mean and the last amount of an order day, of the quantity of all, of one (mean) and of
        the first, and of the price of a unit; and orders beyond the first on the same day.
    """
    known = (orders["ordered_at"] < as_of) & (orders["amount"] >= 0)
    if "recorded_at" in orders:
        known &= ~(orders["recorded_at"] > as_of)
    seen = orders[known].assign(day=orders["ordered_at"].dt.floor("D"))
    days = seen.groupby(["customer_id", "day"]).agg(
        amount=("amount", "sum"), quantity=("quantity", "sum"), orders=("amount", "size")
    )
    by = days.clip(lower=0).groupby("customer_id")
    amount, quantity = by["amount"], by["quantity"]
    columns = [amount.mean(), amount.last(), quantity.sum(), quantity.mean(), quantity.first()]
    columns.append(amount.sum() / quantity.sum().clip(lower=1))
    logs = {name: np.log1p(values) for name, values in zip(BASKET, columns, strict=False)}
    return pd.DataFrame(logs | {BASKET[-1]: (by["orders"].sum() - by.size()).astype(np.float64)})


def earlier_windows(first: Any, as_of: Any, count: int = 6) -> list[tuple[Any, int]]:
    """Moments before `as_of` whose outcome is known at `as_of`, each with the longest horizon that has matured.

    They lie evenly from the middle of the history to nine tenths of it: before the middle, little was known of anyone.

    Parameters
    ----------
    first, as_of
        The day of the first order of all, and the moment to forecast at.
    count
        How many at the most; a history of a few days has fewer.

    Returns
    -------
    list of (moment, horizon in days)
        Moments rising; ``moment + horizon <= as_of``.

    >>> earlier_windows(pd.Timestamp("2024-01-01"), pd.Timestamp("2024-04-10"), count=3)[0]
    (Timestamp('2024-02-20 00:00:00'), 50)
    """
    whole = (as_of - first).days
    horizons = {round(whole * (1.0 - float(share))) for share in np.linspace(0.5, 0.9, count)}
    return [(as_of - timedelta(days=h), h) for h in sorted(horizons, reverse=True) if h >= 1]


@dataclass(frozen=True)
class Correction:
    """By which factor customers differ from their prior forecast.

    Attributes
    ----------
    columns
        What the factor is told from; the log of the prior forecast comes first by itself.
    trees
        The booster, as LightGBM's text.
    strength
        The power of the factor that is applied: 0 leaves the prior, 1 believes the trees. No factor goes beyond 2 or
        1/2, before the total is restored.
    """

    columns: tuple[str, ...]
    trees: str
    strength: float = STRENGTH

    def __call__(self, prior: ArrayLike, frame: pd.DataFrame) -> Array:
        """The corrected forecast, shape (n,), in units of the prior and with its total; 0 where the prior is 0.

        Parameters
        ----------
        prior
            Forecast of the probabilistic model, shape (n,), 0 or more.
        frame
            The columns, one row each. The total is that of the rows given: give all customers at once.
        """
        prior = np.asarray(prior, dtype=np.float64)
        if not len(prior):
            return prior
        x = _matrix(prior, frame, self.columns)
        factor = lgb.Booster(model_str=self.trees).predict(x, raw_score=True, num_threads=1)
        limit = np.log(LIMIT)
        corrected = prior * np.exp(np.clip(self.strength * np.asarray(factor), -limit, limit))
        return corrected * prior.sum() / max(corrected.sum(), MIN_POSITIVE)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"columns": list(self.columns), "trees": self.trees, "strength": self.strength}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Correction:
        """The inverse of `to_dict`."""
        return cls(tuple(content["columns"]), content["trees"], content["strength"])


def fit_correction(
    frame: pd.DataFrame,
    prior: ArrayLike,
    actual: ArrayLike,
    window: ArrayLike,
    columns: Sequence[str],
    params: Mapping[str, Any] | None = None,
    trees: int = TREES,
    seed: int = 0,
) -> Correction:
    """Learn the factor from earlier windows, each with its total taken out.

    Parameters
    ----------
    frame
        The columns at the earlier moments, one row per customer and window.
    prior
        What the probabilistic model, fitted at that moment, forecast for the window; shape (n,).
    actual
        What came in it, shape (n,), 0 or more; a negative value counts as 0.
    window
        Which window a row belongs to, shape (n,).
    columns
        Names in `frame` that the factor may depend on.
    params, trees, seed
        LightGBM parameters that differ, number of trees, seed. Give ``objective: tweedie`` for amounts.

    Raises
    ------
    NotEnoughDataError
        Nothing came in any of the windows.
    DataError
        The arrays are not of one length, or a prior is negative or not finite.
    """
    prior, y = np.asarray(prior, dtype=np.float64), np.maximum(np.asarray(actual, dtype=np.float64), 0.0)
    if not len(frame) == len(prior) == len(y) or not (np.isfinite(prior) & (prior >= 0)).all():
        raise DataError(
            f"correction: expected one finite prior >= 0 and one outcome a row, got {len(frame)} rows, {len(prior)} "
            f"priors (least {prior.min() if len(prior) else 'none'}) and {len(y)} outcomes"
        )
    names, window_number = np.unique(np.asarray(window), return_inverse=True)
    actual_total, expected = np.bincount(window_number, y), np.maximum(np.bincount(window_number, prior), MIN_POSITIVE)
    if not actual_total.sum() > 0:
        raise NotEnoughDataError(
            f"correction: nothing came in any of the {len(names)} earlier windows, so no factor can be learned: use "
            "the prior forecast as it is"
        )
    informative = (actual_total[window_number] > 0) & np.isfinite(y)
    log_ratio = np.log(np.maximum(actual_total, MIN_POSITIVE) / expected)
    offset = (np.log(np.maximum(prior, MIN_POSITIVE)) + log_ratio[window_number])[informative]
    least = int(np.clip(informative.sum() / len(names) / 100, 20, 200))
    data = lgb.Dataset(
        _matrix(prior, frame, columns)[informative],
        y[informative],
        init_score=offset,
        feature_name=["prior_log", *columns],
        params={"verbosity": -1, "feature_pre_filter": False, "num_threads": 1},
    )
    booster = lgb.train({**FIXED, "min_data_in_leaf": least, "seed": seed, **(params or {})}, data, trees)
    return Correction(tuple(columns), booster.model_to_string())


def _matrix(prior: Array, frame: pd.DataFrame, columns: Sequence[str]) -> Array:
    logs = np.log(np.maximum(prior, MIN_POSITIVE))
    return np.column_stack([logs, frame[list(columns)].to_numpy(np.float64)])


def matched_level(orders: pd.DataFrame, as_of: Any, horizon_days: int, prior: PurchasePrior | None = None) -> float:
    """By which factor all orders came to lie above their prior forecast over the same relative horizon before.

    The history is cut where the rest is to the part before as the horizon is to the whole history. The model is fitted
    at the cut, and its total compared to what came until `as_of`. The factor is the root of that ratio, one window
    being little evidence, and between 1/2 and 2. It is 1 where fewer than 95 % of today's customers were known at the
    cut: then the two halves are not alike.

    Parameters
    ----------
    orders, prior
        See `OrdersHybrid.fit`; orders at or after `as_of` are not looked at.
    as_of, horizon_days
        The moment, and days ahead.
    """
    known = orders[orders["ordered_at"] < as_of]
    first = known["ordered_at"].min().floor("D")
    whole = (as_of - first).days
    days = round(whole * horizon_days / (whole + horizon_days))
    cut = as_of - timedelta(days=days)
    summary = summarise(known, cut)
    if days < 1 or len(summary) < KNOWN_THEN * known["customer_id"].nunique():
        return 1.0
    expected = OrderModel.fit(summary, prior).expected_orders(summary, days).sum()
    ratio = orders_within(known, cut, days, summary.index).sum() / max(expected, MIN_POSITIVE)
    return float(np.clip(ratio**LEVEL_STRENGTH, 1.0 / LIMIT, LIMIT))


@dataclass(frozen=True)
class OrdersHybrid:
    """Orders to come, by the probabilistic model corrected by what was bought.

    Attributes
    ----------
    model
        Fitted at the moment.
    correction
        Learned at earlier moments; None where nothing came in them, then the forecast is the model's.
    level
        Factor on all forecasts, see `matched_level`.
    horizon_days
        Days ahead.
    """

    model: OrderModel
    correction: Correction | None
    level: float
    horizon_days: int

    @classmethod
    def fit(
        cls, orders: pd.DataFrame, as_of: Any, horizon_days: int, prior: PurchasePrior | None = None, seed: int = 0
    ) -> OrdersHybrid:
        """Learn from orders before a moment; nothing at or after it is looked at.

        Parameters
        ----------
        orders
            ``customer_id, ordered_at, amount, quantity``.
        as_of, horizon_days
            The moment, and days ahead.
        prior, seed
            See `training.priors.purchases.fit_purchases` and `fit_correction`.

        Raises
        ------
        NotEnoughDataError
            Nobody had ordered before the moment.
        """
        known = orders[orders["ordered_at"] < as_of]
        model = OrderModel.fit(summarise(known, as_of), prior)
        level = matched_level(known, as_of, horizon_days, prior)
        parts = [_window(known, date, days, prior) for date, days in _windows(known, as_of)]
        rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"actual": []})
        if not rows["actual"].sum() > 0:
            return cls(model, None, level, horizon_days)
        learned = fit_correction(rows, rows["prior"], rows["actual"], rows["window"], BASKET, seed=seed)
        return cls(model, learned, level, horizon_days)

    def expected_orders(self, orders: pd.DataFrame, as_of: Any) -> pd.Series:
        """Expected days with an order within the horizon, by customer who had ordered before the moment."""
        summary = summarise(orders, as_of)
        expected = self.model.expected_orders(summary, self.horizon_days)
        if self.correction is not None:
            expected = self.correction(expected, basket_columns(orders, as_of).reindex(summary.index))
        return pd.Series(expected * self.level, index=summary.index)


def orders_within(orders: pd.DataFrame, as_of: Any, horizon_days: int, customers: pd.Index) -> Array:
    """Days with an order in ``[as_of, as_of + horizon)``, for each of `customers`, shape (n,)."""
    end = as_of + timedelta(days=horizon_days)
    coming = orders[(orders["ordered_at"] >= as_of) & (orders["ordered_at"] < end) & (orders["amount"] >= 0)]
    days = coming["ordered_at"].dt.floor("D").groupby(coming["customer_id"]).nunique()
    return days.reindex(customers, fill_value=0).to_numpy(np.float64)


def _windows(orders: pd.DataFrame, as_of: Any) -> list[tuple[Any, int]]:
    first = orders["ordered_at"].min().floor("D")
    return [w for w in earlier_windows(first, as_of) if (orders["ordered_at"] < w[0]).any()]


def _window(orders: pd.DataFrame, as_of: Any, days: int, prior: PurchasePrior | None) -> pd.DataFrame:
    summary = summarise(orders, as_of)
    model = OrderModel.fit(summary, prior)
    rows = basket_columns(orders, as_of).reindex(summary.index)
    actual = orders_within(orders, as_of, days, summary.index)
    return rows.assign(prior=model.expected_orders(summary, days), actual=actual, window=str(as_of))
