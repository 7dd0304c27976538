"""What is proposed to do with columns that speak of a time after, and what is said of each."""

from __future__ import annotations

import pandas as pd

from features.sources.proposal.columns import Column
from features.sources.proposal.outcomes import left_out, notes


def columns(*names: str) -> list[Column]:
    return [Column(name, pd.Series(["1", "2", "7"])) for name in names]


def test_what_came_is_left_out_and_a_span_alone_is_kept_with_a_question() -> None:
    given = columns("Umsatz in 90 Tagen", "revenue_next_90d", "churn_risk", "Umsatz 90 Tage", "letzte 90 Tage", "Alter")
    assert left_out(given) == ["Umsatz in 90 Tagen", "revenue_next_90d", "churn_risk"]
    said = notes(given, "profiles")
    assert list(said) == ["Umsatz in 90 Tagen", "revenue_next_90d", "churn_risk", "Umsatz 90 Tage"]
    assert said["Umsatz in 90 Tagen"].startswith("QUESTION: left out")
    assert "known_before: [Umsatz_in_90_Tagen]" in said["Umsatz in 90 Tagen"]
    assert "realised_value: 'revenue_next_90d'" in said["revenue_next_90d"] and "realised" not in said["churn_risk"]
    assert said["Umsatz 90 Tage"].startswith("CHECK: ") and "put it under exclude" in said["Umsatz 90 Tage"]


def test_of_attributes_that_a_person_declares_only_what_is_left_out_is_said() -> None:
    said = notes(columns("churn_risk", "spend_90d"), "customers")
    assert list(said) == ["churn_risk"] and "put it under attributes" in said["churn_risk"]
