"""The figure of a fairness metric: a dot and an interval for each group, as SVG that stands in a page and prints."""

from __future__ import annotations

import io
import warnings
from typing import Any

import matplotlib as mpl
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from monitoring.report.measures import Measure, measure
from training.judge.fairness import LOWER, NO_DIFFERENCE

RED, BLUE, GREY = "#a8231b", "#23539f", "#8c97a5"
WIDTH, ROW_HEIGHT, MARGIN_HEIGHT = 340, 26, 62
MAX_LABEL_LENGTH = 20


def interval_figure(groups: pd.DataFrame, metric: str) -> Markup:
    """Draw one metric of the groups of one sensitive column.

    Parameters
    ----------
    groups
        One row a group: ``group``, ``verdict``, ``judged``, the metric, and its interval under ``<metric>_low``
        and ``<metric>_high``. A group without a value is named and not drawn; one that is not judged is hollow.
    metric
        The name of the metric; all values are in its unit, see `monitoring.report.measures.measure`.

    Returns
    -------
    Markup
        An ``svg`` element of `WIDTH` units that may be scaled; all text is escaped.
    """
    table = groups.reset_index(drop=True)
    value, low, high = (table[metric + end].astype(float) for end in ("", "_low", "_high"))
    colors = [{LOWER: RED, NO_DIFFERENCE: BLUE}.get(verdict, GREY) for verdict in table["verdict"]]
    fills = [color if judged else "#ffffff" for color, judged in zip(colors, table["judged"], strict=True)]
    height = MARGIN_HEIGHT + ROW_HEIGHT * len(table)
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "staycast", "text.parse_math": False, "font.size": 11}
    ):
        figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
        axes = figure.add_subplot()
        axes.hlines(table.index, low.fillna(value), high.fillna(value), colors=colors, linewidth=3, alpha=0.4)
        axes.scatter(value, table.index, s=40, c=fills, edgecolors=colors, linewidths=1.5, zorder=3)
        _dress(axes, measure(metric), table["group"])
        text = io.StringIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # the reader's browser draws the text, in its fonts
            figure.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return Markup(text.getvalue()[text.getvalue().index("<svg") :])  # noqa: S704 - matplotlib escapes text


def _dress(axes: Axes, about: Measure, names: pd.Series) -> None:
    """Title, names of the groups, a scale that holds 0, and the line of reference."""
    if about.reference is not None:
        axes.axvline(about.reference, color="#85590a", linestyle="--", linewidth=1.5)
    left, right = axes.get_xlim()
    axes.set_xlim(min(left, 0.0), max(right, 0.0))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(names.index, [shorten(name) for name in names])
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(lambda x, _: f"{100 * x:.4g}%" if about.percent else f"{x:,.4g}")
    axes.set_title(about.name, loc="left", fontsize=11, fontweight="bold")
    axes.grid(axis="x", color="#e6eaef")
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def shorten(text: Any) -> str:
    """Long text without its middle: names often differ at the end.

    >>> shorten("150K and over, several earners")
    '150K and…al earners'
    """
    whole, half = str(text), MAX_LABEL_LENGTH // 2
    return whole if len(whole) <= MAX_LABEL_LENGTH else f"{whole[: half - 1].rstrip()}…{whole[-half:].lstrip()}"
