"""The watch: whether today's customers are those the models learned from, and whether every group fares alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from configs.errors import NotEnoughDataError, NotReadyError
from configs.settings import Settings
from configs.workspace import Workspace
from features.quality import quality_verdict
from features.schema import of_customers
from monitoring.fingerprints import customers_file
from monitoring.report.drift_page import drift_report
from monitoring.report.fairness_page import fairness_report
from monitoring.watch.drift import DRIFTED, drift_table
from serving.answer.champion import Champions
from training.data.task_rows import holdout
from training.fit.assembly import forecast
from training.fit.recipe import population
from training.judge.fairness import churn_fairness, fairness_table, select_top, value_fairness
from training.judge.verdict import has_not_seen
from training.model.bundle import Bundle, Task
from training.registry import model_registry, runs

OnProgress = Callable[[str, int, int], None]
TITLES = {"churn": "Churn", "clv": "Customer value"}
MEASURED = {
    "churn": "who is selected when a campaign takes the {share:.0%} of customers at the highest risk",
    "clv": "how the forecast compares with what each group then spent, and how often its interval held",
}


def monitor(
    settings: Settings, workspace: Workspace, on_progress: OnProgress = lambda name, done, of: None
) -> dict[str, Any]:
    """Write the drift and the fairness report of the champions and attach them to the champions' MLflow runs.

    Parameters
    ----------
    settings
        Of the business.
    workspace
        Holds features and registry; gets the reports.
    on_progress
        Called with what is being done, how many steps are done, and of how many.

    Returns
    -------
    dict
        For each model: its version, the columns that drifted, the fairness findings, and the pages written; or
        ``unserved``: why it does not serve.

    Raises
    ------
    RegistryError, NotReadyError
        There is no champion, or no features of the current load.
    """
    quality_verdict.require_newest_features(workspace)
    champions = Champions.serving(workspace, settings)
    steps = 2 * len(champions.models)
    out: dict[str, Any] = {}
    for number, loaded in enumerate(champions.models):
        task = loaded.bundle.task
        on_progress(f"{task} drift", 2 * number, steps)
        drift = _drift(task, loaded.bundle, settings, workspace)
        on_progress(f"{task} fairness", 2 * number + 1, steps)
        fairness = _fairness(task, loaded.version, settings, workspace)
        run_id = model_registry.get_version(workspace, task, loaded.version).run_id
        runs.attach(workspace, run_id, workspace.reports / task, f"monitoring/{drift['as_of']}")
        out[task] = {"model": f"{task}/{loaded.version}", "drift": drift, "fairness": fairness}
    on_progress("done", steps, steps)
    return out | {task: {"model": task, "unserved": why} for task, why in champions.unserved.items()}


def _drift(task: Task, bundle: Bundle, settings: Settings, workspace: Workspace) -> dict[str, Any]:
    rows = population(workspace, task, settings)
    as_of = f"{rows['as_of'].max():%Y-%m-%d}"
    current = rows[list(bundle.features)].assign(prediction=bundle.predict(bundle.encode(rows)))
    table = drift_table(bundle.reference, current, ["prediction", *of_customers(bundle.features)], settings.monitoring)
    title = f"{TITLES[task]}: drift at {as_of} against {bundle.trained_through[:10]}"
    about = {
        "Model": f"{task}, learned from customers up to {bundle.trained_through[:10]}",
        "Reference": f"{len(bundle.reference):,} customers at {bundle.trained_through[:10]}",
        "Compared": f"{len(current):,} customers at {as_of}",
        "Columns": f"{len(of_customers(bundle.features))} features and the prediction",
    }
    pages = drift_report(bundle.reference, current, table, workspace.reports / task / "drift", title, about)
    drifted = table.loc[table["verdict"] == DRIFTED, "column"].tolist()
    return {"as_of": as_of, "columns": len(table), "drifted": drifted, "pages": _paths(pages)}


def _fairness(task: Task, version: str, settings: Settings, workspace: Workspace) -> dict[str, Any] | None:
    """How groups fare on the hold-out; None without a sensitive column, or where nothing held out is new to the model.

    So it is before anything has matured, and of a model from when something else judged.
    """
    if not settings.columns.sensitive:
        return None
    try:
        rows, _ = holdout(settings, workspace, task)
    except NotEnoughDataError:
        return None
    _, judged = model_registry.bundles(workspace, task, version)
    if not has_not_seen(judged, rows, settings):
        return None
    scored = forecast(judged, rows).merge(_sensitive(settings, workspace), on="customer_id", how="left")
    if task == "churn":
        share = settings.monitoring.fairness_selection_share
        scored = scored.assign(selected=select_top(scored["forecast"], share, scored["as_of"]))
    table, summary = fairness_table(scored, settings.columns.sensitive, _measure(task, settings))
    as_ofs = ", ".join(sorted({f"{a:%Y-%m-%d}" for a in scored["as_of"]}))
    title = f"{TITLES[task]}: fairness at {as_ofs}"
    about = {
        "Model": f"{task}/{version}, judged on customers it had not seen",
        "Rows": f"{len(scored):,} rows of {scored['customer_id'].nunique():,} customers, at {as_ofs}",
        "Measured": MEASURED[task].format(share=settings.monitoring.fairness_selection_share),
    }
    pages = fairness_report(table, summary, workspace.reports / task / "fairness", title, about)
    return {"rows": len(scored), "summary": summary, "pages": _paths(pages)}


def _measure(task: Task, settings: Settings) -> Callable[[pd.DataFrame, str], pd.DataFrame]:
    group = settings.monitoring.fairness_min_group
    if task == "clv":
        return partial(value_fairness, actual="label", expected="forecast", min_group=group, seed=settings.tuning.seed)
    return partial(churn_fairness, label="label", probability="forecast", min_group=group)


def _sensitive(settings: Settings, workspace: Workspace) -> pd.DataFrame:
    path = customers_file(settings, workspace)
    if not path.is_file():
        raise NotReadyError(f"no tables at '{workspace.tables}': run `staycast ingest` first")
    return pd.read_parquet(path, columns=["customer_id", *settings.columns.sensitive])


def _paths(pages: dict[str, Path]) -> dict[str, str]:
    return {kind: str(path) for kind, path in pages.items()}
