"""A campaign on customers whose fate is known: the best list, its profit by hand, and other lists beside it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from configs.errors import NotEnoughDataError
from configs.settings import Campaign, load
from training.judge import plots
from training.judge.profit import POLICIES, backtest, contact_lists, contact_profits, profit_curve

MOMENTS = pd.to_datetime(["2024-03-01", "2024-04-01"], utc=True)


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    costs = {"contact_cost": 1.0, "offer_cost": 10.0, "success_rate": 0.5, "leaver_value_share": 0.0}
    return load("default").decisions.campaign.model_copy(update=costs)


@pytest.fixture(scope="module")
def four() -> pd.DataFrame:
    """At stake, as leavers bring nothing: 100 / .5 = 200, 20 / .1 = 200, 40 / .5 = 80, 10 / .5 = 20."""
    return pd.DataFrame(
        {
            "customer_id": ["a", "b", "c", "d"],
            "as_of": [MOMENTS[0]] * 4,
            "label": [1.0, 1.0, 0.0, 0.0],
            "forecast": [0.5, 0.9, 0.5, 0.5],
            "value": [100.0, 20.0, 40.0, 10.0],
        }
    )


def made_up(n: int, seed: int) -> pd.DataFrame:
    """Customers at two moments whose forecasts are true: each leaves with that probability; the valuable leave less."""
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 4, n)
    value = rng.lognormal(4, 1, n) * (1 - p) ** 2
    customer = [f"c{i // 2}" for i in range(n)]
    left = (rng.random(n) < p).astype(float)
    as_of = MOMENTS[np.arange(n) % 2]
    return pd.DataFrame({"customer_id": customer, "as_of": as_of, "label": left, "forecast": p, "value": value})


def test_what_a_contact_is_expected_to_bring_and_brought_by_hand(four: pd.DataFrame, campaign: Campaign) -> None:
    result = contact_profits(four, campaign)
    assert result["stake"].tolist() == pytest.approx([200, 200, 80, 20])
    assert result["expected"].tolist() == pytest.approx([41.5, 83.5, 11.5, -3.5])
    assert result["realised"].tolist() == pytest.approx([94, 94, -11, -11])
    assert result["contact"].tolist() == [True, True, True, False]


def test_facts_and_lists_of_four_customers_by_hand(four: pd.DataFrame, campaign: Campaign) -> None:
    played = backtest(four, campaign, "by hand", seed=1)
    assert played.facts["contacted"] == 3 and played.facts["lowest_probability"] == 0.5
    assert played.facts["expected_profit"] == pytest.approx(136.5)
    assert played.facts["realised_profit"] == pytest.approx(177)
    realised = played.policies.set_index("policy")["realised"]
    assert realised["everybody"] == pytest.approx(166)
    assert realised["random"] == pytest.approx(166 * 3 / 4)
    assert realised["half"] == pytest.approx(94)


def test_of_several_moments_the_figures_are_those_of_one_campaign(campaign: Campaign) -> None:
    first = made_up(200, 5).iloc[::2]
    once = backtest(first, campaign, "truth", seed=1)
    twice = backtest(pd.concat([first, first.assign(as_of=MOMENTS[1])]), campaign, "truth", seed=1)
    assert (once.facts["moments"], twice.facts["moments"]) == (1, 2)
    drawn = ("expected_low", "expected_high")  # two moments have twice the chances: their mean varies less
    same = {name: value for name, value in once.facts.items() if name not in drawn}
    assert {name: value for name, value in twice.facts.items() if name not in drawn} == pytest.approx(
        {**same, "moments": 2}
    )
    pd.testing.assert_frame_equal(twice.policies, once.policies)
    pd.testing.assert_frame_equal(twice.curve, once.curve)


def test_the_campaigns_of_two_moments_are_averaged_and_chosen_by_one_rule(campaign: Campaign) -> None:
    rows = made_up(200, 5)
    whole, result = backtest(rows, campaign, "truth", seed=1), contact_profits(rows, campaign)
    own = [backtest(part, campaign, "truth", seed=1).facts for _, part in rows.groupby("as_of")]
    for name in ("customers", "contacted", "expected_profit", "realised_profit"):
        assert whole.facts[name] == pytest.approx(np.mean([facts[name] for facts in own]))
    assert whole.facts["customers"] == 100
    assert whole.facts["lowest_probability"] == min(facts["lowest_probability"] for facts in own)
    assert whole.facts["share_contacted"] == result["contact"].mean()


def test_no_shorter_or_longer_list_and_no_other_choice_is_expected_to_bring_more(campaign: Campaign) -> None:
    result = contact_profits(made_up(12, 3), campaign)
    best = result.loc[result["contact"], "expected"].sum()
    choices = ((np.arange(2**12)[:, None] >> np.arange(12)) & 1).astype(float)
    assert best == pytest.approx((choices @ result["expected"].to_numpy()).max())


def test_the_curve_begins_at_nobody_and_ends_at_everybody(campaign: Campaign) -> None:
    result = contact_profits(made_up(500, 1), campaign)
    drawn = profit_curve(result, seed=1)
    names = ["expected", "realised", "low", "high", "probability", "ideal", "random"]
    assert (drawn.iloc[0][names] == 0).all()
    last = drawn.iloc[-1]
    for name in ("realised", "probability", "ideal", "random"):
        assert last[name] == pytest.approx(result["realised"].sum() / 2)
    assert last["expected"] == pytest.approx(result["expected"].sum() / 2)
    assert (drawn["ideal"] >= drawn["realised"] - 1e-9).all()
    assert (drawn["low"] <= drawn["high"]).all()


def test_the_expected_curve_is_highest_at_the_best_list(campaign: Campaign) -> None:
    result = contact_profits(made_up(2000, 2), campaign)
    drawn, share = profit_curve(result, seed=1), result["contact"].mean()
    assert drawn["share"][drawn["expected"].idxmax()] == pytest.approx(share, abs=0.006)
    assert drawn["expected"].max() == pytest.approx(result.loc[result["contact"], "expected"].sum() / 2, rel=0.01)


def test_where_forecasts_are_true_the_best_list_brings_what_it_promises_and_more_than_the_others(
    campaign: Campaign,
) -> None:
    played = backtest(made_up(40_000, 10), campaign, "truth", seed=1)
    assert played.facts["realised_profit"] == pytest.approx(played.facts["expected_profit"], rel=0.1)
    policies = played.policies.set_index("policy")
    others = [name for name in POLICIES if name != "profit"]
    assert (policies.loc[others, "realised"] < policies.loc["profit", "realised"]).all()
    assert (policies.loc[others, "less_low"] > 0).all()
    assert policies.loc["profit", "low"] < policies.loc["profit", "realised"] < policies.loc["profit", "high"]


def test_lists_of_the_same_length_are_compared_at_the_same_length(campaign: Campaign) -> None:
    result = contact_profits(made_up(1000, 6), campaign)
    lists = contact_lists(result, campaign)
    assert lists["riskiest"].sum() == lists["profit"].sum() == pytest.approx(lists["random"].sum())
    riskiest = result["probability"].to_numpy()[lists["riskiest"] == 1].min()
    assert riskiest >= result["probability"].to_numpy()[lists["riskiest"] == 0].max()


def test_one_value_for_all_makes_the_list_one_of_probability(campaign: Campaign) -> None:
    fixed = campaign.model_copy(update={"value_per_customer": 200.0})
    lists = contact_lists(contact_profits(made_up(500, 7), fixed), fixed)
    assert (lists["profit"] == lists["probability"]).all()


def test_costs_that_nobody_is_worth_leave_the_list_empty(four: pd.DataFrame, campaign: Campaign) -> None:
    played = backtest(four, campaign.model_copy(update={"contact_cost": 1000.0}), "by hand", seed=1)
    assert played.facts["contacted"] == 0 and played.facts["expected_profit"] == 0
    result = played.to_dict()
    assert result["lowest_probability"] is None and result["break_even_probability"] is None
    plots.profit(played.curve, played.facts, "EUR")


def test_the_same_seed_gives_the_same_exercise_as_json_and_the_rows_are_left_alone(campaign: Campaign) -> None:
    rows = made_up(300, 8)
    before = rows.copy()
    first, again = (json.dumps(backtest(rows, campaign, "x", seed=4).to_dict()) for _ in range(2))
    assert first == again and "NaN" not in first
    pd.testing.assert_frame_equal(rows, before)


def test_unknown_fates_are_left_out_and_none_known_is_refused(four: pd.DataFrame, campaign: Campaign) -> None:
    open_ = four.assign(label=[1.0, np.nan, 0.0, np.nan])
    assert backtest(open_, campaign, "x", seed=1).facts["customers"] == 2
    with pytest.raises(NotEnoughDataError, match="known whether they left"):
        backtest(four.assign(label=np.nan), campaign, "x", seed=1)
