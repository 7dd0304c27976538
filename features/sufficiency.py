"""What is wrong with the tables, and is there enough to learn from? Told before anyone waits; nothing is written."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import ibis.expr.types as ir
import pandas as pd

from configs.errors import NotEnoughDataError
from configs.settings import Settings
from features.build import as_of_dates, customers_as_of
from features.engine import connect, read_tables
from features.ingest import checked_tables, prepared_tables, write_used_rows
from features.labels.by_kind import first_event, labels_at, what_is_known
from features.quality import quality_gate
from features.quality.anomalies import Finding, Profile
from features.quality.check import ValidatedTable
from features.quality.chunks import CHUNK_ROWS
from features.quality.quality_report import count_reasons
from features.sources.loaders import loader, opened
from features.tables import quote, reason_kinds, split_reasons

LOOKED_AT = ("meaning_not_read", "ids_differ_in_form", "id_of_no_one", "gap", "late_sign_ups")
REMEDIES = {
    "is not a number": "correct the export, or tell how numbers are written",
    "is not a time": "tell the format under source.options.<table>.times",
    "is empty": "fill it at its source, or leave such rows out of the export",
    "occurs more than once": "export each row once; only the first is used",
    "lies in the future": "check the clock and the time zone of the export",
    "from all other rows": "correct the date, or change quality.outlying_gap_days",
    "is no known customer": "export all customers, or map the right column to customer_id",
    "times the 99th percentile": "correct it at its source, or keep it with quality.outlying_amounts: null",
    "is larger than": "correct the number at its source",
    "is less than": "correct the sign, or map another column",
}


def check_source(
    settings: Settings, on_progress: Callable[[str], None] = lambda text: None, reference: Profile | None = None
) -> dict[str, Any]:
    """Read, check and judge the tables of a business without writing anything.

    Parameters
    ----------
    settings
        Of the business.
    on_progress
        Called with what is being done.
    reference
        Profile of the load that is current, to compare with; None: there is none.

    Returns
    -------
    dict
        ``tables``: rows read and used; ``problems``: one entry a table, column and rule with the number of rows, an
        example and what to do; ``to_look_at``: what is usable and yet in doubt, the findings of the rules `LOOKED_AT`;
        ``refused_for``: the findings for which an ingest would refuse the load, each with the ``example`` of a value
        where one broke a rule; ``enough``: one entry a requirement, see `check_requirements`.

    Raises
    ------
    DataError
        A required table or column is missing, or a table is empty.
    """
    with tempfile.TemporaryDirectory() as folder:
        on_progress("reading")
        source = loader(settings.source.loader)
        with opened(source, settings.source.options, CHUNK_ROWS, settings.time_zone) as raw:
            on_progress("checking every row")
            now = datetime.now(UTC)
            checked = checked_tables(prepared_tables(raw, settings, now), settings, now, Path(folder))
        on_progress("counting what can be learned from")
        problems = [p for table in checked.values() for p in list_problems(table)]
        verdict, _ = quality_gate.judge(checked, settings, reference, now)
        return {
            "tables": [{"name": n, "rows_read": c.rows_read, "rows_used": c.rows_used} for n, c in checked.items()],
            "problems": problems,
            "refused_for": [{**f.to_dict(), "example": _example(f, problems)} for f in verdict.stops],
            "to_look_at": [f.to_dict() for f in verdict.findings if f.rule in LOOKED_AT],
            "enough": _requirements(checked, settings),
        }


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
    labels, minimum = _labels(tables, settings), settings.minimum
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


def _requirements(checked: Mapping[str, ValidatedTable], settings: Settings) -> list[dict[str, Any]]:
    if settings.churn.kind == "label":
        return _profile_requirements(checked["profiles"], settings)
    with tempfile.TemporaryDirectory() as folder:
        for name, table in checked.items():
            write_used_rows(table, ZoneInfo(settings.time_zone), Path(folder) / f"{name}.parquet")
        return check_requirements(read_tables(connect(), Path(folder)), settings)


def _profile_requirements(profiles: ValidatedTable, settings: Settings) -> list[dict[str, Any]]:
    minimum, label = settings.minimum, profiles.used["label"]
    rows = [
        ("customers", len(label), minimum.customers),
        ("labels of customers who left", int((label == 1).sum()), minimum.labels_of_each_kind),
        ("labels of customers who stayed", int((label == 0).sum()), minimum.labels_of_each_kind),
    ]
    return [{"model": "churn", "what": w, "found": f, "needed": n, "met": f >= n} for w, f, n in rows]


def _at_newest(rows: pd.DataFrame) -> int:
    return int((rows["as_of"] == rows["as_of"].max()).sum())


def _labels(tables: Mapping[str, ir.Table], settings: Settings) -> pd.DataFrame:
    try:
        known = what_is_known(tables, settings)
        as_ofs = as_of_dates(first_event(tables, settings), known.until, settings.as_of)
    except NotEnoughDataError:
        return pd.DataFrame(columns=["as_of", "churned", "clv"], dtype=float)
    labels = [
        labels_at(tables, customers_as_of(tables["customers"], t), t, known, settings).to_pandas().assign(as_of=t)
        for t in as_ofs
    ]
    return pd.concat(labels, ignore_index=True)
