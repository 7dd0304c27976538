"""What a contact is worth, worked out by hand, and which plans are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from configs.campaign import LEAST_SHARE, at_stake, break_even, expected_profit
from configs.errors import ConfigError
from configs.settings import Campaign, load

BASE = load("default").decisions.campaign.model_dump()


def plan(**given_: float | None) -> Campaign:
    return Campaign(**{**BASE, "contact_cost": 1.0, "offer_cost": 10.0, "success_rate": 0.3, **given_})


def test_expected_profit_of_three_customers_by_hand() -> None:
    profit = expected_profit([0.0, 0.5, 1.0], [200.0, 200.0, 200.0], plan())
    assert profit.tolist() == pytest.approx([-11.0, 0.5 * 0.3 * 190 - 0.5 * 10 - 1, 0.3 * 190 - 1])


def test_the_formula_is_that_of_neslin_and_others_2006() -> None:
    p, g, value, d, c = 0.37, 0.21, 150.0, 8.0, 2.0
    neslin = p * (g * value + d * (1 - g)) - d - c
    mine = expected_profit(p, value, plan(success_rate=g, offer_cost=d, contact_cost=c))
    assert float(mine) == pytest.approx(neslin)


def test_the_margin_scales_what_is_kept_and_not_the_costs() -> None:
    half, whole = plan(margin=0.5), plan()
    assert float(expected_profit(0.4, 300.0, half)) == pytest.approx(float(expected_profit(0.4, 150.0, whole)))


@given(st.floats(0, 1), st.floats(0, 1000), st.floats(0, 0.95))
def test_both_fates_together_are_the_forecast(p: float, expected: float, share: float) -> None:
    lost = float(at_stake(p, expected, plan(leaver_value_share=share)))
    stays = lost / (1 - share)
    if 1 - p + p * share >= LEAST_SHARE:
        assert (1 - p) * stays + p * share * stays == pytest.approx(expected, rel=1e-6, abs=1e-9)
    else:
        assert stays == pytest.approx(expected / LEAST_SHARE)


def test_where_leavers_bring_nothing_the_stake_is_at_most_ten_times_the_forecast() -> None:
    stake = at_stake([0.8, 0.9, 0.98, 0.999, 1.0], [60.0] * 5, plan(leaver_value_share=0.0))
    assert stake.tolist() == pytest.approx([300, 600, 600, 600, 600])


def test_a_forecast_of_next_to_nothing_does_not_lead_the_list_however_sure_the_leaving() -> None:
    campaign = plan(leaver_value_share=0.0)
    p, expected = np.array([0.5, 0.999, 1.0]), np.array([100.0, 1.0, 1.0])
    profit = expected_profit(p, at_stake(p, expected, campaign), campaign)
    assert profit[0] > 0 > max(profit[1:])


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1000), st.floats(0, 0.95))
def test_a_likelier_leaver_of_the_same_forecast_never_has_less_at_stake(
    p: float, other: float, expected: float, share: float
) -> None:
    first, second = at_stake(sorted([p, other]), [expected] * 2, plan(leaver_value_share=share))
    assert first <= second * (1 + 1e-12)


def test_nothing_is_at_stake_with_who_is_expected_to_return_more_than_he_buys() -> None:
    assert at_stake([0.2, 0.9], [-50.0, 0.0], plan()).tolist() == [0.0, 0.0]


def test_a_value_set_for_all_is_what_is_lost_with_each() -> None:
    assert at_stake([0.1, 0.9], [5.0, 500.0], plan(value_per_customer=200.0)).tolist() == [200.0, 200.0]


@given(st.floats(1, 5000), st.floats(0, 50), st.floats(0.01, 50), st.floats(0.01, 1))
def test_at_the_break_even_probability_a_contact_brings_nothing(
    stake: float, contact: float, offer: float, success: float
) -> None:
    campaign = plan(contact_cost=contact, offer_cost=offer, success_rate=success)
    edge = float(break_even(stake, campaign))
    if np.isinf(edge):
        assert float(expected_profit(1.0, stake, campaign)) <= 1e-9
    else:
        assert float(expected_profit(edge, stake, campaign)) == pytest.approx(0.0, abs=1e-6)
        assert float(expected_profit(min(1.0, edge + 0.01), stake, campaign)) >= -1e-6


def test_without_a_rate_the_mean_of_the_prior_is_taken() -> None:
    assert plan(success_rate=None).success == pytest.approx(0.3)
    assert plan(success_rate=None, success_alpha=1.0, success_beta=1.0).success == 0.5


def test_arguments_are_not_changed() -> None:
    p, expected = np.array([0.1, 0.9]), np.array([-5.0, 80.0])
    expected_profit(p, at_stake(p, expected, plan()), plan())
    assert p.tolist() == [0.1, 0.9] and expected.tolist() == [-5.0, 80.0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"decisions": {"campaign": {"contact_cost": 1.0}}}, "needs both contact_cost and offer_cost"),
        ({"decisions": {"campaign": {"contact_cost": -1.0, "offer_cost": 1.0}}}, "greater than or equal to 0"),
        ({"clv": {"margin": 0.5}, "decisions": {"campaign": {"margin": 0.5}}}, "the margin is given twice"),
        (
            {"churn": {"kind": "label"}, "decisions": {"campaign": {"contact_cost": 1.0, "offer_cost": 2.0}}},
            "needs value_per_customer",
        ),
    ],
)
def test_a_plan_that_does_not_add_up_is_refused(tmp_path: Path, content: dict, said: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=said):
        load(path)


def test_without_costs_no_campaign_is_planned() -> None:
    assert not load("default").decisions.campaign.planned
    assert load("completejourney").decisions.campaign.planned
