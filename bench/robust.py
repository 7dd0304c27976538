"""Do the forecasts hold on businesses that nobody tuned anything to? The recipe over more than fifty, small ones first.

python bench/robust.py FOLDER [--only 'shop_*' grocer_deli ...] [--limit 20] [--tasks churn clv] [--trials 6] [--seed 0]
                       [--draws 400] [--data ../shared/data] [--against OTHER_FOLDER] [--page [docs/accuracy.md]]

Businesses are those of `bench/businesses.py`: simulated shops, subscriptions and ready labels of many laws and sizes,
and slices of the public data sets as businesses of their own. Each goes the way of a user's: its files, the settings
that `staycast init` would propose for its rhythm, ingest, features, search, fit, examination on the moments held out,
gates. Nothing is registered. Where the gates refuse, the prior answers, as `staycast train` lets it.

At every moment held out the candidate stands beside the rule of thumb and beside the prior alone. A rival *is better
beyond chance* if the 95 % interval of the difference (bootstrap over customers) lies on its side: in log loss (churn),
and in mean absolute error (value; squared error where contracts are paid, as in the gates).

FOLDER gets ``results.csv`` (a row a business and task) and ``moments.csv`` (a row a moment, rival and measure), written
after every business: a run that was cut off goes on where it was, for the same trials and seed. Take another folder for
other code. ``--page`` writes the summary into the page of accuracy, ``--against`` puts the results of another folder
beside. It takes at most two cores.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import shlex
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "2")
for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # for small matrices; beside other work two threads wait
    os.environ.setdefault(variable, "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # who waits for the other thread leaves the core to others

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import yaml  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bench.businesses import Business, Tables, catalogue  # noqa: E402
from configs import settings as configs  # noqa: E402
from configs.errors import NotEnoughDataError, StaycastError  # noqa: E402
from configs.files import write_text  # noqa: E402
from configs.libraries import hide_deprecations  # noqa: E402
from configs.settings import Settings  # noqa: E402
from configs.workspace import Workspace  # noqa: E402
from docs.accuracy import PAGE, write_result  # noqa: E402
from features.build import build  # noqa: E402
from features.ingest import ingest  # noqa: E402
from features.sources.proposal.business import GAPS_ACTIVE, LEAST_HORIZON, rounded_up  # noqa: E402
from features.store import feature_store  # noqa: E402
from training import metrics  # noqa: E402
from training.data.dataset import Dataset  # noqa: E402
from training.data.preconditions import require_values  # noqa: E402
from training.data.task_rows import labelled  # noqa: E402
from training.fit.assembly import FittedModels, forecast  # noqa: E402
from training.fit.recipe import fit_prior, search_and_fit  # noqa: E402
from training.judge.examination import HEADLINE, Examination, examine  # noqa: E402
from training.judge.verdict import MEAN_BASELINES, judge  # noqa: E402
from training.metrics import margin_interval  # noqa: E402
from training.model.bundle import Task  # noqa: E402

FILES = ("results.csv", "moments.csv")
RISING = ("auc", "normalised_gini")
TIERS = ("diamond", "gold", "silver", "bronze")
GOAL = 0.05  # share of moments at which a rival may be better beyond chance
Record = dict[str, Any]


def settings_of(business: Business, tables: Tables, folder: Path, trials: int, seed: int) -> Settings:
    """Write the tables and the file of settings that `staycast init` would propose, and read it."""
    files = {}
    for name, table in tables.items():
        path = folder / f"{name}.parquet"
        table.to_parquet(path, index=False)
        files[name] = {"path": str(path)}
    own: Record = {
        "name": business.name[:30],
        "source": {"loader": "files", "options": files},
        "churn": {"kind": business.kind},
        "tuning": {"trials": trials, "timeout_seconds": 3600, "seed": seed},
    }
    if business.kind == "inactivity":
        own["churn"] |= _rhythm(tables["orders"])
    if business.kind == "contract":
        own["churn"] |= {"horizon_days": 31, "horizons_days": [31, 62, 93]}
    path = folder / f"{business.name}.yaml"
    path.write_text(yaml.safe_dump(configs.overlay(own, business.settings)), "utf-8")
    return configs.load(path)


def _rhythm(orders: pd.DataFrame) -> Record:
    """Horizons as `features.sources.proposal` proposes them for the usual gap."""
    days = orders.assign(day=orders["ordered_at"].dt.floor("D"))[["customer_id", "day"]].drop_duplicates()
    days = days.sort_values(["customer_id", "day"])
    middles = days.groupby("customer_id")["day"].diff().dt.days.groupby(days["customer_id"]).median().dropna()
    if middles.empty:
        return {}
    gap = float(middles.median())
    horizon = max(LEAST_HORIZON, rounded_up(gap))
    further = [horizon, 2 * horizon, 3 * horizon]
    active = max(LEAST_HORIZON, rounded_up(GAPS_ACTIVE * gap))
    return {"horizon_days": horizon, "activity_days": active, "horizons_days": further}


def run_business(business: Business, options: argparse.Namespace) -> tuple[list[Record], list[Record]]:
    """Results of each task, and those of its moments; what goes wrong becomes a result, too."""
    about = {"business": business.name, "kind": business.kind} | asked(options)
    results, moments, began = [], [], time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        try:
            tables = business.tables()
            settings = settings_of(business, tables, folder, options.trials, options.seed)
            workspace = Workspace(folder / "workspace")
            ingest(settings, workspace)
            build(settings, workspace)
            feature_store.apply(workspace, settings)
        except Exception as error:
            return [about | _failure(error, began)], []
        for task in settings.tasks:
            if task not in options.tasks:
                continue
            began = time.perf_counter()
            try:
                result, of_moments = run_task(settings, workspace, task, options.draws)
            except Exception as error:
                result, of_moments = _failure(error, began), []
            results.append(about | {"task": task, "customers": _customers(tables)} | result)
            results[-1]["seconds"] = round(time.perf_counter() - began, 1)
            moments += [about | {"task": task} | row for row in of_moments]
    return results, moments


def asked(options: argparse.Namespace) -> Record:
    """What must be alike in all results of a folder."""
    return {"trials": options.trials, "seed": options.seed, "tasks": " ".join(sorted(options.tasks))}


def _customers(tables: Tables) -> int:
    return len(tables["profiles" if "profiles" in tables else "customers"])


def _failure(error: Exception, began: float) -> Record:
    """Told beforehand (one that a user can mend), or an error that nobody foresaw: that one says where."""
    text, status = f"{type(error).__name__}: {error}", "ERROR"
    if isinstance(error, StaycastError):
        status = "not enough" if isinstance(error, NotEnoughDataError) else "told"
    elif error.__traceback__ is not None:
        where = traceback.extract_tb(error.__traceback__)[-1]
        text += f" ({Path(where.filename).name}:{where.lineno})"
    return {"status": status, "why": " ".join(text.split())[:400], "seconds": round(time.perf_counter() - began, 1)}


def run_task(settings: Settings, workspace: Workspace, task: Task, draws: int) -> tuple[Record, list[Record]]:
    """What `training.run.train` does of one task, without the registry, and the candidate beside its rivals."""
    data = labelled(settings, workspace, task)
    require_values(data)
    models = search_and_fit(settings, workspace, data, lambda name, done, of: None, workspace)
    examination = None
    if models.plan and models.judged:
        held_out, seen = data.at(models.plan.holdout), data.at(models.plan.train_for_holdout)
        examination = examine(models.judged, held_out, seen, settings)
    decision = judge(data, models, examination, [], settings)
    result: Record = {
        "status": "served" if decision.promote else "REFUSED",
        "basis": models.final.basis,
        "form": models.search.form.name,
        "gates": " ".join(check.name for check in decision.checks if not check.passed),
        "why": "; ".join(check.text for check in decision.checks if not check.passed),
    }
    if examination is None:
        return result | {"status": f"{result['status']}, unjudged"}, []
    prior = _prior_forecasts(settings, workspace, data, models)
    result |= figures(examination, task, settings)
    if isinstance(prior, str):
        result["why"] = "; ".join(filter(None, [result["why"], f"no prior: {prior}"]))
    rows = examination.rows if not isinstance(prior, pd.DataFrame) else examination.rows.assign(prior=prior["forecast"])
    contract = examination.baseline_name in MEAN_BASELINES
    return result, compare(rows, task, "rmse" if contract else "mae", decision.promote, draws)


def _prior_forecasts(
    settings: Settings, workspace: Workspace, data: Dataset, models: FittedModels
) -> pd.DataFrame | str | None:
    """The prior that would stand in, on the same held-out rows; why there is none; None: the candidate is one."""
    if models.final.basis == "prior":
        return None
    try:
        prior = fit_prior(settings, workspace, data, "the prior alone")
    except StaycastError as error:
        return str(error)
    assert prior.judged is not None and models.plan is not None
    return forecast(prior.judged, data.at(models.plan.holdout))


def figures(examination: Examination, task: Task, settings: Settings) -> Record:
    """The candidate's figures over all moments held out."""
    rows = examination.rows
    y, p = rows["label"].to_numpy(float), rows["forecast"].to_numpy(float)
    out: Record = {"rows": len(rows), "moments": rows["as_of"].nunique(), "came": y.mean(), "forecast": p.mean()}
    out["total_error"] = metrics.total_error(y, p)
    names = HEADLINE[task]
    out |= {name: examination.model[name] for name in names}
    out |= {f"rule_{name}": examination.baseline[name] for name in names}
    if task == "churn":
        error = metrics.expected_calibration_error(y, p)
        mean, highest = metrics.calibration_error_by_chance(p, rows["customer_id"])
        beyond = float(np.sqrt(max(error**2 - mean**2, 0)))
        return out | {"ece": error, "ece_by_chance": mean, "ece_beyond": beyond, "ece_shown": bool(error > highest)}
    covered = (rows["label"] >= rows["low"]) & (rows["label"] <= rows["high"])
    parts = {"all": np.ones(len(rows), bool)} | {t: (rows["tier"] == t) for t in TIERS}
    if "custom" in rows:
        parts["new"] = rows["custom"] == "new"
    for name, part in parts.items():
        out |= {f"covered_{name}": int(covered[part].sum()), f"n_{name}": int(np.sum(part))}
    return out | {"promised": settings.clv.coverage}


def compare(rows: pd.DataFrame, task: Task, error: str, promoted: bool, draws: int) -> list[Record]:
    """At each moment: the candidate beside the rule of thumb and the prior; the prior beside the rule, if it serves."""
    measures = {n: f for n, f in HEADLINE[task].items() if n in ("auc", "log_loss", "normalised_gini", error)}
    pairs = [("candidate", "forecast", "rule", "baseline")]
    if "prior" in rows:
        pairs.append(("candidate", "forecast", "prior", "prior"))
        pairs += [] if promoted else [("stand-in", "prior", "rule", "baseline")]
    out = []
    for as_of, part in rows.groupby("as_of"):
        y = part["label"].to_numpy(float)
        for ours, our_column, rival, rival_column in pairs:
            for name, measure in measures.items():
                a, b = part[our_column].to_numpy(float), part[rival_column].to_numpy(float)
                low, high = margin_interval(measure, y, a, b, groups=part["customer_id"], seed=0, n=draws)
                worse = high < 0 if name in RISING else low > 0
                better = low > 0 if name in RISING else high < 0
                out.append(
                    {
                        "as_of": f"{as_of:%Y-%m-%d}", "rows": len(part), "ours": ours, "rival": rival, "measure": name,
                        "serves": promoted == (ours == "candidate"), "figure": measure(y, a),
                        "rivals_figure": measure(y, b), "low": low, "high": high,
                        "better": "rival" if worse else "ours" if better else "neither",
                    }
                )  # fmt: skip
    return out


def summary(results: pd.DataFrame, moments: pd.DataFrame) -> list[tuple[str, str]]:
    """What it comes to over all businesses, a line each."""
    if results.empty:
        return [("businesses", "none")]
    lines = [("businesses", str(results["business"].nunique())), ("models", str(len(results)))]
    lines += [(f"  {status}", str(n)) for status, n in results["status"].value_counts().items()]
    if "gates" in results:
        failed = results.loc[results["status"] == "REFUSED", "gates"].dropna().astype(str).str.split().explode()
        lines += [(f"  refused by {name}", str(n)) for name, n in failed.value_counts().items()]
        lines += [(f"  basis {name}", str(n)) for name, n in results["basis"].value_counts().items()]
    for (ours, rival, measure), part in moments.groupby(["ours", "rival", "measure"]) if len(moments) else []:
        lines.append((f"{rival} better than {ours}, {measure}", _share(part["better"] == "rival", goal=GOAL)))
    served = moments[moments["serves"] & (moments["rival"] == "rule")] if len(moments) else moments
    for measure, part in served.groupby("measure") if len(served) else []:
        lines.append((f"rule better than what serves, {measure}", _share(part["better"] == "rival", goal=GOAL)))
    if "ece_beyond" in results:
        churn = results.dropna(subset="ece_beyond")
        error = np.average(churn["ece_beyond"], weights=churn["rows"])
        lines.append(
            ("calibration error beyond chance", f"{error:.4f} over rows, {churn['ece_beyond'].median():.4f} median")
        )
        lines.append(("  shown beyond the 99 % of chance", _share(churn["ece_shown"].astype(bool))))
    for name in ("all", *TIERS, "new"):
        if f"n_{name}" in results and (n := results[f"n_{name}"].sum()):
            lines.append((f"coverage, {name}", f"{results[f'covered_{name}'].sum() / n:.3f} of {n:,.0f}"))
    if "total_error" in results:
        for task, part in results.dropna(subset="total_error").groupby("task"):
            size = part["total_error"].abs()
            lines.append((f"total error, {task}", f"median {size.median():.3f}, 90 % under {size.quantile(0.9):.3f}"))
    return lines


def _share(flags: pd.Series, goal: float | None = None) -> str:
    share = f"{flags.sum()} of {len(flags)}: {flags.mean():.1%}"
    return share if goal is None else f"{share} (goal: at most {goal:.0%})"


def against(results: pd.DataFrame, other: pd.DataFrame) -> list[tuple[str, str]]:
    """How the models of this folder compare with those of another, business by business."""
    both = results.merge(other, on=["business", "task"], suffixes=("", "_other"))
    changed = both[both["status"] != both["status_other"]]
    lines = [("models in both", str(len(both)))]
    lines += [(f"  {r.business} {r.task}", f"{r.status_other} -> {r.status}") for r in changed.itertuples()]
    for name in ("log_loss", "auc", "normalised_gini", "mae", "rmse"):
        if name in both and f"{name}_other" in both:
            pair = both[[name, f"{name}_other"]].dropna()
            ratio = pair[name] / pair[f"{name}_other"]
            better = (ratio > 1.001).sum() if name in RISING else (ratio < 0.999).sum()
            worse = (ratio < 0.999).sum() if name in RISING else (ratio > 1.001).sum()
            geometric = float(np.exp(np.log(ratio[ratio > 0]).mean()))
            lines.append((name, f"x {geometric:.4f} (geometric mean); better {better}, worse {worse} of {len(pair)}"))
    return lines


def line_of(record: Record, moments: list[Record]) -> str:
    """One result on one line."""
    lost = sorted(
        {f"{m['rival']}/{m['measure']}" for m in moments if m["better"] == "rival" and m["ours"] == "candidate"}
    )
    numbers = {
        n: record[n] for n in ("auc", "log_loss", "normalised_gini", "mae", "total_error", "ece_beyond") if n in record
    }
    if record.get("n_all"):
        numbers["coverage"] = record["covered_all"] / record["n_all"]
    parts = [
        f"{record['business']:<22} {record.get('task', ''):<5} {record['status']:<9} {record.get('basis', ''):<6}",
        " ".join(f"{n} {v:.3f}" for n, v in numbers.items()),
        f"lost to {', '.join(lost)}" if lost else "",
        str(record.get("gates") or ""),
        "" if record["status"] == "served" else str(record.get("why", ""))[:160],
        f"{record['seconds']:.0f} s",
    ]
    return "  ".join(filter(None, parts))


def read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What stands in a folder; moments of businesses whose result was not written any more are left out."""
    results, moments = (pd.read_csv(folder / f) if (folder / f).is_file() else pd.DataFrame() for f in FILES)
    return results, moments[moments["business"].isin(results["business"])] if len(results) and len(moments) else moments


def write(folder: Path, results: pd.DataFrame, moments: pd.DataFrame) -> None:
    """Moments first: a business counts as run once its result stands."""
    folder.mkdir(parents=True, exist_ok=True)
    for table, name in ((moments, FILES[1]), (results, FILES[0])):
        if len(table.columns):
            write_text(folder / name, table.to_csv(index=False))


def chosen(options: argparse.Namespace) -> list[Business]:
    """The businesses that are asked for."""
    everything = catalogue(options.data, options.seed)
    some = [b for b in everything if any(fnmatch.fnmatch(b.name, pattern) for pattern in options.only)]
    return some[: options.limit]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("STAYCAST_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("folder", type=Path, help="gets results.csv and moments.csv")
    parser.add_argument("--only", nargs="+", default=["*"], metavar="PATTERN", help="names, * for any letters")
    parser.add_argument("--limit", type=int, help="run only so many, the smallest")
    parser.add_argument("--tasks", nargs="+", choices=["churn", "clv"], default=["churn", "clv"])
    parser.add_argument("--trials", type=int, default=6, help="of each search")
    parser.add_argument("--seed", type=int, default=0, help="of simulations and searches")
    parser.add_argument("--draws", type=int, default=400, help="of the bootstrap")
    parser.add_argument("--data", type=Path, default=Path(data), help="folder of the public data")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="put the results of another folder beside")
    parser.add_argument("--page", type=Path, nargs="?", const=PAGE, metavar="FILE", help="write the summary into it")
    parser.add_argument("--list", action="store_true", help="name the businesses, and run none")
    options = parser.parse_args()
    hide_deprecations()
    screen = Console(width=200, soft_wrap=True, highlight=False)
    businesses = chosen(options)
    if options.list:
        screen.print("\n".join(f"{b.name} ({b.kind}, size {b.size:,})" for b in businesses))
        return
    if not businesses:
        parser.error(f"no business is named like {' '.join(options.only)}: see --list")
    if options.against and not (options.against / FILES[0]).is_file():
        parser.error(f"--against {options.against}: there is no {FILES[0]}")
    results, moments = read(options.folder)
    if any((results[name] != value).any() for name, value in asked(options).items() if name in results):
        raise SystemExit(f"{options.folder} holds results of other trials, tasks or another seed: take another folder")
    for number, business in enumerate(businesses, 1):
        if len(results) and business.name in set(results["business"]):
            continue
        rows, of_moments = run_business(business, options)
        results = pd.concat([results, pd.DataFrame(rows)], ignore_index=True)
        moments = pd.concat([moments, pd.DataFrame(of_moments)], ignore_index=True)
        write(options.folder, results, moments)
        for row in rows:
            own = [m for m in of_moments if m["task"] == row.get("task")]
            screen.print(f"{number}/{len(businesses)} {line_of(row, own)}", markup=False)
    table = Table("over all", "", title=f"{options.trials} trials, seed {options.seed}")
    lines = summary(results, moments)
    for line in lines:
        table.add_row(*line)
    if options.page:
        command = shlex.join(["python", "bench/robust.py", *sys.argv[1:]])
        write_result(
            options.page, "businesses", {"command": command, "day": f"{datetime.now(UTC):%Y-%m-%d}", "lines": lines}
        )
    if options.against:
        table.add_section()
        for line in against(results, read(options.against)[0]):
            table.add_row(*line)
    screen.print(table)


if __name__ == "__main__":
    main()
