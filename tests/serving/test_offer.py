"""Whom it pays to contact, told from the answer, and the columns and the line that batch scores make of it."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pytest

from cli import screens
from configs.settings import Campaign, Settings
from configs.workspace import Workspace
from serving.answer.campaign import offer
from serving.answer.champion import Champions
from serving.bulk.batch import score_all


@pytest.fixture(scope="module")
def plan(settings: Settings) -> Campaign:
    costs = {"contact_cost": 1.0, "offer_cost": 10.0, "success_rate": 0.3, "leaver_value_share": 0.0}
    return settings.decisions.campaign.model_copy(update=costs)


@pytest.fixture(scope="module")
def planned(settings: Settings, plan: Campaign) -> Settings:
    return settings.model_copy(update={"decisions": settings.decisions.model_copy(update={"campaign": plan})})


def test_an_offer_by_hand(plan: Campaign) -> None:
    told = offer({"probability": 0.5}, {"expected": 100.0}, plan)
    assert told == {"expected_profit": pytest.approx(0.5 * 0.3 * 190 - 0.5 * 10 - 1), "contact": True}
    assert offer({"probability": 0.01}, {"expected": 100.0}, plan)["contact"] is False  # type: ignore[index]


def test_who_leaves_for_sure_is_told_no_more_than_ten_times_his_forecast(plan: Campaign) -> None:
    told = offer({"probability": 1.0}, {"expected": 60.0}, plan)
    assert told == {"expected_profit": pytest.approx(0.3 * (600 - 10) - 1), "contact": True}


def test_nothing_is_told_without_a_plan_a_customer_or_a_value(settings: Settings, plan: Campaign) -> None:
    churn, clv = {"probability": 0.5}, {"expected": 100.0}
    assert offer(churn, clv, settings.decisions.campaign) is None
    assert offer(None, clv, plan) is None
    assert offer(churn, None, plan) is None
    fixed = plan.model_copy(update={"value_per_customer": 200.0})
    assert offer(churn, None, fixed) == offer(churn, clv, fixed) == offer(churn, clv, plan)


def test_batch_scores_say_whom_to_contact_and_the_summary_adds_them_up(
    champions: Champions, planned: Settings, now: datetime, customers: pd.DataFrame, workspace: Workspace
) -> None:
    summary = score_all(customers, champions, planned, workspace, now, chunk_rows=150)
    table = pd.read_parquet(workspace.scores / "2024-03-01" / "scores.parquet")
    known = table["probability"].notna()
    assert (table["expected_profit"].notna() == known).all()
    assert (table.loc[known, "contact"].astype(bool) == (table.loc[known, "expected_profit"] > 0)).all()
    listed = table[table["contact"].eq(True)]
    best = summary["campaign"]
    assert 0 < best["contacts"] == len(listed) < known.sum()
    assert best["expected_profit"] == pytest.approx(listed["expected_profit"].sum())
    assert best["lowest_probability"] == listed["probability"].min()
    (line,) = screens._campaign(summary, "USD")
    assert f"contact {len(listed)} customers" in line.plain


def test_without_a_plan_the_columns_are_empty_and_nothing_is_said(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame, workspace: Workspace
) -> None:
    summary = score_all(customers, champions, settings, workspace, now)
    table = pd.read_parquet(workspace.scores / "2024-03-01" / "scores.parquet")
    assert summary["campaign"] is None and table[["expected_profit", "contact"]].isna().all(axis=None)
    assert screens._campaign(summary, "USD") == ()


def test_costs_that_nobody_is_worth_are_said_in_one_line(planned: Settings) -> None:
    (line,) = screens._campaign({"campaign": {"contacts": 0, "expected_profit": 0, "lowest_probability": None}}, "USD")
    assert "nobody" in line.plain
