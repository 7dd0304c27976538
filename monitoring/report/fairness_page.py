"""The page of fairness, for a compliance reviewer: verdicts in words, figures that print, every number in a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from configs.errors import DataError
from monitoring.report.figure import interval_figure
from monitoring.report.measures import MEASURES, measure
from monitoring.report.page import records, render, write
from training.judge.fairness import LOWER, NO_DIFFERENCE, TOO_SMALL, UNCOMPARED

TONES = {LOWER: "bad", NO_DIFFERENCE: "", UNCOMPARED: "quiet", TOO_SMALL: "quiet"}


def fairness_report(
    table: pd.DataFrame,
    summary: Mapping[str, Any],
    out_dir: str | Path,
    title: str,
    about: Mapping[str, str] | None = None,
    name: str = "fairness",
) -> dict[str, Path]:
    """Write ``fairness.html`` and ``fairness.json``, for a compliance reviewer.

    Parameters
    ----------
    table
        One row a sensitive column and group, as from `training.judge.fairness.fairness_table`: ``attribute`` (or
        ``column``), ``group``, ``n``, ``judged``, ``verdict``, and for every metric its value and its 95 % interval:
        ``recall``, ``recall_low``, ``recall_high``. Any metric is shown; those in `measures.MEASURES` are explained.
        One that is known of no group is left out. May also have ``customers``, ``share`` and ``compared_to``.
    summary
        Plain values, by sensitive column; goes into the JSON as it is. The page is made from the table alone.
    out_dir
        Folder to write into; made if it is not there.
    title
        Headline of the page.
    about
        Lines to show below it, by name: what was measured, on which rows and months, of which model.
    name
        Stem of both files.

    Returns
    -------
    dict
        ``html`` and ``json``: the paths. The JSON holds ``title``, ``about``, ``summary``, ``measures`` (name and
        meaning of each metric) and ``groups`` (the rows of `table`); NaN is null.

    Raises
    ------
    DataError
        The table lacks a column.
    """
    groups = table.rename(columns={"attribute": "column"})
    _check(groups)
    metrics = _metrics(groups)
    groups = groups.astype({m + end: float for m in metrics for end in ("", "_low", "_high") if m + end in groups})
    by_column = {str(column): rows for column, rows in groups.groupby("column", sort=False)}
    content = {
        "title": title,
        "about": dict(about or {}),
        "summary": dict(summary),
        "measures": {m: {"name": measure(m).name, "meaning": measure(m).meaning} for m in metrics},
        "groups": records(groups),
    }
    page = {
        "measures": [measure(m) for m in metrics],
        **_headline(by_column),
        "sections": [_section(column, rows, metrics) for column, rows in by_column.items()],
    }
    return write(Path(out_dir), name, render("fairness.html", content | page), content)


def _check(groups: pd.DataFrame) -> None:
    needed = ["column", "group"] + (["n", "judged", "verdict"] if len(groups) else [])
    missing = [name for name in needed if name not in groups]
    if missing:
        raise DataError(f"fairness report: the table lacks {missing}; it has {list(groups.columns)}")
    unknown = sorted(set(groups.get("verdict", [])) - set(TONES), key=str)
    if unknown:
        raise DataError(f"fairness report: unknown verdicts {unknown}; known are {list(TONES)}")


def _metrics(groups: pd.DataFrame) -> list[str]:
    """Columns with an interval, and those that `MEASURES` knows; the known first, in its order."""
    bounded = [str(c) for c in groups if f"{c}_low" in groups and f"{c}_high" in groups]
    names = dict.fromkeys([*(metric for metric in MEASURES if metric in groups), *bounded])
    return [metric for metric in names if groups[metric].notna().any()]


def _column_verdict(groups: pd.DataFrame) -> str:
    """Of one sensitive column: the worst of its groups that could be judged."""
    verdicts = set(groups["verdict"])
    return next((verdict for verdict in (LOWER, NO_DIFFERENCE, UNCOMPARED) if verdict in verdicts), TOO_SMALL)


def _headline(by_column: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """The page's first sentence, what follows it, and its colour."""
    verdicts = {column: _column_verdict(groups) for column, groups in by_column.items()}
    lower = [column for column, verdict in verdicts.items() if verdict == LOWER]
    alike = [column for column, verdict in verdicts.items() if verdict == NO_DIFFERENCE]
    small = [column for column, verdict in verdicts.items() if verdict in (TOO_SMALL, UNCOMPARED)]
    lines = []
    if lower:
        names = {c: ", ".join(f"'{g}'" for g in _groups_with(by_column[c], LOWER)["group"]) for c in lower}
        lines.append(f"Some groups are lower than others: {'; '.join(f'{c} ({names[c]})' for c in lower)}.")
    if alike:
        lines.append(f"No difference shown: {', '.join(alike)}.")
    if small:
        lines.append(f"All groups are too small to judge: {', '.join(small)}.")
    if not lines:
        lines.append("Nothing to audit: no sensitive column is declared.")
    return {"answer": lines[0], "details": lines[1:], "tone": "bad" if lower else "" if alike else "wait"}


def _groups_with(groups: pd.DataFrame, verdict: str) -> pd.DataFrame:
    return groups[groups["verdict"] == verdict]


def _section(column: str, groups: pd.DataFrame, metrics: Sequence[str]) -> dict[str, Any]:
    """What the page shows of one sensitive column."""
    known = [metric for metric in metrics if groups[metric].notna().any()]
    bounded = [metric for metric in known if f"{metric}_low" in groups]
    rows, verdict = records(groups), _column_verdict(groups)
    return {
        "column": column,
        "verdict": verdict,
        "tone": TONES[verdict],
        "sentences": _sentences(groups),
        "size": "Customers" if "customers" in groups else "Rows",
        "measures": [measure(metric).name for metric in known],
        "figures": [{"name": measure(metric).name, "svg": interval_figure(groups, metric)} for metric in bounded],
        "hollow": not all(row["judged"] for row in rows),
        "dashed": any(measure(metric).reference is not None for metric in bounded),
        "rows": [
            {
                "group": row["group"],
                "verdict": row["verdict"],
                "tone": TONES[row["verdict"]],
                **_size(row),
                "cells": [_cell(row, metric) for metric in known],
            }
            for row in rows
        ],
    }


def _size(row: Mapping[str, Any]) -> dict[str, str]:
    """How many customers a group has, and below it rows and share; rows if the customers are not known."""
    share = f"{row['share']:.0%} of all" if "share" in row else ""
    if "customers" not in row:
        return {"size": f"{row['n']:,}", "size_more": share}
    return {"size": f"{row['customers']:,}", "size_more": ", ".join(filter(None, [f"{row['n']:,} rows", share]))}


def _sentences(groups: pd.DataFrame) -> list[str]:
    """Which groups are lower, or which of the judged ones is lowest; which could not be judged."""
    is_judged = groups["judged"].astype(bool)
    judged, small = groups[is_judged], groups.loc[~is_judged, "group"]
    lines = []
    if "ratio" in groups and judged["ratio"].notna().any():
        lower = _groups_with(judged, LOWER)
        named = records(lower if len(lower) else judged.nsmallest(1, "ratio"))
        lines = [_sentence(row) for row in named if row.get("compared_to") != row["group"]]
    return lines + ([f"Too small to judge: {', '.join(map(str, small))}."] if len(small) else [])


def _sentence(row: Mapping[str, Any]) -> str:
    ratio, other = _cell(row, "ratio"), row.get("compared_to")
    against = f" '{other}'" if isinstance(other, str) else " the others"
    what = "is selected {} times as often as" if "selection_rate" in row else "has a ratio of {} to"
    text = f"'{row['group']}' {what.format(ratio['value'])}{against} (95 % interval {ratio['interval']})."
    return f"{'Lower than others' if row['verdict'] == LOWER else 'Lowest of the judged groups'}: {text}"


def _cell(row: Mapping[str, Any], metric: str) -> dict[str, str]:
    """A value and its interval as written; a dash for one that is not known."""
    text = measure(metric).text
    value, low, high = (row.get(metric + end, math.nan) for end in ("", "_low", "_high"))
    bounded = pd.notna(value) and pd.notna(low) and pd.notna(high)
    return {
        "value": "–" if pd.isna(value) else text(value),
        "interval": f"{text(low)} {'to' if low < 0 else '–'} {text(high)}" if bounded else "",
    }
