"""How good the forecasts are, beside what else a company could use, on real customers: one table, one run, fixed seeds.

python bench/accuracy.py [--sets completejourney online_retail telco cdnow synthetic] [--tasks churn clv]
                         [--origins 4] [--churn-origins 7] [--trials 24] [--draws 400]
                         [--rivals PYTHON [--rival-seconds 30] [--rival-names FLAML AutoGluon CatBoost]]
                         [--data FOLDER] [--json accuracy.json] [--page [docs/accuracy.md]]

At every moment all contestants learn from what was known at that moment and forecast the same customers. A cell is the
number over all moments, and the median of the moments; below it the 95 % interval of ours less theirs, by bootstrap
over customers. Telco has no dates: two times five folds. CDNOW: 39 weeks are learned, 39 held out (see bench/cdnow.py).
Below churn stands how far its probabilities are off at every horizon, beside what a perfect model would show by chance:
over more moments than value has, as months differ and the outcomes of the longest horizon are not known at the newest.
Synthetic: the truth is known. Two oracles stand beside ours: one knows the hidden state of every customer, which no
data tells; the other knows how customers are made, and of each what was recorded: no model can do better than this one.
Value is told of all customers, and of the active ones alone (who ordered within churn.activity_days).
Rivals are FLAML, AutoGluon and CatBoost, from an environment of their own (see bench/rivals.py); they search on our
early folds. ``--page`` keeps each contest's figures beside the page, with the command that made them, and writes its
tables into it.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import yaml
from rich.console import Console
from rich.table import Table
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from table import write_records

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import cdnow as cdnow_bench  # noqa: E402

from bench.contestants import Forecast, few_columns, one_hot  # noqa: E402
from bench.synthetic_posterior import churn_probability_given_history  # noqa: E402
from configs import settings as configs  # noqa: E402
from configs.settings import Settings  # noqa: E402
from configs.workspace import Workspace  # noqa: E402
from docs.accuracy import PAGE, write_result  # noqa: E402
from features.labels.eligibility import is_active  # noqa: E402
from features.simulation.shop import generate, true_churn_probability  # noqa: E402
from training import metrics  # noqa: E402
from training.data.dataset import Dataset, learn_encoder  # noqa: E402
from training.data.horizon_rows import churn_label_at  # noqa: E402
from training.data.split import rolling_origin  # noqa: E402
from training.data.task_rows import labelled  # noqa: E402
from training.judge.baselines import past_rate, recency_rule, regression_rule  # noqa: E402
from training.judge.rolling_origin import evaluation_as_ofs, matured_rows, train_on  # noqa: E402
from training.metrics import margin_interval  # noqa: E402
from training.model.bundle import Bundle  # noqa: E402
from training.model.tiers import tier_edges, tiers  # noqa: E402
from training.priors import expectation  # noqa: E402
from training.priors.order_model import OrderModel  # noqa: E402
from training.priors.purchases import PurchasePrior  # noqa: E402

RFM = ["days_since_last_order", "orders_total", "spend_total", "tenure_days"]
PERFECT = 500
RIVALS = ("FLAML", "AutoGluon", "CatBoost")
KEYS = ("customer_id", "as_of", "label", "low", "high", "tier", "custom", "active", "fold")
CHURN = {
    "AUC": (metrics.auc, "higher"),
    "log loss": (metrics.log_loss, "lower"),
    "calibration error": (metrics.expected_calibration_error, "lower"),
    "EMPC": (metrics.empc, "higher"),
}
VALUE = {
    "normalised Gini": (metrics.normalised_gini, "higher"),
    "MAE": (metrics.mae, "lower"),
    "decile error": (metrics.decile_calibration_error, "lower"),
    "total error": (lambda y, p: abs(metrics.total_error(y, p)), "lower"),
}


@dataclass(frozen=True)
class Contest:
    """One question asked of one company's customers."""

    name: str
    measures: dict[str, tuple[Callable[..., float], str]]
    rows: pd.DataFrame  # customer_id, as_of, label, one column a contestant; "Staycast" is ours
    key: str  # of its tables on the page
    horizons: pd.DataFrame | None = None  # churn: customer_id, as_of, days, forecast, churned of every horizon of ours

    @property
    def models(self) -> list[str]:
        return [str(c) for c in self.rows if c not in KEYS]


@dataclass(frozen=True)
class Rivals:
    """Where FLAML, AutoGluon and CatBoost live, how long each may search at each moment, and which of them do."""

    python: Path
    seconds: int
    names: tuple[str, ...] = RIVALS


def prepare(config: str, changes: dict[str, Any], place: Path, data: Path) -> tuple[Settings, Workspace]:
    """Ingest a business and build its features in a workspace of its own."""
    own = yaml.safe_load((ROOT / "configs" / f"{config}.yaml").read_text("utf-8"))
    path = place / f"{config}.yaml"
    path.write_text(yaml.safe_dump(configs.overlay(own, changes)), "utf-8")
    os.environ["STAYCAST_DATA"] = str(data.resolve())
    for verb in ("ingest", "features"):
        command = [sys.executable, str(ROOT / "staycast.py"), verb, "-c", str(path), "-w", str(place / config)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return configs.load(path), Workspace(place / config)


def summary_of(rows: pd.DataFrame) -> pd.DataFrame:
    """What the probabilistic models take, from feature rows; who never ordered counts as one who just did."""
    return expectation.summary_of(rows[list(expectation.COLUMNS)].to_numpy(float, na_value=np.nan)).set_index(
        rows.index
    )


def plain_trees(objective: str, data: Dataset, seed: int) -> Forecast:
    """LightGBM as it comes: 100 trees of 31 leaves, nothing tuned, nothing calibrated."""

    def forecast(train: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
        encoder = learn_encoder(train, data.schema)
        matrix = encoder(train)
        y = matrix.y if objective == "binary" else np.maximum(matrix.y, 0)
        rows = lgb.Dataset(matrix.x, y, categorical_feature=encoder.category_places, params={"verbosity": -1})
        booster = lgb.train({"objective": objective, "verbosity": -1, "seed": seed, "deterministic": True}, rows, 100)
        return np.asarray(booster.predict(encoder(asked).x))

    return forecast


def rival(name: str, data: Dataset, settings: Settings, where: Rivals) -> Forecast:
    """A rival's forecasts from the same rows and columns; the search sees no fold that ours does not."""

    def forecast(train: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
        encoder = learn_encoder(train, data.schema)
        kinds = {c: "category" if c in encoder.categories else "float64" for c in encoder.features}
        rows = (
            train[list(kinds)].astype(kinds).assign(label=train["label"].astype(float), **early_folds(train, settings))
        )
        with tempfile.TemporaryDirectory() as folder:
            rows.to_parquet(f"{folder}/train.parquet")
            asked[list(kinds)].astype(kinds).to_parquet(f"{folder}/asked.parquet")
            task = {"task": data.task, "seconds": where.seconds, "seed": settings.tuning.seed}
            Path(folder, "task.json").write_text(json.dumps(task), "utf-8")
            command = [str(where.python), str(ROOT / "bench" / "rivals.py"), name, folder]
            done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)
            if done.returncode != 0:
                raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
            return np.load(f"{folder}/forecast.npy")

    def early_folds(train: pd.DataFrame, settings: Settings) -> dict[str, np.ndarray]:
        n_folds = settings.tuning.folds
        folds = rolling_origin(train["as_of"].unique(), settings.outcome_days(data.task), n_folds)
        parts = [(train["as_of"].isin(fold.train), train["as_of"] == fold.valid) for fold in folds]
        if not parts:  # no two moments a horizon apart, or no dates at all
            group = pd.util.hash_array(train["customer_id"].to_numpy(object)) % n_folds
            parts = [(group != i, group == i) for i in range(n_folds)]
        return {f"fold_{i}": np.select(list(map(np.asarray, p)), ["train", "valid"], "") for i, p in enumerate(parts)}

    return forecast


def churn_others(data: Dataset, settings: Settings, everyone: pd.DataFrame) -> dict[str, Forecast]:
    """The churn contestants; `everyone`: rows of all customers, also of those long silent, of whom nobody is asked."""
    days, seed = settings.churn.horizon_days, settings.tuning.seed

    def recency(train: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
        return recency_rule(asked[RFM[0]], train[RFM[0]], train["label"])

    def regression(train: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
        return regression_rule(asked[RFM], train[RFM], train["label"])

    def pareto(train: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
        have_ordered = everyone[(everyone["as_of"] == asked["as_of"].max()) & (everyone["orders_total"] > 0)]
        model = OrderModel.fit(summary_of(have_ordered), prior=PurchasePrior.flat())
        return model.p_none(summary_of(asked), [days])[:, 0]

    return {
        "recency rule": recency,
        "logistic regression on RFM": regression,
        "plain LightGBM": plain_trees("binary", data, seed),
        "LightGBM on RFM, regularised": few_columns("binary", seed),
        "Pareto/NBD": pareto,
    }


def value_others(data: Dataset, settings: Settings) -> dict[str, Forecast]:
    days, seed = settings.clv.horizon_days, settings.tuning.seed

    def rate(train: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
        return past_rate(asked["spend_total"], asked["tenure_days"], days, settings.clv.margin)

    def pareto(train: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
        return OrderModel.fit(summary_of(asked), prior=PurchasePrior.flat()).value(summary_of(asked), days)

    def bg_nbd(train: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
        summary = summary_of(asked)
        history = [summary[c].to_numpy() for c in ("repeats", "recency_days", "age_days")]
        spend = OrderModel.fit(summary).spend
        assert spend is not None
        fitted = cdnow_bench.BgNbd(*history)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            orders = fitted.expected(*history, float(days))
        finite = np.where(np.isfinite(orders) & (orders >= 0), orders, 0.0)
        return finite * spend.expected(summary["orders"], summary["mean_amount"])

    return {
        "past rate": rate,
        "plain LightGBM, squared error": plain_trees("regression", data, seed),
        "plain LightGBM, Tweedie": plain_trees("tweedie", data, seed),
        "LightGBM on RFM, regularised Tweedie": few_columns("tweedie", seed),
        "Pareto/NBD x gamma-gamma": pareto,
        "BG/NBD x gamma-gamma": bg_nbd,
    }


def over_time(
    name: str,
    settings: Settings,
    workspace: Workspace,
    task: str,
    count: int,
    log: Console,
    rivals: Rivals | None = None,
) -> Contest:
    """All contestants at the newest moments, each from what was known there."""
    data = labelled(settings, workspace, task)
    everyone = pd.read_parquet(workspace.features / "rows.parquet", columns=["as_of", *expectation.COLUMNS])
    others = churn_others(data, settings, everyone) if task == "churn" else value_others(data, settings)
    others |= {n: rival(n, data, settings, rivals) for n in rivals.names} if rivals else {}
    parts, horizons_by_date = [], []
    for as_of in evaluation_as_ofs(data, settings, count):
        log.print(f"{name} {task}: {as_of:%Y-%m-%d}")
        past, rows = matured_rows(data, settings, as_of), data.at([as_of])
        bundle, _ = train_on(past, settings, as_of, rows)
        matrix = bundle.encode(rows)
        forecasts = rows[["customer_id", "as_of", "label"]].assign(Staycast=bundle.predict(matrix))
        if task == "clv":
            low, high = bundle.bounds(forecasts["Staycast"].to_numpy(), matrix)
            new = rows["tenure_days"] < settings.decisions.stages.new_days
            tier = tiers(forecasts["Staycast"].to_numpy(), tier_edges(bundle, settings.decisions.tiers))
            forecasts = forecasts.assign(low=low, high=high, tier=tier, custom=np.where(new, "new", "known longer"))
            forecasts["active"] = is_active(rows, settings.churn)
        else:
            horizons_by_date.append(all_horizons(bundle, rows, settings))
        parts.append(forecasts.assign(**{k: f(past.frame, rows) for k, f in others.items()}))
    horizon = getattr(settings, task).horizon_days
    title = f"{name}: {'churn' if task == 'churn' else 'value'} within {horizon} days"
    horizons = pd.concat(horizons_by_date, ignore_index=True) if horizons_by_date else None
    rows = pd.concat(parts, ignore_index=True)
    return Contest(title, CHURN if task == "churn" else VALUE, rows, f"{name}-{task}", horizons)


def of_active(contest: Contest) -> list[Contest]:
    """The same contest among the customers who were active at the moment: most of the others bring nothing."""
    if "active" not in contest.rows:
        return []
    rows = contest.rows[contest.rows["active"]].reset_index(drop=True)
    return [replace(contest, name=f"{contest.name}, active customers", rows=rows, key=f"{contest.key}-active")]


def all_horizons(bundle: Bundle, rows: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Ours at every horizon, beside what came; rows whose outcome is not known there are left out."""
    matrix = bundle.encode(rows)
    churn = bundle.by_horizon(bundle.survival(matrix, bundle.predict(matrix)))
    keys = rows[["customer_id", "as_of"]]
    parts = [keys.assign(days=d, forecast=p, churned=churn_label_at(rows, d, settings)) for d, p in churn.items()]
    return pd.concat(parts, ignore_index=True).dropna(subset="churned")


def by_folds(settings: Settings, workspace: Workspace, log: Console, rivals: Rivals | None) -> Contest:
    """Telco: twice five folds of customers."""
    data = labelled(settings, workspace, "churn")
    frame = data.frame.drop(columns="part")
    numbers = [n for n in data.schema.names if n not in data.schema.categories]
    parts = []
    for repeat in range(2):
        shared = StratifiedKFold(5, shuffle=True, random_state=repeat).split(frame, frame["label"])
        for number, (train, test) in enumerate(shared):
            log.print(f"telco: repetition {repeat + 1}, fold {number + 1}")
            past, test_rows = frame.iloc[train].reset_index(drop=True), frame.iloc[test].reset_index(drop=True)
            bundle, _ = train_on(replace(data, frame=past, by="as_of"), settings, None)
            keys = test_rows[["customer_id", "label"]].assign(as_of=repeat, fold=number)
            names = rivals.names if rivals else ()
            rival_forecasts = {n: rival(n, data, settings, rivals)(past, test_rows) for n in names if rivals}
            forecasts = {
                "Staycast": bundle.predict(bundle.encode(test_rows)),
                "logistic regression": regression_of_all(past, test_rows, numbers, list(data.schema.categories)),
                "plain LightGBM": plain_trees("binary", data, settings.tuning.seed)(past, test_rows),
                "LightGBM, one-hot, regularised": one_hot(numbers, list(data.schema.categories), settings.tuning.seed)(
                    past, test_rows
                ),
            }
            parts.append(keys.assign(**forecasts, **rival_forecasts))
    rows = pd.concat(parts, ignore_index=True)
    named = {"label": "churned", "Staycast": "forecast"}
    horizons = rows[["customer_id", "as_of", *named]].rename(columns=named).assign(days=settings.churn.horizon_days)
    return Contest("telco: ready label, 2x5 folds", CHURN, rows, "telco-churn", horizons)


def regression_of_all(
    train: pd.DataFrame, asked: pd.DataFrame, numbers: list[str], categories: list[str]
) -> np.ndarray:
    """Logistic regression on all columns, categories one-hot."""
    columns = pd.get_dummies(pd.concat([train, asked])[numbers + categories], columns=categories, dtype=float)
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(columns.iloc[: len(train)].to_numpy(float), train["label"].astype(int))
    return model.predict_proba(columns.iloc[len(train) :].to_numpy(float))[:, 1]


BEST, HIDDEN = "oracle (knows what was recorded)", "oracle (knows the hidden state)"


def truth(settings: Settings, workspace: Workspace, options: dict[str, int], count: int, log: Console) -> Contest:
    """The synthetic business, beside the best that its data allows, and an oracle that knows the hidden state."""
    contest = over_time("synthetic", settings, workspace, "churn", count, log)
    world, days = generate(options["customers"], options["months"], options["seed"]), settings.churn.horizon_days
    with_oracles = []
    for as_of, rows in contest.rows.groupby("as_of"):
        best, hidden = (
            churn_probability_given_history(world, as_of, days),
            true_churn_probability(world.truth, as_of, days),
        )
        oracles = (
            pd.DataFrame({BEST: best, HIDDEN: hidden}).set_index(world.truth["customer_id"]).loc[rows["customer_id"]]
        )
        with_oracles.append(rows.assign(**{name: oracles[name].to_numpy() for name in oracles}))
    return replace(contest, rows=pd.concat(with_oracles, ignore_index=True))


def score_contest(contest: Contest, draws: int) -> list[dict[str, Any]]:
    """One record a contestant: every measure over all rows, its median over moments, and ours less theirs."""
    rows = contest.rows
    groups = [rows["as_of"], rows["fold"]] if "fold" in rows else [rows["as_of"]]
    records = []
    for name in contest.models:
        record: dict[str, Any] = {"contest": contest.name, "model": name, "rows": len(rows)}
        for key, (measure, _) in contest.measures.items():
            record[key] = measure(rows["label"].to_numpy(), rows[name].to_numpy())
            by_date = [measure(g["label"].to_numpy(), g[name].to_numpy()) for _, g in rows.groupby(groups)]
            record[f"{key}, median"], record[f"{key}, mean"] = float(np.median(by_date)), float(np.mean(by_date))
            if name != "Staycast":
                record[f"{key}, ours less"] = margin_interval(
                    measure, *(rows[c].to_numpy() for c in ("label", "Staycast", name)),
                    groups=rows["customer_id"], seed=0, n=draws,
                )  # fmt: skip
        if BEST in rows:
            best = metrics.log_loss(rows["label"], rows[BEST])
            record["log loss over the best possible, %"] = 100 * (record["log loss"] / best - 1)
        records.append(record)
    if "low" in rows:
        for name, part in [("all", rows), *rows.groupby("tier"), *rows.groupby("custom")]:
            records[0][f"coverage, {name}"] = metrics.coverage(part["label"], part["low"], part["high"])
    return records


def results_table(records: list[dict[str, Any]], measures: dict[str, tuple[Callable[..., float], str]]) -> Table:
    head = [f"{key} ({better})" for key, (_, better) in measures.items()]
    table = Table("model", *head, title=f"{records[0]['contest']}, {records[0]['rows']:,} rows", show_lines=True)
    for record in records:
        cells = []
        for key in measures:
            text = f"{record[key]:.4g} (median {record[f'{key}, median']:.4g})"
            low, high = record.get(f"{key}, ours less", (None, None))
            cells.append(text if low is None else f"{text}\n[{low:+.4g} {high:+.4g}]")
        extra = [f"{k} {v:.3f}" for k, v in record.items() if k.startswith(("coverage", "log loss over"))]
        table.add_row("\n".join([record["model"], *extra]), *cells)
    return table


def chance_of_ece(rows: pd.DataFrame, days: int, seed: int = 0) -> np.ndarray:
    """Calibration errors that a perfect model would show on so many rows: outcomes drawn from its own forecasts.

    One customer's outcomes at two moments whose horizons overlap are not independent. So a customer keeps the draw of
    the moment before with a chance of the share of the horizon that both have in common: without dates, of all of it.
    Shape (500,).
    """
    rows = rows.sort_values(["customer_id", "as_of"])
    p, same = rows["forecast"].to_numpy(), (rows["customer_id"] == rows["customer_id"].shift()).to_numpy()
    common = np.where(same, 1.0, 0.0)
    if isinstance(rows["as_of"].dtype, pd.DatetimeTZDtype):
        apart = rows["as_of"].diff().dt.total_seconds().to_numpy() / 86_400
        common = np.where(same, np.clip(1 - apart / days, 0, 1), 0.0)
    rng, row, errors = np.random.default_rng(seed), np.arange(len(rows)), []
    for _ in range(PERFECT):
        drawn_with = np.where(rng.random(len(rows)) < common, 0, row)
        drawn = rng.random(len(rows))[np.maximum.accumulate(drawn_with)]
        errors.append(metrics.expected_calibration_error((drawn < p).astype(float), p))
    return np.array(errors)


def calibration(contest: Contest) -> list[dict[str, Any]]:
    """One record a horizon: calibration error of ours over all moments, and what a perfect model would show."""
    records = []
    for days, rows in [] if contest.horizons is None else contest.horizons.groupby("days"):
        chance = chance_of_ece(rows, int(days))
        by_date = [g for _, g in rows.groupby("as_of")]
        error = metrics.expected_calibration_error(rows["churned"], rows["forecast"])
        records.append(
            {
                "contest": contest.name,
                "horizon_days": int(days),
                "rows": len(rows),
                "moments": len(by_date),
                "came": float(rows["churned"].mean()),
                "forecast": float(rows["forecast"].mean()),
                "ECE": error,
                "ECE of a perfect model": float(chance.mean()),
                "95 % of perfect models under": float(np.quantile(chance, 0.95)),
                "perfect models with more": float((chance >= error).mean()),
                "ECE, median moment": float(
                    np.median([metrics.expected_calibration_error(g["churned"], g["forecast"]) for g in by_date])
                ),
                "of a perfect model, median moment": float(
                    np.median([chance_of_ece(g, int(days)).mean() for g in by_date])
                ),
            }
        )
    return records


def calibration_table(records: list[dict[str, Any]]) -> Table:
    names = [name for name in records[0] if name != "contest"]
    table = Table(*names, title=f"{records[0]['contest']}: calibration of Staycast at every horizon")
    for record in records:
        table.add_row(*(f"{record[n]:,}" if isinstance(record[n], int) else f"{record[n]:.4f}" for n in names))
    return table


def contests(options: argparse.Namespace, folder: Path, log: Console) -> Iterator[Contest]:
    # trials, not seconds, end our searches: a busy machine gives the same table
    budget = {"tuning": {"trials": options.trials, "timeout_seconds": 3600}}
    count = {"churn": options.churn_origins, "clv": options.origins}
    named = tuple(options.rival_names)
    rivals = Rivals(options.rivals.absolute(), options.rival_seconds, named) if options.rivals else None
    if "completejourney" in options.sets:
        prepared = prepare("completejourney", budget, folder, options.data)
        for task in options.tasks:
            yield over_time("completejourney", *prepared, task, count[task], log, rivals)
    if "online_retail" in options.sets:
        changes = {"churn": {"horizon_days": 30}, "clv": {"horizon_days": 90}, **budget}
        prepared = prepare("online_retail", changes, folder, options.data)
        for task in options.tasks:
            yield over_time("online_retail", *prepared, task, count[task], log, rivals)
    if "telco" in options.sets:
        changes = configs.overlay(budget, {"tuning": {"trials": min(options.trials, 12)}})
        yield by_folds(*prepare("telco", changes, folder, options.data), log, rivals)
    if "synthetic" in options.sets:
        world = {"customers": options.customers, "months": 14, "seed": 11}
        search = {"trials": min(options.trials, 8), "max_trees": 500, "folds": 3, "timeout_seconds": 3600}
        prepared = prepare("test", {"source": {"options": world}, "tuning": search}, folder, options.data)
        yield truth(*prepared, world, 2, log)


def keep(
    key: str, contest: Contest | None, scored: list[dict[str, Any]], calibrated: list[dict[str, Any]], page: Path | None
) -> None:
    """Keep the figures of a contest beside the page, with the command that made them, and write them into its place."""
    if page is None:
        return
    moments = [] if contest is None or "fold" in contest.rows else sorted(contest.rows["as_of"].unique())
    given = ["RIVALS_PYTHON" if before == "--rivals" else own for before, own in pairwise(sys.argv)]
    write_result(
        page,
        key,
        {
            "command": shlex.join(["python", "bench/accuracy.py", *given]),
            "day": f"{datetime.now(UTC):%Y-%m-%d}",
            "moments": [f"{m:%Y-%m-%d}" for m in moments],
            "measures": list(contest.measures if contest else cdnow_bench.MEASURES),
            "models": scored,
            "calibration": calibrated,
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folder = os.environ.get("STAYCAST_DATA", ROOT.parent / "shared" / "data")
    sets = ["completejourney", "online_retail", "telco", "cdnow", "synthetic"]
    parser.add_argument("--sets", nargs="+", choices=sets, default=sets)
    parser.add_argument("--tasks", nargs="+", choices=["churn", "clv"], default=["churn", "clv"])
    parser.add_argument("--origins", type=int, default=4, help="moments in time of value, the newest")
    parser.add_argument("--churn-origins", type=int, default=7, help="moments in time of churn, the newest")
    parser.add_argument("--customers", type=int, default=50_000, help="of the synthetic company")
    parser.add_argument("--trials", type=int, default=24, help="of our search, at each moment")
    parser.add_argument("--rivals", type=Path, metavar="PYTHON", help="of the rivals, see bench/rivals.py")
    parser.add_argument("--rival-seconds", type=int, default=30, help="of each rival's search, at each moment")
    parser.add_argument("--rival-names", nargs="+", choices=RIVALS, default=list(RIVALS))
    parser.add_argument("--draws", type=int, default=400, help="of the bootstrap")
    parser.add_argument("--data", type=Path, default=Path(folder), help="folder of the public data")
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--page", type=Path, nargs="?", const=PAGE, metavar="FILE", help="write the tables into the page of accuracy"
    )
    options = parser.parse_args()
    screen, log = Console(), Console(stderr=True)
    records: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for whole in contests(options, Path(folder), log):
            for contest in (whole, *of_active(whole)):
                scored = score_contest(contest, options.draws)
                screen.print(results_table(scored, contest.measures))
                calibrated = calibration(contest)
                if calibrated:
                    screen.print(calibration_table(calibrated))
                records += scored + calibrated
                keep(contest.key, contest, scored, calibrated, options.page)
                write_records(records, options.json)  # what is done is kept, if the rest is cut off
    if "cdnow" in options.sets:
        for name in cdnow_bench.FILES:
            orders = cdnow_bench.read(options.data, name)
            scored = cdnow_bench.compare(orders, cdnow_bench.AS_OF, cdnow_bench.HORIZON, 1000)
            screen.print(cdnow_bench.results_table(scored, f"CDNOW {name}: 39 weeks learned, 39 held out"))
            records += [{"contest": f"CDNOW {name}", **record} for record in scored]
            keep(f"cdnow-{name}", None, records[-len(scored) :], [], options.page)
    write_records(records, options.json)


if __name__ == "__main__":
    main()
