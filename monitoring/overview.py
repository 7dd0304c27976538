"""What a person sees at the end of a command: short tables of what was done, and where to look next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from configs.settings import Settings
from configs.workspace import Workspace
from serving.batch import PARQUET

AT_RISK = 10
SHOWN_REASONS = 2
BASELINES = ("recency rule", "past rate", "logistic regression", "present price")
COMMAND = ".venv/bin/staycast"
METRICS = {
    "churn": {
        "auc": ("AUC", "higher"),
        "average_precision": ("average precision", "higher"),
        "log_loss": ("log loss", "lower"),
        "brier": ("Brier score", "lower"),
        "expected_calibration_error": ("calibration error", "lower"),
        "top_decile_lift": ("lift in the top decile", "higher"),
    },
    "clv": {
        "total_error": ("total error", "near 0"),
        "mae": ("mean absolute error", "lower"),
        "rmse": ("root mean squared error", "lower"),
        "spearman": ("Spearman", "higher"),
        "normalised_gini": ("normalised Gini", "higher"),
        "decile_calibration_error": ("decile calibration error", "lower"),
        "coverage": ("interval coverage", "as promised"),
    },
}
HEADS = {"churn": "Churn", "clv": "Customer value"}


def whole(result: Mapping[str, Any], settings: Settings, workspace: Workspace, config: str) -> Group:
    """The end of the whole loop: quality of the models, who is at risk, and where everything is."""
    return Group(
        trained(result["train"]),
        at_risk(workspace, result["score"], settings),
        _where(result, settings, workspace, config),
    )


def trained(result: Mapping[str, Any]) -> Group:
    """Hold-out metrics of each model beside its baseline, and what the gates said."""
    return Group(*[part for task, shown in result.items() for part in (_metrics(task, shown), _verdict(shown))])


def _metrics(task: str, shown: Mapping[str, Any]) -> Table:
    moments = ", ".join(a[:10] for a in shown["as_ofs"])
    held_out = (
        "untouched customers; no time order was possible" if shown["note"] else f"the untouched moments {moments}"
    )
    title = f"{HEADS[task]}: {shown['version']} on {held_out}"
    table = _table(title, "metric", "model", shown["baseline_name"], "better is")
    for key, (name, better) in METRICS[task].items():
        theirs = shown["baseline"].get(key)
        table.add_row(name, _number(shown["model"].get(key)), _number(theirs), better)
    return table


def _verdict(shown: Mapping[str, Any]) -> Text:
    if "promote" not in shown:
        return Text()
    if shown["promote"]:
        return Text("  passed every gate: champion\n", style="green")
    return Text("  not promoted: " + "; ".join(shown["reasons"]) + "\n", style="red")


def at_risk(workspace: Workspace, score: Mapping[str, Any], settings: Settings) -> Table:
    """The most valuable customers of the two highest risk bands, with their reasons."""
    rows = pd.read_parquet(workspace.scores / score["as_of"][:10] / PARQUET)
    risky = rows[rows["band"].isin(["high", "critical"])]
    if "clv" not in settings.tasks:
        return _at_highest_risk(risky.nlargest(AT_RISK, "probability"), score["as_of"][:10])
    risky = risky.nlargest(AT_RISK, "expected")
    days = settings.clv.horizon_days
    table = _table(
        f"The {len(risky)} most valuable customers at risk, as of {score['as_of'][:10]}",
        "customer",
        "leaves",
        f"value {days} d",
        "tier",
        "action",
        "because",
    )
    for row in risky.to_dict("records"):
        value = f"{row['expected']:,.0f} ({row['low']:,.0f}–{row['high']:,.0f})"
        leaves = f"{row['probability']:.0%}"
        because = "\n".join(row["reasons"][:SHOWN_REASONS])
        table.add_row(row["customer_id"], leaves, value, row["tier"], row["action"], because)
    return table


def _at_highest_risk(risky: pd.DataFrame, as_of: str) -> Table:
    """The customers at the highest risk, where no value is told."""
    title = f"The {len(risky)} customers at the highest risk, as of {as_of}"
    table = _table(title, "customer", "leaves", "action", "because")
    for row in risky.to_dict("records"):
        because = "\n".join(row["reasons"][:SHOWN_REASONS])
        table.add_row(row["customer_id"], f"{row['probability']:.0%}", row["action"], because)
    return table


def scored(result: Mapping[str, Any], workspace: Workspace, settings: Settings) -> Group:
    """How many customers fell into each band, tier, stage and action, and who is at risk."""
    table = _table(f"{result['customers']:,} customers as of {result['as_of'][:10]}", "", "customers")
    for kind in ("bands", "tiers", "stages", "actions"):
        for name, count in result[kind].items():
            table.add_row(f"{kind[:-1]}: {name}", f"{count:,}")
    return Group(table, at_risk(workspace, result, settings), Text(f"  all answers: {result['folder']}"))


def quality(result: Mapping[str, Any], workspace: Workspace) -> Group:
    """Rows read, used and put aside for each table."""
    table = _table(
        f"{result['business']}: data up to {result['data_until']}", "table", "read", "used", "quarantine", "newest"
    )
    for one in result["tables"]:
        counts = (f"{one[k]:,}" for k in ("rows_read", "rows_used", "rows_quarantined"))
        table.add_row(one["name"], *counts, str(one["newest"]))
    return Group(table, Text(f"  report: {workspace.reports / 'quality' / 'quality.html'}"))


def proposed(result: Mapping[str, Any]) -> Group:
    """What each file seems to be, and what is missing."""
    table = _table(f"Proposed: {result['config']}", "file", "looks like", "required, not found")
    for one in result["tables"]:
        table.add_row(one["path"], one["table"], ", ".join(one["missing"]) or "–")
    after = f"  read {result['config']}, then: {COMMAND} ingest --check --config {result['config']}"
    return Group(table, Text(after))


def trial(result: Mapping[str, Any]) -> Group:
    """What is wrong, table by table, and whether there is enough to learn from."""
    problems = _table("What is wrong", "table", "column", "rule", "rows", "example", "what to do")
    for one in result["problems"]:
        told = (one[key] for key in ("table", "column", "rule"))
        problems.add_row(*told, f"{one['rows']:,}", one["example"], one["do"])
    read = ", ".join(f"{one['name']}: {one['rows_used']:,} of {one['rows_read']:,} rows" for one in result["tables"])
    least = _table("Is there enough to learn from?", "model", "needed", "found", "at least", "")
    for one in result["enough"]:
        met = "[green]✓[/]" if one["met"] else "[red]✗ too few[/]"
        least.add_row(one["model"], one["what"], f"{one['found']:,}", f"{one['needed']:,}", met)
    return Group(Text(f"Usable: {read}"), problems if result["problems"] else Text("Nothing is wrong."), least)


def features(result: Mapping[str, Any]) -> Table:
    """Rows, columns and moments that were built."""
    table = _table("Features", "", "")
    table.add_row("rows (customers x moments)", f"{result['rows']:,}")
    table.add_row("features", str(result["features"]))
    table.add_row("moments", f"{len(result['as_ofs'])}: {result['as_ofs'][0][:10]} to {result['as_ofs'][-1][:10]}")
    table.add_row("customers online", f"{result['online']:,}")
    return table


def refreshed(result: Mapping[str, Any]) -> Table:
    """Who was computed again, and as of when."""
    table = _table("Refresh", "", "")
    table.add_row("as of", str(result["as_of"]))
    table.add_row("customers known", f"{result['customers']:,}")
    table.add_row("touched, computed again", f"{result['touched']:,}")
    table.add_row("put online", f"{result['online']:,}")
    table.add_row("no longer known, taken offline", f"{result['gone']:,}")
    return table


def watched(result: Mapping[str, Any]) -> Group:
    """What drifted, and what the fairness report says of each group."""
    table = _table("Watch", "model", "columns drifted", "fairness", "reports")
    for shown in result.values():
        table.add_row(shown["model"], _drifted(shown["drift"]), _fairness(shown["fairness"]), "\n".join(_pages(shown)))
    return Group(table)


def models(result: Mapping[str, Any]) -> Group:
    """All versions with their aliases, and the ledger."""
    table = _table("Model versions", "model", "alias", "gates", "run")
    for version in result["versions"]:
        gates = version["tags"].get("gates", "")
        table.add_row(
            f"{version['model']}/{version['version']}", ", ".join(version["aliases"]), gates, version["run_id"]
        )
    ledger = _table("Who decided what", "when", "decision", "by", "reason")
    for entry in result["ledger"]:
        what = f"{entry['action']} {entry['model']}/{entry['version']}"
        ledger.add_row(str(entry["at"])[:19], what, entry["by"], entry["reason"])
    return Group(table, ledger)


def _where(result: Mapping[str, Any], settings: Settings, workspace: Workspace, config: str) -> Panel:
    flags = f" --config {config}" + ("" if str(workspace.root) == "." else f" --workspace {workspace.root}")
    place = "" if str(workspace.root) == "." else f" --workspace {workspace.root}"
    address = f"{settings.serving.host}:{settings.serving.port}"
    lines = [
        ("data quality", str(workspace.reports / "quality" / "quality.html")),
        *[(f"{shown['model']} watch", page) for shown in result["monitor"].values() for page in _pages(shown)],
        ("all answers", result["score"]["folder"]),
        ("MLflow", f"{COMMAND} mlflow{place}, then http://127.0.0.1:5000"),
        ("the service", f"{COMMAND} serve{flags}, then POST http://{address}/v1/predictions"),
    ]
    width = max(len(name) for name, _ in lines)
    return Panel(
        Text("\n".join(f"{name:<{width}}  {what}" for name, what in lines)), title="Where to look", title_align="left"
    )


def _pages(shown: Mapping[str, Any]) -> list[str]:
    parts = (shown["drift"], shown["fairness"] or {"pages": {}})
    return [path for part in parts for kind, path in part["pages"].items() if kind == "html"]


def _drifted(drift: Mapping[str, Any]) -> str:
    return f"{len(drift['drifted'])} of {drift['columns']}" + (
        ": " + ", ".join(drift["drifted"]) if drift["drifted"] else ""
    )


def _fairness(fairness: Mapping[str, Any] | None) -> str:
    if fairness is None:
        return "no sensitive column declared"
    return "\n".join(f"{column}: {found['verdict']}" for column, found in fairness["summary"].items())


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, padding=(0, 2))
    for number, name in enumerate(columns):
        numeric = name in ("model", *BASELINES, "leaves", "read", "used", "quarantine", "customers")
        tight = name in ("customer", "tier", "action", "metric", "table") or numeric
        table.add_column(name, justify="right" if numeric and number else "left", overflow="fold", no_wrap=tight)
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}" if abs(value) >= 10 else f"{value:.4f}"
