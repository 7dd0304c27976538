"""The values of a column in two samples, drawn small: the reference is filled, the current rows are a line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup

from monitoring.watch.drift import MISSING

BINS, LEVELS = 24, 8
EDGES = (0.005, 0.995)  # of all values: what lies further out stands in the first or the last bin
LEAST_SPAN, LARGE = 1e-9, 1e300
WIDTH, HEIGHT = 144, 32


def distribution_figure(reference: pd.Series, current: pd.Series, is_number: bool) -> Markup | None:
    """Draw both samples of a column on one scale.

    Parameters
    ----------
    reference, current
        Its values. Numbers that are missing or infinite are left out; a missing category is a level of its own.
    is_number
        Whether it is a number, drawn by equal steps of its values; else by its most common levels, the rest together.

    Returns
    -------
    Markup or None
        An ``svg`` element of `WIDTH` by `HEIGHT` units without any text of the data; None where a sample has no value.
    """
    counted = _of_numbers(reference, current) if is_number else _of_levels(reference, current)
    if counted is None:
        return None
    (before, after), label = counted
    top = max(before.max(), after.max())
    heights = [(HEIGHT - 1) * (1 - shares / top) for shares in (before, after)]
    was, now = map(_steps, heights)
    return Markup(
        '<svg class="spread" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{label}">'
        '<path class="was" d="M0,{h} {was} V{h} Z"/><path class="now" d="M0,{start} {now}"/></svg>'
    ).format(w=WIDTH, h=HEIGHT, label=label, was=was, now=now, start=_short(heights[1][0]))


def _of_numbers(reference: pd.Series, current: pd.Series) -> tuple[list[np.ndarray], str] | None:
    """The share of each bin, and what the bins span."""
    both = [values[np.isfinite(values)] for values in (_floats(reference), _floats(current))]
    if not all(map(len, both)):
        return None
    scale = LARGE if max(np.abs(values).max() for values in both) > LARGE else 1.0  # what lies between them is a number
    low, high = np.quantile(np.concatenate(both) / scale, EDGES)
    size = max(abs(low), abs(high))
    span = (low, high) if high - low > max(LEAST_SPAN * size, 1 / LARGE) else (low - size - 1, low + size + 1)
    counts = [np.histogram(np.clip(values / scale, *span), BINS, span)[0] for values in both]
    label = f"Distribution from {low * scale:,.4g} to {high * scale:,.4g}"
    return [count / count.sum() for count in counts], label


def _of_levels(reference: pd.Series, current: pd.Series) -> tuple[list[np.ndarray], str] | None:
    """The share of each of the most common levels of both, then of all others, if there are any."""
    told = (values.astype(object).where(values.notna(), MISSING) for values in (reference, current))
    both = [values.value_counts() for values in told]
    if not all(map(len, both)):
        return None
    shares = pd.DataFrame({n: counts / counts.sum() for n, counts in enumerate(both)}).fillna(0.0)
    ranked = shares.loc[shares.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    common, others = ranked.iloc[:LEVELS], ranked.iloc[LEVELS:]
    label = f"Shares of the {len(common)} most common values"
    if others.empty:
        return [*common.to_numpy().T], label
    return [*np.vstack([common, others.sum()]).T], f"{label}, then of all others"


def _floats(values: pd.Series) -> np.ndarray:
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _steps(heights: Sequence[float] | np.ndarray) -> str:
    """A line in steps over the whole width, as a path that begins at its left.

    >>> _steps([4.0, 0.25])
    'V4 H72 V0.2 H144'
    """
    ends = np.linspace(0, WIDTH, len(heights) + 1)[1:]
    return " ".join(f"V{_short(y)} H{_short(x)}" for y, x in zip(heights, ends, strict=True))


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
