"""Of the whole run: quality of the models, who is at risk, and where everything is; and of monitoring."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.screens.customers import at_risk
from cli.screens.models import training_screen
from cli.screens.tables import COMMAND, make_table
from configs.settings import Settings
from configs.workspace import Workspace


def run_screen(result: Mapping[str, Any], settings: Settings, workspace: Workspace, config: str) -> Group:
    """The end of the whole loop: quality of the models, who is at risk, and where everything is."""
    return Group(
        training_screen(result["train"]),
        at_risk(workspace, result["score"], settings),
        _where(result, settings, workspace, config),
    )


def monitoring_screen(result: Mapping[str, Any]) -> Table:
    """What drifted, and what the fairness report says of each group."""
    table = make_table("Watch", "model", "columns drifted", "fairness", "reports")
    for report in result.values():
        if "unserved" in report:
            table.add_row(report["model"], report["unserved"], "", "")
            continue
        drift, drifted = report["drift"], ", ".join(report["drift"]["drifted"])
        count = f"{len(drift['drifted'])} of {drift['columns']}" + (f": {drifted}" if drifted else "")
        table.add_row(report["model"], count, _fairness(report["fairness"]), "\n".join(_pages(report)))
    return table


def _where(result: Mapping[str, Any], settings: Settings, workspace: Workspace, config: str) -> Panel:
    place = "" if str(workspace.root) == "." else f" --workspace {quote(str(workspace.root))}"
    address = f"{settings.serving.host}:{settings.serving.port}"
    lines = [
        ("data quality", str(workspace.quality_report / "quality.html")),
        *[(f"{report['model']} watch", page) for report in result["monitor"].values() for page in _pages(report)],
        ("all answers", result["score"]["folder"]),
        ("MLflow", f"{COMMAND} mlflow{place}, then http://127.0.0.1:5000"),
        ("the service", f"{COMMAND} serve --config {quote(config)}{place}, then POST http://{address}/v1/predictions"),
    ]
    width = max(len(name) for name, _ in lines)
    return Panel(
        Text("\n".join(f"{name:<{width}}  {what}" for name, what in lines)), title="Where to look", title_align="left"
    )


def _pages(report: Mapping[str, Any]) -> list[str]:
    if "unserved" in report:
        return []
    parts = (report["drift"], report["fairness"] or {"pages": {}})
    return [path for part in parts for kind, path in part["pages"].items() if kind == "html"]


def _fairness(fairness: Mapping[str, Any] | None) -> str:
    if fairness is None:
        return "no sensitive column declared, or nothing has matured that is new to the model"
    return "\n".join(f"{column}: {of_column['verdict']}" for column, of_column in fairness["summary"].items())
