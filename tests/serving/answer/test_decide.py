from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import NotReadyError
from configs.settings import Bands, Decisions, Rule, Settings, Stages
from features.labels.eligibility import is_active
from serving.answer import decide
from training.model.tiers import TIERS

BANDS = Bands(watch=0.1, high=0.25, critical=0.5)
STAGES = Stages(new_days=60, growing_ratio=1.25, declining_ratio=0.75)


def one(tenure: float, since: float, recent: float, total: float) -> str:
    frame = pd.DataFrame(
        {"tenure_days": [tenure], "days_since_last_order": [since], "spend_90d": [recent], "spend_total": [total]}
    )
    return decide.order_stages(frame, STAGES, activity_days=90)[0]


@pytest.mark.parametrize(
    ("probability", "band"),
    [
        (0.0, "low"),
        (0.0999, "low"),
        (0.1, "watch"),
        (0.25, "high"),
        (0.4999, "high"),
        (0.5, "critical"),
        (1.0, "critical"),
    ],
)
def test_a_band_begins_at_its_edge(probability: float, band: str) -> None:
    assert decide.bands(np.array([probability]), BANDS) == [band]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_a_higher_probability_never_has_a_lower_band(probabilities: list[float]) -> None:
    rising = np.sort(probabilities)
    places = [decide.BANDS.index(b) for b in decide.bands(rising, BANDS)]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("tenure", "since", "recent", "total", "stage"),
    [
        (300, 90.5, 0, 500, "lapsed"),
        (300, 90, 90, 300, "mature"),
        (59, 5, 50, 50, "new"),
        (60, 5, 50, 50, "mature"),
        (90, 5, 50, 50, "mature"),
        (190, 5, 112.5, 212.5, "growing"),
        (190, 5, 112.4, 212.4, "mature"),
        (190, 5, 67.5, 167.5, "mature"),
        (190, 5, 67.4, 167.4, "declining"),
        (190, 5, 10, -40, "growing"),
        (190, 5, 0, 0, "mature"),
        (190, 5, -10, -10, "declining"),
        (np.nan, np.nan, 0, 0, "prospect"),
        (190, 5, np.nan, 100, "mature"),
    ],
    ids=[
        "no order within the activity window",
        "an order on the last day of the activity window",
        "first order under new_days ago",
        "new_days ago is new no more",
        "no time before the last 90 days",
        "1.25 a day against 1.00",
        "just under 1.25",
        "0.75 a day against 1.00",
        "just under 0.75",
        "returns outweighed what was spent before",
        "nothing spent, ever",
        "more returned than bought of late",
        "never ordered",
        "recent spend not known",
    ],
)
def test_the_stage_follows_from(tenure: float, since: float, recent: float, total: float, stage: str) -> None:
    assert one(tenure, since, recent, total) == stage


@pytest.mark.parametrize(
    ("active", "booked", "days", "stage"),
    [
        (0, 0, np.nan, "prospect"),
        (0, 1, np.nan, "booked"),
        (1, 0, 59.0, "new"),
        (1, 0, 60.0, "mature"),
        (0, 0, 60.0, "lapsed"),
    ],
    ids=["no contract yet", "the first is booked", "of late", "a while ago", "over"],
)
def test_the_stage_by_contract_follows_from(active: int, booked: int, days: float, stage: str) -> None:
    row = {"contracts_active": active, "contracts_booked": booked, "subscribed_days": days, "price_now": 5.0}
    assert decide.contract_stages(pd.DataFrame([{**row, "price_change": np.nan}]), STAGES) == [stage]


def test_stages_name_the_column_that_is_missing() -> None:
    with pytest.raises(NotReadyError, match="lacks 'tenure_days'"):
        decide.order_stages(pd.DataFrame({"days_since_last_order": [1.0]}), STAGES, 90)


def test_who_never_ordered_is_no_customer(settings: Settings) -> None:
    frame = pd.DataFrame({"days_since_last_order": [90.0, 90.1, np.nan]})
    churn = settings.churn.model_copy(update={"activity_days": 90})
    assert is_active(frame, churn).tolist() == [True, False, False]


def test_the_first_rule_that_matches_is_taken() -> None:
    rules = (
        Rule(code="call", text="", band=("critical",), tier=("gold",)),
        Rule(code="offer", text="", band=("critical",)),
        Rule(code="none", text=""),
    )
    assert decide.action(rules, "critical", "gold", "mature").code == "call"
    assert decide.action(rules, "critical", "bronze", "mature").code == "offer"
    assert decide.action(rules, "low", "gold", "mature").code == "none"
    assert decide.action(rules, None, "gold", "lapsed").code == "none"


def test_where_a_contact_pays_only_contacts_match_and_where_not_only_the_others() -> None:
    rules = (
        Rule(code="call", text="", band=("critical",), contact=True),
        Rule(code="mail", text="", band=("critical",), contact=False),
        Rule(code="none", text="", contact=False),
    )
    assert decide.action(rules, "critical", "gold", "mature", True).code == "call"
    assert decide.action(rules, "critical", "gold", "mature", False).code == "mail"
    assert decide.action(rules, "critical", "gold", "mature").code == "call"
    assert decide.action(rules, "low", "gold", "mature", True) is None


@pytest.mark.parametrize("pays", [True, False, None])
def test_rules_that_say_nothing_of_contacts_are_taken_whatever_the_campaign_says(pays: bool | None) -> None:
    rules = (Rule(code="call", text="", band=("critical",)), Rule(code="none", text=""))
    assert decide.action(rules, "critical", "gold", "mature", pays).code == "call"
    assert decide.action(rules, "low", "gold", "mature", pays).code == "none"


@pytest.mark.parametrize("pays", [True, False])
def test_action_and_campaign_never_contradict_one_another_under_the_default_rules(
    settings: Settings, pays: bool
) -> None:
    decisions, profit = settings.decisions, 4.0 if pays else -4.0
    contacts = {rule.code for rule in decisions.actions if rule.contact} | {decisions.campaign.action.code}
    campaign = {"contact": pays, "expected_profit": profit, "low": profit - 1, "high": profit + 1}
    for band in decide.BANDS:
        for tier in (*TIERS, None):
            for stage in ("new", "growing", "mature", "declining", None):
                found = decide.decision(decisions, band, tier, stage, campaign, "EUR")
                assert (found["code"] in contacts) == pays
                assert found["reason"].endswith(
                    f"is expected to bring {profit:.2f} EUR ({profit - 1:.2f} to {profit + 1:.2f})"
                )


def test_whom_it_does_not_pay_to_contact_gets_no_thanks_for_loyalty_when_at_risk(settings: Settings) -> None:
    lost = {"contact": False, "expected_profit": -1.0, "low": -2.0, "high": 0.0}
    for tier in TIERS:
        assert (
            decide.decision(settings.decisions, "critical", tier, "mature", lost, "EUR")["code"] == "low_cost_reminder"
        )


def test_the_reason_of_a_decision_says_what_the_customer_is(settings: Settings) -> None:
    def why(*facts: str | None) -> str:
        return decide.decision(settings.decisions, *facts, None, "EUR")["reason"]

    assert why("watch", "gold", "declining") == "watch risk, gold, declining"
    assert why(None, "gold", "lapsed") == "gold, lapsed"
    assert why(None, None, None) == "nothing is known of the customer"


def test_where_value_is_forecast_alone_rules_by_tier_decide_and_no_rule_says_that_nothing_is_needed(
    settings: Settings,
) -> None:
    def of_value(decisions: Decisions, tier: str) -> str:
        return decide.decision(decisions, None, tier, None, None, "EUR", False, risk_is_forecast=False)["code"]

    assert {of_value(settings.decisions, tier) for tier in TIERS} == {"undecided"}
    thanks = Rule(code="thank", text="Write a letter", tier=("diamond",))
    own = settings.decisions.model_copy(update={"actions": (thanks, *settings.decisions.actions)})
    assert (of_value(own, "diamond"), of_value(own, "gold")) == ("thank", "undecided")


def test_every_customer_gets_an_action_under_the_default_rules(settings: Settings) -> None:
    rules = settings.decisions.actions
    stages = ("prospect", "new", "growing", "mature", "declining", "booked", "lapsed")
    codes = {
        decide.action(rules, band, tier, stage).code
        for band in (*decide.BANDS, None)
        for tier in (*TIERS, None)
        for stage in (*stages, None)
    }
    assert codes == {rule.code for rule in rules}


@pytest.mark.parametrize(
    ("band", "tier", "stage", "code"),
    [
        ("critical", None, None, "get_in_touch"),
        ("critical", "bronze", "mature", "low_cost_reminder"),
        (None, "bronze", "prospect", "first_steps"),
        (None, "bronze", "lapsed", "win_back_offer"),
    ],
    ids=["a ready table without a value model", "little value", "never ordered", "an ex-member"],
)
def test_a_default_action_says_nothing_that_the_business_lacks(
    settings: Settings, band: str | None, tier: str | None, stage: str | None, code: str
) -> None:
    rule = decide.action(settings.decisions.actions, band, tier, stage)
    assert rule.code == code
    assert "order" not in rule.text
    assert ("value" in rule.text) == (tier is not None and band is not None)
