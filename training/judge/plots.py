"""Figures for the report, the model card and MLflow: each function takes arrays and returns a ``Figure``.

No figure is drawn through ``pyplot`` and no global setting is touched, so figures can be drawn in any process, in any
order. The same input gives the same picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator, PercentFormatter, SymmetricalLogLocator
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from configs.errors import NotEnoughDataError
from features.columns.attributes import words
from training.fonts import label_ticks
from training.metrics import Array, auc, coverage, expected_calibration_error, known, quantile_bins, wilson_interval

INK, SOFT, FAINT, PAPER = "#22303c", "#66737f", "#dfe4e8", "#ffffff"
MODEL, ACTUAL, BAND, WRONG = "#1f5f8b", "#e08e2b", "#c9dceb", "#c8452f"
LOW_TO_HIGH = LinearSegmentedColormap.from_list("low_to_high", ["#2c7fb8", "#b9a3c4", "#d1495b"])
MISSING = "#a9b2ba"
Place = Literal["upper left", "upper right", "lower left", "lower right"]
MOST_POINTS = 400
MOST_SWARM = 1500


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as a picture, in the format that the name's ending tells; folders are made.

    A PNG has 150 dots an inch.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, facecolor=PAPER)
    return path


def calibration(y: ArrayLike, p: ArrayLike, n_bins: int = 10) -> Figure:
    """Draw what was forecast against what came, with how many customers stand behind each point.

    Parameters
    ----------
    y
        1 left, 0 stayed, NaN unknown (left out); shape (n,).
    p
        Probabilities of leaving, shape (n,).
    n_bins
        Points: quantile bins of the probability. Whiskers are Wilson's 95 % intervals.

    Raises
    ------
    NotEnoughDataError
        No outcome is known.
    """
    y, p = _known("calibration", y, p)
    points = pd.DataFrame({"y": y, "p": p}).groupby(quantile_bins(p, n_bins)).agg({"y": ["mean", "size"], "p": "mean"})
    rate, size, forecast = points["y", "mean"], points["y", "size"], points["p", "mean"]
    low, high = wilson_interval(rate * size, size)
    limit = min(1.0, 1.08 * max(high.max(), forecast.max(), np.quantile(p, 0.995)))

    figure = _figure(6.2, 6.6)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    _title(
        top,
        "Do probabilities come true?",
        f"{_count(len(y))} customers, calibration error {expected_calibration_error(y, p, n_bins):.3f}",
    )
    top.plot([0, limit], [0, limit], color=SOFT, linewidth=1, linestyle=(0, (4, 3)), label="Perfectly calibrated")
    top.errorbar(
        forecast,
        rate,
        yerr=np.abs(np.vstack([rate - low, high - rate])),
        color=MODEL,
        marker="o",
        markersize=6,
        linewidth=1.6,
        elinewidth=1,
        capsize=2.5,
        label="Model, with 95% interval",
    )
    top.set(xlim=(0, limit), ylim=(0, limit), ylabel="Share who left")
    _legend(top, "upper left")
    bottom.hist(p, bins=np.linspace(0, limit, 41).tolist(), color=BAND, edgecolor=PAPER, linewidth=0.6)
    bottom.set(xlabel="Predicted probability of leaving", ylabel="Customers")
    bottom.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v / 1000:,.3g}k" if abs(v) >= 1000 else f"{v:,.0f}"))
    for axes in (top.xaxis, top.yaxis):
        axes.set_major_formatter(PercentFormatter(1, decimals=0 if limit > 0.05 else 1))
    return _clean(figure)


def gains(y: ArrayLike, p: ArrayLike, baseline: ArrayLike | None = None, baseline_name: str = "Recency rule") -> Figure:
    """Draw the share of all leavers that is reached by contacting the riskiest customers first.

    Parameters
    ----------
    y
        1 left, 0 stayed, NaN unknown (left out); shape (n,).
    p
        Probabilities of leaving, shape (n,).
    baseline
        Scores of a rule of thumb, shape (n,).
    baseline_name
        What to call it.

    Raises
    ------
    NotEnoughDataError
        No leaver is known.
    """
    scores = (p,) if baseline is None else (p, baseline)
    y, *orders = _known("gains", y, *scores)
    if not y.any():
        raise NotEnoughDataError("gains figure: needs at least one customer who left, found none")
    names, colors = ("Model", baseline_name), (MODEL, ACTUAL)

    figure = _figure(7.2, 5.4)
    axes = figure.subplots()
    x = np.linspace(0, 1, len(y) + 1)
    tenth = float(np.interp(0.1, x, _reached(y, orders[0])))
    facts = (
        f"{_count(len(y))} customers, of whom {y.mean():.1%} left; contacting 10% reaches {tenth:.0%} of the leavers"
    )
    _title(axes, "How many leavers does a campaign reach?", facts)
    for order, name, color, layer in zip(orders, names, colors, (4, 3), strict=False):
        axes.plot(x, _reached(y, order), color, linewidth=2, zorder=layer, label=f"{name} (AUC {auc(y, order):.3f})")
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (4, 3)), label="At random")
    axes.plot([0, y.mean(), 1], [0, 1, 1], color=SOFT, linewidth=1, linestyle=(0, (1, 2)), label="Ideal")
    axes.plot([0.1, 0.1], [0, tenth], color=MODEL, linewidth=0.8)
    axes.plot([0.1], [tenth], marker="o", markersize=6, color=MODEL, zorder=5)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="Customers contacted, riskiest first", ylabel="Leavers reached")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    _legend(axes, "lower right")
    return _clean(figure)


def profit(curve: pd.DataFrame, facts: Mapping[str, float], currency: str) -> Figure:
    """Draw what one campaign brings by how many customers it contacts, expected and come, against other orders.

    Parameters
    ----------
    curve
        ``share, expected, realised, low, high, probability, random``, see `training.judge.profit.Backtest`.
    facts
        ``moments, customers, contacted, share_contacted, expected_profit, realised_profit`` of the best list, and
        the ends of the latter two, ``expected_low, expected_high, realised_low, realised_high``.
    currency
        ISO code, for the labels.

    Notes
    -----
    Drawn are lists up to three times as long as the best one, and at least a tenth of the customers.
    """
    limit = min(1.0, max(0.1, 3 * facts["share_contacted"]))
    curve = curve[curve["share"] <= limit]
    figure = _figure(7.2, 5.4)
    axes = figure.subplots()
    best = f"{_count(round(facts['contacted']))} of {_count(round(facts['customers']))} customers"
    expected, came = (
        f"{_money(facts[f'{name}_profit'])} [{_money(facts[f'{name}_low'])}, {_money(facts[f'{name}_high'])}]"
        for name in ("expected", "realised")
    )
    brings = f"expected {expected}, came {came} {currency}"
    mean = f"; mean of {facts['moments']:.0f} moments" if facts["moments"] > 1 else ""
    _title(axes, "Whom does it pay to contact?", f"Best list: {best}; {brings}{mean}")
    axes.fill_between(curve["share"], curve["low"], curve["high"], color=BAND, linewidth=0, label="What came, 95% band")
    axes.plot(curve["share"], curve["realised"], MODEL, linewidth=2, zorder=4, label="What came, by expected profit")
    axes.plot(curve["share"], curve["expected"], MODEL, linewidth=1.4, linestyle=(0, (4, 3)), label="Expected")
    axes.plot(curve["share"], curve["probability"], ACTUAL, linewidth=2, zorder=3, label="What came, by probability")
    axes.plot(curve["share"], curve["random"], SOFT, linewidth=1, linestyle=(0, (1, 2)), label="At random")
    axes.axhline(0, color=SOFT, linewidth=0.8)
    axes.axvline(facts["share_contacted"], color=MODEL, linewidth=0.8)
    axes.set(xlim=(0, limit), xlabel="Customers contacted", ylabel=f"Profit of one campaign ({currency})")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: _money(v)))
    _legend(axes, "lower left")
    return _clean(figure)


def decile_bars(y: ArrayLike, expected: ArrayLike, currency: str) -> Figure:
    """Draw mean predicted against mean actual value, for tenths of the customers by predicted value.

    Parameters
    ----------
    y
        Actual value, NaN unknown (left out); shape (n,), in units of currency.
    expected
        Forecast value, shape (n,).
    currency
        ISO code, for the labels.

    Raises
    ------
    NotEnoughDataError
        No actual value is known.
    """
    y, expected = _known("decile", y, expected)
    means = pd.DataFrame({"y": y, "expected": expected}).groupby(quantile_bins(expected)).mean()
    place = np.arange(len(means))

    figure = _figure(8.2, 4.8)
    axes = figure.subplots()
    total = f"total predicted {_money(expected.sum())}, actual {_money(y.sum())} {currency}"
    _title(axes, "Are customers worth what was predicted?", f"{_count(len(y))} customers, {total}")
    axes.bar(place - 0.2, means["expected"], width=0.38, color=MODEL, label="Predicted")
    axes.bar(place + 0.2, means["y"], width=0.38, color=ACTUAL, label="Actual")
    axes.set_xticks(place, [str(tenth + 1) for tenth in means.index])
    axes.set(xlabel="Tenth of the customers by predicted value, lowest first", ylabel=f"Mean value ({currency})")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: _money(v)))
    axes.axhline(0, color=SOFT, linewidth=0.8)
    _legend(axes, "upper left")
    return _clean(figure, grid="y")


def interval_plot(
    y: ArrayLike, expected: ArrayLike, low: ArrayLike, high: ArrayLike, target_coverage: float, currency: str
) -> Figure:
    """Draw customers in the order of their predicted value, each with the interval and what came.

    Parameters
    ----------
    y
        Actual value, NaN unknown (left out); shape (n,), in units of currency.
    expected, low, high
        Forecast value and its interval, shape (n,).
    target_coverage
        Share of customers whose value shall lie in the interval.
    currency
        ISO code, for the labels.

    Raises
    ------
    NotEnoughDataError
        No actual value is known.

    Notes
    -----
    Of more than 400 customers, 400 evenly spread over the order are drawn; the coverage in the title is of all.
    The vertical scale is linear near zero and logarithmic beyond, as value is skewed and may be negative.
    """
    y, expected, low, high = _known("interval", y, expected, low, high)
    order = np.argsort(expected, kind="stable")
    drawn = order[np.unique(np.linspace(0, len(order) - 1, min(MOST_POINTS, len(order))).round().astype(int))]
    x = (rankdata(expected, method="ordinal")[drawn] - 0.5) / len(y)
    inside = (low <= y) & (y <= high)

    figure = _figure(8.2, 5.2)
    axes = figure.subplots()
    note = f" ({_count(len(drawn))} of {_count(len(y))} customers drawn)" if len(drawn) < len(y) else ""
    answer = f"{coverage(y, low, high):.1%} of actual values lie in the interval; {target_coverage:.0%} should{note}"
    _title(axes, "Do the intervals hold?", answer)
    axes.vlines(x, low[drawn], high[drawn], color=BAND, linewidth=1.6, label=f"{target_coverage:.0%} interval")
    axes.plot(x, expected[drawn], color=MODEL, linewidth=2, label="Expected")
    for mask, color, label in ((inside, INK, "Actual, inside"), (~inside, WRONG, "Actual, outside")):
        inside_drawn = mask[drawn]
        axes.scatter(x[inside_drawn], y[drawn][inside_drawn], s=11, color=color, linewidths=0, zorder=3, label=label)
    _symlog(axes, np.concatenate([y, expected, high]))
    axes.set(xlim=(0, 1), xlabel="Customers, by expected value, lowest first", ylabel=f"Value ({currency})")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _legend(axes, "upper left", columns=2)
    return _clean(figure)


def shap_summary(effects: ArrayLike, values: pd.DataFrame, unit: str = "log-odds", top: int = 20) -> Figure:
    """Draw what moves the forecasts: a swarm of customers for each of the strongest features.

    One dot is one customer: right of the line the feature raised the forecast, left it lowered it. Colour tells the
    feature's value among the customers, from low to high; grey is missing, or text. The bars are the mean size of
    the effect. It is drawn here and not by ``shap.plots.beeswarm``, which shuffles by NumPy's global random state
    and so draws another picture each time, and warns about a column without any value.

    Parameters
    ----------
    effects
        SHAP values, shape (n, k), without the base value.
    values
        The features, shape (n, k): one column each, named.
    unit
        Of the effects, for the labels.
    top
        The most features to draw.

    Raises
    ------
    NotEnoughDataError
        There are no rows or no features.

    Notes
    -----
    Of more than 1,500 customers, 1,500 evenly spread over the rows are drawn; the bars are of all.
    """
    effects = np.asarray(effects, dtype=np.float64)
    if effects.size == 0:
        raise NotEnoughDataError("SHAP figure: needs at least one customer and one feature, found none")
    strength = np.abs(effects).mean(axis=0)
    strongest = np.argsort(-strength, kind="stable")[:top][::-1]
    rows = np.unique(np.linspace(0, len(effects) - 1, min(MOST_SWARM, len(effects))).round().astype(int))

    figure = _figure(9.4, 1.9 + 0.34 * len(strongest))
    swarm, bars = figure.subplots(1, 2, sharey=True, width_ratios=[4, 1])
    _title(
        swarm, "What moves the forecasts?", f"{_count(len(effects))} customers, the {len(strongest)} strongest features"
    )
    swarm.axvline(0, color=SOFT, linewidth=0.9)
    for row, feature in enumerate(strongest):
        x = effects[rows, feature]
        colors = _value_colors(values.iloc[:, feature])[rows]
        y = row + _spread(x, reach=np.ptp(effects[:, strongest]))
        swarm.scatter(x, y, s=9, c=colors, linewidths=0, zorder=3)
    place = np.arange(len(strongest))
    label_ticks(swarm.yaxis, place, [words(str(values.columns[i])) for i in strongest])
    swarm.set(xlabel=f"Effect on the forecast ({unit})", ylim=(-0.7, len(strongest) - 0.3))
    bars.barh(place, strength[strongest], height=0.55, color=BAND)
    for at, size in zip(place, strength[strongest], strict=True):
        bars.text(size, at, f" {size:.2g}", va="center", color=SOFT, fontsize=8)
    bars.set(xlabel=f"Mean size\n({unit})", xlim=(0, 1.35 * strength.max() or 1), xticks=[])
    _colour_key(figure)
    return _clean(figure, grid="x")


def search_history(trials: Sequence[int], losses: Sequence[float]) -> Figure:
    """Draw how the loss fell over the trials of a search.

    Parameters
    ----------
    trials
        Numbers of the trials that ended, rising; length n, at least one.
    losses
        Their losses on the folds, length n.
    """
    best = np.minimum.accumulate(losses)
    figure = _figure(7.2, 4.6)
    axes = figure.subplots()
    _title(axes, "Was the search long enough?", f"{len(losses)} trials, least loss {best[-1]:.4g}")
    axes.plot(trials, losses, "o", color=BAND, markersize=6, label="A trial")
    axes.step(trials, best, color=MODEL, linewidth=2, where="post", label="Least so far")
    span = max(float(np.quantile(losses, 0.75)) - best[-1], 1e-9)
    axes.set(xlabel="Trial", ylabel="Loss on the folds", ylim=(best[-1] - 0.3 * span, best[-1] + 3 * span))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(axes, "upper right")
    return _clean(figure)


def contest(contenders: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw by how much each contender's loss on the folds exceeds the least.

    Parameters
    ----------
    contenders
        Records as of `training.fit.contest.contest`: ``name, trees, above_least, standard_error, chosen``; at least
        one.
    """
    figure = _figure(7.2, 1.8 + 0.42 * max(len(contenders), 3))
    axes = figure.subplots()
    _title(axes, "Did trees earn their place?", "Loss on the folds above the least; lines: one standard error")
    names = [f"{str(c['name']).replace('_', ' ').replace('+', ' + ')} ({c['trees']} trees)" for c in contenders]
    above, error = ([float(c[key]) for c in contenders] for key in ("above_least", "standard_error"))
    place = np.arange(len(contenders))[::-1]
    axes.barh(place, above, xerr=error, color=BAND, ecolor=SOFT, height=0.6)
    chosen = [n for n, contender in enumerate(contenders) if contender["chosen"]]
    axes.plot([above[n] for n in chosen], place[chosen], "o", color=MODEL, label="Chosen")
    axes.set_yticks(place, [fill(name, 44) for name in names], fontsize=8)
    axes.set(xlabel="Loss above the least", xlim=(0, None))
    _legend(axes, "lower right")
    return _clean(figure, grid="x")


def param_importance(shares: Mapping[str, float]) -> Figure:
    """Draw how much of the differences in loss each parameter of a search explains.

    Parameters
    ----------
    shares
        By parameter, summing to 1, as ``optuna.importance.get_param_importances`` gives them.
    """
    names = sorted(shares, key=lambda name: shares[name])
    figure = _figure(7.2, 1.6 + 0.32 * max(len(names), 3))
    axes = figure.subplots()
    _title(axes, "Which parameters mattered?", "Share of the differences in loss that each explains")
    axes.barh(names, [shares[name] for name in names], color=MODEL, height=0.6)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return _clean(figure, "x")


def _known(what: str, y: ArrayLike, *forecasts: ArrayLike) -> tuple[Array, ...]:
    arrays = known(y, *forecasts)
    if len(arrays[0]) == 0:
        raise NotEnoughDataError(
            f"{what} figure: needs known outcomes and finite forecasts, found none of {len(np.asarray(y))} rows"
        )
    return arrays


def _reached(y: Array, score: Array) -> Array:
    """Share of leavers among the first 0, 1, ..., n customers by score; tied customers count with their mean."""
    by_score = pd.Series(y).groupby(-score).transform("mean").to_numpy()[np.argsort(-score, kind="stable")]
    return np.concatenate([[0.0], np.cumsum(by_score) / y.sum()])


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(figure)
    return figure


def _title(axes: Axes, question: str, answer: str) -> None:
    axes.set_title(question, loc="left", fontsize=13, fontweight="bold", color=INK, pad=24)
    below = axes.annotate(answer, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points")
    below.set(fontsize=9.5, color=SOFT, verticalalignment="bottom")


def _legend(axes: Axes, place: Place, columns: int = 1) -> None:
    axes.legend(loc=place, ncols=columns, labelcolor=INK, facecolor=PAPER, edgecolor=PAPER, framealpha=0.85)


def _clean(figure: Figure, grid: Literal["both", "x", "y"] = "both") -> Figure:
    for axes in figure.axes:
        for side in ("top", "right", "left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.set_axisbelow(True)
        axes.grid(True, axis=grid, color=FAINT, linewidth=0.7)
        axes.tick_params(colors=SOFT, labelsize=9, length=0, pad=6)
        axes.xaxis.label.set(color=INK, fontsize=10)
        axes.yaxis.label.set(color=INK, fontsize=10)
    return figure


def _spread(x: Array, reach: float) -> Array:
    """Move points that share a place apart, up and down in turn, within 0.4 of the middle."""
    column = np.round(120 * x / (reach or 1))
    turn = pd.Series(column).groupby(column).cumcount().to_numpy()
    offset = np.ceil(turn / 2) * np.where(turn % 2, 1, -1)
    return offset * min(0.05, 0.4 / max(np.abs(offset).max(), 1))


def _value_colors(values: pd.Series) -> Array:
    """Colour values by their rank among the customers; grey where there is no number. Shape (n, 4)."""
    numbers = values if pd.api.types.is_numeric_dtype(values) else pd.Series(np.nan, index=values.index)
    rank = numbers.astype(float).rank(pct=True).to_numpy()
    lowest, highest = (np.nanmin(rank), np.nanmax(rank)) if np.isfinite(rank).any() else (0.0, 1.0)
    place = (rank - lowest) / (highest - lowest) if highest > lowest else np.where(np.isnan(rank), np.nan, 0.5)
    return np.where(np.isnan(place)[:, None], to_rgba(MISSING), LOW_TO_HIGH(np.nan_to_num(place)))


def _colour_key(figure: Figure) -> None:
    shades = {
        "Low value": to_hex(LOW_TO_HIGH(0.0)),
        "Middle": to_hex(LOW_TO_HIGH(0.5)),
        "High value": to_hex(LOW_TO_HIGH(1.0)),
    }
    handles = [
        Line2D([], [], marker="o", linestyle="", markersize=6, markeredgewidth=0, color=color, label=name)
        for name, color in {**shades, "Missing or text": MISSING}.items()
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=4, frameon=False, labelcolor=INK, fontsize=9)


def _symlog(axes: Axes, values: Array) -> None:
    """Scale linearly up to a tenth of the typical size, logarithmically beyond."""
    sizes = np.abs(values[values != 0])
    edge = 10.0 ** np.floor(np.log10(np.median(sizes) / 10)) if len(sizes) else 1.0
    axes.set_yscale("symlog", linthresh=edge, linscale=0.5)
    axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=edge))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: _money(v)))


def _count(n: int) -> str:
    return f"{n:,}"


def _money(value: float) -> str:
    return f"{value:z,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:z,.2f}"
