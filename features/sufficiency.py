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
from features.ingest import checked_tables, write_used_rows
from features.labels.by_kind import end_of_known, first_event, labels_at
from features.quality.check import ValidatedTable
from features.quality.chunks import CHUNK_ROWS
from features.quality.quality_report import count_reasons
from features.sources.loaders import loader, opened

REMEDIES = {
    "is not a number": "correct the export, or tell how numbers are written",
    "is not a time": "tell the format under source.options.<table>.times",
    "is empty": "fill it at its source, or leave such rows out of the export",
    "occurs more than once": "export each row once; only the first is used",
    "lies in the future": "check the clock and the time zone of the export",
    "is no known customer": "export all customers, or map the right column to customer_id",
    "is less than": "correct the sign, or map another column",
}


def trial(settings: Settings, say: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Read and check the tables of a business without writing anything.

    Returns
    -------
    dict
        ``tables``: rows read and used; ``problems``: one entry a table, column and rule with the number of rows, an
        example and what to do; ``enough``: one entry a requirement, see `enough`.

    Raises
    ------
    DataError
        A required table or column is missing, or a table is empty.
    """
    with tempfile.TemporaryDirectory() as folder:
        say("reading")
        with opened(loader(settings.source.loader), settings.source.options, CHUNK_ROWS) as raw:
            say("checking every row")
            checked = checked_tables(raw, settings, datetime.now(UTC), Path(folder))
        say("counting what can be learned from")
        return {
            "tables": [{"name": n, "rows_read": c.rows_read, "rows_used": c.rows_used} for n, c in checked.items()],
            "problems": [p for one in checked.values() for p in problems(one)],
            "enough": _enough(checked, settings),
        }


def problems(one: ValidatedTable) -> list[dict[str, Any]]:
    """One entry for each rule that rows of a table break, the most frequent first."""
    if one.quarantined.empty:
        return []
    said = one.quarantined["reason"].str.split("; ").explode()
    said = said[said.str.contains(": ", regex=False)]
    rules = said.str.replace(r"'.*?'", "…", regex=True)
    out = []
    for rule, rows in count_reasons(one, said).items():
        column, _, broken = str(rule).partition(": ")
        remedy = next((do for part, do in REMEDIES.items() if part in broken), "see the quarantine for the rows")
        example = str(said[rules == rule].iloc[0]).partition(": ")[2]
        entry = {"table": one.table.name, "column": column, "rule": re.sub("^… ", "", broken), "rows": int(rows)}
        out.append(entry | {"example": example, "do": remedy.replace("<table>", one.table.name)})
    return out


def enough(tables: Mapping[str, ir.Table], settings: Settings) -> list[dict[str, Any]]:
    """Hold what the tables offer against the least that a model is learned from.

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
    labels, least = _labels(tables, settings), settings.minimum
    churn, value = labels.dropna(subset=["churned"]), labels.dropna(subset=["clv"])
    rows = [
        ("churn", "labelled moments", churn["as_of"].nunique(), least.as_ofs),
        ("churn", "customers at the newest of them", _at_newest(churn), least.customers),
        ("churn", "labels of customers who left", int((churn["churned"] == 1).sum()), least.labels_of_each_kind),
        ("churn", "labels of customers who stayed", int((churn["churned"] == 0).sum()), least.labels_of_each_kind),
        ("clv", "labelled moments", value["as_of"].nunique(), least.as_ofs),
        ("clv", "customers at the newest of them", _at_newest(value), least.customers),
        ("clv", "labels of customers who bought", int((value["clv"] > 0).sum()), least.labels_of_each_kind),
    ]
    return [{"model": m, "what": w, "found": f, "needed": n, "met": f >= n} for m, w, f, n in rows]


def _enough(checked: Mapping[str, ValidatedTable], settings: Settings) -> list[dict[str, Any]]:
    if settings.churn.kind == "label":
        return _enough_profiles(checked["profiles"], settings)
    with tempfile.TemporaryDirectory() as folder:
        for name, one in checked.items():
            write_used_rows(one, ZoneInfo(settings.time_zone), Path(folder) / f"{name}.parquet")
        return enough(read_tables(connect(), Path(folder)), settings)


def _enough_profiles(profiles: ValidatedTable, settings: Settings) -> list[dict[str, Any]]:
    least, label = settings.minimum, profiles.used["label"]
    rows = [
        ("customers", len(label), least.customers),
        ("labels of customers who left", int((label == 1).sum()), least.labels_of_each_kind),
        ("labels of customers who stayed", int((label == 0).sum()), least.labels_of_each_kind),
    ]
    return [{"model": "churn", "what": w, "found": f, "needed": n, "met": f >= n} for w, f, n in rows]


def _at_newest(rows: pd.DataFrame) -> int:
    return int((rows["as_of"] == rows["as_of"].max()).sum())


def _labels(tables: Mapping[str, ir.Table], settings: Settings) -> pd.DataFrame:
    until = end_of_known(tables, settings)
    try:
        when = as_of_dates(first_event(tables, settings), until, settings.as_of)
    except NotEnoughDataError:
        return pd.DataFrame(columns=["as_of", "churned", "clv"], dtype=float)
    told = [
        labels_at(tables, customers_as_of(tables["customers"], m), m, until, settings).to_pandas().assign(as_of=m)
        for m in when
    ]
    return pd.concat(told, ignore_index=True)
