"""The boosters of both models alone, without priors, calibration or intervals: what a plain service would run.

Nothing of Staycast is imported. Features are read by customer from the SQLite file of the online store.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np


class Boosters:
    """Raw scores of every booster, and the columns that did most to them."""

    def __init__(self, bundles: list[Path], online: Path) -> None:
        self._models = [_read(folder) for folder in bundles]
        self._rows = sqlite3.connect(f"file:{online}?mode=ro", uri=True, check_same_thread=False)
        tables = [t for (t,) in self._rows.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        named = {t: {row[1] for row in self._rows.execute(f"PRAGMA table_info('{t}')")} for t in tables}
        self._wanted = list(dict.fromkeys(name for names, _, _ in self._models for name in names))
        of_table = {t: [n for n in self._wanted if n in names] for t, names in named.items() if "customer_id" in names}
        chosen = ", ".join(f'"{t}"."{n}"' for t, names in of_table.items() for n in names)
        first, *others = of_table
        joins = " ".join(f'JOIN "{t}" USING (customer_id)' for t in others)
        self._query = f'SELECT {chosen} FROM "{first}" {joins} WHERE customer_id = ?'
        self._columns = [n for names in of_table.values() for n in names]

    def answers(self, customer_ids: list[str], top: int) -> list[dict[str, Any]]:
        """For each customer the raw score of each model, and its `top` columns with their contributions."""
        rows = [self._rows.execute(self._query, (i,)).fetchone() for i in customer_ids]
        out: list[dict[str, Any]] = [{"customer_id": i} for i in customer_ids]
        for names, codes, boosters in self._models:
            x = np.array([self._encode(row, names, codes) for row in rows], dtype=np.float64)
            raw = sum(booster.predict(x, raw_score=True, num_threads=1) for booster in boosters)
            phi = sum(booster.predict(x, pred_contrib=True, num_threads=1)[:, :-1] for booster in boosters)
            best = np.argsort(-np.abs(phi), axis=1)[:, :top]
            for i, answer in enumerate(out):
                reasons = [{"feature": names[j], "value": _plain(x[i, j]), "effect": float(phi[i, j])} for j in best[i]]
                answer[f"score_{len(answer)}"] = {"raw": float(raw[i]), "reasons": reasons}
        return out

    def _encode(self, row: tuple[Any, ...], names: list[str], codes: dict[str, dict[str, int]]) -> list[float]:
        value = dict(zip(self._columns, row, strict=True))
        return [
            codes[n].get(value[n], np.nan) if n in codes else np.nan if value[n] is None else value[n] for n in names
        ]


def _read(folder: Path) -> tuple[list[str], dict[str, dict[str, int]], list[lgb.Booster]]:
    """Columns of a model in the boosters' order, the codes of its categories, and its boosters."""
    content = json.loads((folder / "bundle.json").read_text("utf-8"))
    boosters = [lgb.Booster(model_file=folder / f"{s['name']}.txt") for s in content["scores"] if s["trees"]]
    codes = {name: {v: i for i, v in enumerate(values)} for name, values in content["categories"].items()}
    return list(content["features"]), codes, boosters


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
