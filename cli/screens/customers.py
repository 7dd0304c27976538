"""Of customers: who is at risk and why, how many are in each band, and whom a campaign contacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import nlargest
from operator import itemgetter
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from cli.screens.tables import TASK_TITLES, make_table
from configs.settings import Settings
from configs.workspace import SCORE_TABLE, Workspace

AT_RISK = 10
MAX_REASONS = 2
COLUMNS = ("customer_id", "band", "probability", "expected", "low", "high", "tier", "action", "reasons")


def scores_screen(result: Mapping[str, Any], workspace: Workspace, settings: Settings) -> Group:
    """How many customers fell into each band, tier, stage and action, and who is at risk."""
    table = make_table(f"{result['customers']:,} customers as of {result['as_of'][:10]}", "", "customers")
    for kind in ("bands", "tiers", "stages", "actions"):
        for name, count in result[kind].items():
            table.add_row(f"{kind[:-1]}: {name}", f"{count:,}")
    if result.get("left"):
        table.add_row("known to have left: not asked about", f"{result['left']:,}")
    if result.get("opposed"):
        table.add_row("object to being forecast: not answered for", f"{result['opposed']:,}")
    lines = (*campaign_lines(result, settings.currency), Text(f"  all answers: {result['folder']}"))
    return Group(table, at_risk(workspace, result, settings), *lines)


def at_risk(workspace: Workspace, score: Mapping[str, Any], settings: Settings) -> Group:
    """The most valuable customers of the two highest risk bands, with their reasons; what is not answered, and why."""
    unserved = score.get("unserved", {})
    told = [Text(f"  {TASK_TITLES[task]} is not answered: {why}", "yellow") for task, why in unserved.items()]
    if "churn" in unserved or "churn" not in settings.tasks:
        return Group(*told)
    return Group(_at_risk(workspace, score, settings), *told)


def _at_risk(workspace: Workspace, score: Mapping[str, Any], settings: Settings) -> Table | Text:
    import pyarrow.parquet as pq

    path = workspace.scored(score) / SCORE_TABLE
    rows = pq.read_table(path, columns=list(COLUMNS), filters=[("band", "in", ["high", "critical"])]).to_pylist()
    if not rows:
        return Text(f"No customer is at high or critical risk, as of {score['as_of'][:10]}")
    if "clv" not in settings.tasks or "clv" in score.get("unserved", {}):
        return _at_highest_risk(nlargest(AT_RISK, rows, itemgetter("probability")), score["as_of"][:10])
    risky = nlargest(AT_RISK, rows, itemgetter("expected"))
    days = settings.clv.horizon_days
    whom = "most valuable customer" if len(risky) == 1 else f"{len(risky)} most valuable customers"
    table = make_table(
        f"The {whom} at risk, as of {score['as_of'][:10]}",
        "customer",
        "leaves",
        f"value {days} d",
        "tier",
        "action",
        "because",
    )
    for row in risky:
        value = f"{row['expected']:z,.0f} ({row['low']:z,.0f}–{row['high']:z,.0f})"
        leaves = f"{row['probability']:.0%}"
        because = _because(row)
        table.add_row(row["customer_id"], leaves, value, row["tier"], row["action"], because)
    return table


def _at_highest_risk(risky: Sequence[Mapping[str, Any]], as_of: str) -> Table:
    """The customers at the highest risk, where no value is forecast."""
    whom = "one customer" if len(risky) == 1 else f"{len(risky)} customers"
    title = f"The {whom} at the highest risk, as of {as_of}"
    table = make_table(title, "customer", "leaves", "action", "because")
    for row in risky:
        because = _because(row)
        table.add_row(row["customer_id"], f"{row['probability']:.0%}", row["action"], because)
    return table


def _because(row: Mapping[str, Any]) -> str:
    """What raises the risk of a customer, a line each."""
    return "\n".join(reason["text"] for reason in row["reasons"][:MAX_REASONS] if reason["direction"] == "raises")


def campaign_lines(result: Mapping[str, Any], currency: str) -> tuple[Text, ...]:
    """Whom it pays to contact, in one line; nothing if no campaign is planned."""
    best = result.get("campaign")
    if best is None:
        return ()
    if not best["contacts"]:
        return (Text("  campaign: contacting nobody is expected to pay at these costs"),)
    within = f"{best['coverage']:.0%} range of what comes: {best['low']:z,.0f} to {best['high']:z,.0f}"
    brings = f"expected profit {best['expected_profit']:z,.0f} {currency} ({within})"
    least = f"each more than 0; the lowest probability among them is {best['lowest_probability']:.0%}"
    return (Text(f"  campaign: contact {best['contacts']:,} customers, {brings}, {least}"),)
