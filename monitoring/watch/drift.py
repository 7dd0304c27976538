"""Has a column changed between two samples? Only an effect that is large, and cannot be chance, counts.

A column has **drifted** if its effect size reaches ``drift_effect``, the p-value of a two-sample test, corrected for
the number of comparisons, is at most ``drift_p_value``, and both samples hold at least ``drift_min_rows`` rows. Each
of the three alone raises false alarms: with enough rows any trifle is significant; with few rows chance alone makes
a large effect; with many columns something unlikely always happens. Both samples are taken as samples: a test that
takes the reference as exact alarms far too often.

Features and predictions are treated alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from configs.errors import DataError, nearest
from configs.settings import Monitoring

Array = npt.NDArray[np.float64]

DRIFTED = "drifted"
TOO_FEW = "too few rows to tell"
NO_CHANGE = "no change shown"
VERDICTS = (DRIFTED, TOO_FEW, NO_CHANGE)

NUMBER = "number"
CATEGORY = "category"
MISSING = "(missing)"
MIN_EXPECTED_COUNT = 5
MAX_LEVELS = 50
COLUMNS = {
    "column": "object",
    "kind": "object",
    "n_reference": "int64",
    "n_current": "int64",
    "missing_reference": "float64",
    "missing_current": "float64",
    "part": "object",
    "effect": "float64",
    "p_value": "float64",
    "p_corrected": "float64",
    "verdict": "object",
    "text": "object",
}


def drift_table(
    reference: pd.DataFrame, current: pd.DataFrame, columns: Iterable[str], monitoring: Monitoring
) -> pd.DataFrame:
    """Compare two samples column by column.

    Numbers: the effect is the Wasserstein distance in standard deviations of the reference, the test is that of
    Kolmogorov and Smirnov; missing values are compared apart, as missing or not. Everything else is a category, with
    missing as a level of its own: the effect is Cramer's V with both samples weighed alike, less what chance gives;
    the test is chi-square on the 2 x K table, or an exact one where levels are rare. Levels beyond the
    `MAX_LEVELS` most common are taken together. Infinite numbers count as missing.

    Parameters
    ----------
    reference, current
        One row an observation: feature rows, or predictions.
    columns
        The columns to compare, in both frames; not dates.
    monitoring
        The rule: ``drift_effect``, ``drift_p_value``, ``drift_min_rows``.

    Returns
    -------
    DataFrame
        One row a column, in the order given: ``column``; ``kind`` (number or category); ``n_reference``,
        ``n_current`` (rows); ``missing_reference``, ``missing_current`` (shares, NaN without rows); ``part`` (values
        or missing: which comparison of a number the rest is about); ``effect``; ``p_value``; ``p_corrected`` (Holm,
        over all comparisons with enough rows; NaN for the others); ``verdict``; ``text``, the change in words; and
        the rule: ``effect_at_least``, ``p_at_most``, ``rows_at_least``. Of a number's two comparisons the one that
        drifted is taken, else the one that cannot be judged, else the one with the larger effect.

    Raises
    ------
    DataError
        A column is missing from a frame, is named twice, or holds dates.
    """
    names = list(columns)
    _check(reference, current, names)
    rows = [row for name in names for row in _compare(_as_floats(reference[name]), _as_floats(current[name]), name)]
    comparisons = pd.DataFrame(rows, columns=["rows", *COLUMNS]).drop(columns=["p_corrected", "verdict"])
    judged = _judge(comparisons.assign(column=pd.Categorical(comparisons["column"], names)), monitoring)
    ranked = judged.assign(rank=judged["verdict"].map(VERDICTS.index), size=-judged["effect"])
    first = ranked.sort_values(["column", "rank", "size"], kind="stable").drop_duplicates("column")
    return (
        first[list(COLUMNS)]
        .astype(COLUMNS)
        .reset_index(drop=True)
        .assign(
            effect_at_least=monitoring.drift_effect,
            p_at_most=monitoring.drift_p_value,
            rows_at_least=monitoring.drift_min_rows,
        )
    )


def wasserstein_effect(reference: Array, current: Array) -> float:
    """Wasserstein distance in standard deviations of the reference; of both samples, if the reference is constant.

    >>> wasserstein_effect(np.array([0.0, 2.0]), np.array([1.0, 3.0]))
    1.0
    >>> wasserstein_effect(np.array([5.0, 5.0]), np.array([5.0]))
    0.0
    """
    scale = np.std(reference) or np.std(np.append(reference, current))
    return float(stats.wasserstein_distance(reference, current) / scale) if scale else 0.0


def cramers_v(counts: Array) -> float:
    """Cramer's V of a 2 x K table of counts, with both rows weighed alike.

    Plain V shrinks when one sample is much larger than the other; this one tells of the shares only:
    ``V**2 = sum((p - q)**2 / (p + q)) / 2`` with the rows' shares p and q. 0: equal; 1: no level in common.

    >>> round(cramers_v(np.array([[50, 50], [700, 300]])), 4)
    0.2041
    """
    p, q = counts / counts.sum(axis=1, keepdims=True)
    return float(np.sqrt(((p - q) ** 2 / (p + q)).sum() / 2))


def cramers_v_by_chance(counts: Array) -> float:
    """Root of the mean of ``V**2`` that chance alone gives: ``(K - 1) / 4 * (1 / n + 1 / m)`` for n and m rows.

    Subtracted from V squared, so that many levels in few rows do not pass for a change; the idea is that of
    Bergsma, "A bias-correction for Cramer's V and Tschuprow's T", J. Korean Stat. Soc. 42 (2013).

    >>> round(cramers_v_by_chance(np.array([[50, 50], [70, 30]])), 4)
    0.0707
    """
    return float(np.sqrt((counts.shape[1] - 1) / 4 * (1 / counts.sum(axis=1)).sum()))


def homogeneity_p_value(counts: Array) -> float:
    """p-value of the test that both rows of a 2 x K table have the same shares; 1 for a single level.

    Chi-square where at least five rows are expected in every cell. Elsewhere it cannot be trusted: then Fisher's
    exact test for two levels, and for more `monte_carlo_p_value`.
    """
    if counts.shape[1] < 2:
        return 1.0
    if stats.contingency.expected_freq(counts).min() >= MIN_EXPECTED_COUNT:
        return float(stats.chi2_contingency(counts, correction=False).pvalue)
    if counts.shape[1] == 2:
        return float(stats.fisher_exact(counts.astype(np.int64)).pvalue)
    return monte_carlo_p_value(counts)


def monte_carlo_p_value(counts: Array, draws: Sequence[int] = (999, 99_999), seed: int = 0) -> float:
    """p-value from tables drawn with the same totals, judged by `cramers_v`.

    Exact up to the drawing, however rare a level is. Drawing stops at the first of `draws` if ten tables reached
    the V of `counts` (Besag and Clifford 1991, Biometrika 78); so the smallest value is one over the last + 1.
    """
    rng = np.random.default_rng(seed)
    rows, totals = counts.sum(axis=1), counts.sum(axis=0)
    smaller, reached, drawn = int(rows.argmin()), 0, 0
    for total in draws:
        table = rng.multivariate_hypergeometric(totals.astype(np.int64), int(rows[smaller]), total - drawn, "marginals")
        p, q = table / rows[smaller], (totals - table) / rows[1 - smaller]
        reached += int((((p - q) ** 2 / (p + q)).sum(axis=1) / 2 >= cramers_v(counts) ** 2 - 1e-12).sum())
        drawn = total
        if reached >= 10:
            break
    return (reached + 1) / (drawn + 1)


def merge_rare_levels(counts: Array, max_levels: int = MAX_LEVELS) -> Array:
    """Keep the `max_levels` levels with the largest totals and make one of the others, the last.

    >>> merge_rare_levels(np.array([[2, 90, 6, 2], [5, 80, 10, 5]]), max_levels=2)
    array([[90,  6,  4],
           [80, 10, 10]])
    """
    order = np.argsort(-counts.sum(axis=0), kind="stable")
    rest = counts[:, order[max_levels:]].sum(axis=1, keepdims=True)
    return np.hstack([counts[:, order[:max_levels]], rest]) if len(order) > max_levels else counts


def holm(p_values: Array) -> Array:
    """Correct p-values for their number, such that the chance of any false alarm keeps the level (Holm 1979).

    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]

    Four lines stay own: statsmodels' ``multipletests`` collects all garbage of the process at each call, a tenth of a
    second that a watch over many windows feels.
    """
    order = np.argsort(p_values)
    left = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * left), 1.0)
    return corrected


def _compare(reference: pd.Series, current: pd.Series, name: str) -> Iterator[dict[str, Any]]:
    """One row a comparison; `rows` is the size of the smaller sample that it rests on."""
    kind = NUMBER if _is_number(reference) and _is_number(current) else CATEGORY
    shared = {
        "column": name,
        "kind": kind,
        "n_reference": len(reference),
        "n_current": len(current),
        "missing_reference": _share_missing(reference),
        "missing_current": _share_missing(current),
    }
    if kind == CATEGORY:
        yield shared | _compare_categories(reference, current)
        return
    yield shared | _compare_numbers(reference, current)
    if reference.isna().any() or current.isna().any():
        is_missing = (side.isna().map({True: MISSING, False: "present"}) for side in (reference, current))
        text = f"missing {shared['missing_reference']:.0%} → {shared['missing_current']:.0%}"
        yield shared | _compare_categories(*is_missing) | {"part": "missing", "text": text}


def _compare_numbers(reference: pd.Series, current: pd.Series) -> dict[str, Any]:
    before, after = (side.dropna().to_numpy(np.float64) for side in (reference, current))
    rows = min(len(before), len(after))
    if rows == 0:
        return {"part": "values", "rows": 0, "effect": np.nan, "p_value": np.nan, "text": "no values to compare"}
    method = "exact" if len(before) + len(after) <= 100 else "asymp"
    means = f"mean {before.mean():.4g} → {after.mean():.4g}"
    return {
        "part": "values",
        "rows": rows,
        "effect": wasserstein_effect(before, after),
        "p_value": float(stats.ks_2samp(before, after, method=method).pvalue),
        "text": f"{means}, median {np.median(before):.4g} → {np.median(after):.4g}",
    }


def _compare_categories(reference: pd.Series, current: pd.Series) -> dict[str, Any]:
    rows = min(len(reference), len(current))
    if rows == 0:
        return {"part": "values", "rows": 0, "effect": np.nan, "p_value": np.nan, "text": "no values to compare"}
    levels = [
        side.astype(object).where(side.notna(), MISSING).astype(str).value_counts() for side in (reference, current)
    ]
    table = pd.concat(levels, axis=1).fillna(0).sort_index()
    counts = table.to_numpy(np.float64).T
    merged, shares = merge_rare_levels(counts), counts / counts.sum(axis=1, keepdims=True)
    changed = int(np.abs(shares[1] - shares[0]).argmax())
    return {
        "part": "values",
        "rows": rows,
        "effect": float(np.sqrt(max(cramers_v(merged) ** 2 - cramers_v_by_chance(merged) ** 2, 0))),
        "p_value": homogeneity_p_value(merged),
        "text": f"share of '{table.index[changed]:.40}' {shares[0, changed]:.0%} → {shares[1, changed]:.0%}",
    }


def _judge(comparisons: pd.DataFrame, monitoring: Monitoring) -> pd.DataFrame:
    """Add ``p_corrected`` and ``verdict``."""
    enough = (comparisons["rows"] >= monitoring.drift_min_rows).to_numpy()
    corrected = np.full(len(comparisons), np.nan)
    corrected[enough] = holm(comparisons["p_value"].to_numpy(np.float64)[enough])
    large = (comparisons["effect"] >= monitoring.drift_effect).to_numpy() & (corrected <= monitoring.drift_p_value)
    verdict = np.select([~enough, large], [TOO_FEW, DRIFTED], NO_CHANGE)
    return comparisons.assign(p_corrected=corrected, verdict=verdict)


def _as_floats(column: pd.Series) -> pd.Series:
    """Floats for numbers, with infinite ones missing; anything else as it is."""
    if not _is_number(column):
        return column
    return column.astype(object).where(column.notna(), np.nan).astype(np.float64).replace([np.inf, -np.inf], np.nan)


def _is_number(column: pd.Series) -> bool:
    """Whether the column holds numbers; an empty one may."""
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return numeric or bool(column.isna().all())


def _share_missing(column: pd.Series) -> float:
    return float(column.isna().mean()) if len(column) else np.nan


def _check(reference: pd.DataFrame, current: pd.DataFrame, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"drift: columns are named twice: {repeated}; name each once")
    for side, frame in (("reference", reference), ("current", current)):
        for name in names:
            if name not in frame:
                raise DataError(f"drift: the {side} rows have no column '{name}'{nearest(name, map(str, frame))}")
            if pd.api.types.is_datetime64_any_dtype(frame[name]):
                raise DataError(
                    f"drift: column '{name}' holds dates, which always move on; compare an age in days instead"
                )
