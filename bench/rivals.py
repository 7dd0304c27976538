"""Automatic machine learning beside ours, each in an environment of its own; `bench/accuracy.py --rivals` calls this.

Two cannot live in ours: AutoGluon 1.6.3 wants pyarrow under 25, and FLAML 2.7.0, once it sees PySpark, starts a Java
machine on import. CatBoost 1.2.10 (Apache 2.0) could, and is needed for nothing else. So make one for all, by hand:

uv venv --python 3.11 /tmp/rivals
uv pip install --python /tmp/rivals/bin/python "autogluon.tabular[lightgbm]==1.6.3" flaml==2.7.0 catboost==1.2.10 \\
    xgboost-cpu pyarrow

RIVALS_PYTHON bench/rivals.py NAME FOLDER: reads FOLDER/{train,asked}.parquet and FOLDER/task.json (task, seconds, seed,
folds); writes FOLDER/forecast.npy. Column ``label`` is the outcome; ``fold_<i>`` says who teaches ("train") and who
judges ("valid") in the search. All columns else are features. After the search both learn once more from all rows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

MINUTES = 300  # seconds from which on AutoGluon may bag and stack


class Folds:
    """Folds as columns tell them, in the form that scikit-learn's splitters have."""

    def __init__(self, marks: pd.DataFrame) -> None:
        self.marks = marks

    def get_n_splits(self, *_: object) -> int:
        return self.marks.shape[1]

    def split(self, *_: object, **__: object) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for name in self.marks:
            yield tuple(np.flatnonzero(self.marks[name] == part) for part in ("train", "valid"))


def flaml(train: pd.DataFrame, asked: pd.DataFrame, marks: pd.DataFrame, task: dict) -> np.ndarray:
    """All its estimators, judged on our folds by log loss or squared error until the time is over."""
    from flaml import AutoML

    churn = task["task"] == "churn"
    model = AutoML()
    model.fit(
        X_train=train.drop(columns="label"),
        y_train=train["label"].to_numpy(int if churn else float),
        task="classification" if churn else "regression",
        metric="log_loss" if churn else "mse",
        time_budget=task["seconds"],
        eval_method="cv",
        split_type=Folds(marks),
        seed=task["seed"],
        n_jobs=1,
        verbose=0,
    )
    return model.predict_proba(asked)[:, 1] if churn else model.predict(asked)


def autogluon(train: pd.DataFrame, asked: pd.DataFrame, marks: pd.DataFrame, task: dict) -> np.ndarray:
    """With the newest fold as tuning data, then refitted on all rows; its best preset where it is given minutes."""
    from autogluon.tabular import TabularPredictor

    churn, newest = task["task"] == "churn", marks.iloc[:, -1]
    model = TabularPredictor(
        label="label",
        problem_type="binary" if churn else "regression",
        eval_metric="log_loss" if churn else "root_mean_squared_error",
        path=f"{task['folder']}/autogluon",
        verbosity=0,
    )
    rows = train.astype({"label": int}) if churn else train
    parts = {part: rows[newest == part] for part in ("train", "valid")}
    patient = task["seconds"] >= MINUTES
    how = {"presets": "best_quality", "use_bag_holdout": True} if patient else {"presets": "medium_quality"}
    model.fit(parts["train"], parts["valid"], time_limit=task["seconds"], num_cpus=2 if patient else 1, **how)
    rest = rows[~newest.isin(["train", "valid"])]
    model.refit_full(train_data_extra=rest if len(rest) else None, num_cpus=1)
    return (model.predict_proba(asked)[1] if churn else model.predict(asked)).to_numpy()


def catboost(train: pd.DataFrame, asked: pd.DataFrame, marks: pd.DataFrame, task: dict) -> np.ndarray:
    """CatBoost as it comes (Tweedie for values), as many trees as the newest fold needs, then learned from all rows."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    churn, newest = task["task"] == "churn", marks.iloc[:, -1]
    x, asked_x = train.drop(columns="label"), asked.copy()
    categories = [c for c in x if isinstance(x[c].dtype, pd.CategoricalDtype) or x[c].dtype == object]
    for rows in (x, asked_x):
        rows[categories] = rows[categories].astype(object).where(rows[categories].notna(), "missing").astype(str)
    y = train["label"].to_numpy(int) if churn else np.maximum(train["label"].to_numpy(float), 0)
    common = {"random_seed": task["seed"], "verbose": 0, "allow_writing_files": False, "thread_count": 1}
    common |= {} if churn else {"loss_function": "Tweedie:variance_power=1.5"}
    kind = CatBoostClassifier if churn else CatBoostRegressor
    learns, judges = (newest == part for part in ("train", "valid"))
    model = kind(iterations=2000, early_stopping_rounds=50, **common)
    model.fit(x[learns], y[learns], eval_set=(x[judges], y[judges]), cat_features=categories)
    model = kind(iterations=max(model.tree_count_, 1), learning_rate=model.learning_rate_, **common)
    model.fit(x, y, cat_features=categories)
    return (
        model.predict_proba(asked_x)[:, 1] if churn else np.exp(model.predict(asked_x, prediction_type="RawFormulaVal"))
    )


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    task = json.loads((folder / "task.json").read_text("utf-8")) | {"folder": str(folder)}
    train, asked = (pd.read_parquet(folder / f"{part}.parquet") for part in ("train", "asked"))
    folds = [c for c in train if c.startswith("fold_")]
    made = {"FLAML": flaml, "AutoGluon": autogluon, "CatBoost": catboost}[name](
        train.drop(columns=folds), asked, train[folds], task
    )
    np.save(folder / "forecast.npy", np.asarray(made, dtype=float))


if __name__ == "__main__":
    main()
