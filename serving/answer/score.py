"""From feature rows to whole answers. Pure: the moment and the maker of ids are arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from ulid import ULID

from configs.errors import NotReadyError, RegistryError
from configs.settings import Settings
from features.labels.eligibility import is_active
from features.schema import describe
from serving.answer import decide
from serving.answer.campaign import offer
from serving.answer.champion import Champions
from training.model.bundle import Bundle

Row = dict[str, Any]
BASES = ("prior", "hybrid", "model")
RESTS_ON = {
    "model": "Trees, learned from this company's outcomes",
    "hybrid": "A prior from each customer's own past, corrected by trees learned from this company's outcomes",
    "prior": "A prior alone, as there is too little history for trees; the uncertainty is larger",
}
NO_SEASON = "; no whole year of outcomes was learned from, so no season is known"
NO_DROPOUT = "; the orders do not tell whether customers leave for good, or only order less"
EVENTS = {"inactivity": "next_order", "contract": "contract_end", "label": None}


@dataclass(frozen=True)
class Part:
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
    top_reasons: int,
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
        The moment of scoring, UTC.
    top_reasons
        How many reasons to give of each model, the largest effects first; 0 gives all, and then the base of the
        model and the effects sum to the prediction.
    make_id
        Gives the id of each answer.

    Returns
    -------
    list of dict
        One answer a row, in the order of the rows, as plain Python values that JSON can hold, see
        `serving.api.schema.Answer`. ``churn`` is None and ``reasons`` empty for who is not a customer at ``as_of``:
        the churn model never learned from such. ``clv`` is None and ``clv_reasons`` empty without a value model.

    Raises
    ------
    NotReadyError, RegistryError
        A column is missing, a row has no ``as_of``, or a model gives something that is not a number.
    """
    if frame.empty:
        return []
    if frame["as_of"].isna().any():
        raise NotReadyError("a feature row without as_of cannot be scored: rebuild the features")
    rows = _rows(frame)
    customer = is_active(frame, settings.churn)
    risky, valued = _matrices(champions, frame)
    active = [row for row, yes in zip(rows, customer, strict=True) if yes]
    told = iter(_churn(champions.churn.bundle, risky[customer], active, settings, top_reasons))
    churn = [next(told) if yes else None for yes in customer]
    clv: Sequence[Part | None] = [None] * len(rows)
    if champions.clv is not None and valued is not None:
        clv = _clv(champions.clv.bundle, valued, rows, settings, top_reasons)
    stages = decide.stages_of(frame, settings.decisions.stages, settings.churn)
    whole = {
        "scored_at": iso(now),
        "model": champions.labels,
    }
    return [
        _answer(row, risk, value, stage, settings, now, {**whole, "basis": _weakest((risk, value), champions)}, make_id)
        for row, risk, value, stage in zip(rows, churn, clv, stages, strict=True)
    ]


def iso(moment: datetime) -> str:
    """A moment in ISO 8601, UTC, with Z.

    >>> iso(datetime(2017, 12, 1, tzinfo=UTC))
    '2017-12-01T00:00:00Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="auto").replace("+00:00", "Z")


def _rows(frame: pd.DataFrame) -> list[Row]:
    """Every row as a mapping; column by column, which for one row is many times faster than row by row."""
    names = [str(c) for c in frame.columns]
    return [dict(zip(names, values, strict=True)) for values in zip(*(frame[c].tolist() for c in names), strict=True)]


def _matrices(champions: Champions, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray | None]:
    """The matrix of each model there is; made once where both learned from the same columns."""
    churn = champions.churn.bundle
    if champions.clv is None:
        return churn.encode(frame), None
    clv = champions.clv.bundle
    valued = clv.encode(frame)
    same = (churn.features, churn.categories) == (clv.features, clv.categories)
    return (valued if same else churn.encode(frame)), valued


def _answer(
    row: Row,
    churn: Part | None,
    clv: Part | None,
    stage: str | None,
    settings: Settings,
    now: datetime,
    whole: dict[str, Any],
    make_id: Callable[[datetime], str],
) -> dict[str, Any]:
    as_of = row["as_of"].to_pydatetime()
    age = int((now - as_of).total_seconds())
    band = churn.body["band"] if churn else None
    rule = decide.action(settings.decisions.actions, band, clv.body["tier"] if clv else None, stage)
    return {
        "customer_id": row["customer_id"],
        "as_of": iso(as_of),
        "scored_at": whole["scored_at"],
        "prediction_id": make_id(now),
        "churn": churn.body if churn else None,
        "clv": clv.body if clv else None,
        "stage": stage,
        "reasons": churn.reasons if churn else [],
        "clv_reasons": clv.reasons if clv else [],
        "action": {"code": rule.code, "text": rule.text},
        "campaign": offer(churn.body if churn else None, clv.body if clv else None, settings.decisions.campaign),
        "basis": whole["basis"],
        "features": {"age_seconds": age, "stale": age > settings.serving.stale_after_hours * 3600},
        "model": dict(whole["model"]),
    }


def basis_of(bundle: Bundle) -> dict[str, Any]:
    """What the predictions of a model rest on, as answers tell it."""
    season = "" if bundle.full_season else NO_SEASON
    leaving = "" if bundle.info.get("dropout_identifiable", True) else NO_DROPOUT
    text = f"{RESTS_ON[bundle.basis]}{season}{leaving}."
    return {"kind": bundle.basis, "full_season": bundle.full_season, "text": text}


def _weakest(parts: Iterable[Part | None], champions: Champions) -> str:
    """The weakest basis of what is told; of the churn model where nothing is."""
    kinds = [part.body["basis"]["kind"] for part in parts if part] or [champions.churn.bundle.basis]
    return min(kinds, key=BASES.index)


def _churn(bundle: Bundle, matrix: np.ndarray, rows: list[Row], settings: Settings, top: int) -> list[Part]:
    if not rows:
        return []
    probability = _finite(bundle.predict(matrix), bundle.task)
    bands = decide.bands(probability, settings.decisions.bands)
    places = bundle.percentile(probability).tolist()
    times = _times(bundle, matrix, probability, rows, settings)
    basis = basis_of(bundle)
    return [
        Part(
            {
                "probability": p,
                "horizon_days": bundle.horizon_days,
                "band": band,
                "percentile": place,
                **time,
                "basis": basis,
            },
            reasons,
        )
        for p, band, place, time, reasons in zip(
            probability.tolist(), bands, places, times, _reasons(bundle, matrix, rows, top), strict=True
        )
    ]


def _times(
    bundle: Bundle, matrix: np.ndarray, probability: np.ndarray, rows: list[Row], settings: Settings
) -> list[dict[str, Any]]:
    """The probability at every horizon, and when the next order or the end is expected."""
    curve = bundle.survival(matrix, probability)
    left = bundle.by_horizon(curve)
    names = [str(days) for days in left]
    every = np.column_stack(list(left.values())).tolist()
    half = bundle.event_days(curve).tolist()
    return [
        {
            "by_horizon": dict(zip(names, own, strict=True)),
            "expected": _expected(EVENTS[settings.churn.kind], days, row["as_of"]),
        }
        for own, days, row in zip(every, half, rows, strict=True)
    ]


def _expected(event: str | None, days: float, as_of: pd.Timestamp) -> dict[str, Any] | None:
    if event is None:
        return None
    if math.isnan(days):
        return {"event": event, "days": None, "at": None}
    at = (as_of + pd.Timedelta(days=days)).floor("s")
    return {"event": event, "days": days, "at": iso(at.to_pydatetime())}


def _clv(bundle: Bundle, matrix: np.ndarray, rows: list[Row], settings: Settings, top: int) -> list[Part]:
    expected = _finite(bundle.predict(matrix), bundle.task)
    low, high = bundle.bounds(expected, matrix)
    tiers = decide.tiers(expected, decide.tier_edges(bundle, settings.decisions.tiers))
    basis = basis_of(bundle)
    promise = {
        "coverage": bundle.interval.coverage if bundle.interval else None,
        "horizon_days": bundle.horizon_days,
        "currency": settings.currency,
    }
    bodies = (
        {"expected": e, "low": lo, "high": hi, **promise, "tier": tier, "percentile": place, "basis": basis}
        for e, lo, hi, tier, place in zip(
            expected.tolist(), low.tolist(), high.tolist(), tiers, bundle.percentile(expected).tolist(), strict=True
        )
    )
    return [Part(b, r) for b, r in zip(bodies, _reasons(bundle, matrix, rows, top), strict=True)]


def _reasons(bundle: Bundle, matrix: np.ndarray, rows: Sequence[Row], top: int) -> list[list[dict[str, Any]]]:
    effects = bundle.explain(matrix).effects
    order = np.argsort(-np.abs(effects), axis=1, kind="stable")[:, : top or None]
    return [
        [_reason(bundle.features[k], row, own[k]) for k in places]
        for row, own, places in zip(rows, effects.tolist(), order.tolist(), strict=True)
    ]


def _reason(feature: str, row: Row, effect: float) -> dict[str, Any]:
    return {"feature": feature, "value": _plain(row[feature]), "effect": effect, "text": describe(feature, row)}


def _plain(value: Any) -> float | str | None:
    """A feature's value as JSON can hold it; what is not known, or not finite, is None."""
    if value is None or isinstance(value, str):
        return value
    number = float(value)
    return number if math.isfinite(number) else None


def _finite(prediction: np.ndarray, task: str) -> np.ndarray:
    bad = int((~np.isfinite(prediction)).sum())
    if bad:
        raise RegistryError(
            f"the {task} model gave no finite number for {bad} of {len(prediction)} customers: "
            "roll back to an older version"
        )
    return prediction
