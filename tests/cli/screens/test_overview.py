from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cli.screens.overview import monitoring_screen

Printed = Callable[[Any], str]
DRIFT = {"drifted": ["spend_90d"], "columns": 70, "pages": {"html": "drift.html", "json": "drift.json"}}


def test_monitoring_says_what_drifted_how_groups_fare_and_where_the_pages_are(printed: Printed) -> None:
    summary = {"age_group": {"verdict": "lower than others"}}
    fairness = {"summary": summary, "pages": {"html": "fairness.html", "json": "fairness.json"}}
    text = printed(monitoring_screen({"churn": {"model": "churn/3", "drift": DRIFT, "fairness": fairness}}))
    assert "churn/3 1 of 70: spend_90d age_group: lower than others drift.html fairness.html" in text
    assert "drift.json" not in text


def test_without_an_audit_monitoring_says_why(printed: Printed) -> None:
    report = {"model": "churn/3", "drift": {**DRIFT, "drifted": []}, "fairness": None}
    text = printed(monitoring_screen({"churn": report}))
    assert (
        "churn/3 0 of 70 no sensitive column declared, or nothing has matured that is new to the model drift.html"
        in text
    )


def test_a_model_that_does_not_serve_is_not_watched_and_the_reason_is_told(printed: Printed) -> None:
    text = printed(monitoring_screen({"churn": {"model": "churn", "unserved": "no version serves"}}))
    assert "churn no version serves" in text
