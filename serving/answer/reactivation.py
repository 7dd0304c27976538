"""Whether a lapsed customer orders again, as answers say it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from serving.answer.horizons import chances_text
from training.model.bundle import Bundle

RESTS_ON = "The chance of no order by a model of orders alone, no trees"
UNCALIBRATED = f"{RESTS_ON}; no outcome of lapsed customers is known yet, so its level is the model's own."
CALIBRATED = "{}; its level and spread are set by {:,} lapsed customers at {} moments whose outcome is known."


def reactivations(
    bundle: Bundle | None, frame: pd.DataFrame, stages: Sequence[str | None]
) -> list[dict[str, Any] | None]:
    """The chance of return of each lapsed customer; None for all others, and of a model that does not hold it.

    Parameters
    ----------
    bundle
        The churn model; None: there is none.
    frame, stages
        Feature rows, and the stage of each.

    Returns
    -------
    list of dict or None
        ``probability`` of an order within ``horizon_days``, ``by_horizon``, never falling with the days, what that says
        in words, and ``basis``.
    """
    out: list[dict[str, Any] | None] = [None] * len(frame)
    places = [place for place, stage in enumerate(stages) if stage == "lapsed"]
    if bundle is None or bundle.event != "order" or not bundle.returns or not places:
        return out
    chances = bundle.reactivation(frame.iloc[places]) or {}
    text = basis(bundle)
    for number, place in enumerate(places):
        by_horizon = {str(days): float(np.asarray(chance)[number]) for days, chance in chances.items()}
        out[place] = {
            "probability": by_horizon[str(bundle.horizon_days)],
            "horizon_days": bundle.horizon_days,
            "by_horizon": by_horizon,
            "by_horizon_text": chances_text("return", by_horizon),
            "basis": text,
        }
    return out


def basis(bundle: Bundle) -> str:
    """What a chance of return rests on, in words."""
    facts = bundle.info.get("reactivation", {})
    return CALIBRATED.format(RESTS_ON, facts["rows"], facts["moments"]) if facts.get("rows") else UNCALIBRATED
