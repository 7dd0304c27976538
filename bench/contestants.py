"""Plain models that a data scientist would try first, held tightly: the rivals that ours must be level with or better.

A contestant takes the rows that may teach and those asked about, and gives a forecast for each of the latter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import lightgbm as lgb
import numpy as np
import pandas as pd

Forecast = Callable[[pd.DataFrame, pd.DataFrame], np.ndarray]
# recency, frequency and money, over all of the past and over its end: what everyone has in a spreadsheet
SIMPLE_RFM = (
    "days_since_last_order", "tenure_days", "orders_total", "orders_30d", "orders_90d", "spend_total", "spend_30d",
    "spend_90d", "mean_order",
)  # fmt: skip
TREES = 300
HELD = {
    "learning_rate": 0.03, "num_leaves": 15, "min_data_in_leaf": 50, "lambda_l2": 10.0, "feature_fraction": 0.8,
    "bagging_fraction": 0.8, "bagging_freq": 1, "verbosity": -1, "deterministic": True,
}  # fmt: skip


def few_columns(objective: str, seed: int, columns: Sequence[str] = SIMPLE_RFM) -> Forecast:
    """A regularised LightGBM on few columns, nothing tuned; `objective`: ``binary`` or ``tweedie``."""

    def forecast(train: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
        names = [c for c in columns if c in train]
        y = train["label"].to_numpy(float)
        y = y if objective == "binary" else np.maximum(y, 0)
        return _boosted(objective, train[names].to_numpy(float), y, asked[names].to_numpy(float), seed)

    return forecast


def one_hot(numbers: Sequence[str], categories: Sequence[str], seed: int) -> Forecast:
    """A regularised LightGBM on all columns of a ready table, one 0/1 column for each level of each category."""

    def forecast(train: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
        levels = {c: sorted(train[c].dropna().astype(str).unique()) for c in categories}

        def matrix(rows: pd.DataFrame) -> np.ndarray:
            dummies = [(rows[c].astype(str) == level).to_numpy(float) for c in categories for level in levels[c]]
            return np.column_stack([rows[list(numbers)].to_numpy(float), *dummies])

        return _boosted("binary", matrix(train), train["label"].to_numpy(float), matrix(asked), seed)

    return forecast


def _boosted(objective: str, x: np.ndarray, y: np.ndarray, asked: np.ndarray, seed: int) -> np.ndarray:
    booster = lgb.train({"objective": objective, "seed": seed} | HELD, lgb.Dataset(x, y), TREES)
    return np.asarray(booster.predict(asked))
