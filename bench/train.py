"""What training costs: one final model of each task on a million rows, and a whole training of a real business.

python bench/train.py [--rows 1000000] [--features 60] [--trees 200] [--only million|business] [--json train.json]

``million``: made-up rows, written once, then one final model a task in a process of its own; the goal is at most ten
minutes and 8 GB. ``business``: search, fit, calibration, examination and record of each model at the config's own
budget; the goal for both together is three minutes on two cores. What else runs on the machine counts: see the load.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from stages import run
from table import write_records

HERE = Path(__file__)
sys.path.insert(0, str(HERE.parent.parent))
GOAL_SECONDS, GOAL_MIB = 600, 8192
GOAL_BUSINESS_SECONDS = 180
FORM = {"churn": "churn", "clv": "tweedie"}


def make_rows(folder: Path, n: int, features: int, seed: int = 1) -> None:
    """Write columns of the kinds that customers have: counts, amounts, gaps with holes, a category; and both labels."""
    rng = np.random.default_rng(seed)
    x = np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype=np.float64, shape=(n, features))
    for j in range(features):
        if j % 4 == 0:
            x[:, j] = rng.poisson(3, n)
        elif j % 4 == 1:
            x[:, j] = rng.lognormal(3, 1, n)
        elif j % 4 == 2:
            x[:, j] = np.where(rng.random(n) < 0.2, np.nan, rng.gamma(2, 10, n))
        else:
            x[:, j] = rng.normal(size=n)
    x[:, features - 1] = rng.integers(0, 20, n)
    score = 0.1 * np.nan_to_num(x[:, 2]) - 0.3 * x[:, 0] + 0.5 * x[:, 3] * x[:, 7] - 1
    left = rng.random(n) < 1 / (1 + np.exp(-score))
    np.save(folder / "churn.npy", left.astype(np.float64))
    np.save(folder / "clv.npy", np.where(left, 0.0, x[:, 1] * rng.lognormal(0, 0.5, n)))
    x.flush()


def train_one(folder: Path, task: str, trees: int) -> dict[str, object]:
    """Learn one final model of the rows in a folder; seconds with reading, and the peak memory of this process."""
    from training.data.dataset import Encoder, Matrix
    from training.fit.boosters import fit, form_by_name
    from training.fit.search import FIRST_TRIAL

    start = time.perf_counter()
    x, y = np.load(folder / "x.npy"), np.load(folder / f"{task}.npy")
    names = tuple(f"f{j}" for j in range(x.shape[1]))
    encoder = Encoder(names, {names[-1]: tuple(f"c{k:02}" for k in range(20))})
    form = form_by_name(FORM[task])
    fitted = fit(form, Matrix(x, y), encoder, FIRST_TRIAL, seed=1, trees={p.name: trees for p in form.parts})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.perf_counter() - start
    return {"what": f"{task}, {len(y):,} x {x.shape[1]}", "seconds": seconds, "peak_mib": peak, "trees": fitted.trees}


def million(n: int, features: int, trees: int) -> list[dict[str, object]]:
    """One final model of each task, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        make_rows(Path(folder), n, features)
        out = []
        for task in FORM:
            command = [sys.executable, str(HERE), "--one", task, "--place", folder, "--trees", str(trees)]
            environment = {"OMP_WAIT_POLICY": "passive"} | dict(os.environ)
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
            out.append(json.loads(done.stdout))
        return out


def business(config: str) -> list[dict[str, object]]:
    """Ingest and features, untimed, then the whole training of each model by the command line."""
    with tempfile.TemporaryDirectory() as folder:
        where = ["-c", config, "-w", folder]
        run(["ingest", *where])
        run(["features", *where])
        out: list[dict[str, object]] = []
        for task in FORM:
            cost = run(["train", task, *where])
            stage = json.loads((Path(folder) / "state" / "stages" / f"train {task}.json").read_text("utf-8"))
            version = stage["result"]["version"]
            out.append({"what": f"train {version}, {config}", "seconds": cost["wall_seconds"], **cost, "trees": ""})
        return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=60)
    parser.add_argument("--trees", type=int, default=200)
    parser.add_argument("--config", default="completejourney")
    parser.add_argument("--only", choices=("million", "business"))
    parser.add_argument("--json", type=Path, help="write the records here")
    parser.add_argument("--one", choices=tuple(FORM), help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(train_one(options.place, options.one, options.trees)))
        return
    before = os.getloadavg()[0]
    records = [] if options.only == "business" else million(options.rows, options.features, options.trees)
    records += [] if options.only == "million" else business(options.config)
    after = os.getloadavg()[0]
    title = f"{os.cpu_count()} cores, load {before:.1f} before and {after:.1f} after"
    table = Table("what", "seconds", "peak MiB", "trees", title=title)
    for r in records:
        table.add_row(str(r["what"]), f"{r['seconds']:.1f}", f"{r['peak_mib']:,.0f}", str(r["trees"]))
    Console(width=110).print(table)
    print(f"goals: {GOAL_SECONDS} s and {GOAL_MIB} MiB a model of a million rows; {GOAL_BUSINESS_SECONDS} s a business")
    write_records(records, options.json)


if __name__ == "__main__":
    main()
