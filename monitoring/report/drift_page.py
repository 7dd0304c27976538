"""The page of drift: verdicts in words, with the values of both samples; beside it the same as Evidently draws it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from monitoring.report.distribution import distribution_figure
from monitoring.report.evidently_drift import evidently_drift, evidently_version
from monitoring.report.page import records, render, write
from monitoring.watch.drift import DRIFTED, NUMBER, TOO_FEW, VERDICTS

EVIDENTLY = "drift-evidently.html"
RULE = ("effect_at_least", "p_at_most", "rows_at_least")


def drift_report(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    table: pd.DataFrame,
    out_dir: str | Path,
    title: str,
    about: Mapping[str, str] | None = None,
) -> dict[str, Path]:
    """Write ``drift.html``, ``drift.json`` and, where Evidently can draw a column, ``drift-evidently.html``.

    Parameters
    ----------
    reference, current
        The rows that were compared. Evidently draws at most `evidently_drift.MAX_ROWS` of each.
    table
        From `monitoring.watch.drift.drift_table`.
    out_dir
        Folder to write into; made if it is not there.
    title
        Headline of the page.
    about
        Lines to show below it, by name: what the samples are, which months they cover.

    Returns
    -------
    dict
        ``html``, ``json`` and ``evidently``: the paths. The JSON holds ``title``, ``about``, ``rule``, ``rows``,
        ``drifted`` and ``too_few`` (names), ``columns`` (the rows of `table`) and ``evidently`` (its own results);
        NaN is null.
    """

    def figure(column: str, kind: str) -> Markup | None:
        return distribution_figure(reference[column], current[column], kind == NUMBER)

    rank = table["verdict"].map(VERDICTS.index)
    ordered = table.assign(rank=rank, size=-table["effect"]).sort_values(["rank", "size"], kind="stable")
    rows = records(ordered.drop(columns=["rank", "size", *RULE]))
    evidently_page, evidently_results = evidently_drift(reference, current, table)
    content: dict[str, Any] = {
        "title": title,
        "about": dict(about or {}),
        "rule": table.iloc[0][list(RULE)].to_dict() if len(table) else {},
        "rows": {"reference": len(reference), "current": len(current)},
        "drifted": [row["column"] for row in rows if row["verdict"] == DRIFTED],
        "too_few": [row["column"] for row in rows if row["verdict"] == TOO_FEW],
    }
    largest = max([1.0, *(row["effect"] for row in rows if math.isfinite(row["effect"]))])
    page = {
        "columns": [row | _page_row(row, largest) | {"figure": figure(row["column"], row["kind"])} for row in rows],
        "threshold": _bar_width(content["rule"].get("effect_at_least", 0.0), largest),
        "evidently_file": EVIDENTLY if evidently_page else None,
        "evidently_version": evidently_version(),
    }
    html = render("drift.html", content | page)
    paths = write(Path(out_dir), "drift", html, content | {"columns": rows, "evidently": evidently_results})
    own = Path(out_dir) / EVIDENTLY
    if evidently_page is None:
        own.unlink(missing_ok=True)
        return paths
    own.write_text(render("evidently.html", {"title": title, "evidently": evidently_page}), "utf-8")
    return paths | {"evidently": own}


def _page_row(row: Mapping[str, Any], largest: float) -> dict[str, Any]:
    """What the page shows of a row of the drift table beside its columns."""
    p, missing = row["p_corrected"], (row["missing_reference"], row["missing_current"])
    has_effect = math.isfinite(row["effect"])
    return {
        "tone": {DRIFTED: "bad", TOO_FEW: "quiet"}.get(row["verdict"], ""),
        "bar": _bar_width(row["effect"], largest) if has_effect else None,
        "effect_text": f"{row['effect']:.2f}" if has_effect else "not known",
        "p_text": "–" if math.isnan(p) else "< 0.0001" if p < 0.0001 else f"{p:.4f}",
        "missing_text": " → ".join("–" if math.isnan(share) else f"{share:.0%}" for share in missing),
    }


def _bar_width(effect: float, largest: float) -> float:
    """Length of a bar in percent, on a scale of roots: small effects are the ones to tell apart."""
    return round(100 * math.sqrt(effect / largest), 1)
