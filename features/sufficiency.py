"""What is wrong with the tables, and is there enough to learn from? Told before anyone waits; nothing is written."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import ibis.expr.types as ir
import pandas as pd

from configs.errors import NotEnoughDataError
from configs.settings import Minimum, Settings
from configs.workspace import Workspace
from features.build import labels_as_of_date
from features.columns.attributes import attribute_columns
from features.engine import as_of_statements, connect, read_tables
from features.ingest import judge_source, write_used_rows
from features.labels.by_kind import first_event, what_is_known
from features.labels.moments import as_of_dates
from features.labels.ready_label import read_ready_table
from features.quality.anomalies import Finding
from features.quality.check import ValidatedTable
from features.quality.chunks import CHUNK_ROWS
from features.quality.quality_gate import Verdict
from features.quality.quality_report import count_reasons
from features.schema import FeatureSchema, schema_of
from features.tables import quote, reason_kinds, split_reasons

REMEDIES = {
    "is not a number": "correct the export, or tell how numbers are written",
    "is not a time": "tell the format under source.options.<table>.times",
    "is empty": "fill it at its source, or leave such rows out: of the export, or by where: {<column>: {empty: false}}",
    "occurs more than once": "export each row once; only the first is used",
    "lies in the future": "check the clock and the time zone of the export",
    "from all other rows": "correct the date, or change quality.outlying_gap_days",
    "is no known customer": "export all customers, or map the right column to customer_id",
    "times the 99th percentile": "correct it at its source, or keep it with quality.outlying_amounts: null",
    "is larger than": "correct the number at its source",
    "is less than": "correct the sign, or map another column",
}


NO_LABELS = pd.DataFrame(columns=["customer_id", "as_of", "churned", "clv"], dtype=float)


@dataclass(frozen=True)
class LabelledRows:
    """Outcomes beside columns that have no date: ``customer_id, as_of, label`` and the columns of `schema`.

    All customers at all moments, the outcome missing where it is not known; ``churned`` and ``clv`` where both are,
    ``active`` where moments differ in who is asked about.
    `why_none`: why there is no moment at all; empty: there is. `orders`: whether there is a table of orders.
    """

    rows: pd.DataFrame
    schema: FeatureSchema
    why_none: str = ""
    orders: bool = True


def check_source(
    settings: Settings,
    on_progress: Callable[[str], None] = lambda text: None,
    workspace: Workspace | None = None,
    ask: Callable[[LabelledRows, Settings], list[dict[str, str]]] = lambda labelled, settings: [],
    expect: Callable[[LabelledRows, Settings], list[dict[str, str]]] = lambda labelled, settings: [],
    chunk_rows: int = CHUNK_ROWS,
) -> dict[str, Any]:
    """Read, check and judge the tables of a business as an ingest does, without writing anything.

    Parameters
    ----------
    settings
        Of the business.
    on_progress
        Called with what is being done.
    workspace
        Of the business: who was erased, and the load to compare with; None: nobody, and there is none.
    ask
        What a training would ask of labelled columns without a date: attributes of customers, or a ready table's.
    expect
        What a training would rest each model on, told from the outcomes.
    chunk_rows
        As of `features.ingest.ingest`.

    Returns
    -------
    dict
        ``tables``: rows read, used, made and left out; ``problems``: one entry a table, column and rule with the
        number of rows, an example and what to do; ``reading``: how the files were read; ``to_look_at``: what is usable
        and yet in doubt;
        ``refused_for``: the findings for which an ingest would refuse the load, each with the ``example`` of a value
        where one broke a rule; ``asked``: what `ask` gave; ``enough``: one entry a requirement, see
        `check_requirements`; ``expected``: what `expect` gave.

    Raises
    ------
    DataError
        A required table or column is missing, or a table is empty.
    """
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        judged = judge_source(settings, workspace, now, Path(folder), on_progress, chunk_rows)
        on_progress("Counting what can be learned from")
        checked, verdict = judged.checked, judged.verdict
        problems = [p for table in checked.values() for p in list_problems(table)]
        enough, labelled = _requirements(checked, settings, now)
        return {
            "tables": [_counts(name, table) for name, table in checked.items()],
            "problems": problems,
            "reading": judged.notes,
            "refused_for": [
                {**f.to_dict(), "example": _example(f, problems)} for f in _refused_for(verdict, workspace)
            ],
            "to_look_at": [f.to_dict() for f in verdict.findings if f.severity == "warn"],
            "asked": ask(labelled, settings),
            "enough": enough,
            "expected": expect(labelled, settings),
        }


def _counts(name: str, table: ValidatedTable) -> dict[str, Any]:
    """Rows of the source that were read and used, rows of the table made of them, and what was left out by which rule.

    A table that was derived, as customers of orders are, counts its own rows: there are no others.
    """
    made, is_derived = table.table_rows, table.grain not in ("", table.table.grain) and table.table.name == "customers"
    read, used = (made, made) if is_derived else (table.rows_read, table.rows_used)
    return {"name": name, "rows_read": read, "rows_used": used, "rows_made": made, "left_out": dict(table.left_out)}


def _refused_for(verdict: Verdict, workspace: Workspace | None) -> tuple[Finding, ...]:
    """The findings that stop, unless a person accepted this very load before."""
    pointer = None if workspace is None else workspace.loads.pointer()
    return () if pointer is not None and pointer.accepted == verdict.fingerprint else verdict.stops


def _value_of(table: ValidatedTable, reason: str, column: str) -> str:
    """What stands in a column of the first row with this reason against it; nothing if it is empty."""
    rejected = table.rejected(column)
    values = rejected.loc[rejected["reason"].str.contains(reason, regex=False), column]
    value = "" if values.empty else str(values.iloc[0]).strip()
    return "" if value in ("", "None", "nan", "NaT", "<NA>") else quote(value)


def _example(finding: Finding, problems: list[dict[str, Any]]) -> str:
    """A value that broke a rule in the column of a finding, or in its table if it is about the table; or nothing."""
    of_table = [p for p in problems if p["table"] == finding.table and finding.column in ("*", p["column"])]
    return str(of_table[0]["example"]) if of_table else ""


def list_problems(table: ValidatedTable) -> list[dict[str, Any]]:
    """One entry for each rule that rows of a table break, the most frequent first."""
    if table.quarantined.empty:
        return []
    reasons = split_reasons(table.quarantined["reason"])
    reasons = reasons[reasons.str.contains(": ", regex=False)]
    rules = reason_kinds(reasons)
    out = []
    for rule, rows in count_reasons(table, reasons).items():
        column, _, broken = str(rule).partition(": ")
        remedy = next(
            (advice for part, advice in REMEDIES.items() if part in broken), "see the quarantine for the rows"
        )
        reason = str(reasons[rules == rule].iloc[0])
        said = reason.partition(": ")[2]
        example = said if "'" in said else _value_of(table, reason, column) or said
        entry = {"table": table.table.name, "column": column, "rule": re.sub("^… ", "", broken), "rows": int(rows)}
        out.append(entry | {"example": example, "do": remedy.replace("<table>", table.table.name)})
    return out


def check_requirements(tables: Mapping[str, ir.Table], settings: Settings) -> list[dict[str, Any]]:
    """Hold what the tables offer against the minimum that a model is learned from.

    Parameters
    ----------
    tables
        Checked tables on one backend, by name.
    settings
        Of the business.

    Returns
    -------
    list of dict
        One entry a requirement: ``model``, ``what``, ``found``, ``needed``, ``met``.
    """
    return _held_against(_labels_if_any(tables, settings)[0], settings.minimum)


def _held_against(labels: pd.DataFrame, minimum: Minimum) -> list[dict[str, Any]]:
    churn, value = labels.dropna(subset=["churned"]), labels.dropna(subset=["clv"])
    rows = [
        ("churn", "labelled moments", churn["as_of"].nunique(), minimum.as_ofs),
        ("churn", "customers at the newest of them", _at_newest(churn), minimum.customers),
        ("churn", "labels of customers who left", int((churn["churned"] == 1).sum()), minimum.labels_of_each_kind),
        ("churn", "labels of customers who stayed", int((churn["churned"] == 0).sum()), minimum.labels_of_each_kind),
        ("clv", "labelled moments", value["as_of"].nunique(), minimum.as_ofs),
        ("clv", "customers at the newest of them", _at_newest(value), minimum.customers),
        ("clv", "labels of customers who bought", int((value["clv"] > 0).sum()), minimum.labels_of_each_kind),
    ]
    return [{"model": m, "what": w, "found": f, "needed": n, "met": f >= n} for m, w, f, n in rows]


def _requirements(
    checked: Mapping[str, ValidatedTable], settings: Settings, now: datetime
) -> tuple[list[dict[str, Any]], LabelledRows]:
    """What is there against what is needed, and the outcomes beside columns without a date."""
    if settings.churn.kind == "label":
        ready = read_ready_table(checked["profiles"].used, settings)
        values = {"clv": ready.labels["clv"].to_numpy()} if "clv" in settings.tasks else {}
        rows = ready.rows.assign(label=ready.labels["churned"].to_numpy(), **values)
        needed = [row for row in _profile_requirements(rows, settings.minimum) if row["model"] in settings.tasks]
        return needed, LabelledRows(rows, schema_of(ready.columns), orders=False)
    with tempfile.TemporaryDirectory() as folder:
        for name, table in checked.items():
            write_used_rows(table, ZoneInfo(settings.time_zone), Path(folder) / f"{name}.parquet")
        tables = read_tables(connect(), Path(folder))
        labels, why_none = _labels_if_any(tables, settings, now)
        typed = tables["customers"].schema()
    names = settings.columns.constant_attributes
    schema = schema_of(attribute_columns(names, [name for name in names if typed[name].is_numeric()]))
    rows = labels.assign(label=labels["churned"])
    if names and len(rows):
        rows = rows.merge(checked["customers"].used[["customer_id", *names]], on="customer_id")
    return _held_against(labels, settings.minimum), LabelledRows(rows, schema, why_none, "orders" in checked)


def _profile_requirements(profiles: pd.DataFrame, minimum: Minimum) -> list[dict[str, Any]]:
    """Of the ``label`` of each customer, and of ``clv`` where values are there; either may be unknown."""
    label, least = profiles["label"], minimum.labels_of_each_kind
    rows = [
        ("churn", "customers", len(label), minimum.customers),
        ("churn", "labels of customers who left", int((label == 1).sum()), least),
        ("churn", "labels of customers who stayed", int((label == 0).sum()), least),
    ]
    if "clv" in profiles:
        known, brought = int(profiles["clv"].notna().sum()), int((profiles["clv"] > 0).sum())
        rows += [("clv", "customers whose value is known", known, minimum.customers)]
        rows += [("clv", "labels of customers who brought something", brought, least)]
    return [{"model": m, "what": w, "found": f, "needed": n, "met": f >= n} for m, w, f, n in rows]


def _at_newest(rows: pd.DataFrame) -> int:
    return int((rows["as_of"] == rows["as_of"].max()).sum())


def _labels_if_any(
    tables: Mapping[str, ir.Table], settings: Settings, now: datetime | None = None
) -> tuple[pd.DataFrame, str]:
    """The labels of all customers at all moments; or none, and why."""
    try:
        return _labels(tables, settings, now), ""
    except NotEnoughDataError as error:
        return NO_LABELS, str(error)


def _labels(tables: Mapping[str, ir.Table], settings: Settings, now: datetime | None = None) -> pd.DataFrame:
    known = what_is_known(tables, settings, now)
    as_ofs = as_of_dates(first_event(tables, settings), known.until, settings.as_of)
    backend = tables["customers"].get_backend()

    def expressions(tables: dict[str, ir.Table], as_of: datetime) -> list[ir.Table]:
        return [labels_as_of_date(tables, as_of, known, settings)]

    statements, labels = as_of_statements(backend, tables, expressions), []
    for as_of in as_ofs:
        [query] = statements.at(as_of)
        labels.append(backend.con.execute(query).df().assign(as_of=as_of))
    return pd.concat(labels, ignore_index=True)
