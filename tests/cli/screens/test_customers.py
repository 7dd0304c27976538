from __future__ import annotations

import pandas as pd

from cli.screens.customers import COLUMNS, at_risk, campaign_lines
from configs.settings import Settings
from configs.workspace import SCORE_TABLE, Workspace


def test_a_campaign_says_whom_to_contact_in_one_line() -> None:
    campaign = {"contacts": 1204, "expected_profit": 5310.4, "lowest_probability": 0.121}
    campaign |= {"low": 1200.2, "high": 9800.9, "coverage": 0.9}
    (line,) = campaign_lines({"campaign": campaign}, "USD")
    assert "contact 1,204 customers, expected profit 5,310 USD" in line.plain
    assert "90% range of what comes: 1,200 to 9,801" in line.plain
    assert "the lowest probability among them is 12%" in line.plain


def test_without_a_campaign_nothing_is_said() -> None:
    assert campaign_lines({"campaign": None}, "USD") == ()


def test_costs_that_nobody_is_worth_are_said_in_one_line() -> None:
    (line,) = campaign_lines({"campaign": {"contacts": 0, "expected_profit": 0, "lowest_probability": None}}, "USD")
    assert "nobody" in line.plain


def scored(place: Workspace, rows: list[dict[str, object]], unserved: dict[str, str]) -> dict[str, object]:
    (place.scores / "newest").mkdir(parents=True)
    pd.DataFrame(rows, columns=list(COLUMNS)).astype({"band": str}).to_parquet(place.scores / "newest" / SCORE_TABLE)
    return {"folder": "newest", "as_of": "2026-10-30T00:00:00Z", "unserved": unserved}


def test_where_nobody_is_at_risk_a_sentence_says_so(workspace: Workspace, settings: Settings, printed) -> None:
    text = printed(at_risk(workspace, scored(workspace, [{"customer_id": "ann", "band": "low"}], {}), settings))
    assert text == "No customer is at high or critical risk, as of 2026-10-30"


def test_what_no_model_answers_is_told_beside_what_is_known(workspace: Workspace, settings: Settings, printed) -> None:
    reasons = [{"text": "Silent", "direction": "raises"}, {"text": "A loyal one", "direction": "lowers"}]
    risky = {"customer_id": "ann", "band": "high", "probability": 0.4, "action": "call", "reasons": reasons}
    score = scored(workspace, [risky], {"clv": "nothing brought"})
    text = printed(at_risk(workspace, score, settings))
    assert "The one customer at the highest risk" in text and "ann 40% call Silent" in text
    assert "Customer value is not answered: nothing brought" in text
    told = printed(at_risk(workspace, score | {"unserved": {"churn": "19 customers"}}, settings))
    assert told == "Churn is not answered: 19 customers"
