"""The examination: a model and the plain baseline on the same hold-out rows, overall, by slice, with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from configs.settings import Settings
from training.data.horizon_rows import churn_label_at
from training.data.treatment import untreated_weights, weighted_metrics
from training.fit.assembly import forecast
from training.json_text import without_nan
from training.judge.baselines import (
    past_rate,
    present_price,
    price_and_past,
    recency_rule,
    regression_rule,
    value_regression_rule,
)
from training.judge.interval_coverage import shares_at_quantiles
from training.margins import margin
from training.metrics import auc, by_slice, churn_metrics, log_loss, mae, normalised_gini, rmse, value_metrics
from training.model.bundle import Bundle
from training.model.tiers import tier_edges, tiers

HEADLINE: dict[str, dict[str, Callable[..., float]]] = {
    "churn": {"auc": auc, "log_loss": log_loss},
    "clv": {"normalised_gini": normalised_gini, "mae": mae, "rmse": rmse},
}
HELD_OUT_BY_LOT = (
    "The data has no dates: customers were held out by a seeded lot, in no order of time. "
    "Expect worse on customers of a later time."
)
ONE_MOMENT = (
    "The history is too short for a later moment to judge: customers were held out at the newest labelled one. How the "
    "level differs between moments is not tested."
)
NEW = "new"
TENURE_DAYS = (0, 90, 180, np.inf)
TENURE_NAMES = ("under 90 days", "90 to 180 days", "over 180 days")


@dataclass(frozen=True)
class Examination:
    """What a model showed on rows it had not seen.

    Attributes
    ----------
    rows
        One row per customer and moment: ``label``, ``forecast``, ``baseline``, slices; ``low, high`` for values.
    model, baseline
        Metrics by name, see `training.metrics`.
    margins
        For the headline metrics, the 95 % interval of model less baseline over customers, see `training.margins`.
    slices
        Metrics of the model by slice.
    baseline_name
        Which rule of thumb the baseline is.
    note
        What a reader must know of how the rows were held out; empty: later moments, as it should be.
    horizons
        Churn: metrics at every horizon whose outcome is known of hold-out rows, by days.
    untreated
        Churn, where customers were contacted within the horizon: metrics of model and baseline over those who were
        not, weighted so that they stand for all, see `training.data.treatment`.
    reactivation
        Churn by inactivity: how the chance of return did on lapsed customers, by days, see
        `training.fit.reactivation.examine_returns`.
    longer
        Value: what forecasts of longer horizons showed at past moments, by days, see `training.fit.value.longer`.
    """

    rows: pd.DataFrame
    model: dict[str, float]
    baseline: dict[str, float]
    margins: dict[str, tuple[float, float]]
    slices: pd.DataFrame
    baseline_name: str
    note: str = ""
    horizons: dict[str, dict[str, float]] = field(default_factory=dict)
    untreated: dict[str, dict[str, float]] = field(default_factory=dict)
    reactivation: dict[str, dict[str, float]] = field(default_factory=dict)
    longer: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As values that JSON can hold; NaN becomes None."""
        slices = [{k: None if pd.isna(v) else v for k, v in row.items()} for row in self.slices.to_dict("records")]
        return {
            "customers": int(self.rows.loc[self.rows["label"].notna(), "customer_id"].nunique()),
            "as_ofs": sorted({f"{a.isoformat()}" for a in self.rows["as_of"]}),
            "model": _finite_or_none(self.model),
            "baseline": _finite_or_none(self.baseline),
            "baseline_name": self.baseline_name,
            "note": self.note,
            "model_less_baseline_95": {k: list(v) for k, v in self.margins.items()},
            "slices": slices,
            "horizons": {days: _finite_or_none(metrics) for days, metrics in self.horizons.items()},
            "untreated": {name: _finite_or_none(metrics) for name, metrics in self.untreated.items()},
            "longer": self.longer,
            "reactivation": {days: _finite_or_none(metrics) for days, metrics in self.reactivation.items()},
        }


def examine(bundle: Bundle, holdout: pd.DataFrame, train: pd.DataFrame, settings: Settings) -> Examination:
    """Examine a model on hold-out rows, beside the baseline.

    Parameters
    ----------
    bundle
        A model that was learned from neither these rows nor anything later.
    holdout
        Labelled feature rows.
    train
        The rows the model was learned from: the baseline is fitted on them, too.
    settings
        Of the business.
    """
    baseline_name, baseline = _baseline(bundle, holdout, train, settings)
    cuts = {**_tenure(holdout, settings), **{name: holdout[name] for name in bundle.categories}}
    rows = forecast(bundle, holdout).assign(baseline=baseline, **cuts)
    if bundle.task == "clv":
        edges = tier_edges(bundle, settings.decisions.tiers)
        cuts["tier"] = pd.Series(tiers(rows["forecast"].to_numpy(), edges), index=rows.index)
        rows = rows.assign(tier=cuts["tier"])
    measure = partial(measure_rows, task=bundle.task)
    slices = [by_slice(rows, name, measure).rename(columns={name: "value"}) for name in cuts]
    named = [part.assign(slice=name) for part, name in zip(slices, cuts, strict=True)]
    table = pd.concat(named, ignore_index=True) if named else pd.DataFrame(columns=["slice", "value"])
    return Examination(
        rows=rows,
        model=measure(rows),
        baseline=measure(rows, column="baseline"),
        margins=_margins(bundle.task, rows),
        slices=table[["slice", "value", *[c for c in table.columns if c not in ("slice", "value")]]],
        baseline_name=baseline_name,
        note=HELD_OUT_BY_LOT if settings.churn.kind == "label" else ONE_MOMENT if bundle.info.get("judged_by") else "",
        horizons=_horizons(bundle, holdout, settings) if bundle.task == "churn" else {},
        untreated=_untreated(bundle, holdout, rows, settings) if bundle.task == "churn" else {},
    )


def _untreated(
    bundle: Bundle, holdout: pd.DataFrame, rows: pd.DataFrame, settings: Settings
) -> dict[str, dict[str, float]]:
    """Metrics over the rows that were not contacted, weighted to all; none if nobody was, or nobody knows."""
    weight = untreated_weights(bundle, holdout, settings)
    if weight is None:
        return {}
    y, named = rows["label"].to_numpy(), {"model": "forecast", "baseline": "baseline"}
    return {name: weighted_metrics(y, rows[column].to_numpy(), weight) for name, column in named.items()}


def _horizons(bundle: Bundle, holdout: pd.DataFrame, settings: Settings) -> dict[str, dict[str, float]]:
    """Metrics at every horizon of the model, of the rows whose outcome is known there."""
    matrix = bundle.encode(holdout)
    left = bundle.by_horizon(bundle.survival(matrix, bundle.predict(matrix)))
    churned = {days: churn_label_at(holdout, days, settings) for days in left}
    return {str(d): churn_metrics(churned[d], p) for d, p in left.items() if not np.isnan(churned[d]).all()}


def measure_rows(rows: pd.DataFrame, task: str, column: str = "forecast") -> dict[str, float]:
    """Metrics of one column of forecasts against the label."""
    if task == "churn":
        return churn_metrics(rows["label"], rows[column])
    if column == "forecast":
        metrics = value_metrics(rows["label"], rows[column], rows["low"], rows["high"])
        return metrics | shares_at_quantiles(rows)
    return value_metrics(rows["label"], rows[column])


def _baseline(bundle: Bundle, holdout: pd.DataFrame, train: pd.DataFrame, settings: Settings) -> tuple[str, np.ndarray]:
    """Name and forecasts of the rule of thumb: the strongest that the business's tables allow for nothing."""
    if bundle.task == "churn" and settings.churn.kind == "inactivity":
        days = "days_since_last_order"
        return "recency rule", recency_rule(holdout[days], train[days], train["label"])
    names, categories = list(bundle.features), tuple(bundle.categories)
    if bundle.task == "churn":
        return "logistic regression", regression_rule(holdout[names], train[names], train["label"], categories)
    if settings.churn.kind == "label":
        return "Poisson regression", value_regression_rule(holdout[names], train[names], train["label"], categories)
    if "spend_total" in holdout:
        rate, rate_train = (_past_rate(rows, settings) for rows in (holdout, train))
        if "price_now" not in holdout or settings.clv.contracts == "orders":
            return "past rate", rate
        prices = holdout["price_now"], train["price_now"]
        return "price and past rate", price_and_past(prices[0], rate, prices[1], rate_train, train["label"])
    return "present price", present_price(holdout["price_now"], train["price_now"], train["label"])


def _past_rate(rows: pd.DataFrame, settings: Settings) -> np.ndarray:
    return past_rate(rows["spend_total"], rows["tenure_days"], settings.clv.horizon_days, settings.clv.margin)


def _margins(task: str, rows: pd.DataFrame) -> dict[str, tuple[float, float]]:
    y, forecast, baseline, customers = (rows[c] for c in ("label", "forecast", "baseline", "customer_id"))
    return {name: margin(name, y, forecast, customers, baseline).interval(0.95) for name in HEADLINE[task]}


def _tenure(rows: pd.DataFrame, settings: Settings) -> dict[str, pd.Series]:
    """The slices by length of custom, under their names; none where nothing is dated."""
    kind = settings.churn.kind
    if kind == "label":
        return {}
    days = rows["tenure_days" if kind == "inactivity" else "subscribed_days"]
    tenure = pd.cut(days, bins=list(TENURE_DAYS), labels=list(TENURE_NAMES), right=False).astype(object)
    new = pd.Series(np.where(days < settings.decisions.stages.new_days, NEW, "known longer"), index=rows.index)
    return {"tenure": tenure, "custom": new}


def _finite_or_none(metrics: dict[str, float]) -> dict[str, float | None]:
    return {k: without_nan(float(v)) for k, v in metrics.items()}
