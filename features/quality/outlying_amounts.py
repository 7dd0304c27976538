"""Amounts out of all proportion: named and set aside by one rule, as one of them would outweigh all the others.

An amount is out of proportion if its size is more than ``quality.outlying_amounts`` times the 99th percentile of all
sizes above zero (an observed one, so that a single large amount never raises it). Of fewer than `FEW` amounts the
percentile rests on one or two of them: it is taken as at most a hundred times the middle then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from features.numbers.extremes import ends_of
from features.quality.anomalies import Finding
from features.quality.check import ValidatedTable
from features.tables import MONEY

FEW, TIMES_THE_MIDDLE = 200, 100.0
RULE = "times the 99th percentile of all"
KEPT_BY = "correct it at its source, or keep it with quality.outlying_amounts: null, or a larger number"


def usual_and_largest(amounts: Iterable[pd.Series], rows: int) -> tuple[float, float]:
    """The 99th percentile of the sizes above zero of a column, and the largest size; 0 if there are none.

    Parameters
    ----------
    amounts
        In any order, in one part or several.
    rows
        How many there are, at least.

    Examples
    --------
    >>> usual_and_largest([pd.Series([30.0, -34.0, 0.0]), pd.Series([40.0, 1e12])], 5)
    (40.0, 1000000000000.0)
    """
    sizes = (np.abs(part.to_numpy("float64")) for part in amounts)
    filled, _, high = ends_of((size[size > 0] for size in sizes), max(FEW, int(0.01 * rows) + 2))
    if not filled:
        return 0.0, 0.0
    usual = float(high[int(0.99 * (filled - 1)) - filled])
    if filled < FEW:
        usual = min(usual, TIMES_THE_MIDDLE * float(np.median(high)))
    return usual, float(high[-1])


def usual_sizes(checked: Mapping[str, ValidatedTable]) -> dict[str, float]:
    """The usual size of the amounts of each table that has any, for the profile of a load."""
    return {name: _sizes(checked[name], c)[0] for name, c in _with_amounts(checked).items()}


def _with_amounts(checked: Mapping[str, ValidatedTable]) -> dict[str, str]:
    """The main column of money of each table that has it."""
    return {name: c for name, (c, *_) in MONEY.items() if name in checked and c in checked[name].table.names}


def _sizes(one: ValidatedTable, column: str) -> tuple[float, float]:
    return usual_and_largest((part[column] for part in one.parts([column])), one.table_rows)


def reason_against(table: str, row: Mapping[str, Any], usual: Mapping[str, float], factor: float | None) -> str | None:
    """Why the amount of one row is out of proportion; None if it is not.

    >>> reason_against("orders", {"amount": 1e9}, {"orders": 40.0}, 1000.0)
    "'1000000000' is more than 1000 times the 99th percentile of all (40)"
    >>> reason_against("orders", {"amount": 39_000}, {"orders": 40.0}, 1000.0)
    """
    size, amount = usual.get(table, 0.0), row.get(MONEY.get(table, ("",))[0])
    if factor is None or not size or amount is None or abs(amount) <= factor * size:
        return None
    return f"'{amount:.15g}' {_beyond(factor, size)}"


def set_outliers_aside(checked: Mapping[str, ValidatedTable], factor: float | None) -> dict[str, ValidatedTable]:
    """Put rows with an amount out of all proportion into quarantine, each with its reason.

    Parameters
    ----------
    checked
        The tables after their check; they are not changed.
    factor
        How many times the usual size an amount may be; None: any.
    """
    out = dict(checked)
    for name, column in _with_amounts(checked).items():
        if factor is None or not out[name].table_rows:
            continue
        usual, largest = _sizes(out[name], column)
        if largest > factor * usual:
            out[name] = out[name].set_aside(partial(_reasons, column=column, factor=factor, usual=usual))
    return out


def _reasons(rows: pd.DataFrame, column: str, factor: float, usual: float) -> pd.Series:
    """A reason against each row (by index) whose amount is out of proportion."""
    large = rows.loc[rows[column].abs() > factor * usual, column]
    return f"{column}: '" + large.map("{:.15g}".format).astype(str) + f"' {_beyond(factor, usual)}"


def _beyond(factor: float, usual: float) -> str:
    return f"is more than {factor:g} {RULE} ({usual:.6g})"


def outlier_findings(checked: Mapping[str, ValidatedTable]) -> list[Finding]:
    """What was set aside, one finding a table: it warns."""
    findings = []
    for name, one in checked.items():
        reasons = one.quarantined["reason"].astype(str)
        aside = reasons[reasons.str.contains(RULE, regex=False)]
        if len(aside):
            rows, (value, limit) = int(one.weights[aside.index].sum()), aside.iloc[0].split("' is ", 1)
            got = f"{rows:,} rows set aside, as {value.rpartition(chr(39))[2]}"
            findings.append(Finding(name, MONEY[name][0], "outlying_amounts", "warn", got, f"not {limit}", KEPT_BY))
    return findings
