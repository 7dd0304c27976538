"""A stock BentoML service of the same models, as BentoML's pages show one: bentoml serve bento_stock:Stock."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
import pandas as pd

from configs.workspace import Workspace
from features.schema import load_schema
from features.store.feature_store import open_feature_store
from training.model.bundle import Bundle, load
from training.model.catalog import files, require_champion


@bentoml.service(name="stock", workers=1)
class Stock:
    def __init__(self) -> None:
        workspace = Workspace(Path(os.environ["BENCH_WORKSPACE"]))
        self._schema, self._store = load_schema(workspace.features), open_feature_store(workspace)
        self._service = self._store.get_feature_service("churn")
        self._models = [load(files(workspace, require_champion(workspace, t)) / "bundle") for t in ("churn", "clv")]

    @bentoml.api
    def predict(self, customer_ids: list[str], top: int = 5) -> list[dict[str, Any]]:
        frame = self._read(customer_ids)
        churn, clv = (_forecasts(model, frame, top) for model in self._models)
        return [
            {"customer_id": i, "churn": risk, "clv": value}
            for i, risk, value in zip(customer_ids, churn, clv, strict=True)
        ]

    def _read(self, customer_ids: list[str]) -> pd.DataFrame:
        keys = [{"customer_id": i} for i in customer_ids]
        found = self._store.get_online_features(features=self._service, entity_rows=keys).to_dict()
        texts = self._schema.categories
        return pd.DataFrame({n: np.array(found[n], object if n in texts else np.float64) for n in self._schema.names})


def _forecasts(model: Bundle, frame: Any, top: int) -> list[dict[str, Any]]:
    """The prediction with its horizons or interval, and the `top` columns that did most to it."""
    x = model.encode(frame)
    predicted = model.predict(x)
    if model.task == "churn":
        curve = model.by_horizon(model.survival(x, predicted))
        beside = {
            "by_horizon": [dict(zip(map(str, curve), at, strict=True)) for at in zip(*_lists(curve), strict=True)]
        }
    else:
        quantiles = model.value_quantiles(predicted, x)
        names = ("low", "high", *(f"q{percent}" for percent in quantiles))
        beside = dict(zip(names, (a.tolist() for a in (*model.bounds(predicted, x), *quantiles.values())), strict=True))
    effects = model.explain(x).effects
    best = np.argsort(-np.abs(effects), axis=1)[:, :top].tolist()
    return [
        {
            "predicted": float(predicted[i]),
            **{name: values[i] for name, values in beside.items()},
            "reasons": [
                {"feature": model.features[j], "value": str(x[i, j]), "effect": effects[i, j].item()} for j in of
            ],
        }
        for i, of in enumerate(best)
    ]


def _lists(curve: dict[int, np.ndarray]) -> list[list[float]]:
    return [chance.tolist() for chance in curve.values()]
