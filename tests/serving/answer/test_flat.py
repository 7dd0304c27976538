from __future__ import annotations

from datetime import datetime

import pandas as pd

from configs.settings import Settings
from serving.answer.champion import Champions
from serving.answer.flat import flat_answer, notes_on, status_of, without_score
from serving.answer.score import score


def test_a_flat_answer_says_what_the_answer_says(
    champions: Champions, planned: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    for answer in score(customers.head(50), champions, planned, now, 2):
        flat = flat_answer(answer)
        churn, clv, campaign = answer["churn"] or {}, answer["clv"], answer["campaign"] or {}
        assert flat["probability"] == churn.get("probability") and flat["churn_percentile"] == churn.get("percentile")
        assert (flat["value"], flat["tier"]) == (clv["expected"], clv["tier"])
        assert (flat["contact"], flat["expected_profit"]) == (campaign.get("contact"), campaign.get("expected_profit"))
        assert status_of(answer) == (
            "customer" if answer["stage"] in ("growing", "mature", "declining") else answer["stage"]
        )
        assert notes_on(answer, planned) == [] or answer["stage"] in ("new", "lapsed")


def test_a_model_that_does_not_serve_is_told_in_a_note(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    alone = Champions(None, champions.clv, {"churn": "none was trained"})
    (answer,) = score(customers.loc[customers["days_since_last_order"] < 50].head(1), alone, settings, now, None)
    assert notes_on(answer, settings)[-1] == "none was trained"


def test_of_whom_nothing_is_forecast_nothing_is_told_but_the_id() -> None:
    flat = without_score("7")
    assert {name for name, value in flat.items() if value not in (None, [])} == {"customer_id"}
