"""From feature rows to whole answers. Pure: the present and the maker of ids are arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import compress
from typing import Any

import numpy as np
import pandas as pd
from ulid import ULID

from configs.errors import NotReadyError, RegistryError
from configs.settings import Settings
from features.labels.eligibility import is_active, is_booked
from serving.answer import decide
from serving.answer.campaign import campaign_decisions
from serving.answer.champion import Champions
from serving.answer.event_time import NOTHING, event_days, with_known_end
from serving.answer.horizons import Told, chances_text, longer_values, values_text
from serving.answer.reactivation import reactivations
from serving.answer.reasons import reasons
from training.model.bundle import Bundle
from training.model.longer import Amounts
from training.model.tiers import tier_edges, tiers

Row = dict[str, Any]
CLOCK_SKEW_SECONDS = 300  # features may be so much ahead of the clock of this machine
AT_RISK = ("high", "critical")
BASES = ("prior", "hybrid", "model")
RESTS_ON = {
    "model": "Trees, learned from this company's outcomes",
    "hybrid": "Trees together with a prior or a regression, learned from this company's outcomes",
    "prior": "A prior alone, no trees; the uncertainty is larger",
}
NO_BETTER = "A prior or a regression: trees that competed with it on this company's outcomes forecast no better"
RECENT = "; the newest months, as past ones showed, move its level by {:+.1%}"
OF_SEASON = "; the season of earlier years counts"
SEASON_UNJUDGED = "; the season of earlier years counts as far as they agree: too few past moments knew it to judge it"
NOT_JUDGED = (
    "; too few past moments knew a season to judge it, and lent that of later years they came no nearer: none counts"
)
NO_SEASON = "; no whole year of outcomes was learned from, so no season is known"
ONE_YEAR = "; the outcomes learned from cover less than two years, so no season repeats in them, and none counts"
NOT_HELPFUL = "; the season of earlier years brings forecasts of past moments no nearer, and does not count"
NO_REPEATED = "; no season is known: that takes two years of orders, in which one repeats"
NO_DROPOUT = "; the orders do not tell whether customers leave for good, or only order less"
ONE_RATE = "; within longer horizons contracts end at the rate of all, as orders count, or may, beside the fees"
EVENTS: dict[str, Told] = {"inactivity": "next_order", "contract": "contract_end", "label": "label"}


@dataclass(frozen=True)
class Prediction:
    """What one model says about one customer, and its reasons."""

    body: dict[str, Any]
    reasons: list[dict[str, Any]]


def new_id(now: datetime) -> str:
    """A new ULID: ids made later sort later."""
    return str(ULID.from_datetime(now))


def score(
    frame: pd.DataFrame,
    champions: Champions,
    settings: Settings,
    now: datetime,
    top_reasons: int | Sequence[int | None] | None,
    make_id: Callable[[datetime], str] = new_id,
) -> list[dict[str, Any]]:
    """Answer for every row of a feature frame.

    Parameters
    ----------
    frame
        Feature rows: ``customer_id``, ``as_of`` (known, UTC) and every column that the models learned from.
    champions
        The models that serve.
    settings
        Bands, tiers, stages and actions; the currency; when features are stale.
    now
        When it is scored, UTC.
    top_reasons
        How many reasons to give of each model, the largest effects first, for all or for each row; 0 gives each
        column apart, and then the base of the model and the effects sum to the prediction; None gives none.
    make_id
        Gives the id of each answer.

    Returns
    -------
    list of dict
        One answer a row, in the order of the rows, as Python values that JSON can hold, see
        `serving.api.schema.answers.Answer`. ``churn`` is None and ``reasons`` empty for who is not a customer at
        ``as_of``: the churn model never learned from such; ``reactivation`` tells the chance of return of the
        lapsed. ``clv`` is None and ``clv_reasons`` empty without a value model, and for whose only contract begins
        later. A model that the business should have and that does not serve leaves its part None for all, and
        ``unserved`` tells why; the key is missing where all serve. Where the models are those of one arm of a canary,
        ``arms`` says of which.

    Raises
    ------
    NotReadyError, RegistryError
        A column is missing, a row has no ``as_of``, or a model gives something that is not a number.
    """
    if frame.empty:
        return []
    if frame["as_of"].isna().any():
        raise NotReadyError("a feature row without as_of cannot be scored: rebuild the features")
    names = [str(c) for c in frame.columns]
    by_row = frame.to_numpy(dtype=object).tolist()  # for few rows many times faster than column by column
    rows: list[Row] = [dict(zip(names, of_row, strict=True)) for of_row in by_row]
    tops = list(top_reasons) if isinstance(top_reasons, Sequence) else [top_reasons] * len(rows)
    active = is_active(frame, settings.churn)
    churn_matrix, clv_matrix = _matrices(champions, frame, by_row)
    active_rows, active_tops = list(compress(rows, active)), list(compress(tops, active))
    churn: Sequence[Prediction | None] = [None] * len(rows)
    if champions.churn is not None and churn_matrix is not None:
        risks = iter(_churn(champions.churn.bundle, churn_matrix[active], active_rows, settings, active_tops))
        churn = [next(risks) if is_customer else None for is_customer in active]
    clv: Sequence[Prediction | None] = [None] * len(rows)
    if champions.clv is not None and clv_matrix is not None:
        valued = ~is_booked(frame, settings.churn)
        known = (frame if valued.all() else frame[valued], clv_matrix[valued], list(compress(rows, valued)))
        values = iter(_clv(champions.clv.bundle, known, settings, list(compress(tops, valued))))
        clv = [next(values) if is_valued else None for is_valued in valued]
    stages = decide.stages(frame, settings.decisions.stages, settings.churn)
    returns = reactivations(champions.churn.bundle if champions.churn else None, frame, stages)
    risk_bodies, value_bodies = ([part.body if part else None for part in parts] for parts in (churn, clv))
    campaigns = campaign_decisions(risk_bodies, value_bodies, settings.decisions.campaign, champions.level_sd)
    return [
        _answer(row, risk, value, stage, campaign, champions, settings, now, make_id(now)) | {"reactivation": chance}
        for row, risk, value, stage, campaign, chance in zip(rows, churn, clv, stages, campaigns, returns, strict=True)
    ]


def score_targets(
    frame: pd.DataFrame,
    champions: Champions,
    settings: Settings,
    now: datetime,
    top_reasons: int | Sequence[int | None] | None,
    targets: Collection[str] | None = None,
    make_id: Callable[[datetime], str] = new_id,
) -> list[dict[str, Any]]:
    """As `score`, of some models alone: the others are not asked, and nothing is decided from a part.

    Parameters
    ----------
    frame, champions, settings, now, top_reasons, make_id
        As for `score`.
    targets
        The models that are asked; None: all.
    """
    if targets is None:
        return score(frame, champions, settings, now, top_reasons, make_id)
    answers = score(frame, champions.only(targets), settings, now, top_reasons, make_id)
    partly = {"targets": sorted(targets), "action": dict(decide.NOT_ASKED), "campaign": None}
    return [{**answer, **partly} for answer in answers]


def age_of(as_of: datetime, now: datetime, settings: Settings) -> dict[str, Any]:
    """How old facts are, in seconds, and whether they are too old, or of a time that has not come."""
    age = int((now - as_of).total_seconds())
    stale = age > settings.serving.stale_after_hours * 3600 or age < -CLOCK_SKEW_SECONDS
    return {"age_seconds": max(age, 0), "stale": stale}


def iso(time: datetime) -> str:
    """A time in ISO 8601, UTC, with Z.

    >>> iso(datetime(2017, 12, 1, tzinfo=UTC))
    '2017-12-01T00:00:00Z'
    """
    return time.astimezone(UTC).isoformat(timespec="auto").replace("+00:00", "Z")


def _matrices(
    champions: Champions, frame: pd.DataFrame, rows: list[list[Any]]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The matrix of each model there is; encoded once where both learned from the same columns."""
    if champions.churn is None or champions.clv is None:
        alone = (
            None if model is None else model.bundle.encode(frame, rows) for model in (champions.churn, champions.clv)
        )
        return next(alone), next(alone)
    churn, clv = champions.churn.bundle, champions.clv.bundle
    matrix = clv.encode(frame, rows)
    same = (churn.features, churn.categories) == (clv.features, clv.categories)
    return (matrix if same else churn.encode(frame, rows)), matrix


def _answer(
    row: Row,
    churn: Prediction | None,
    clv: Prediction | None,
    stage: str | None,
    campaign: dict[str, Any] | None,
    champions: Champions,
    settings: Settings,
    now: datetime,
    prediction_id: str,
) -> dict[str, Any]:
    as_of = row["as_of"].to_pydatetime()
    band = churn.body["band"] if churn else None
    bases = [part.body["basis"]["kind"] for part in (churn, clv) if part] or [champions.models[0].bundle.basis]
    tier = clv.body["tier"] if clv else None
    return {
        "customer_id": row["customer_id"],
        "as_of": iso(as_of),
        "scored_at": iso(now),
        "prediction_id": prediction_id,
        "churn": churn.body if churn else None,
        "clv": clv.body if clv else None,
        "stage": stage,
        "reasons": churn.reasons if churn else [],
        "clv_reasons": clv.reasons if clv else [],
        "action": decide.decision(
            settings.decisions,
            band,
            tier,
            stage,
            campaign,
            settings.currency,
            champions.churn is not None,
            settings.churn.forecast,
        ),
        "campaign": campaign,
        "basis": min(bases, key=BASES.index),
        "features": age_of(as_of, now, settings),
        "model": champions.labels,
        **({"arms": {task: arm["arm"] for task, arm in champions.arms.items()}} if champions.arms else {}),
        **({"unserved": dict(champions.unserved)} if champions.unserved else {}),
    }


OF_SHORTER = "; no outcome of {} days is known yet: the level is that of {} days, learned at {} moments, told beside"
LEFT_OUT = "; nothing is told within {} days: {}"


def basis_of(bundle: Bundle) -> dict[str, Any]:
    """What the predictions of a model rest on, as answers say it."""
    leaving = "" if bundle.info.get("dropout_identifiable", True) else NO_DROPOUT
    why = f"; {bundle.info['why']}" if bundle.info.get("why") else ""
    rests_on = NO_BETTER if bundle.basis == "prior" and bundle.chosen_on_folds else RESTS_ON[bundle.basis]
    left_out = "".join(LEFT_OUT.format(*each) for each in bundle.info.get("horizons_left_out", {}).items())
    judged = f"; {bundle.info['judged_by']}" if bundle.info.get("judged_by") else ""
    if shorter := bundle.info.get("learned_horizon_days"):
        judged += OF_SHORTER.format(bundle.horizon_days, shorter, bundle.info["learned_moments"])
    factor = bundle.info.get("recent_level", {}).get("factor")
    recent = RECENT.format(factor - 1) if factor else ""
    longer = ONE_RATE if bundle.longer and bundle.longer.ends_at_one_rate else ""
    text = f"{rests_on}{why}{judged}{recent}{_season_of(bundle)}{leaving}{left_out}{longer}".rstrip(".") + "."
    return {"kind": bundle.basis, "full_season": bundle.full_season, "text": text}


def _season_of(bundle: Bundle) -> str:
    """What is known of the season; a model of orders needs no year of outcomes for it."""
    counts, unjudged = bundle.info.get("season"), bundle.info.get("season_unjudged", False)
    if counts:
        return SEASON_UNJUDGED if unjudged else OF_SEASON
    if counts is False:
        return NOT_JUDGED if unjudged else NOT_HELPFUL
    if bundle.full_season:
        return "" if bundle.info.get("season_repeats", True) else ONE_YEAR
    return NO_REPEATED if str(bundle.info.get("form", "")).endswith("_orders") else NO_SEASON


def _churn(
    bundle: Bundle, matrix: np.ndarray, rows: list[Row], settings: Settings, tops: Sequence[int | None]
) -> list[Prediction]:
    if not rows:
        return []
    probability = _require_finite(bundle.predict(matrix), bundle.task)
    bands = decide.bands(probability, settings.decisions.bands)
    percentiles = bundle.percentile(probability).tolist()
    times = _times(bundle, matrix, probability, rows, settings)
    basis = basis_of(bundle)
    return [
        Prediction(
            {
                "probability": p,
                "horizon_days": bundle.horizon_days,
                "band": band,
                "percentile": percentile,
                **time,
                "basis": with_known_end(basis, row, bundle),
            },
            why,
        )
        for row, p, band, percentile, time, why in zip(
            rows,
            probability.tolist(),
            bands,
            percentiles,
            times,
            reasons(bundle, matrix, rows, tops, settings.currency, [band in AT_RISK for band in bands]),
            strict=True,
        )
    ]


def _times(
    bundle: Bundle, matrix: np.ndarray, probability: np.ndarray, rows: list[Row], settings: Settings
) -> list[dict[str, Any]]:
    """The probability at every horizon, and when the next order or the end is expected."""
    curve = bundle.survival(matrix, probability)
    by_horizon = bundle.by_horizon(curve)
    names = [str(days) for days in by_horizon]
    probabilities = np.column_stack(list(by_horizon.values())).tolist()
    forecast_days, kind = bundle.event_days(curve).tolist(), settings.churn.kind

    def expected(row: Row, days: float, of_customer: list[float]) -> dict[str, Any] | None:
        left = dict(zip(by_horizon, of_customer, strict=True)) if bundle.reads_known_ends else NOTHING
        return _expected(EVENTS[kind], event_days(row, days, kind, left), row["as_of"])

    by_customer = [dict(zip(names, of_customer, strict=True)) for of_customer in probabilities]
    return [
        {
            "by_horizon": chances,
            "by_horizon_text": chances_text(EVENTS[kind], chances),
            "expected": expected(row, days, of_customer),
        }
        for chances, of_customer, days, row in zip(by_customer, probabilities, forecast_days, rows, strict=True)
    ]


def _expected(event: Told, days: float, as_of: pd.Timestamp) -> dict[str, Any] | None:
    if event == "label":
        return None
    if math.isnan(days):
        return {"event": event, "days": None, "at": None}
    at = as_of.to_pydatetime() + timedelta(days=days)
    return {"event": event, "days": days, "at": iso(at.replace(microsecond=0))}


def _clv(
    bundle: Bundle, known: tuple[pd.DataFrame, np.ndarray, list[Row]], settings: Settings, tops: Sequence[int | None]
) -> list[Prediction]:
    """`known`: the rows as a frame, as a matrix, and as Python values."""
    frame, matrix, rows = known
    if not rows:
        return []
    expected = _require_finite(bundle.predict(matrix), bundle.task)
    low, high = bundle.bounds(expected, matrix)
    expected, low, high = expected + 0.0, low + 0.0, high + 0.0  # no minus zero
    of_tier = tiers(expected, tier_edges(bundle, settings.decisions.tiers))
    basis = basis_of(bundle)
    shared = {
        "coverage": bundle.interval.coverage if bundle.interval else None,
        "horizon_days": bundle.horizon_days,
        "currency": settings.currency,
    }
    further = longer_values(bundle, frame, matrix, Amounts(expected, low, high))
    percentiles, quantiles = bundle.percentile(expected).tolist(), _quantiles(bundle, expected, matrix)
    bodies = (
        {
            "expected": e,
            "low": lo,
            "high": hi,
            "quantiles": at,
            **shared,
            "by_horizon": by_horizon,
            "by_horizon_text": _values_text(bundle.horizon_days, e, by_horizon, settings.currency),
            "tier": tier,
            "percentile": percentile,
            "basis": with_known_end(basis, row, bundle),
        }
        for row, e, lo, hi, at, by_horizon, tier, percentile in zip(
            rows, expected.tolist(), low.tolist(), high.tolist(), quantiles, further, of_tier, percentiles, strict=True
        )
    )
    return [
        Prediction(body, why)
        for body, why in zip(bodies, reasons(bundle, matrix, rows, tops, settings.currency), strict=True)
    ]


def _values_text(days: int, expected: float, longer: dict[str, dict[str, Any]] | None, currency: str) -> str:
    further = {name: amounts["expected"] for name, amounts in (longer or {}).items()}
    return values_text({str(days): expected, **further}, currency)


def _quantiles(bundle: Bundle, expected: np.ndarray, matrix: np.ndarray) -> list[dict[str, float] | None]:
    """The quantiles of each value by percent; None for all where the model has not learned them."""
    at = {
        str(percent): (amounts + 0.0).tolist() for percent, amounts in bundle.value_quantiles(expected, matrix).items()
    }
    return [dict(zip(at, row, strict=True)) for row in zip(*at.values(), strict=True)] if at else [None] * len(expected)


def _require_finite(prediction: np.ndarray, task: str) -> np.ndarray:
    bad = int((~np.isfinite(prediction)).sum())
    if bad:
        raise RegistryError(
            f"the {task} model gave no finite number for {bad} of {len(prediction)} customers: "
            "roll back to an older version"
        )
    return prediction
