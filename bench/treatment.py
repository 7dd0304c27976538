"""What it changes to keep, drop or weight customers who were contacted, on a real grocer: one table, fixed seeds.

python bench/treatment.py [--origins 4] [--trials 12] [--draws 200] [--workspace FOLDER] [--json treatment.json]

At each of the newest moments the whole recipe (search, fit, calibration) runs once an option on what was known then,
and forecasts who is silent for 30 days. The forecasts of all options are judged on the same rows: all of them; those
that were not contacted within the 30 days; and the latter weighted so that they stand for all. Brackets hold the 95 %
interval by bootstrap over customers; the second line is the interval of the option less `keep`, on the same draws. A
second table sets what was forecast for those who were contacted beside what came of them.

Complete Journey's campaigns were not given by lot: households were chosen for their past purchases (type A above all
went to heavy buyers, with coupons by their own baskets). So the tables explain what the options do; they do not prove
what a contact does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import yaml
from rich.console import Console
from rich.table import Table
from table import write_records

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from configs import settings as configs  # noqa: E402
from configs.settings import Settings, Treatment  # noqa: E402
from configs.workspace import Workspace  # noqa: E402
from features.labels.inactivity import CONTACTED  # noqa: E402
from training.data.dataset import Dataset, learn_encoder  # noqa: E402
from training.data.task_rows import labelled  # noqa: E402
from training.data.treatment import WEIGHTED, effective_sample_size, propensity, weighted_metrics, weights  # noqa: E402
from training.judge.rolling_origin import evaluation_as_ofs, matured_rows, train_on  # noqa: E402
from training.metrics import bootstrap_interval  # noqa: E402

OPTIONS = get_args(Treatment)
NAMES = {"auc": "AUC", "log_loss": "log loss", "expected_calibration_error": "ECE"}


def prepare(place: Path, trials: int) -> tuple[Settings, Workspace]:
    """The grocer's settings and features; features that a workspace has already are taken as they are."""
    own = yaml.safe_load((ROOT / "configs" / "completejourney.yaml").read_text("utf-8"))
    place.mkdir(parents=True, exist_ok=True)
    path = place / "bench.yaml"
    path.write_text(yaml.safe_dump(configs.overlay(own, {"tuning": {"trials": trials}})), "utf-8")
    if not Workspace(place).features.exists():
        for verb in ("ingest", "features"):
            command = [sys.executable, str(ROOT / "staycast.py"), verb, "-c", str(path), "-w", str(place)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return configs.load(path), Workspace(place)


def forecasts(data: Dataset, settings: Settings, count: int, log: Console) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Forecasts of all options for the newest moments, one row a customer and moment; and what each option did."""
    parts, facts = [], []
    for as_of in evaluation_as_ofs(data, settings, count):
        past, rows = matured_rows(data, settings, as_of), data.at([as_of])
        by_option = {}
        for option in OPTIONS:
            log.print(f"{as_of:%Y-%m-%d} {option}")
            churn = settings.churn.model_copy(update={"treatment": option})
            bundle, _ = train_on(past, settings.model_copy(update={"churn": churn}), as_of)
            by_option[option] = bundle.predict(bundle.encode(rows))
            facts.append({"as_of": f"{as_of:%Y-%m-%d}", **bundle.info["treatment"]})
        parts.append(rows.assign(**by_option))
    return pd.concat(parts, ignore_index=True), facts


def populations(rows: pd.DataFrame, data: Dataset, settings: Settings) -> dict[str, np.ndarray]:
    """Weights of the rows under each way to judge."""
    encoder = learn_encoder(rows, data.schema)
    contacted = rows[CONTACTED].to_numpy(float)
    p = propensity(encoder(rows).x, encoder.category_places, rows, contacted)
    return {
        "all rows": np.ones(len(rows)),
        "not contacted": (contacted == 0).astype(float),
        "not contacted, weighted to all": weights(p, contacted, settings.churn.max_weight_quantile),
    }


def score_options(rows: pd.DataFrame, judged: dict[str, np.ndarray], draws: int) -> list[dict[str, Any]]:
    """One record an option and way to judge: every measure with its interval, and that of the option less `keep`."""
    y, groups, records = rows["label"].to_numpy(), rows["customer_id"].to_numpy(), []
    for name, weight in judged.items():
        for option in OPTIONS:
            p, keep_forecast = rows[option].to_numpy(), rows["keep"].to_numpy()
            record: dict[str, Any] = {"judged on": name, "treatment": option, **weighted_metrics(y, p, weight)}
            record["effective rows"] = effective_sample_size(weight)
            for key, metric in WEIGHTED.items():
                record[f"{key}, 95"] = bootstrap_interval(metric, y, p, weight, groups=groups, seed=0, n=draws)

                def less(y: np.ndarray, p: np.ndarray, q: np.ndarray, w: np.ndarray, metric: Any = metric) -> float:
                    return metric(y, p, w) - metric(y, q, w)

                record[f"{key}, less keep"] = bootstrap_interval(
                    less, y, p, keep_forecast, weight, groups=groups, seed=0, n=draws
                )
            records.append(record)
    return records


def by_kind(rows: pd.DataFrame, contacts: pd.DataFrame, settings: Settings) -> list[dict[str, Any]]:
    """What was forecast for rows by the kinds of campaign that reached them within the horizon, and what came."""
    horizon = pd.Timedelta(days=settings.churn.horizon_days)
    pairs = rows[["customer_id", "as_of"]].assign(row=np.arange(len(rows))).merge(contacts, on="customer_id")
    contacted_at, as_of = pairs["contacted_at"].dt.tz_localize(None), pairs["as_of"].dt.tz_localize(None)
    hit = pairs[(contacted_at >= as_of) & (contacted_at < as_of + horizon)].assign(kind=lambda t: t["campaign"].str[:6])
    kinds = hit.groupby("row")["kind"].agg(lambda k: " + ".join(sorted(set(k)))).reindex(range(len(rows)))
    records = []
    for kind, part in rows.groupby(kinds.fillna("none").to_numpy()):
        means = {option: float(part[option].mean()) for option in OPTIONS}
        records.append({"campaigns": kind, "rows": len(part), "came": float(part["label"].mean()), **means})
    return records


def results_table(records: list[dict[str, Any]], as_ofs: str) -> Table:
    """The records as one table."""
    head = ["judged on", "treatment", "forecast / came", *NAMES.values()]
    table = Table(*head, title=f"Complete Journey, silent for 30 days, {as_ofs}", show_lines=True)
    for r in records:
        cells = []
        for key in NAMES:
            (low, high), (under, over) = r[f"{key}, 95"], r[f"{key}, less keep"]
            less = "" if r["treatment"] == "keep" else f"\n[{under:+.4f} {over:+.4f}]"
            cells.append(f"{r[key]:.4f} [{low:.4f} {high:.4f}]{less}")
        where = f"{r['judged on']}\n{r['n']:,.0f} rows, worth {r['effective rows']:,.0f}"
        table.add_row(where, r["treatment"], f"{r['mean_predicted']:.4f} / {r['churn_rate']:.4f}", *cells)
    return table


def numbers_table(records: list[dict[str, Any]], title: str) -> Table:
    """Records of plain numbers as a table."""
    names = list(dict.fromkeys(name for record in records for name in record))
    table = Table(*names, title=title)
    for record in records:
        values = [record.get(name, "") for name in names]
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values))
    return table


@contextmanager
def workspace_folder(folder: Path | None) -> Iterator[Path]:
    """The workspace that was given, or one that is gone afterwards."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--origins", type=int, default=4, help="moments in time, the newest")
    parser.add_argument("--trials", type=int, default=12, help="of the search, for each option at each moment")
    parser.add_argument("--draws", type=int, default=200, help="of the bootstrap")
    parser.add_argument("--workspace", type=Path, help="holds the features, or gets them; else none is kept")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    screen, log = Console(width=int(os.environ.get("COLUMNS", "150"))), Console(stderr=True)
    with workspace_folder(options.workspace) as folder:
        settings, workspace = prepare(folder, options.trials)
        data = labelled(settings, workspace, "churn")
        contacts = pd.read_parquet(workspace.tables / "contacts.parquet")
        rows, facts = forecasts(data, settings, options.origins, log)
    records = score_options(rows, populations(rows, data, settings), options.draws)
    kinds = by_kind(rows, contacts, settings)
    as_ofs = ", ".join(f"{m:%Y-%m-%d}" for m in sorted(rows["as_of"].unique()))
    screen.print(results_table(records, as_ofs))
    screen.print(numbers_table(kinds, "Forecast and outcome by the campaigns that came within the 30 days"))
    screen.print(numbers_table(facts, "What each option did with the rows that were learned from"))
    write_records([*records, *kinds, *facts], options.json)


if __name__ == "__main__":
    main()
