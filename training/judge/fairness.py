"""Do the models treat groups of customers alike? Numbers with their intervals, and a verdict only where they allow one.

A ratio between two groups says nothing without its interval and the number of customers: a perfectly fair model that
selects 20 % fails the four-fifths rule by chance in every second draw of 50 customers. So a group below `min_group`
customers is shown but not judged, and a group counts as "lower than others" only if its whole interval lies below
the four-fifths line. "no difference shown" is not "no difference": read the interval's width.

Intervals (95 % unless told otherwise) rest on the number of distinct customers, not of rows: a customer looked at in
two months is not two independent facts. Rates carry Wilson's interval, means and their differences the normal one,
a ratio of two rates the MOVER interval built from both Wilson intervals, relative errors of sums the bootstrap. The
intervals of the ratios of one sensitive column hold together (Bonferroni over the comparisons with the group that is
selected most): with twelve fair groups of 150, one in four audits would otherwise name a group wrongly, so one in
sixty does.
Missing group values form the group "unknown"; it is shown, but its selection is not compared: whose value is missing
is no trait of people, and often goes with what the company knows of them. Counts and selection rates are fairlearn's,
taken apart by pandas: fairlearn's own ``MetricFrame`` gives the same numbers (a test holds them together) some fifty
times more slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from fairlearn.metrics import count, selection_rate
from numpy.typing import ArrayLike, NDArray

from configs.errors import DataError
from training.judge.group_ranges import in_ranges
from training.metrics import UNKNOWN, Array, bootstrap_interval, coverage, named_groups, total_error, wilson_interval

FOUR_FIFTHS = 0.8
TOO_SMALL, UNCOMPARED = "too small to judge", "nothing to compare with"
LOWER, NO_DIFFERENCE = "lower than others", "no difference shown"
EVERYONE = "all"


def select_top(
    probability: ArrayLike, share: float, as_ofs: ArrayLike | None = None, seed: int = 0
) -> NDArray[np.bool_]:
    """Mark the customers with the highest risk: those whom a campaign would take.

    Parameters
    ----------
    probability
        Shape (n,).
    share
        Share of the customers to take, rounded up to whole ones.
    as_ofs
        The as_of of each row: the share is taken at each moment. None: all rows are of one moment.
    seed
        Settles which of several customers with the same probability at the edge are taken. The lot decides, as the
        order of the rows may go with a group.

    Returns
    -------
    ndarray of bool
        Shape (n,).

    >>> select_top([0.1, 0.9, 0.5, 0.3], share=0.5).tolist()
    [False, True, True, False]
    """
    risk = np.asarray(probability, dtype=np.float64)
    as_of = np.zeros(len(risk)) if as_ofs is None else pd.factorize(np.asarray(as_ofs))[0]
    order = np.lexsort((np.random.default_rng(seed).random(len(risk)), -risk, as_of))
    place, size = np.empty(len(risk)), pd.Series(as_of).map(pd.Series(as_of).value_counts()).to_numpy()
    place[order] = pd.Series(as_of[order]).groupby(as_of[order]).cumcount()
    return place < np.ceil(np.round(share * size, 9))


def churn_fairness(
    frame: pd.DataFrame,
    group_column: str,
    label: str | None = "churned",
    probability: str = "probability",
    selected: str = "selected",
    min_group: int = 100,
    customer: str = "customer_id",
    level: float = 0.95,
) -> pd.DataFrame:
    """Compare how groups fare when the customers at the highest risk are selected.

    Parameters
    ----------
    frame
        One row a customer and moment, with the columns named here.
    group_column
        A sensitive column.
    label
        Column of outcomes: 1 left, 0 stayed, NaN unknown. None: outcomes are not known yet; what needs them is NaN.
    probability
        Column of churn probabilities.
    selected
        Column of bool: taken by the campaign, such as :func:`select_top` marks.
    min_group
        Groups of fewer customers are not judged.
    customer
        Column of customer ids; if the frame has none, each row is a customer.
    level
        Share of samples whose interval holds the true value.

    Returns
    -------
    DataFrame
        One row a group, by name: ``group``, ``n`` (rows), ``customers``, ``share`` (of the rows), ``judged``,
        ``verdict``; then, each with ``_low`` and ``_high``: ``churn_rate``, ``selection_rate``, ``recall`` (share of
        the leavers who were selected), ``mean_predicted``, ``calibration_gap`` (mean predicted - churn rate, over
        rows with a known outcome), ``ratio`` (selection rate over that of ``compared_to``, the group that is selected
        most of those large enough; 1 for that group itself, NaN if fewer than two groups are large enough or none of
        their customers is selected).

    Raises
    ------
    DataError
        The frame lacks a column, or has no rows.
    """
    _require(frame, [group_column, probability, selected] + ([label] if label else []))
    groups = _by_group(
        CHURN_MEASURES,
        frame[group_column],
        y=frame[label].astype(float) if label else np.full(len(frame), np.nan),
        s=frame[selected].astype(bool),
        p=frame[probability].astype(float),
        customer=_customers(frame, customer),
    )
    reach = NormalDist().inv_cdf((1 + level) / 2)
    table = _compare_selection(
        _sizes(groups, min_group).assign(
            **_rate("churn_rate", groups, "labelled", level),
            **_rate("selection_rate", groups, "customers", level),
            **_rate("recall", groups, "leavers", level),
            **_around("mean_predicted", groups["mean_predicted"], reach * groups["predicted_error"]),
            **_around("calibration_gap", groups["calibration_gap"], reach * groups["gap_error"]),
        ),
        level,
    )
    return _judge(table)


def value_fairness(
    frame: pd.DataFrame,
    group_column: str,
    actual: str = "clv",
    expected: str = "expected",
    low: str = "low",
    high: str = "high",
    min_group: int = 100,
    customer: str = "customer_id",
    level: float = 0.95,
    draws: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare how well groups are valued.

    Parameters
    ----------
    frame
        One row a customer and moment, with the columns named here. Rows without an actual value are left out.
    group_column
        A sensitive column.
    actual, expected, low, high
        Columns of the actual value, of the forecast and of its interval, in units of currency.
    min_group, customer, level
        As for :func:`churn_fairness`.
    draws, seed
        Of the bootstrap over customers.

    Returns
    -------
    DataFrame
        One row a group, by name: ``group``, ``n``, ``customers``, ``share``, ``judged``, ``verdict``,
        ``mean_actual``, ``mean_expected``; then, each with ``_low`` and ``_high``: ``relative_error`` (forecast sum
        over actual sum, less 1; bootstrap), ``coverage`` (Wilson), ``ratio`` (forecast over actual of the group,
        over that of ``compared_to``, which is always "all"; the latter is taken as exact). A group whose ratio lies
        below four fifths is forecast too little for what it spends, and so gets a lower tier.

    Raises
    ------
    DataError
        The frame lacks a column, or no row has an actual value.
    """
    _require(frame, [group_column, actual, expected, low, high])
    rows = frame[frame[actual].notna()]
    _require(rows, [])
    group, customers = named_groups(rows[group_column]), _customers(rows, customer)
    groups = _by_group(
        VALUE_MEASURES,
        group,
        y=rows[actual].astype(float),
        expected=rows[expected].astype(float),
        low=rows[low].astype(float),
        high=rows[high].astype(float),
        customer=customers,
    )
    bounds = [
        bootstrap_interval(
            total_error,
            rows[actual][group == name],
            rows[expected][group == name],
            groups=customers[group == name],
            seed=seed,
            n=draws,
            level=level,
        )
        for name in groups["group"]
    ]
    error_low, error_high = np.array(bounds).T
    overall = 1 + total_error(rows[actual], rows[expected])
    scale = overall if overall > 0 else np.nan
    table = _sizes(groups, min_group).assign(
        mean_actual=groups["mean_actual"],
        mean_expected=groups["mean_expected"],
        **_named("relative_error", groups["relative_error"], error_low, error_high),
        **_rate("coverage", groups, "customers", level),
        compared_to=EVERYONE,
        **_named("ratio", *((1 + e) / scale for e in (groups["relative_error"], error_low, error_high))),
    )
    return _judge(table)


def fairness_table(
    frame: pd.DataFrame, columns: Iterable[str], by_group: Callable[[pd.DataFrame, str], pd.DataFrame]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Audit several sensitive columns.

    Parameters
    ----------
    frame
        One row a customer and moment; with ``as_of``, birth dates become the age at it.
    columns
        The sensitive columns; ages, birth dates and other numbers are audited in ranges, see `in_ranges`.
    by_group
        :func:`churn_fairness` or :func:`value_fairness`, with its other arguments bound (``functools.partial``).

    Returns
    -------
    table : DataFrame
        One row a column and group: ``attribute`` (the column's name), then what `by_group` gives.
    summary : dict
        Plain values for JSON, keyed by column: ``verdict`` (the worst of its groups that could be judged; if none,
        why), ``groups`` and ``judged`` (how many), ``too_small`` (their names), ``lower`` (the
        groups that are lower than others) and ``lowest`` (of the judged groups), each group with ``group``, ``n``,
        ``customers``, ``ratio``, ``ratio_low``, ``ratio_high`` and ``compared_to``.
    """
    ranged = {column: in_ranges(frame[column], frame.get("as_of")) for column in columns}
    tables = {column: by_group(frame.assign(**{column: groups}), column) for column, groups in ranged.items()}
    if not tables:
        return pd.DataFrame(columns=["attribute", "group"]), {}
    stacked = pd.concat([table.assign(attribute=column) for column, table in tables.items()], ignore_index=True)
    in_order = ["attribute", *(c for c in stacked.columns if c != "attribute")]
    return stacked[in_order], {column: summarise(table) for column, table in tables.items()}


def summarise(table: pd.DataFrame) -> dict[str, Any]:
    """Say in plain values what the groups of one sensitive column come to; see :func:`fairness_table`."""
    judged, lower = table[table["judged"]], table[table["verdict"] == LOWER]
    lowest = judged.sort_values("ratio", kind="stable").head(1)
    verdicts = set(table["verdict"])
    return {
        "verdict": next((v for v in (LOWER, NO_DIFFERENCE, UNCOMPARED) if v in verdicts), TOO_SMALL),
        "groups": len(table),
        "judged": len(judged),
        "too_small": table.loc[table["verdict"] == TOO_SMALL, "group"].tolist(),
        "lower": _group_records(lower),
        "lowest": next(iter(_group_records(lowest)), None),
    }


def ratio_interval(
    rate: ArrayLike, n: ArrayLike, other_rate: float, other_n: float, level: float = 0.95
) -> tuple[Array, Array]:
    """Bound rate / other_rate, for rates of two independent samples.

    The MOVER interval of both Wilson intervals: closed, and sound where a rate is 0. Source: Donner and Zou,
    "Closed-form confidence intervals for functions of the normal mean and standard deviation", Statistical Methods
    in Medical Research 21 (2012); compared with others in Fagerland and Newcombe, Statistics in Medicine 32 (2013).

    Parameters
    ----------
    rate, n
        Rates and the number of customers behind each.
    other_rate, other_n
        Those of the group that all are compared to.
    level
        Share of samples whose interval holds the true ratio.

    Returns
    -------
    tuple of ndarray
        Lower and upper bounds; NaN where `other_rate` or n is 0.

    >>> low, high = ratio_interval(0.1, 100, 0.2, 100)
    >>> print(f"{low:.2f} {high:.2f}")
    0.25 1.00
    """
    if not other_rate > 0:
        return np.full(np.shape(rate), np.nan), np.full(np.shape(rate), np.nan)
    rate, n = np.asarray(rate, dtype=np.float64), np.asarray(n, dtype=np.float64)
    low, high = wilson_interval(rate * n, n, level)
    other_low, other_high = wilson_interval(other_rate * other_n, other_n, level)
    product = rate * other_rate
    below, above = low * (2 * rate - low), high * (2 * rate - high)
    other_below, other_above = other_low * (2 * other_rate - other_low), other_high * (2 * other_rate - other_high)
    # the usual lower bound, (product - root) / other_above, times (product + root): other_above may be 0
    at_least = below / np.where(rate > 0, product + _root(product**2 - below * other_above), 1)
    return at_least, (product + _root(product**2 - above * other_below)) / other_below


def _root(values: Array) -> Array:
    """The square root; what rounding pushed below zero is zero."""
    return np.sqrt(np.maximum(values, 0))


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else np.nan


def _standard_error(values: NDArray[Any], customer: NDArray[Any]) -> float:
    """Of the mean, as if each customer's rows were one: the spread of rows over the root of distinct customers."""
    return float(values.std(ddof=1) / np.sqrt(_distinct(customer))) if len(values) > 1 else np.nan


def _distinct(customer: NDArray[Any]) -> int:
    return len(pd.unique(customer))


CHURN_MEASURES: dict[str, Callable[..., float]] = {
    "n": lambda y, s, **_: count(y, s),
    "customers": lambda customer, **_: _distinct(customer),
    "labelled": lambda y, customer, **_: _distinct(customer[~np.isnan(y)]),
    "leavers": lambda y, customer, **_: _distinct(customer[y == 1]),
    "churn_rate": lambda y, **_: _mean(y[~np.isnan(y)]),
    "selection_rate": lambda y, s, **_: selection_rate(y, s),
    "recall": lambda y, s, **_: _mean(s[y == 1]),
    "mean_predicted": lambda p, **_: _mean(p),
    "predicted_error": lambda p, customer, **_: _standard_error(p, customer),
    "calibration_gap": lambda y, p, **_: _mean((p - y)[~np.isnan(y)]),
    "gap_error": lambda y, p, customer, **_: _standard_error((p - y)[~np.isnan(y)], customer[~np.isnan(y)]),
}
VALUE_MEASURES: dict[str, Callable[..., float]] = {
    "n": lambda y, expected, **_: count(y, expected),
    "customers": lambda customer, **_: _distinct(customer),
    "mean_actual": lambda y, **_: _mean(y),
    "mean_expected": lambda expected, **_: _mean(expected),
    "relative_error": lambda y, expected, **_: total_error(y, expected),
    "coverage": lambda y, low, high, **_: coverage(y, low, high),
}


def _by_group(measures: dict[str, Callable[..., float]], group: pd.Series, **columns: ArrayLike) -> pd.DataFrame:
    """One row a group, by name: ``group`` and the measures of its part of the columns, as float64."""
    table = pd.DataFrame({name: np.asarray(values) for name, values in columns.items()})
    rows = []
    for name, part in table.groupby(named_groups(group).to_numpy(), sort=True):
        arrays = {column: part[column].to_numpy() for column in columns}
        rows.append({"group": name, **{key: float(measure(**arrays)) for key, measure in measures.items()}})
    return pd.DataFrame(rows)


def _sizes(groups: pd.DataFrame, min_group: int) -> pd.DataFrame:
    judged = groups["customers"] >= min_group
    return pd.DataFrame(
        {
            "group": groups["group"].astype(str),
            "n": groups["n"].astype(int),
            "customers": groups["customers"].astype(int),
            "share": groups["n"] / groups["n"].sum(),
            "judged": judged,
            "verdict": TOO_SMALL,
        }
    )


def _compare_selection(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """Add the ratio of each group's selection rate to that of the judged group that is selected most.

    "unknown" is no group of people: it is neither compared nor compared to.
    """
    known = (table["group"] != UNKNOWN).to_numpy()
    judged = table[table["judged"] & known]
    if len(judged) < 2:
        return table.assign(compared_to=None, ratio=np.nan, ratio_low=np.nan, ratio_high=np.nan)
    name, best_rate, best_n = judged.nlargest(1, "selection_rate")[["group", "selection_rate", "customers"]].iloc[0]
    level_each = 1 - (1 - level) / (len(judged) - 1)
    low, high = ratio_interval(table["selection_rate"], table["customers"], best_rate, best_n, level_each)
    ratio = np.vstack([low, high, table["selection_rate"] / (best_rate or np.nan)])
    ratio[:, (table["group"] == name) & ~np.isnan(ratio[2])] = 1.0
    ratio[:, ~known] = np.nan
    return table.assign(compared_to=name, **_named("ratio", ratio[2], ratio[0], ratio[1]))


def _judge(table: pd.DataFrame) -> pd.DataFrame:
    enough, compared = table["judged"], table["ratio_high"].notna()
    verdict = np.select(
        [~enough, ~compared, table["ratio_high"] < FOUR_FIFTHS], [TOO_SMALL, UNCOMPARED, LOWER], NO_DIFFERENCE
    )
    return table.assign(judged=enough & compared, verdict=verdict)


def _rate(name: str, groups: pd.DataFrame, weight: str, level: float) -> dict[str, Any]:
    return _named(name, groups[name], *wilson_interval(groups[name] * groups[weight], groups[weight], level))


def _around(name: str, value: pd.Series, reach: pd.Series) -> dict[str, Any]:
    return _named(name, value, value - reach, value + reach)


def _named(name: str, value: ArrayLike, low: ArrayLike, high: ArrayLike) -> dict[str, Any]:
    return {name: np.asarray(value), f"{name}_low": np.asarray(low), f"{name}_high": np.asarray(high)}


def _customers(frame: pd.DataFrame, column: str) -> NDArray[np.intp]:
    """Number the customers; each row is one if the frame does not tell."""
    return pd.factorize(frame[column])[0] if column in frame else np.arange(len(frame))


def _group_records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    keys = ["group", "n", "customers", "ratio", "ratio_low", "ratio_high", "compared_to"]
    return [
        {str(key): None if pd.isna(value) else value for key, value in row.items()}
        for row in rows[keys].to_dict("records")
    ]


def _require(frame: pd.DataFrame, columns: list[str]) -> None:
    missing = [column for column in columns if column not in frame]
    if missing:
        raise DataError(f"fairness: the table lacks {missing}; it has {list(frame.columns)}")
    if frame.empty:
        raise DataError("fairness: no row to compare (with a known outcome); score the hold-out first")
