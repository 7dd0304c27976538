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
from serving.bulk.batch import PARQUET

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
        "empc": ("EMPC (profit a customer)", "higher"),
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
    return Group(*[part for task, shown in result.items() for part in _shown(task, shown)])


def searched(result: Mapping[str, Any]) -> Group:
    """How far the search for each model is, over all processes that take part."""
    lines = (f"{HEADS[task]}: {f['trials']} of {f['of']} trials in search {f['search']}" for task, f in result.items())
    return Group(*lines)


def rolled(result: Mapping[str, Any]) -> Group:
    """What each model of its own time showed at several moments, and over all of them with its interval."""
    return Group(*[part for task, told in result.items() for part in _rolled(task, told)])


def _rolled(task: str, told: Mapping[str, Any]) -> tuple[Any, ...]:
    moments = told["as_ofs"]
    title = f"{HEADS[task]}: at each moment the whole recipe, as if that were today"
    table = _table(title, "metric", *moments, "all", told["baseline_name"])
    for key, (name, _) in METRICS[task].items():
        own = [_number(m.get(key)) for m in moments.values()]
        table.add_row(name, *own, _number(told["model"].get(key)), _number(told["baseline"].get(key)))
    for days, metrics in told["horizons"].items():
        table.add_row(f"calibration error, {days} days", *[""] * len(moments), _ece(metrics), "")
    edges = told["model_less_baseline_95"].items()
    words = "; ".join(
        f"{METRICS[task][k][0]} {low:+.4g} to {high:+.4g}" for k, (low, high) in edges if k in METRICS[task]
    )
    notes = [f"  model less {told['baseline_name']}, 95 %: {words}"]
    if told["by_customer"]:
        notes.append(f"  tuned by groups of customers, the past being too short: {', '.join(told['by_customer'])}")
    if told["from_prior"]:
        notes.append(f"  answered from a prior, as there was too little for trees: {', '.join(told['from_prior'])}")
    return table, Text("\n".join(notes) + "\n")


def _ece(metrics: Mapping[str, float]) -> str:
    return _number(metrics.get("expected_calibration_error"))


def _shown(task: str, shown: Mapping[str, Any]) -> tuple[Any, ...]:
    campaign = shown.get("campaign")
    played = () if campaign is None else (_played(campaign),)
    basis = (Text(f"  basis: {shown['basis']}"),) if shown.get("basis", "model") != "model" else ()
    if "model" not in shown:
        return (Text(f"{HEADS[task]}: {shown['version']}, nothing has matured to judge it by"), *basis, _verdict(shown))
    return (_metrics(task, shown), *basis, *played, _verdict(shown))


def _played(campaign: Mapping[str, Any]) -> Table:
    """What a campaign would have brought on the hold-out, by whom it contacts."""
    edge = _share(campaign["break_even_probability"])
    of = f"the mean of {campaign['moments']} moments; " if campaign["moments"] > 1 else ""
    title = f"Campaign on the same customers ({of}value from {campaign['value_from']}; break-even at its mean: {edge})"
    table = _table(title, "contact", "customers", "expected", "came", "95 %")
    for one in campaign["policies"]:
        numbers = (f"{one[k]:,.0f}" for k in ("contacted", "expected", "realised"))
        table.add_row(one["rule"], *numbers, f"{one['low']:,.0f} to {one['high']:,.0f}")
    return table


def _share(value: float | None) -> str:
    return "never" if value is None else f"{value:.0%}"


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
        few = (
            ", by the rules for little history: " + "; ".join(shown["reasons"]) if shown.get("basis") == "prior" else ""
        )
        return Text(f"  passed every gate: champion{few}\n", style="green")
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
    told = (*_campaign(result, settings.currency), Text(f"  all answers: {result['folder']}"))
    return Group(table, at_risk(workspace, result, settings), *told)


def _campaign(result: Mapping[str, Any], currency: str) -> tuple[Text, ...]:
    """Whom it pays to contact, in one line; nothing if no campaign is planned."""
    best = result.get("campaign")
    if best is None:
        return ()
    if not best["contacts"]:
        return (Text("  campaign: contacting nobody is expected to pay at these costs"),)
    brings = f"expected profit {best['expected_profit']:,.0f} {currency}"
    least = f"each more than 0; the lowest probability among them is {best['lowest_probability']:.0%}"
    return (Text(f"  campaign: contact {best['contacts']:,} customers, {brings}, {least}"),)


def quality(result: Mapping[str, Any], workspace: Workspace) -> Group:
    """Rows read, used and put aside for each table."""
    table = _table(
        f"{result['business']}: data up to {result['data_until']}", "table", "read", "used", "quarantine", "newest"
    )
    for one in result["tables"]:
        counts = (f"{one[k]:,}" for k in ("rows_read", "rows_used", "rows_quarantined"))
        lines = one["source_grain"] != one["grain"]
        made = f" ({one['rows_made']:,} from one row per {one['source_grain']})" if lines else ""
        table.add_row(one["name"] + made, *counts, str(one["newest"]))
    return Group(table, Text(f"  report: {workspace.reports / 'quality' / 'quality.html'}"))


def erased(result: Mapping[str, Any]) -> Group:
    """Where rows were removed, and what stays."""
    table = _table(f"Erased: {result['ids']} ids of persons", "from", "rows")
    for place, count in result["rows"].items():
        table.add_row(place, f"{count:,}")
    nothing = Text("  nothing was found about them; later exports will leave them out")
    stays = "\n".join(f"  - {one}" for one in result["remains"])
    return Group(table if result["rows"] else nothing, Text(f"What is not removed:\n{stays}"))


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


def reproduced(result: Mapping[str, Any]) -> Group:
    """Every file of a model beside the one made again, and what else has changed since."""
    table = _table(f"{result['version']} made again: SHA-256", "file", "registered", "made again", "")
    for one in result["files"]:
        verdict = "[green]same[/]" if one["same"] else "[red]differs[/]"
        table.add_row(one["file"], *((one[side] or "none")[:16] for side in ("then", "now")), verdict)
    differ = sum(not one["same"] for one in result["files"])
    end = "  identical, byte by byte" if result["identical"] else f"  {differ} of {len(result['files'])} files differ"
    again = "tried again" if result["searched"] else "tried the first time, not again"
    facts = f"  features {result['data_fingerprint']}, {result['trials']} configurations {again}"
    changed = [f"  search {line}" for line in result["search_changed"]] + [f"  {line}" for line in result["changed"]]
    since = ["  changed since the first time:", *changed] if changed else []
    return Group(table, Text(end, style="green" if result["identical"] else "red"), Text("\n".join([facts, *since])))


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
        return "no sensitive column declared, or nothing has matured"
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
