"""Which other horizons of churn have enough to be learned, and the rows that teach the step to each.

A training decides by it, and the check foresees by it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from configs.settings import Settings
from features.labels.horizons import neighbour_pairs
from features.labels.inactivity import churned_column
from training.data.dataset import WEIGHT, Dataset, weight_column
from training.data.split import AsOfs, matured

MIN_OF_EACH = 50
MAIN_ALONE = "too little history: the prior was learned at the main horizon alone"
Span = tuple[int, int, int]  # days of a horizon, of the neighbour it is told from, and until its outcome is known


def horizons_to_learn(
    data: Dataset, as_ofs: AsOfs, until: pd.Timestamp | None, settings: Settings
) -> tuple[list[tuple[Span, AsOfs, pd.DataFrame]], dict[str, str]]:
    """The other horizons that can be learned, nearest to the main one first on either side, and why others cannot.

    Parameters
    ----------
    data
        The labelled rows of churn, with the labels of all horizons.
    as_ofs
        Those that may be learned from.
    until
        No outcome past this moment may be seen; None: all that is labelled.
    settings
        Of the business.

    Returns
    -------
    list of tuple, dict
        Of each horizon its span, the as-of dates and rows that teach it; and of those left out the reason, by days.
    """
    to_learn: list[tuple[Span, AsOfs, pd.DataFrame]] = []
    left_out: dict[str, str] = {}
    for days, near in neighbour_pairs(settings.churn.horizon_days, settings.churn.all_horizons):
        if str(near) in left_out:
            left_out[str(days)] = f"rests on {near} days"
            continue
        wait = max(days, near) + settings.grace_days("churn")
        known = as_ofs if until is None else matured(as_ofs, wait, by=until)
        rows = rows_at_risk(data, known, days, near, settings)
        counts = np.bincount(rows["label"].astype(int), minlength=2)
        if counts.min() < MIN_OF_EACH:
            left_out[str(days)] = (
                f"{counts[1]} customers without the event and {counts[0]} with it, {MIN_OF_EACH} needed"
            )
            continue
        to_learn.append(((days, near, wait), known, rows))
    return to_learn, left_out


def left_out_by_main_alone(settings: Settings) -> dict[str, str]:
    """The horizons that a regression learned at the main one alone tells nothing of: all others."""
    pairs = neighbour_pairs(settings.churn.horizon_days, settings.churn.all_horizons)
    return {str(days): MAIN_ALONE for days, _ in pairs}


def rows_at_risk(data: Dataset, as_ofs: AsOfs | list, days: int, near: int, settings: Settings) -> pd.DataFrame:
    """Rows that a step forecasts, see `at_risk`.

    They weigh as much as at the longer horizon: who was contacted only after the shorter one counts there alone.
    """
    weight = weight_column(max(days, near), settings.churn.horizon_days)
    rows = data.training_rows(as_ofs, weight)
    return at_risk(rows.assign(**{WEIGHT: rows[weight]}) if weight in rows else rows, days, near, settings)


def at_risk(rows: pd.DataFrame, days: int, near: int, settings: Settings) -> pd.DataFrame:
    """The rows that a step forecasts; ``label`` is 1 where nothing happened until its horizon."""
    inner, outer = (no_event_until(rows, d, settings) for d in (near, days))
    open_ = (inner == 1) if days > near else (inner == 0)
    return rows.assign(label=outer)[open_ & ~np.isnan(outer)].reset_index(drop=True)


def no_event_until(rows: pd.DataFrame, days: int, settings: Settings) -> np.ndarray:
    """1 where nothing had happened by a horizon (no order, no end of the contract), 0 where it had, NaN if unknown."""
    churned = churn_label_at(rows, days, settings)
    return churned if settings.churn.kind == "inactivity" else 1 - churned


def churn_label_at(rows: pd.DataFrame, days: int, settings: Settings) -> np.ndarray:
    """The churn label at a horizon, NaN where it is not known (yet), shape (n,)."""
    name = "label" if days == settings.churn.horizon_days else churned_column(days)
    if name not in rows:
        return np.full(len(rows), np.nan)
    return rows[name].to_numpy(dtype=np.float64, na_value=np.nan)
