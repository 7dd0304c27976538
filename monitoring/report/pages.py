"""Pages for people and JSON for machines: drift, and fairness of decisions. The only importer of Evidently.

Each page is one file that loads nothing from anywhere and prints well. Staycast's own verdicts stand on top, in
words; Evidently draws the distributions and interactive tables below. Evidently's drift verdicts are replaced by
Staycast's, so that one page never says two things. Its page writes names and values of the data unescaped into a
script, so they reach it without ``<``, ``>`` and ``&``, and its frame is cut off from the page around it.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from configs.errors import DataError
from monitoring.watch.drift import DRIFTED, NUMBER, TOO_FEW, VERDICTS
from training.judge.fairness import FOUR_FIFTHS, LOWER, NO_DIFFERENCE, TOO_SMALL, UNCOMPARED

RULE = ("effect_at_least", "p_at_most", "rows_at_least")
MOST_ROWS_DRAWN = 20_000
MOST_LEVELS_DRAWN = 20
MOST_PANELS = 3
STATTEST = "staycast"
RED, BLUE, GREY = "#a8231b", "#23539f", "#8c97a5"
TONES = {LOWER: "bad", NO_DIFFERENCE: "", UNCOMPARED: "quiet", TOO_SMALL: "quiet"}

_decided: ContextVar[Mapping[str, tuple[float, bool]]] = ContextVar("decided")


@dataclass(frozen=True)
class Measure:
    """How a fairness metric is called, explained and written.

    Parameters
    ----------
    name, meaning
        In words.
    text
        Writes a value.
    marks
        Values at which the plot shows a dashed line.
    """

    name: str
    meaning: str
    text: Callable[[float], str]
    marks: tuple[float, ...] = ()


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _signed(value: float) -> str:
    return f"{value:+.1%}"


def _ratio(value: float) -> str:
    return f"{value:.2f}"


def _number(value: float) -> str:
    return f"{value:,.4g}"


MEASURES = {
    "selection_rate": Measure("Selected", "Share of the group whom the campaign takes.", _percent),
    "recall": Measure("Leavers reached", "Share of the group's leavers who had been selected.", _percent),
    "ratio": Measure(
        "Ratio",
        "The group's figure over that of the group it is compared to. A group is lower than others if the whole "
        "interval lies below four fifths (0.80).",
        _ratio,
        (FOUR_FIFTHS,),
    ),
    "coverage": Measure(
        "Within interval", "Share of customers whose true value lay in the forecast interval.", _percent
    ),
    "relative_error": Measure(
        "Forecast error", "Sum of the forecasts over the sum of the true values, less 1.", _signed
    ),
    "churn_rate": Measure("Left", "Share of the group that left.", _percent),
    "mean_predicted": Measure("Predicted to leave", "Mean of the predicted probabilities.", _percent),
    "calibration_gap": Measure(
        "Predicted − left",
        "How much higher the predictions are than the share that left, in percentage points.",
        _signed,
    ),
    "mean_actual": Measure("Mean value", "True value of a customer, on average.", _number),
    "mean_expected": Measure("Mean forecast", "Forecast value of a customer, on average.", _number),
}


def drift_report(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    table: pd.DataFrame,
    out_dir: str | Path,
    title: str,
    about: Mapping[str, str] | None = None,
) -> dict[str, Path]:
    """Write ``drift.html`` and ``drift.json``.

    Parameters
    ----------
    reference, current
        The rows that were compared. Evidently draws at most `MOST_ROWS_DRAWN` of each.
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
        ``html`` and ``json``: the paths. The JSON holds ``title``, ``about``, ``rule``, ``rows``, ``drifted`` and
        ``too_few`` (names), ``columns`` (the rows of `table`) and ``evidently`` (its own results); NaN is null.
    """
    rank = table["verdict"].map(VERDICTS.index)
    ordered = table.assign(rank=rank, size=-table["effect"]).sort_values(["rank", "size"], kind="stable")
    rows = _rows(ordered.drop(columns=["rank", "size", *RULE]))
    page, found = _evidently_drift(reference, current, table)
    content: dict[str, Any] = {
        "title": title,
        "about": dict(about or {}),
        "rule": table.iloc[0][list(RULE)].to_dict() if len(table) else {},
        "rows": {"reference": len(reference), "current": len(current)},
        "drifted": [row["column"] for row in rows if row["verdict"] == DRIFTED],
        "too_few": [row["column"] for row in rows if row["verdict"] == TOO_FEW],
    }
    longest = max([1.0, *(row["effect"] for row in rows if math.isfinite(row["effect"]))])
    html = _render(
        "drift.html",
        content | {"columns": [row | _drift_words(row, longest) for row in rows]},
        limit=_bar(content["rule"].get("effect_at_least", 0.0), longest),
        evidently=page,
        evidently_title="Distributions",
        evidently_text="Click a row to see its distribution in both samples. Columns without any value on one side "
        "cannot be drawn. The score is the effect, the verdict is the one above.",
    )
    return _write(Path(out_dir), "drift", html, content | {"columns": rows, "evidently": found})


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
        ``recall``, ``recall_low``, ``recall_high``. Any metric is shown; those in `MEASURES` are explained. One
        that is known of no group is left out. May also have ``customers``, ``share`` and ``compared_to``.
    summary
        Plain values, by sensitive column; goes into the JSON as it is. The page is told by the table alone.
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
    _require(groups)
    metrics = _metrics(groups)
    groups = groups.astype({m + end: float for m in metrics for end in ("", "_low", "_high") if m + end in groups})
    verdicts = {column: _verdict(part) for column, part in _by_column(groups)}
    content = {
        "title": title,
        "about": dict(about or {}),
        "summary": dict(summary),
        "measures": {
            metric: {"name": _measure(metric).name, "meaning": _measure(metric).meaning} for metric in metrics
        },
        "groups": _rows(groups),
    }
    html = _render(
        "fairness.html",
        content | {"measures": [_measure(metric) for metric in metrics]},
        **_answer(verdicts, _lower(groups)),
        parts=[_part(part, metrics, verdicts[column]) for column, part in _by_column(groups)],
        evidently=_evidently_fairness(groups, metrics) if len(groups) else None,
        evidently_title="The same figures, interactive",
        evidently_text="Point at a dot to read it.",
    )
    return _write(Path(out_dir), name, html, content)


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """One dict a row, by column name."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _by_column(groups: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each sensitive column, in the order of the table."""
    return [(str(column), part) for column, part in groups.groupby("column", sort=False)]


def _drift_words(row: dict[str, Any], longest: float) -> dict[str, Any]:
    """What the page shows of a row of the drift table."""
    drifted, told = row["verdict"] == DRIFTED, math.isfinite(row["effect"])
    corrected, shares = row["p_corrected"], (row["missing_reference"], row["missing_current"])
    return {
        "tone": "bad" if drifted else "quiet" if row["verdict"] == TOO_FEW else "",
        "bar": _bar(row["effect"], longest) if told else None,
        "colour": RED if drifted else GREY if row["verdict"] == TOO_FEW else BLUE,
        "effect_text": _ratio(row["effect"]) if told else "not known",
        "p_text": "–" if math.isnan(corrected) else "< 0.0001" if corrected < 0.0001 else f"{corrected:.4f}",
        "missing_text": " → ".join("–" if math.isnan(share) else f"{share:.0%}" for share in shares),
    }


def _bar(effect: float, longest: float) -> float:
    """Length in a bar of 120, on a scale of roots: small effects are the ones to tell apart."""
    return round(120 * math.sqrt(effect / longest), 1)


def _require(groups: pd.DataFrame) -> None:
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
    known = [metric for metric in MEASURES if metric in groups]
    return [metric for metric in [*known, *(b for b in bounded if b not in known)] if groups[metric].notna().any()]


def _measure(metric: str) -> Measure:
    words = metric.replace("_", " ").capitalize()
    return MEASURES.get(metric, Measure(words, f"The metric '{metric}'.", _number))


def _verdict(part: pd.DataFrame) -> str:
    """Of one sensitive column: the worst of its groups that could be judged."""
    found = set(part["verdict"])
    return next((verdict for verdict in (LOWER, NO_DIFFERENCE, UNCOMPARED) if verdict in found), TOO_SMALL)


def _lower(groups: pd.DataFrame) -> dict[str, list[str]]:
    """Groups that are lower than others, by sensitive column."""
    found = groups[groups["verdict"] == LOWER] if len(groups) else groups
    return {column: [f"'{group}'" for group in part["group"]] for column, part in _by_column(found)}


def _answer(verdicts: Mapping[str, str], lower: Mapping[str, list[str]]) -> dict[str, Any]:
    """The page's first sentence, what follows it, and its colour."""
    worse = [column for column, verdict in verdicts.items() if verdict == LOWER]
    small = [column for column, verdict in verdicts.items() if verdict in (TOO_SMALL, UNCOMPARED)]
    shown = [column for column in verdicts if column not in worse + small]
    lines = []
    if worse:
        who = [f"{column} ({', '.join(lower[column])})" for column in worse]
        lines.append(f"Some groups are lower than others: {'; '.join(who)}.")
    if shown:
        lines.append(f"No difference shown: {', '.join(shown)}.")
    if small:
        lines.append(f"All groups are too small to judge: {', '.join(small)}.")
    if not lines:
        lines.append("Nothing to audit: no sensitive column is declared.")
    return {"answer": lines[0], "details": lines[1:], "tone": "bad" if worse else "" if shown else "wait"}


def _part(part: pd.DataFrame, metrics: Sequence[str], verdict: str) -> dict[str, Any]:
    """What the page shows of one sensitive column."""
    shown = [metric for metric in metrics if part[metric].notna().any()]
    rows = _rows(part)
    return {
        "column": part["column"].iloc[0],
        "verdict": verdict,
        "tone": TONES[verdict],
        "lines": _sentences(part),
        "size": "Customers" if "customers" in part else "Rows",
        "measures": [_measure(metric).name for metric in shown],
        "figure": _figure(rows, [metric for metric in shown if f"{metric}_low" in part][:MOST_PANELS]),
        "rows": [
            {
                "group": row["group"],
                "verdict": row["verdict"],
                "tone": TONES[row["verdict"]],
                **_size(row),
                "cells": [_cell(row, metric) for metric in shown],
            }
            for row in rows
        ],
    }


def _size(row: dict[str, Any]) -> dict[str, str]:
    """How many customers a group has, and below it rows and share; rows if the customers are not told."""
    share = f"{row['share']:.0%} of all" if "share" in row else ""
    if "customers" not in row:
        return {"size": f"{row['n']:,}", "size_more": share}
    return {"size": f"{row['customers']:,}", "size_more": ", ".join(filter(None, [f"{row['n']:,} rows", share]))}


def _sentences(part: pd.DataFrame) -> list[str]:
    """Which groups are lower, or which of the judged ones is lowest; which could not be judged."""
    judged, small = part[part["judged"].astype(bool)], part.loc[~part["judged"].astype(bool), "group"]
    lines = []
    if "ratio" in part and judged["ratio"].notna().any():
        lower = judged[judged["verdict"] == LOWER]
        told = _rows(lower if len(lower) else judged.nsmallest(1, "ratio"))
        lines = [_sentence(row, row["verdict"] == LOWER) for row in told if row.get("compared_to") != row["group"]]
    return lines + ([f"Too small to judge: {', '.join(map(str, small))}."] if len(small) else [])


def _sentence(row: dict[str, Any], lower: bool) -> str:
    cell, other = _cell(row, "ratio"), row.get("compared_to")
    against = f" '{other}'" if isinstance(other, str) else " the others"
    what = "is selected {} times as often as" if "selection_rate" in row else "has a ratio of {} to"
    text = f"'{row['group']}' {what.format(cell['value'])}{against} (95 % interval {cell['interval']})."
    return f"Lower than others: {text}" if lower else f"Lowest of the judged groups: {text}"


def _cell(row: dict[str, Any], metric: str) -> dict[str, str]:
    """A value and its interval as written; a dash for one that is not known."""
    text = _measure(metric).text
    value, low, high = (row.get(metric + end, math.nan) for end in ("", "_low", "_high"))
    bounded = pd.notna(value) and pd.notna(low) and pd.notna(high)
    return {
        "value": "–" if pd.isna(value) else text(value),
        "interval": f"{text(low)} {'to' if low < 0 else '–'} {text(high)}" if bounded else "",
    }


def _figure(rows: list[dict[str, Any]], metrics: Sequence[str]) -> dict[str, Any] | None:
    """Coordinates of dots and intervals: one panel a metric, one line a group; None without a metric."""
    if not metrics:
        return None
    labels = [_short(row["group"]) for row in rows]
    start, end, gap, height = 24 + 7 * max(map(len, labels)), 1056.0, 44.0, 26
    width = (end - start + gap) / max(len(metrics), 2) - gap
    floor = 30 + height * len(rows)
    return {
        "width": 1080,
        "height": floor + 24,
        "floor": floor,
        "label_x": start - 14,
        "labels": [{"text": label, "y": 39 + height * i} for i, label in enumerate(labels)],
        "panels": [_panel(rows, m, start + i * (width + gap), width, height) for i, m in enumerate(metrics)],
        "hollow": not all(row["judged"] for row in rows),
        "dashed": any(_measure(metric).marks for metric in metrics),
        "text": ", ".join(_measure(metric).name for metric in metrics) + " by group",
    }


def _panel(rows: list[dict[str, Any]], metric: str, left: float, width: float, height: int) -> dict[str, Any]:
    measure, ends = _measure(metric), ("", "_low", "_high")
    values = [row[metric + end] for row in rows for end in ends] + [0.0, *measure.marks]
    ticks = _ticks([v for v in values if math.isfinite(v)])

    def x(value: float) -> float:
        return round(left + width * (value - ticks[0]) / (ticks[-1] - ticks[0]), 1)

    return {
        "name": measure.name,
        "left": left,
        "ticks": [{"x": x(tick), "text": _tick(measure, tick)} for tick in ticks],
        "marks": [x(mark) for mark in measure.marks],
        "points": [
            {
                "x": x(row[metric]),
                "low": x(row[metric + "_low"] if math.isfinite(row[metric + "_low"]) else row[metric]),
                "high": x(row[metric + "_high"] if math.isfinite(row[metric + "_high"]) else row[metric]),
                "y": 39 + height * i,
                "colour": _colour(row),
                "hollow": not row["judged"],
            }
            for i, row in enumerate(rows)
            if math.isfinite(row[metric])
        ],
    }


def _ticks(values: Sequence[float]) -> list[float]:
    """Three to six round numbers that span the values."""
    low, high = min(values), max(values)
    rough = (high - low or 1.0) / 4
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, max(last, first + 1) + 1)]


def _tick(measure: Measure, value: float) -> str:
    if measure.text in (_percent, _signed):
        return f"{100 * value:.4g}%"
    return f"{value:,.4g}"


def _colour(row: dict[str, Any]) -> str:
    return {LOWER: RED, NO_DIFFERENCE: BLUE}.get(row["verdict"], GREY)


def _short(text: Any, most: int = 26) -> str:
    """Long text without its middle: names often differ at the end."""
    whole, half = str(text), most // 2
    return whole if len(whole) <= most else f"{whole[: half - 1].rstrip()}…{whole[-half:].lstrip()}"


def _render(template: str, content: Mapping[str, Any], **more: Any) -> str:
    """Fill a template; all text is escaped."""
    pages = Environment(
        loader=PackageLoader("monitoring.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return pages.get_template(template).render(**content, **more, evidently_version=_evidently_version())


def _write(folder: Path, name: str, html: str, content: dict[str, Any]) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = {"html": folder / f"{name}.html", "json": folder / f"{name}.json"}
    paths["html"].write_text(html, "utf-8")
    paths["json"].write_text(json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False), "utf-8")
    return paths


def _plain(value: Any) -> Any:
    """Values that JSON knows: NaN and infinity become None, numpy's numbers Python's, anything else text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return None if pd.isna(value) else str(value)


@contextmanager
def _quietly() -> Iterator[None]:
    """Evidently, and what it brings along, warn of their own calls; that tells our readers nothing."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@cache
def _evidently_version() -> str:
    with _quietly():
        import evidently
    return str(evidently.__version__)


@cache
def _register_decision() -> None:
    """Make Staycast's verdict a test that Evidently can be told to use.

    Only Evidently's server sends telemetry; it is not imported.
    """
    with _quietly():
        from evidently.legacy.calculations.stattests.registry import StatTest, register_stattest
        from evidently.legacy.core import ColumnType

    kinds = [ColumnType.Numerical, ColumnType.Categorical]
    register_stattest(StatTest(STATTEST, "Staycast", kinds, 0.0), _as_decided)


def _as_decided(reference: pd.Series, current: pd.Series, kind: Any, threshold: float) -> tuple[float, bool]:
    """Score and verdict of a column, as they stand in the drift table."""
    return _decided.get()[str(reference.name)]


def _evidently_drift(reference: pd.DataFrame, current: pd.DataFrame, table: pd.DataFrame) -> tuple[str | None, Any]:
    """Evidently's page and results for the columns that it can draw; None and {} if there are none."""
    drawn = table[(table["missing_reference"] < 1) & (table["missing_current"] < 1) & table["effect"].notna()]
    if drawn.empty:
        return None, {}
    _register_decision()
    with _quietly():
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        kinds = {_harmless(row["column"]): row["kind"] for row in _rows(drawn)}
        definition = DataDefinition(
            numerical_columns=[name for name, kind in kinds.items() if kind == NUMBER],
            categorical_columns=[name for name, kind in kinds.items() if kind != NUMBER],
        )
        before, after = _drawable(reference, current, drawn)
        any_column = math.floor(1000 / len(drawn)) / 1000
        preset = DataDriftPreset(columns=list(kinds), method=STATTEST, drift_share=any_column)
        token = _decided.set(_decisions(drawn))
        try:
            run = Report([preset]).run(Dataset.from_pandas(after, definition), Dataset.from_pandas(before, definition))
            return _framed(run.get_html_str(as_iframe=False)), json.loads(run.json())
        finally:
            _decided.reset(token)


def _decisions(drawn: pd.DataFrame) -> dict[str, tuple[float, bool]]:
    rows = _rows(drawn[["column", "effect", "verdict"]])
    return {_harmless(row["column"]): (float(row["effect"]), row["verdict"] == DRIFTED) for row in rows}


def _drawable(reference: pd.DataFrame, current: pd.DataFrame, drawn: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """At most `MOST_ROWS_DRAWN` rows of each; numbers as floats, categories as harmless text, rare levels as one."""
    sides = [
        f if len(f) <= MOST_ROWS_DRAWN else f.sample(MOST_ROWS_DRAWN, random_state=0) for f in (reference, current)
    ]
    columns: list[dict[str, Any]] = [{}, {}]
    for name, kind in drawn[["column", "kind"]].itertuples(index=False):
        texts = pd.concat([side[name].dropna().map(_harmless) for side in sides])
        common = set(texts.value_counts().index[:MOST_LEVELS_DRAWN])
        for side, into in zip(sides, columns, strict=True):
            if kind == NUMBER:
                into[_harmless(name)] = pd.to_numeric(side[name]).astype(float).to_numpy()
            else:
                level = side[name].map(_harmless, na_action="ignore").astype(object)
                into[_harmless(name)] = level.where(level.isin(common) | level.isna(), "all other").to_numpy(object)
    return pd.DataFrame(columns[0]), pd.DataFrame(columns[1])


def _evidently_fairness(groups: pd.DataFrame, metrics: Sequence[str]) -> str | None:
    """Evidently's page with a figure to point at for each sensitive column; None without a metric to draw."""
    bounded = [metric for metric in metrics if f"{metric}_low" in groups]
    if not bounded:
        return None
    with _quietly():
        from evidently.core.metric_types import render_widgets
        from evidently.legacy.renderers.html_widgets import group_widget, header_text, plotly_figure

        widgets = []
        for column, part in _by_column(groups):
            widgets.append(header_text(label=_harmless(column)))
            widgets.append(plotly_figure(title="", figure=_interactive(part, bounded)))
        return _framed(render_widgets([group_widget(title="", widgets=widgets)]))


def _interactive(part: pd.DataFrame, metrics: Sequence[str]) -> Any:
    """A Plotly figure with a panel for each metric, three in a line, and an error bar for each interval."""
    from plotly.graph_objects import Scatter
    from plotly.subplots import make_subplots

    lines, across = math.ceil(len(metrics) / MOST_PANELS), min(len(metrics), MOST_PANELS)
    names = [_harmless(_short(group)) for group in part["group"]]
    titles = [_harmless(_measure(metric).name) for metric in metrics]
    figure = make_subplots(lines, across, shared_yaxes=True, subplot_titles=titles, vertical_spacing=0.25 / lines)
    for place, metric in enumerate(metrics):
        value = part[metric].astype(float)
        reach = (part[f"{metric}_high"] - value, value - part[f"{metric}_low"])
        above, below = (side.clip(lower=0).fillna(0).tolist() for side in reach)
        dots = Scatter(
            x=value.tolist(),
            y=names,
            mode="markers",
            marker={"color": [_colour(row) for row in _rows(part)], "size": 9},
            error_x={"type": "data", "array": above, "arrayminus": below, "color": GREY, "thickness": 1.5, "width": 4},
        )
        at = {"row": place // MOST_PANELS + 1, "col": place % MOST_PANELS + 1}
        figure.add_trace(dots, **at)
        figure.update_xaxes(tickformat=".0%" if _measure(metric).text in (_percent, _signed) else None, **at)
    figure.update_layout(showlegend=False, template="plotly_white", height=max(450, lines * (110 + 26 * len(part))))
    return figure.update_yaxes(autorange="reversed")


def _harmless(text: Any) -> str:
    """Text that cannot end the script it stands in, nor start a tag."""
    return str(text).translate(str.maketrans("<>&", "‹›+"))


def _framed(html: str) -> str:
    """Evidently's page, made to live in a closed frame: without storage, and telling its height."""
    inside = """<script>
try { window.localStorage; } catch (refused) {
  Object.defineProperty(window, "localStorage", { value: { getItem: () => null, setItem() {}, removeItem() {} } });
}
addEventListener("load", () => new ResizeObserver(
  () => parent.postMessage(document.body.scrollHeight, "*")).observe(document.body));
</script>
"""
    return html.replace("<head>", f"<head>{inside}", 1).strip()
