"""Whom it pays to contact, computed from the answer."""

from __future__ import annotations

from typing import Any

import pytest

from configs.settings import Campaign, Settings
from serving.answer.campaign import campaign_decisions


def campaign_decision(churn: Any, clv: Any, campaign: Campaign, level_sd: float = 0.0) -> dict[str, Any] | None:
    """The decision on one customer."""
    return campaign_decisions([churn], [clv], campaign, level_sd)[0]


def test_many_are_decided_each_as_if_alone(plan: Campaign) -> None:
    fixed = plan.model_copy(update={"value_per_customer": 100.0})
    of_range = {"expected": 60.0, "low": 5.0, "high": 300.0, "coverage": 0.9}
    churn = [{"probability": 0.5}, None, {"probability": 0.2}, {"probability": 0.9}]
    clv = [of_range, of_range, None, {**of_range, "expected": 80.0}]
    for campaign in (plan, fixed):
        alone = [campaign_decision(*of_one, campaign, 0.3) for of_one in zip(churn, clv, strict=True)]
        assert campaign_decisions(churn, clv, campaign, 0.3) == alone
        assert [decided is None for decided in alone] == [False, True, campaign is plan, False]


def test_a_campaign_by_hand(plan: Campaign) -> None:
    decision = campaign_decision({"probability": 0.5}, {"expected": 100.0}, plan)
    assert decision is not None
    assert decision["expected_profit"] == pytest.approx(0.5 * 0.3 * 190 - 0.5 * 10 - 1) and decision["contact"] is True
    assert campaign_decision({"probability": 0.01}, {"expected": 100.0}, plan)["contact"] is False  # type: ignore[index]


def test_who_leaves_for_sure_is_told_no_more_than_ten_times_his_forecast(plan: Campaign) -> None:
    decision = campaign_decision({"probability": 1.0}, {"expected": 60.0}, plan)
    assert decision is not None and decision["contact"] is True
    assert decision["expected_profit"] == pytest.approx(0.3 * (600 - 10) - 1)


def test_nothing_is_told_without_a_plan_a_customer_or_a_value(settings: Settings, plan: Campaign) -> None:
    churn, clv = {"probability": 0.5}, {"expected": 100.0}
    assert campaign_decision(churn, clv, settings.decisions.campaign) is None
    assert campaign_decision(None, clv, plan) is None
    assert campaign_decision(churn, None, plan) is None
    fixed = plan.model_copy(update={"value_per_customer": 200.0})
    assert campaign_decision(churn, None, fixed) == campaign_decision(churn, clv, fixed)
    own = campaign_decision(churn, clv, plan)
    assert own is not None
    assert campaign_decision(churn, None, fixed)["expected_profit"] == own["expected_profit"]  # type: ignore[index]


def test_every_expected_profit_carries_its_range_and_says_what_it_counts_in(plan: Campaign) -> None:
    clv = {"expected": 100.0, "low": 20.0, "high": 260.0, "coverage": 0.9}
    known, unknown = (campaign_decision({"probability": 0.5}, clv, plan, sd) for sd in (1.0, 0.0))
    assert known is not None and unknown is not None
    assert known["low"] < known["expected_profit"] < known["high"] and known["coverage"] == 0.9
    assert known["high"] - known["low"] > unknown["high"] - unknown["low"]
    assert "level of the probability" in known["basis"] and "taken as they are" not in known["basis"]
    assert "taken as they are: the level of the probability" in unknown["basis"]
