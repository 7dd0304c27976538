"""The rules of thumb that a model must beat: a company has them for nothing.

Each is as strong as one line of thought can make it. Beating a straw man would say nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression

from configs.errors import NotEnoughDataError
from training.metrics import known


def recency_rule(days_since_last_order: ArrayLike, y_train_days: ArrayLike, y_train: ArrayLike) -> NDArray[np.float64]:
    """Tell churn from the days since the last order alone.

    A logistic regression on log(1 + days), fitted on the training rows. A customer without an order counts as one
    whose last order is as old as the oldest of the training rows. If the training rows hold one class only, or no
    order at all, everyone is given their churn rate.

    Parameters
    ----------
    days_since_last_order
        Days at the moments to forecast, shape (n,); NaN: never ordered.
    y_train_days
        Days at the training moments, shape (m,).
    y_train
        1 left, 0 stayed, NaN unknown (left out); shape (m,).

    Returns
    -------
    ndarray
        Probabilities of leaving, shape (n,).

    Raises
    ------
    NotEnoughDataError
        No training row has a known outcome.
    """
    oldest = _oldest(y_train_days)
    y, seen = known(y_train, _log_days(y_train_days, oldest))
    if len(y) == 0:
        raise NotEnoughDataError(
            "recency rule: needs training rows with a known churn outcome, found none; add moments"
        )
    asked = _log_days(days_since_last_order, oldest)
    if np.ptp(y) == 0:
        return np.full(len(asked), y.mean())
    fitted = LogisticRegression().fit(seen[:, None], y.astype(int))
    return fitted.predict_proba(asked[:, None])[:, 1]


def past_rate(
    spend_total: ArrayLike, tenure_days: ArrayLike, horizon_days: int, margin: float = 1.0
) -> NDArray[np.float64]:
    """Forecast that customers go on spending at the rate of their past.

    Lifetime spend / tenure x horizon x margin. The tenure is at least one horizon: the rule scales what a customer
    has spent down to a horizon, never up. With a floor of one day, who first ordered yesterday would be forecast to
    place that order every day, and to beat such a rule would say nothing.

    Parameters
    ----------
    spend_total
        Net spend before the moment, shape (n,), in units of currency; NaN: never ordered.
    tenure_days
        Days since the first order, shape (n,); NaN: never ordered.
    horizon_days
        Days ahead.
    margin
        Share of revenue that counts as value.

    Returns
    -------
    ndarray
        Value over the horizon, shape (n,): 0 for who never ordered or returned more than was bought.

    >>> past_rate([300.0, 50.0], [150, 1], horizon_days=90)
    array([180.,  50.])
    """
    spend, tenure = np.asarray(spend_total, dtype=np.float64), np.asarray(tenure_days, dtype=np.float64)
    rate = spend / np.maximum(tenure, horizon_days)
    return np.nan_to_num(np.maximum(rate, 0.0)) * horizon_days * margin


def _oldest(days: ArrayLike) -> float:
    ordered = np.asarray(days, dtype=np.float64)
    return float(np.nanmax(ordered)) if np.isfinite(ordered).any() else 0.0


def _log_days(days: ArrayLike, oldest: float) -> NDArray[np.float64]:
    days = np.asarray(days, dtype=np.float64)
    return np.log1p(np.where(np.isnan(days), oldest, days))
