"""The rules of thumb that a model must beat: a company has them for nothing.

Each is as strong as one line of thought can make it. Beating a straw man would say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from configs.errors import NotEnoughDataError
from training.metrics import known, named_groups

MOST_LEVELS = 64


def recency_rule(days_since_last_order: ArrayLike, y_train_days: ArrayLike, y_train: ArrayLike) -> NDArray[np.float64]:
    """Forecast churn from the days since the last order alone.

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
    train_days = np.asarray(y_train_days, dtype=np.float64)
    oldest = float(np.nanmax(train_days)) if np.isfinite(train_days).any() else 0.0
    y, train_log_days = known(y_train, _log_days(train_days, oldest))
    if len(y) == 0:
        raise NotEnoughDataError(
            "recency rule: needs training rows with a known churn outcome, found none; add moments"
        )
    log_days = _log_days(days_since_last_order, oldest)
    if np.ptp(y) == 0:
        return np.full(len(log_days), y.mean())
    fitted = LogisticRegression().fit(train_log_days[:, None], y.astype(int))
    return fitted.predict_proba(log_days[:, None])[:, 1]


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


def regression_rule(
    rows: pd.DataFrame, train: pd.DataFrame, y_train: ArrayLike, categories: Sequence[str] = ()
) -> NDArray[np.float64]:
    """Forecast churn by a logistic regression on all columns, as an analyst would fit first.

    For businesses without orders, where nobody has a last order. A missing number counts as the median of the training
    rows, and a flag says that it was missing; numbers are standardised. Categories are one-hot, the rarest together
    where there are more than 64; a missing value is one of its own, one that no training row has is none of them.
    Without a column, or with one class only, everyone is given the churn rate of the training rows.

    Parameters
    ----------
    rows, train
        The columns of the rows to forecast, n, and of the training rows.
    y_train
        1 left, 0 stayed; one a training row.
    categories
        Which columns are categories; all others are numbers.

    Returns
    -------
    ndarray
        Probabilities of leaving, shape (n,).
    """
    y = np.asarray(y_train, dtype=np.float64)
    if np.ptp(y) == 0 or not len(train.columns):
        return np.full(len(rows), y.mean())
    columns = _encoding(train, categories)
    fitted = make_pipeline(columns, LogisticRegression(max_iter=2000)).fit(_plain(train, categories), y.astype(int))
    return fitted.predict_proba(_plain(rows, categories))[:, 1]


def value_regression_rule(
    rows: pd.DataFrame, train: pd.DataFrame, y_train: ArrayLike, categories: Sequence[str] = ()
) -> NDArray[np.float64]:
    """Forecast value by a Poisson regression on all columns: a mean that is never negative, as an analyst fits first.

    For ready tables, which tell of no past orders. Columns are taken as in `regression_rule`, numbers by their signed
    logarithm. Slopes have a normal prior of one standard deviation, as those of a logistic regression by default; an
    observation tells less of them the more values scatter (the dispersion of quasi-likelihood: McCullagh and Nelder,
    "Generalized linear models", 1989, chapter 6). Value under zero counts as zero for the slopes, and as it
    is for the level, so that forecasts of the training rows sum to what came. Nobody is given more than the training
    rows are. Without a column, everyone is given the mean; where the sum is not above zero, nothing.

    Parameters
    ----------
    rows, train
        The columns of the rows to forecast, n, and of the training rows.
    y_train
        Value of each training row, in units of currency.
    categories
        Which columns are categories; all others are numbers.

    Returns
    -------
    ndarray
        Value over the horizon, shape (n,).
    """
    came = np.asarray(y_train, dtype=np.float64)
    y, level = np.maximum(came, 0.0), max(float(came.mean()), 0.0)
    mean = float(y.mean())
    if level == 0 or not len(train.columns):
        return np.full(len(rows), level)
    dispersion = max(1.0, float(np.mean((y / mean - 1) ** 2)))
    model = PoissonRegressor(alpha=dispersion / len(y), max_iter=300, solver="newton-cholesky")
    fitted = make_pipeline(_encoding(train, categories), model).fit(_logs(_plain(train, categories)), y / mean)
    told, learned = (fitted.predict(_logs(_plain(frame, categories))) for frame in (rows, train))
    return np.minimum(told, learned.max()) * level


def _encoding(train: pd.DataFrame, categories: Sequence[str]) -> ColumnTransformer:
    """Numbers filled in and standardised, with flags of what was missing; categories one-hot."""
    numbers = [name for name in train.columns if name not in categories]
    of_numbers = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True, add_indicator=True), StandardScaler()
    )
    of_categories = OneHotEncoder(max_categories=MOST_LEVELS, handle_unknown="ignore", sparse_output=False)
    return make_column_transformer((of_numbers, numbers), (of_categories, list(categories)))


def _logs(rows: pd.DataFrame) -> pd.DataFrame:
    """The signed logarithm of numbers."""
    numbers = rows.select_dtypes("number")
    return rows.assign(**{str(name): np.sign(of) * np.log1p(of.abs()) for name, of in numbers.items()})


def _plain(rows: pd.DataFrame, categories: Sequence[str]) -> pd.DataFrame:
    """Numbers as floats, categories as text; a missing category is a text, too."""
    return pd.DataFrame(
        {
            name: named_groups(column) if name in categories else column.astype(np.float64)
            for name, column in rows.items()
        }
    )


def present_price(price_now: ArrayLike, price_train: ArrayLike, value_train: ArrayLike) -> NDArray[np.float64]:
    """Forecast that customers pay their present price, in the share that customers paid on the whole before.

    The share is the sum of the training values over the sum of the training prices: it holds the length of the
    horizon, the margin, and how many leave.

    Parameters
    ----------
    price_now
        Price a month of all contracts alive, shape (n,); NaN: none.
    price_train, value_train
        The same, and the value that came, of the training rows, shape (m,).

    Returns
    -------
    ndarray
        Value over the horizon, shape (n,).

    >>> present_price([10.0, float("nan")], [10.0, 30.0], [25.0, 75.0])
    array([25.,  0.])
    """
    now, train_price = (np.nan_to_num(np.asarray(p, dtype=np.float64)) for p in (price_now, price_train))
    total = train_price.sum()
    return now * (np.asarray(value_train, dtype=np.float64).sum() / total if total > 0 else 0.0)


def price_and_past(
    price_now: ArrayLike, rate: ArrayLike, price_train: ArrayLike, rate_train: ArrayLike, value_train: ArrayLike
) -> NDArray[np.float64]:
    """Forecast value from the present price of contracts and the past rate of orders, each in a share fitted before.

    The two shares are least squares on the training rows, and not negative: so the rule holds whether fees, orders or
    both are counted.

    Parameters
    ----------
    price_now, rate
        Price a month of all contracts alive (NaN: none), and `past_rate`, shape (n,).
    price_train, rate_train, value_train
        The same, and the value that came, of the training rows, shape (m,).

    Returns
    -------
    ndarray
        Value over the horizon, shape (n,).

    >>> price_and_past([10.0, float("nan")], [0.0, 8.0], [10.0, 0.0, 20.0], [0.0, 6.0, 4.0], [30.0, 3.0, 62.0])
    array([30.,  4.])
    """
    train = np.nan_to_num(np.column_stack((price_train, rate_train)).astype(np.float64))
    shares, _ = nnls(train, np.asarray(value_train, dtype=np.float64))
    return np.nan_to_num(np.column_stack((price_now, rate)).astype(np.float64)) @ shares


def _log_days(days: ArrayLike, oldest: float) -> NDArray[np.float64]:
    days = np.asarray(days, dtype=np.float64)
    return np.log1p(np.where(np.isnan(days), oldest, days))
