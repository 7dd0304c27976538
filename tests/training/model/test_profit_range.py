"""The range of a profit: by a second computation, and as often right as it says where the law is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import beta

from configs.campaign import at_stake, expected_profit
from configs.settings import Campaign, load
from training.model.profit_range import CampaignTotal, ValueRange, level_miss, profit_ranges, rests_on, value_draws

COSTS = {"contact_cost": 1.0, "offer_cost": 10.0, "success_rate": 0.3, "leaver_value_share": 0.0}
PLAN = load("default").decisions.campaign.model_copy(update=COSTS)


def plan(**changed: float) -> Campaign:
    return PLAN.model_copy(update=changed)


def test_drawn_values_meet_the_interval_and_keep_the_expected_value_as_their_mean() -> None:
    z = np.random.default_rng(0).standard_normal((1, 200_000))
    drawn = value_draws(np.array([300.0]), ValueRange([40.0], [800.0], 0.9), z)
    assert drawn.mean() == pytest.approx(300, rel=0.01)
    assert np.quantile(drawn, [0.05, 0.95]) == pytest.approx([40, 800], rel=0.02)


def test_with_the_success_rate_alone_unsure_the_range_is_that_of_its_beta() -> None:
    p, value = 0.5, 100.0
    low, high = profit_ranges([p], [value], None, 0.0, PLAN)
    ends = beta.ppf([0.05, 0.95], 6, 14)
    by_hand = p * ends * (float(at_stake(p, value, PLAN)) - 10) - (1 - p) * 10 - 1
    assert [low[0], high[0]] == pytest.approx(by_hand, abs=0.02 * float(np.diff(by_hand)[0]))


@given(
    st.floats(0, 1), st.floats(-50, 1e5), st.floats(0, 1e5), st.floats(0, 1e5), st.floats(0, 1), st.floats(0.5, 0.99)
)
def test_the_range_holds_the_expected_profit_whatever_is_known(
    p: float, value: float, below: float, above: float, sd: float, coverage: float
) -> None:
    values = ValueRange([value - below], [value + above], coverage)
    low, high = profit_ranges([p], [value], values, sd, PLAN)
    best = float(expected_profit(p, at_stake(p, value, PLAN), PLAN))
    assert np.isfinite([low[0], high[0]]).all() and low[0] <= best <= high[0]


@pytest.mark.parametrize("n", [1, 20, 2_000])
def test_nothing_to_gain_and_nothing_unsure_costs_the_contacts_alone(n: int) -> None:
    total = CampaignTotal(0.0, plan(offer_cost=0.0, success_rate=0.0), seed=1)
    total.add(np.full(n, 0.5), np.full(n, 100.0), None)
    assert total.range() == (-n, -n)


def test_the_range_of_a_campaign_holds_what_comes_as_often_as_it_says() -> None:
    """Each business has its own miss of the level and its own success rate, each customer a fate."""
    rng, n, held = np.random.default_rng(3), 300, 0
    for seed in range(200):
        p, value = rng.beta(2, 4, n), rng.lognormal(4, 0.5, n)
        leaves = rng.random(n) < expit(logit(p) + 0.3 * rng.standard_normal())
        kept = leaves & (rng.random(n) < rng.beta(6, 14))
        came = np.where(kept, at_stake(p, value, PLAN), 0.0).sum() - 10.0 * (kept | ~leaves).sum() - n
        total = CampaignTotal(0.3, PLAN, seed)
        total.add(p, value, None)
        low, high = total.range()
        held += low <= came <= high
    assert 0.84 <= held / 200 <= 0.95


def test_the_level_misses_by_what_was_put_in_and_weights_count() -> None:
    rng, n = np.random.default_rng(5), 40_000
    z, fold = rng.normal(-1, 1, n), np.repeat([0, 1], n // 2)
    left = (rng.random(n) < expit(z + np.where(fold == 0, 0.4, -0.4))).astype(float)
    assert level_miss(expit(z), left, fold) == pytest.approx(0.4, abs=0.05)
    only_first = np.where(fold == 0, 1.0, 0.0)
    assert level_miss(expit(z + 0.4), left, fold, only_first) == pytest.approx(0.0, abs=0.05)


def test_what_is_certain_is_said_to_be_taken_as_it_is() -> None:
    fixed = plan(success_rate=1.0, value_per_customer=80.0)
    text = rests_on(0.0, None, fixed)
    assert "Counts" not in text and text.count(",") >= 2


@given(high=st.floats(60, 2_000), expected=st.floats(0.5, 10))
def test_values_far_under_the_middle_of_their_interval_keep_their_mean_and_its_floor(
    high: float, expected: float
) -> None:
    z = np.random.default_rng(0).standard_normal((1, 5_000))
    drawn = value_draws(np.array([expected]), ValueRange([0.0], [high], 0.9), z)
    assert drawn.min() >= 0 and drawn.mean() == pytest.approx(expected, rel=1e-6)
