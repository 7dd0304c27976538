"""Rolling-origin evaluation: at each of several past as-of dates the whole recipe, as if that date were today.

At a date *v* only outcomes that were known at *v* teach: the search is judged on folds among them, boosters and
calibration learn from them, and the forecasts of *v* are held against what came. No later date chooses for an
earlier one. Where the history before *v* is too short for folds by time, the search goes by groups of customers, which
says nothing of a change from month to month; the date is marked so.

Tashman, "Out-of-sample tests of forecasting accuracy", International Journal of Forecasting 16 (2000).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from configs.errors import NotEnoughDataError
from configs.settings import Settings
from configs.workspace import Workspace
from training.data.dataset import Dataset, require_enough
from training.data.horizon_rows import churn_label_at
from training.data.preconditions import informative_folds, require_learnable, require_values
from training.data.split import matured, rolling_origin
from training.data.task_rows import search_folds
from training.data.treatment import with_treatment_weights
from training.fit import assembly, search
from training.fit.small_data import small_data_model_at
from training.judge.examination import HEADLINE, examine, measure_rows
from training.margins import margin
from training.model.bundle import Bundle

MIN_MATURED = 2


@dataclass(frozen=True)
class RollingEvaluation:
    """Forecasts at several as-of dates, each by a model of its own time.

    Attributes
    ----------
    rows
        One row per customer and date: ``label, forecast, baseline``, for values ``low, high``; for churn
        ``forecast_<days>`` and ``churned_<days>`` of every other horizon.
    baseline_name
        Which rule of thumb the baseline is.
    by_customer
        Dates whose search had to go by groups of customers.
    from_prior
        Dates with too little before them for trees, answered from a prior.
    """

    rows: pd.DataFrame
    task: str
    baseline_name: str
    by_customer: tuple[pd.Timestamp, ...]
    from_prior: tuple[pd.Timestamp, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Metrics over all as-of dates and at each, of the model and the baseline, and 95 % intervals over customers.

        All dates of a customer are one fact, see `training.margins`.
        """
        y, forecast, baseline = (self.rows[c].to_numpy() for c in ("label", "forecast", "baseline"))
        customers = self.rows["customer_id"]
        names = HEADLINE[self.task]
        measure = partial(measure_rows, task=self.task)
        return {
            "model": measure(self.rows),
            "baseline": measure(self.rows, column="baseline"),
            "baseline_name": self.baseline_name,
            "model_95": {n: margin(n, y, forecast, customers).interval(0.95) for n in names},
            "model_less_baseline_95": {n: margin(n, y, forecast, customers, baseline).interval(0.95) for n in names},
            "as_ofs": {f"{v:%Y-%m-%d}": measure(rows) for v, rows in self.rows.groupby("as_of")},
            "by_customer": [f"{v:%Y-%m-%d}" for v in self.by_customer],
            "from_prior": [f"{v:%Y-%m-%d}" for v in self.from_prior],
            "horizons": self._horizons(),
        }

    def _horizons(self) -> dict[str, dict[str, float]]:
        days = [str(c).removeprefix("forecast_") for c in self.rows if str(c).startswith("forecast_")]
        outcomes = {d: self.rows[["customer_id", f"churned_{d}", f"forecast_{d}"]].dropna() for d in days}
        return {
            d: measure_rows(rows.rename(columns={f"churned_{d}": "label", f"forecast_{d}": "forecast"}), "churn")
            for d, rows in outcomes.items()
            if len(rows)
        }


def evaluation_as_ofs(data: Dataset, settings: Settings, count: int) -> list[pd.Timestamp]:
    """The newest labelled as-of dates that at least two matured ones lie before, at most `count`, oldest first.

    Raises
    ------
    NotEnoughDataError
        There is none, or the data has no dates.
    """
    if data.by == "part":
        raise NotEnoughDataError(
            "a rolling evaluation needs moments in time: this business has none (churn.kind label)"
        )
    days = settings.outcome_days(data.task)
    as_ofs = [v for v in data.as_ofs if len(matured(data.as_ofs, days, by=v)) >= MIN_MATURED]
    if not as_ofs:
        raise NotEnoughDataError(
            f"{data.task}: a rolling evaluation needs a labelled moment {days} days after two others, found none among "
            f"{len(data.as_ofs)}: bring a longer history, or set a shorter horizon_days"
        )
    return as_ofs[-count:]


def evaluate_rolling(
    data: Dataset,
    settings: Settings,
    count: int,
    feature_rows: pd.DataFrame,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> RollingEvaluation:
    """Forecast the newest `count` as-of dates, each by a model of its own time.

    Parameters
    ----------
    data
        All labelled rows of a task.
    settings
        Of the business; the search at each date takes its budget.
    count
        The most dates.
    feature_rows
        Feature rows of all customers at all dates; one with too little before it is answered from a prior, as it
        would have been then (`training.fit.small_data`).
    on_progress
        Called with how many as-of dates are done, of how many.
    """
    as_ofs = evaluation_as_ofs(data, settings, count)
    rows, names, by_customer, from_prior = [], set(), [], []
    for done, as_of in enumerate(as_ofs):
        on_progress(done, len(as_ofs))
        past, rows_asked = matured_rows(data, settings, as_of), data.at([as_of])
        may_be_prior = settings.minimum.below == "prior"
        try:
            if may_be_prior:
                require_enough(past, settings.minimum)
            bundle, by_time = train_on(past, settings, as_of, rows_asked)
        except NotEnoughDataError:
            if not may_be_prior:
                raise
            bundle, by_time = small_data_model_at(settings, past, feature_rows[feature_rows["as_of"] <= as_of]), True
            from_prior.append(as_of)
        examination = examine(bundle, rows_asked, past.frame, settings)
        names.add(examination.baseline_name)
        rows.append(examination.rows.assign(**_other_horizons(bundle, rows_asked, settings)))
        by_customer += [] if by_time else [as_of]
    on_progress(len(as_ofs), len(as_ofs))
    all_rows = pd.concat(rows, ignore_index=True)
    return RollingEvaluation(all_rows, data.task, names.pop(), tuple(by_customer), tuple(from_prior))


def train_on(
    past: Dataset, settings: Settings, until: pd.Timestamp | None, asked: pd.DataFrame | None = None
) -> tuple[Bundle, bool]:
    """Search and fit on all rows of a data set; and whether the search could go by time.

    Parameters
    ----------
    past
        Labelled rows, all of which may be learned from.
    settings
        Of the business; the search takes its budget.
    until
        No outcome of another horizon past this moment may be seen; None: all that is labelled.
    asked
        The customers who are asked about: they make the scale of percentiles and tiers. None: those of the newest date.

    Raises
    ------
    DataError, NotEnoughDataError
        There is nothing to learn, see `training.data.preconditions`.
    """
    require_values(past)
    seed, as_ofs = settings.tuning.seed, tuple(past.as_ofs)
    past = with_treatment_weights(past, as_ofs, settings, until)
    require_learnable(past, as_ofs)
    by_time = rolling_origin(past.as_ofs, settings.outcome_days(past.task), settings.tuning.folds)
    searched, plans = search_folds(past, by_time, settings)
    folds = assembly.fold_data(searched, informative_folds(searched, plans), settings)
    with tempfile.TemporaryDirectory() as folder:
        result = search.search(past.task, folds, settings.tuning.alone, Workspace(Path(folder)), "rolling")
    fitted, encoder = assembly.learn(past, as_ofs, result, settings)
    validation = assembly.validation_scores(folds, result, seed)
    population = past.newest(as_ofs) if asked is None else asked
    return assembly.assemble(fitted, encoder, validation, past, as_ofs, until, population, settings), bool(by_time)


def matured_rows(data: Dataset, settings: Settings, as_of: pd.Timestamp) -> Dataset:
    """The rows whose outcome was known at an as-of date."""
    matured_as_ofs = matured(data.as_ofs, settings.outcome_days(data.task), by=as_of)
    return replace(data, frame=data.at(matured_as_ofs))


def _other_horizons(bundle: Bundle, rows: pd.DataFrame, settings: Settings) -> dict[str, np.ndarray]:
    """Forecasts and outcomes of a churn model at its horizons beside the main one."""
    if bundle.task == "clv":
        return {}
    matrix = bundle.encode(rows)
    churn = bundle.by_horizon(bundle.survival(matrix, bundle.predict(matrix)))
    others = [days for days in churn if days != bundle.horizon_days]
    forecasts = {f"forecast_{days}": churn[days] for days in others}
    return forecasts | {f"churned_{days}": churn_label_at(rows, days, settings) for days in others}
