"""Does the season of the whole business bring the level nearer? Shops with and without one, month by month.

python bench/season.py [--only christmas 'ski*'] [--moments 12] [--seed 0] [--save FILE]

Each shop goes the way of a user's: files, ingest, features at every first of the month. At each of its newest moments
the forecasts of that moment are made from what was known then, twice: with the columns of the season as they are, and
with these at 0. The *total error* is the logarithm of what was forecast over what came, of all customers together;
for churn that of the odds of leaving. Told is its root mean square over the moments, of plain trees with as much of
the season as past moments say (`training.fit.level.season`), and of the prior alone (`training.fit.small_data`).
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from rich.console import Console  # noqa: E402

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bench.businesses import CHRISTMAS, RAMADAN, SKI, SLUMP, SUMMER, Business, Shop, shop  # noqa: E402
from bench.robust import settings_of  # noqa: E402
from configs.libraries import hide_deprecations  # noqa: E402
from configs.settings import Settings  # noqa: E402
from configs.workspace import Workspace  # noqa: E402
from features.build import build  # noqa: E402
from features.ingest import ingest  # noqa: E402
from features.schema import SEASON_COLUMNS  # noqa: E402
from features.store import feature_store  # noqa: E402
from training.data.dataset import Dataset, learn_encoder  # noqa: E402
from training.data.task_rows import feature_rows, labelled  # noqa: E402
from training.fit.boosters import CHURN, TWEEDIE, ScoredRows, balance, fit, predict  # noqa: E402
from training.fit.level.season import season_params  # noqa: E402
from training.fit.search import FIRST_TRIAL  # noqa: E402
from training.fit.small_data import small_data_model_at  # noqa: E402
from training.judge.rolling_origin import evaluation_as_ofs, matured_rows  # noqa: E402
from training.model.bundle import Task  # noqa: E402
from training.model.calibration import Affine  # noqa: E402
from training.priors.level import smoothed_share  # noqa: E402

TREES, YEAR = 60, 12
LEAST = 1e-9
GROWING = 1.3**4.5
FEAST = {"calendar": {"events": {"ramadan": [list(days) for days in RAMADAN]}}}
SHOPS: dict[str, tuple[int, int, Shop, dict[str, Any]]] = {
    "christmas": (600, 54, Shop(0.8, season=CHRISTMAS, stays_months=24), {}),
    "christmas_growing": (800, 54, Shop(0.8, season=CHRISTMAS, stays_months=24, existing=0.15, growth=GROWING), {}),
    "christmas_small": (150, 54, Shop(0.8, season=CHRISTMAS, stays_months=36), {}),
    "christmas_short": (600, 36, Shop(0.8, season=CHRISTMAS, stays_months=24), {}),
    "slump": (600, 54, Shop(1.2, season=SLUMP, stays_months=24), {}),
    "slump_growing": (800, 54, Shop(1.2, season=SLUMP, stays_months=24, existing=0.15, growth=GROWING), {}),
    "ski": (600, 54, Shop(0.8, season=SKI, stays_months=30), {}),
    "garden_growing": (800, 48, Shop(0.8, season=SUMMER, stays_months=24, existing=0.15, growth=GROWING), {}),
    "ramadan": (600, 54, Shop(1.2, feast=2.5, feast_days=RAMADAN, stays_months=24), FEAST),
    "level": (600, 54, Shop(1.0, stays_months=24), {}),
    "level_growing": (800, 54, Shop(1.0, stays_months=24, existing=0.15, growth=GROWING), {}),
    "level_small": (150, 54, Shop(0.8, stays_months=36), {}),
}


def _spread(as_ofs: Sequence[pd.Timestamp], count: int) -> list[pd.Timestamp]:
    """So many moments over a year, the newest among them."""
    step = max(len(as_ofs) // count, 1)
    return list(as_ofs[::-1][::step][:count][::-1])


def errors(settings: Settings, workspace: Workspace, moments: int) -> Iterator[dict[str, Any]]:
    """The total error of both tasks at each moment, with the season and without it."""
    everything = feature_rows(workspace)
    for task in settings.tasks:
        data = labelled(settings, workspace, task)
        for as_of in _spread(evaluation_as_ofs(data, settings, YEAR), moments):
            for season in ("off", "on"):
                own, rows = (data, everything) if season == "on" else (_without(data), _no_season(everything))
                past, asked = matured_rows(own, settings, as_of), own.at([as_of])
                shares, forecast = _trees(past, asked, settings)
                prior = small_data_model_at(settings, past, rows[rows["as_of"] <= as_of])
                y = asked["label"].to_numpy(float)
                row = {"task": task, "as_of": as_of, "season": season, "shares": shares}
                yield row | {"by": "trees", "error": _error(task, forecast, y)}
                yield row | {"by": "prior", "error": _error(task, prior.predict(prior.encode(asked)), y)}


def _trees(past: Dataset, asked: pd.DataFrame, settings: Settings) -> tuple[dict[str, float], np.ndarray]:
    season = season_params(past, past.as_ofs, settings)
    rows = past.training_rows(past.as_ofs)
    encoder = learn_encoder(rows, past.schema)
    learned, form = encoder(rows), CHURN if past.task == "churn" else TWEEDIE
    params, trees = {**FIRST_TRIAL, **season}, {form.parts[0].name: TREES}
    fitted = fit(form, learned, encoder, params, seed=0, trees=trees)
    trained = ScoredRows(fitted.raw(learned.x), learned.y, np.zeros(len(learned.y), dtype=int))
    affine = (Affine(),) if form is CHURN else balance(form, trained)
    return season, predict(form, fitted.raw(encoder(asked).x), affine)


def _without(data: Dataset) -> Dataset:
    return replace(data, frame=_no_season(data.frame))


def _no_season(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{name: 0.0 for name in SEASON_COLUMNS if name in rows})


def _error(task: Task, forecast: np.ndarray, y: np.ndarray) -> float:
    if task == "churn":
        odds = [
            share / (1 - share) for share in (float(np.clip(np.mean(forecast), LEAST, 1 - LEAST)), smoothed_share(y))
        ]
        return float(np.log(odds[0] / odds[1]))
    return float(np.log(forecast.sum() / max(np.maximum(y, 0.0).sum(), LEAST)))


def run(name: str, moments: int, seed: int) -> pd.DataFrame:
    """All errors of one shop."""
    customers, months, law, own = SHOPS[name]
    with tempfile.TemporaryDirectory() as place:
        tables = shop(law, customers, months, seed * 1000 + sorted(SHOPS).index(name))
        business = Business(name, "inactivity", customers, lambda: tables, own)
        settings = settings_of(business, tables, Path(place), 1, seed)
        workspace = Workspace(Path(place) / "workspace")
        ingest(settings, workspace)
        build(settings, workspace)
        feature_store.apply(workspace, settings)
        return pd.DataFrame(errors(settings, workspace, moments)).assign(shop=name)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Root mean square of the total error of each shop, task and model, without and with the season."""
    squares = (
        rows.assign(error=rows["error"] ** 2).groupby(["shop", "task", "by", "season"], sort=False)["error"].mean()
    )
    table = np.sqrt(squares).unstack("season")[["off", "on"]]
    return table.assign(ratio=table["on"] / table["off"]).round(3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=["*"], metavar="PATTERN", help="names, * for any letters")
    parser.add_argument("--moments", type=int, default=6, help="of the newest year, of each shop")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, metavar="FILE", help="gets the error at each moment, as CSV")
    options = parser.parse_args()
    hide_deprecations()
    screen, parts = Console(width=160), []
    for name in (n for n in SHOPS if any(fnmatch.fnmatch(n, pattern) for pattern in options.only)):
        began = time.perf_counter()
        parts.append(run(name, options.moments, options.seed))
        screen.print(summary(parts[-1]).to_string(), f"\n{time.perf_counter() - began:.0f} s")
        if options.save:
            pd.concat(parts).to_csv(options.save, index=False)


if __name__ == "__main__":
    main()
