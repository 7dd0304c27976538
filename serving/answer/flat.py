"""An answer as one flat object: numbers, words and short lists of texts, as a record of a CRM holds them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configs.settings import Settings

STATUSES = ("new", "prospect", "booked", "lapsed")  # stages that say what the customer is; else: customer
NO_RISK = {
    "prospect": "Prospect: no order or contract yet, so no risk of leaving is told.",
    "booked": "Booked: the only contract begins later, so neither risk nor value is told.",
    "lapsed": "Lapsed: no customer now, so no risk of leaving is told.",
}
NEW = "New: a customer for less than {days} days, so the score rests on little of their own."
STALE = "Stale: the facts are from {as_of}; what happened since is not in the score."
LEFT = "Left, as the label of the last load says: nothing is forecast."


def flat_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of an answer by short names, see `serving.api.schema.customers.CustomerScore`."""
    churn, clv = answer["churn"] or {}, answer["clv"] or {}
    campaign, chance = answer["campaign"] or {}, answer["reactivation"] or {}
    return {
        "customer_id": answer["customer_id"],
        "prediction_id": answer["prediction_id"],
        "as_of": answer["as_of"],
        "scored_at": answer["scored_at"],
        "probability": churn.get("probability"),
        "churn_percentile": churn.get("percentile"),
        "band": churn.get("band"),
        "value": clv.get("expected"),
        "low": clv.get("low"),
        "high": clv.get("high"),
        "clv_percentile": clv.get("percentile"),
        "tier": clv.get("tier"),
        "stage": answer["stage"],
        "reactivation": chance.get("probability"),
        "action": answer["action"]["code"],
        "expected_profit": campaign.get("expected_profit"),
        "contact": campaign.get("contact"),
        "reasons": [reason["text"] for reason in answer["reasons"]],
        "clv_reasons": [reason["text"] for reason in answer["clv_reasons"]],
        "basis": answer["basis"],
        "churn_model": answer["model"]["churn"],
        "clv_model": answer["model"]["clv"],
    }


def status_of(answer: Mapping[str, Any]) -> str:
    """What the customer is: ``customer``, or one of `STATUSES`."""
    return answer["stage"] if answer["stage"] in STATUSES else "customer"


def notes_on(answer: Mapping[str, Any], settings: Settings) -> list[str]:
    """What a reader must know beside the numbers: that little is known, that facts are old, why a number is missing."""
    stage = answer["stage"]
    notes = [NO_RISK[stage]] if stage in NO_RISK and answer["churn"] is None else []
    if stage == "new":
        notes.append(NEW.format(days=settings.decisions.stages.new_days))
    if answer["features"]["stale"]:
        notes.append(STALE.format(as_of=answer["as_of"]))
    return [*notes, *answer.get("unserved", {}).values()]


def without_score(customer_id: str) -> dict[str, Any]:
    """The flat object of a customer of whom nothing is forecast."""
    nothing = {"churn": None, "clv": None, "campaign": None, "reactivation": None, "stage": None, "basis": None}
    texts: dict[str, Any] = {"reasons": [], "clv_reasons": [], "action": {"code": None}}
    ids = dict.fromkeys(("prediction_id", "as_of", "scored_at"))
    model = {"churn": None, "clv": None}
    return flat_answer({"customer_id": customer_id, **ids, **nothing, **texts, "model": model})
