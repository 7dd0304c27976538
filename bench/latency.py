"""What trees bring and what they cost: every contender of a model's contest, its loss and the time of an answer.

python bench/latency.py [--configs completejourney online_retail telco] [--tasks churn clv] [--trials 24] [--calls 200]
                        [--json latency.json]

The search and the contest of a training (`training.fit.contest`) run on the folds known before the hold-out. Each
contender is then fitted whole, and asked for one customer at a time: the forecast, and the forecast split by features,
which `explain: top` needs. Milliseconds are medians over the calls, in this process, of this part of an answer alone;
`bench/accuracy.py` sets CatBoost and other rivals beside. "chosen" is what a training takes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # who waits for the other thread leaves the core to others

import numpy as np
from rich.console import Console
from rich.table import Table
from table import write_records

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from optuna.trial import TrialState  # noqa: E402

from bench.accuracy import prepare  # noqa: E402
from training.data.task_rows import labelled  # noqa: E402
from training.fit import assembly, recipe, search  # noqa: E402
from training.fit.contest import contenders  # noqa: E402
from training.model.bundle import Bundle, Task  # noqa: E402


def milliseconds(call: Callable[[np.ndarray], Any], x: np.ndarray, calls: int) -> float:
    """Median time of a call for one row, after a first that is not counted."""
    times = []
    for n in range(calls + 1):
        row = x[n % len(x) : n % len(x) + 1]
        began = time.perf_counter()
        call(row)
        times.append(time.perf_counter() - began)
    return 1000 * float(np.median(times[1:]))


def measure(config: str, task: Task, trials: int, calls: int, folder: Path, data_folder: Path) -> list[dict[str, Any]]:
    """One record a contender of one model."""
    budget = {"tuning": {"trials": trials, "timeout_seconds": 3600}}
    settings, workspace = prepare(config, budget, folder, data_folder)
    data = labelled(settings, workspace, task)
    plan, early, folds = recipe.prepare(data, settings)
    result = search.search(task, folds, settings.tuning, workspace, "latency")
    trees = search.tree_members([t for t in result.study.trials if t.state == TrialState.COMPLETE])
    seed = settings.tuning.seed
    records = []
    for contender, row in zip(contenders(task, folds, trees, seed), result.contest, strict=True):
        alone = replace(result, members=contender.members)
        fitted, encoder = assembly.learn(early, plan.train_for_holdout, alone, settings)
        later = assembly.validation_scores(folds, alone, seed)
        rows = early.at(plan.train_for_holdout)
        model: Bundle = assembly.assemble(fitted, encoder, later, early, plan.train_for_holdout, None, rows, settings)
        x = model.encode(rows.iloc[-calls:])
        records.append(
            {
                "model": f"{config} {task}: {row['name']}",
                "trees": sum(fitted.trees.values()),
                "loss": row["loss"],
                "loss_ratio": row["loss"] / (row["loss"] - row["above_least"]),
                "forecast_ms": milliseconds(model.predict, x, calls),
                "reasons_ms": milliseconds(model.explain, x, calls),
                "chosen": row["chosen"],
            }
        )
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("STAYCAST_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--configs", nargs="+", default=["completejourney", "online_retail", "telco"])
    parser.add_argument("--tasks", nargs="+", choices=["churn", "clv"], default=["churn", "clv"])
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--data", type=Path, default=Path(data), help="folder of the public data")
    parser.add_argument("--json", type=Path, help="write the records here")
    options = parser.parse_args()
    records: list[dict[str, Any]] = []
    for config in options.configs:
        for task in options.tasks if config != "telco" else ["churn"]:
            with tempfile.TemporaryDirectory() as folder:
                records += measure(config, task, options.trials, options.calls, Path(folder), options.data)
                write_records(records, options.json)
    table = Table("model", "trees", "loss", "of the least", "forecast ms", "with reasons ms", title="One customer")
    for r in records:
        loss, ratio = f"{r['loss']:.4f}", f"{r['loss_ratio']:.4f}"
        ms = (f"{r[key]:.2f}" for key in ("forecast_ms", "reasons_ms"))
        table.add_row(("-> " if r["chosen"] else "") + r["model"], str(r["trees"]), loss, ratio, *ms)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
