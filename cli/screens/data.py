"""Of data: what was read and checked, proposed, built, refreshed and erased."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from cli.screens.tables import COMMAND, make_table
from configs.workspace import Workspace
from features.quality import quality_verdict


def ingest_screen(result: Mapping[str, Any], workspace: Workspace) -> Group:
    """Rows read, used and put aside for each table, and whether the load may be used."""
    table = make_table(
        f"{result['business']}: data up to {result['data_until']}", "table", "read", "used", "quarantine", "newest"
    )
    for source in result["tables"]:
        counts = (f"{source[k]:,}" for k in ("rows_read", "rows_used", "rows_quarantined"))
        is_grouped = source["source_grain"] != source["grain"]
        grain = f" ({source['rows_made']:,} from one row per {source['source_grain']})" if is_grouped else ""
        table.add_row(source["name"] + grain, *counts, str(source["newest"]))
    places = {"report": workspace.quality_report / "quality.html", "quarantine": workspace.quarantine}
    where = "\n".join(f"  {name}: {path}" for name, path in places.items())
    return Group(table, _verdict(result["verdict"], workspace), Text(where))


def _verdict(verdict: Mapping[str, Any], workspace: Workspace) -> Text:
    """Whether the load may be used, and what was found that stops it or that is worth a look."""
    found = {kind: [f for f in verdict["findings"] if f["severity"] == kind] for kind in ("stop", "warn")}
    lines = [f"  - {_finding(f)}; {f['todo']}" for f in found["stop"]]
    lines += [f"  - to look at: {_finding(f)}" for f in found["warn"]]
    if quality_verdict.is_refused(workspace):
        pointer = workspace.loads.pointer()
        before = pointer.current if pointer else None
        stays = f"load {before} stays in use for answers" if before else "there is no load before it"
        head, style = f"Refused: features, training and scoring stop; {stays}.", "bold red"
    else:
        head, style = "Passed." if verdict["passed"] else "Refused by the rules, accepted by a person.", "bold green"
    return Text.assemble((head, style), "".join(f"\n{line}" for line in lines))


def _finding(finding: Mapping[str, str]) -> str:
    return f"{finding['table']}.{finding['column']}: {finding['got']}, expected {finding['expected']}"


def check_screen(result: Mapping[str, Any]) -> Group:
    """What is wrong, table by table, and whether there is enough to learn from."""
    problems = make_table("What is wrong", "table", "column", "rule", "rows", "example", "what to do")
    for problem in result["problems"]:
        where = (problem[key] for key in ("table", "column", "rule"))
        problems.add_row(*where, f"{problem['rows']:,}", problem["example"], problem["do"])
    read = ", ".join(f"{t['name']}: {t['rows_used']:,} of {t['rows_read']:,} rows" for t in result["tables"])
    left_out = [
        Text(f"Left out of {t['name']}, as no rows of it: {n:,} x {rule}")
        for t in result["tables"]
        for rule, n in t.get("left_out", {}).items()
    ]
    minimums = make_table("Is there enough to learn from?", "model", "needed", "found", "at least", "")
    for minimum in result["enough"]:
        met = Text("✓", style="green") if minimum["met"] else Text("✗ too few", style="red")
        minimums.add_row(minimum["model"], minimum["what"], f"{minimum['found']:,}", f"{minimum['needed']:,}", met)
    doubts = [
        Text(f"To look at: {f['table']}.{f['column']}: {f['got']}; {f['todo']}") for f in result.get("to_look_at", ())
    ]
    stops = [_stop(f) for f in result.get("refused_for", ())]
    asked = [Text(f"Training would ask: {q['column']}: {q['got']}. {q['todo']}") for q in result.get("asked", ())]
    notes = [
        Text("\n".join(["How the files were read:", *(f"  {note}" for note in joined(result.get("reading", ())))]))
    ]
    nothing = Text("No row is wrong." if doubts or stops or asked else "Nothing is wrong.")
    found = [problems if result["problems"] else nothing, *stops, *asked, *doubts]
    expected = [_expected(entry) for entry in result.get("expected", ())]
    reading = notes if result.get("reading") else ()
    return Group(Text(f"Usable: {read}"), *left_out, *reading, *found, minimums, *expected)


RESTS_ON = {
    "trees": "trees would compete with simpler models, which may win",
    "prior": "a prior alone would answer",
    "none": "nothing could answer",
}


def _expected(entry: Mapping[str, str]) -> Text:
    """What a model would rest on, and why."""
    why = f": {entry['why']}" if entry["why"] else ""
    return Text(f"{entry['model']}: {RESTS_ON[entry['basis']]}{why}", style="red" if entry["basis"] == "none" else "")


def joined(notes: Iterable[str]) -> list[str]:
    """Notes on how files were read, those that say the same of several files as one.

    >>> joined(["orders: 01.csv: read as UTF-8", "orders: 02.csv: read as UTF-8", "orders: 7 rows are copies"])
    ['orders: 01.csv and 1 more: read as UTF-8', 'orders: 7 rows are copies']
    """
    files: dict[tuple[str, str], list[str]] = {}
    for note in notes:
        table, _, rest = note.partition(": ")
        file, told, same = rest.partition(": ")
        files.setdefault((table, same if told else rest), []).append(file if told else "")
    return [
        f"{table}: {of[0]}{f' and {len(of) - 1} more' if len(of) > 1 else ''}: {same}" if of[0] else f"{table}: {same}"
        for (table, same), of in files.items()
    ]


def _stop(finding: Mapping[str, str]) -> Text:
    """What an ingest would refuse the load for, with an example."""
    example = f" (for example {finding['example']})" if finding["example"] else ""
    return Text.assemble(("Ingest would refuse this: ", "bold red"), f"{_finding(finding)}{example}; {finding['todo']}")


def proposal_screen(result: Mapping[str, Any]) -> Group:
    """What each file seems to be, and what is missing."""
    table = make_table(f"Proposed: {result['config']}", "file", "looks like", "required, not found")
    for file in result["tables"]:
        table.add_row(file["path"], file["table"], ", ".join(file["missing"]) or "–")
    for file in result["not_used"]:
        table.add_row(file["path"], "not used", file["why"])
    for name in result["missing"]:
        table.add_row("–", name, f"no file looks like it; churn by {result['kind']} needs it")
    if result["customers_from"]:
        table.add_row("–", "customers", f"derived: the first row in {result['customers_from']} is the sign-up")
    told = dict.fromkeys(why for file in result["tables"] for why in file["instead"].values())
    instead = [Text(f"  {why}") for why in told]
    instead += [Text(f"  {o['table']}.{o['column']}: {o['why']}") for o in result.get("outcomes", ())]
    after = f"  read {result['config']}, then: {COMMAND} ingest --check --config {result['config']}"
    return Group(table, *instead, Text(after))


def features_screen(result: Mapping[str, Any]) -> Table:
    """Rows, columns and dates that were built."""
    table = make_table("Features", "", "")
    table.add_row("rows (customers x moments)", f"{result['rows']:,}")
    table.add_row("features", str(result["features"]))
    table.add_row("moments", f"{len(result['as_ofs'])}: {result['as_ofs'][0][:10]} to {result['as_ofs'][-1][:10]}")
    table.add_row("customers online", f"{result['online']:,}")
    return table


def refresh_screen(result: Mapping[str, Any]) -> Table:
    """Who was computed again, and as of when."""
    table, newer = make_table("Refresh", "", ""), result["with_newer_rows"]
    table.add_row("customers known", f"{result['customers']:,}")
    table.add_row("touched, computed again", f"{result['touched']:,}")
    table.add_row(f"of these as of {result['data_until']}", f"{result['touched'] - newer:,}")
    if newer:
        table.add_row(f"of these as of newer rows of their own, up to {result['as_of']}", f"{newer:,}")
    if later := result["customers"] - result["touched"]:
        table.add_row("of an earlier moment, as nothing came (--all computes them, too)", f"{later:,}")
    table.add_row("put online", f"{result['online']:,}")
    table.add_row("no longer known, taken offline", f"{result['gone']:,}")
    return table


def erasure_screen(result: Mapping[str, Any]) -> Group:
    """Where rows were removed, and what stays."""
    table = make_table(f"Erased: {result['ids']} ids of persons", "from", "rows")
    for place, count in result["rows"].items():
        table.add_row(place, f"{count:,}")
    nothing = Text("  nothing more was found about them")
    stays = "\n".join(f"  - {line}" for line in result["remains"])
    unknown = ", ".join(f"'{i}'" for i in result["not_found"])
    nobody = Text(
        f"  Nobody was found under {unknown}: no table, event or answer holds it. Check how the files write it;"
    )
    nobody.append(" if it is right, later exports will leave it out.")
    parts: list[Any] = [nobody] if unknown else []
    if result["ids"] > len(result["not_found"]):
        parts += [table if result["rows"] else nothing, Text(f"What is not removed:\n{stays}")]
    return Group(*parts)
