"""Intervals on made-up businesses: every tier and new customers, many laws and sizes, months that differ in level."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import NotEnoughDataError
from training.metrics import wilson_interval
from training.model.conformal import Outcomes, bin_edges, fit_interval, fit_intervals, level_spread, rows_alike

HORIZON = 90.0
MONTHS = 3  # a horizon
FOLDS = 3
TIERS = ("bronze", "silver", "gold", "diamond")


def spenders(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    expected = rng.lognormal(4, 1, n)
    buys = rng.random(n) < 0.7
    return expected, buys * expected / 0.7 * rng.lognormal(-0.125, 0.5, n)


def business(law: str, n: int, seed: int) -> tuple[Outcomes, Outcomes]:
    """Three folds a month apart, whose horizons overlap, and the moment three months after the last of them.

    A customer has a rate and a size of order of their own; a month has a level of its own, 6 % up or down; the forecast
    is the true mean, wrong by a quarter up or down.
    """
    rng = np.random.default_rng(seed)
    shape, size, noise = {"steady": (2.0, 0.5, 0.5), "zeros": (0.25, 0.5, 0.5), "heavy": (0.7, 1.2, 0.9)}[law]
    rate = rng.gamma(shape, 0.6, n)
    amount = rng.lognormal(3, size, n)
    known = np.where(rng.random(n) < 0.1, 20.0, 400.0)
    rate = np.where(known < 60, rate[rng.permutation(n)], rate)
    months = FOLDS + 2 * MONTHS
    level = np.exp(rng.normal(0, 0.06, months))
    orders = rng.poisson(rate[:, None] * level)
    spent = orders * amount[:, None] * rng.lognormal(-(noise**2) / 2, noise, (n, months))
    starts = (0, 1, 2, FOLDS + MONTHS)
    expected = [rate * MONTHS * amount * rng.lognormal(-0.03, 0.25, n) for _ in starts]
    actual = [spent[:, start : start + MONTHS].sum(axis=1) for start in starts]
    days = np.repeat(np.arange(FOLDS) * 30.0, n)
    who = np.tile(np.arange(n), FOLDS)
    seen = Outcomes(np.concatenate(expected[:3]), np.concatenate(actual[:3]), np.tile(known, FOLDS), who, days)
    return seen, Outcomes(expected[3], actual[3], known)


def coverage_of_draws(law: str, n: int, draws: int) -> dict[str, list[tuple[int, int, int]]]:
    """For each tier and new customers of each draw: how many were covered, how many brought nothing, of how many."""
    counts: dict[str, list[tuple[int, int, int]]] = {}
    for seed in range(draws):
        seen, later = business(law, n, seed)
        edges = np.quantile(later.expected, [0.5, 0.8, 0.95])
        interval = fit_intervals(seen, 0.9, horizon_days=HORIZON, new_days=60, tier_edges=edges)
        low, high = interval(later.expected, later.known_days)
        inside = (low <= later.actual) & (later.actual <= high)
        assert np.mean(high <= later.expected) < 0.02
        assert np.mean((low >= later.expected) & (later.expected > 0)) < 0.02
        place = np.searchsorted(edges, later.expected)
        groups = {name: place == i for i, name in enumerate(TIERS)} | {"new": later.known_days < 60}
        for name, rows in groups.items():
            counts.setdefault(name, []).append(
                (int(inside[rows].sum()), int((later.actual[rows] == 0).sum()), int(rows.sum()))
            )
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("law", ["steady", "zeros", "heavy"])
@pytest.mark.parametrize(("n", "draws"), [(100, 60), (500, 40), (3000, 12)])
def test_every_tier_and_new_customers_are_covered_as_promised_where_months_differ_a_little(
    law: str, n: int, draws: int
) -> None:
    for name, counts in coverage_of_draws(law, n, draws).items():
        covered, nothing, rows = np.sum(counts, axis=0)
        share = (
            nothing / rows
        )  # no interval that holds 0 covers fewer; a group holds customers with more of it and less
        forced = max(0.94 if share < 0.5 else 0.96, share + 0.2 * (1 - share))
        least, most = wilson_interval(covered, rows)
        assert least <= forced and most >= 0.86, (name, covered / rows)
        low, high = np.array([wilson_interval(k, m) for k, _, m in counts if m]).T
        assert np.mean(high < 0.86) <= 0.1, name
        assert share > 0.5 or np.mean(low > 0.94) <= 0.1, name


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_the_interval_keeps_its_promise_on_new_customers(coverage: float) -> None:
    expected, actual = spenders(20_000, 99)
    ends = [fit_interval(*spenders(5000, seed), coverage)(expected) for seed in range(4)]
    held = [np.mean((low <= actual) & (actual <= high)) for low, high in ends]
    assert np.mean(held) == pytest.approx(coverage, abs=0.012)  # of one such business it varies by .006


def test_the_promise_holds_for_small_and_large_customers_alike() -> None:
    interval = fit_interval(*spenders(5000, 0), 0.9)
    expected, actual = spenders(40_000, 1)
    low, high = interval(expected)
    inside = (low <= actual) & (actual <= high)
    for part in np.array_split(np.argsort(expected), 5):
        assert inside[part].mean() == pytest.approx(0.9, abs=0.04)


@settings(max_examples=40, deadline=None)
@given(st.integers(50, 400), st.integers(0, 10_000), st.floats(0.6, 0.99), st.floats(-40, 0))
def test_the_expected_value_lies_inside_quantiles_rise_and_nothing_is_infinite(
    n: int, seed: int, coverage: float, returns: float
) -> None:
    expected, actual = spenders(n, seed)
    interval = fit_interval(expected, np.where(actual == 0, returns, actual), coverage, tier_edges=(20.0, 400.0))
    asked = np.array([-50.0, 0.0, 1.0, 50.0, 1e6])
    low, high = interval(asked)
    at = interval.at_levels(asked)
    assert at is not None and np.isfinite([low, high]).all() and np.isfinite(at).all()
    assert (low <= asked).all() and (high >= asked).all()
    assert (np.diff(at, axis=1) >= 0).all()


@pytest.mark.parametrize("seed", range(8))
def test_where_about_nine_in_ten_bring_nothing_no_quantile_falls_from_a_bin_of_a_tier_to_the_next(seed: int) -> None:
    rng = np.random.default_rng(seed)
    expected = np.sort(rng.gamma(2.0, 6.0, 1000))
    gives = rng.random(1000) < 0.1
    tiers = (8.0, 20.0)
    interval = fit_interval(
        expected, np.where(gives, expected * 10 * rng.gamma(4.0, 0.25, 1000), 0.0), 0.9, 0.0, 50, tiers
    )
    starts = [0, *np.searchsorted(expected, interval.edges, side="right"), len(expected)]
    middles = np.array([expected[start:stop].mean() for start, stop in pairwise(starts)])
    at = interval.at_levels(middles)
    assert at is not None
    told = np.column_stack([at, *interval(middles)])
    within_tier = ~np.isin(interval.edges, tiers)
    assert (np.diff(told, axis=0)[within_tier] >= 0).all()
    assert set(tiers) <= set(interval.edges)


@pytest.mark.parametrize("law", ["steady", "zeros", "heavy"])
@pytest.mark.parametrize("n", [500, 3000])
def test_of_two_customers_of_a_tier_who_is_expected_to_bring_more_is_never_told_a_lower_end_or_quantile(
    law: str, n: int
) -> None:
    for seed in range(3):
        seen, later = business(law, n, seed)
        edges = np.quantile(later.expected, [0.5, 0.8, 0.95])
        interval = fit_intervals(seen, 0.9, horizon_days=HORIZON, new_days=60, tier_edges=edges)
        asked = np.sort(later.expected)
        for known in (None, np.zeros(len(asked))):  # of long standing, and new
            at = interval.at_levels(asked, known)
            assert at is not None
            told = np.column_stack([at, *interval(asked, known)])
            for tier in range(4):
                assert (np.diff(told[np.searchsorted(edges, asked) == tier], axis=0) >= -1e-9).all()


def test_a_lower_end_below_nothing_may_fall_as_larger_customers_give_back_more() -> None:
    rng = np.random.default_rng(0)
    expected = np.sort(rng.uniform(100, 1000, 3000))
    interval = fit_interval(
        expected, expected * np.where(rng.random(3000) < 0.3, -0.5, 1.0 + rng.normal(0, 0.1, 3000)), 0.9
    )
    assert len(interval.edges) > 3 and interval(expected)[0][-1] < interval(expected)[0][0] < 0


def test_where_nearly_all_bring_nothing_the_upper_end_is_beyond_the_expected_value_and_covers_little_more() -> None:
    rng = np.random.default_rng(0)
    expected = rng.uniform(1, 4, 4000)
    actual = np.where(rng.random(4000) < 0.95, 0.0, rng.gamma(4.0, 15.0, 4000))
    low, high = fit_interval(expected, actual, 0.9)(expected)
    assert (low == 0).all() and (high > expected).all()
    assert 0.95 < np.mean((low <= actual) & (actual <= high)) < 0.97


def test_a_tail_under_the_floor_gives_its_share_to_the_other_one() -> None:
    rng = np.random.default_rng(1)
    expected = rng.uniform(50, 60, 6000)
    actual = np.where(rng.random(6000) < 0.3, 0.0, rng.gamma(4.0, 20.0, 6000))
    interval = fit_interval(expected, actual, 0.9)
    low, high = interval(expected)
    assert (low == 0).all()
    assert np.mean(actual > high) == pytest.approx(0.1, abs=0.005)
    at = interval.at_levels(expected)
    assert at is not None and at[:, 2] == pytest.approx(high, rel=0.02)


def test_where_nearly_all_pay_the_full_price_the_lower_tail_holds_what_the_upper_one_cannot() -> None:
    rng = np.random.default_rng(2)
    actual = np.where(rng.random(4000) < 0.85, 30.0, rng.uniform(0, 30, 4000))
    low, high = fit_interval(np.full(4000, 27.0), actual, 0.9)(np.array([27.0]))
    assert high[0] == pytest.approx(30.0)
    assert np.mean(actual < low[0]) == pytest.approx(0.1, abs=0.01)


def test_outcomes_that_were_all_nothing_are_told_as_nothing() -> None:
    low, high = fit_interval(np.linspace(0, 5, 100), np.zeros(100), 0.9)(np.array([2.0]))
    assert (low[0], high[0]) == (0.0, 2.0)


def test_quantiles_hold_below_them_the_share_they_are_named_for() -> None:
    interval = fit_interval(*spenders(6000, 0), 0.9)
    expected, actual = spenders(20_000, 1)
    at = interval.at_levels(expected)
    assert at is not None
    for share, column in zip((0.5, 0.9), (at[:, 1], at[:, 2]), strict=True):
        assert np.mean(actual <= column) == pytest.approx(share, abs=0.02)
    assert (at[:, 0] == 0).all()  # three in ten bring nothing


def test_no_bin_lies_across_the_edge_of_a_tier_and_a_tier_with_few_rows_borrows_of_its_neighbours() -> None:
    expected = np.concatenate([np.full(400, 10.0), np.full(10, 100.0)]) + np.linspace(0, 1, 410)
    assert 50.0 in bin_edges(expected, (50.0, 5000.0)) and 5000.0 not in bin_edges(expected, (50.0, 5000.0))
    actual = expected * np.random.default_rng(0).gamma(4.0, 0.25, 410)
    edge, top = fit_interval(expected, actual, 0.9, tier_edges=(50.0,)), expected > 50
    assert len(set(edge.low)) > 1
    few = actual[top] / (expected[top] + edge.offset)
    assert edge.high[-1] > few.max() or edge.low[-1] < few.min()  # of 10 rows no tail of a twentieth could be told


def test_months_that_differ_in_level_make_wider_intervals_and_equal_ones_do_not() -> None:
    rng = np.random.default_rng(0)
    expected = rng.gamma(2.0, 50.0, 9000)
    days = np.repeat([0.0, 90.0, 180.0], 3000)
    noise = rng.gamma(20.0, 0.05, 9000)
    level = np.where(days == 0, 0.8, np.where(days == 90, 1.0, 1.25))
    assert level_spread(expected, expected * noise, days, 90) < 0.02
    apart = level_spread(expected, expected * level * noise, days, 90)
    assert apart == pytest.approx(np.std(np.log([0.8, 1.0, 1.25]), ddof=1) * np.sqrt(2 / 3), rel=0.1)
    assert level_spread(expected, expected * level * noise, days / 3, 90) > apart  # overlapping, they tell less
    assert level_spread(expected, expected * level * noise, np.zeros(9000), 90) == 0.0
    one = fit_intervals(Outcomes(expected, expected * level * noise), 0.9, horizon_days=90)
    all_three = fit_intervals(Outcomes(expected, expected * level * noise, days=days), 0.9, horizon_days=90)
    assert np.mean(all_three(expected)[1] > one(expected)[1]) > 0.9


def test_rows_of_customers_who_repeat_themselves_count_as_fewer() -> None:
    expected, actual = spenders(1000, 0)
    who = np.tile(np.arange(1000), 3)
    assert rows_alike(np.tile(expected, 3), np.tile(actual, 3), who) == pytest.approx(3, abs=0.1)
    assert rows_alike(*spenders(3000, 0), who) == pytest.approx(1, abs=0.15)
    assert rows_alike(expected, actual, None) == rows_alike(expected, actual, np.arange(1000)) == 1.0


def test_one_customer_who_brings_more_than_all_others_leaves_their_intervals_alone() -> None:
    expected, actual = spenders(1000, 0)
    alone = fit_interval(expected, actual, 0.9)(expected)[1]
    beside = fit_interval(np.append(expected, 1e7), np.append(actual, 1e7), 0.9)(expected)[1]
    assert np.median(beside / alone) == pytest.approx(1, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("nothing", [0.02, 0.05, 0.08])
@pytest.mark.parametrize("n", [60, 300])
def test_the_promise_holds_where_those_who_bring_nothing_are_about_as_many_as_a_tail(nothing: float, n: int) -> None:
    rng, covered = np.random.default_rng(0), []
    for _ in range(300):
        seen, later = (np.where(rng.random(m) < nothing, 0.0, rng.gamma(6.0, 20.0, m)) for m in (n, 300))
        low, high = fit_interval(np.full(n, 115.0), seen, 0.9)(np.full(300, 115.0))
        covered.append(np.mean((low <= later) & (later <= high)))
    assert np.mean(covered) == pytest.approx(0.9, abs=0.012)


def test_equal_forecasts_make_one_bin() -> None:
    interval = fit_interval(np.full(100, 5.0), np.arange(100.0), 0.9)
    low, high = interval(np.array([5.0]))
    assert (low[0], high[0]) == pytest.approx((4, 95), abs=1.5)


def test_too_few_forecasts_are_refused() -> None:
    with pytest.raises(NotEnoughDataError, match="at least 50 matured forecasts, found 49"):
        fit_interval(np.ones(49), np.ones(49), 0.9)


def test_new_customers_have_an_interval_of_their_own_and_keep_their_promise_too() -> None:
    expected, actual = spenders(4000, 0)
    known = np.where(np.arange(4000) % 10 == 0, 10.0, 300.0)
    actual = np.where(known < 60, actual * 3, actual)
    built = fit_intervals(Outcomes(expected, actual, known), 0.9, horizon_days=90, new_days=60)
    assert built.newcomers is not None
    low, high = built(expected, known)
    inside = (low <= actual) & (actual <= high)
    assert inside[known < 60].mean() == pytest.approx(0.9, abs=0.03)
    assert inside[known > 60].mean() == pytest.approx(0.9, abs=0.03)
    one_for_all = fit_interval(expected, actual, 0.9)(expected)
    assert ((one_for_all[0] <= actual) & (actual <= one_for_all[1]))[known < 60].mean() < 0.8


def test_with_few_new_customers_or_no_dates_all_share_one_interval() -> None:
    expected, actual = spenders(1000, 0)
    alone = fit_intervals(Outcomes(expected, actual), 0.9, horizon_days=90, new_days=60)
    assert alone == fit_interval(expected, actual, 0.9)
    known = np.where(np.arange(1000) < 40, 1.0, 300.0)
    assert fit_intervals(Outcomes(expected, actual, known), 0.9, horizon_days=90, new_days=60).newcomers is None


def test_what_the_past_could_not_show_makes_the_interval_wider_on_either_side() -> None:
    rows, asked = spenders(1000, 0), np.array([5.0, 100.0, 1000.0])
    low, high = fit_interval(*rows, 0.9)(asked)
    lower, higher = fit_interval(*rows, 0.9, allowance=0.05)(asked)
    assert higher == pytest.approx(high * 1.05)
    assert lower == pytest.approx(low * 0.95)


def test_an_edge_of_a_tier_stays_though_many_forecasts_are_equal_or_the_next_tier_is_empty() -> None:
    assert bin_edges(np.repeat([5.0, 30.0], 300), (10.5,)).tolist() == [10.5]
    apart = np.concatenate([np.linspace(1, 10, 300), np.linspace(21, 40, 300)])
    assert 10.5 in bin_edges(apart, (10.5, 20.0))
    assert 7.0 in bin_edges(np.concatenate([np.full(400, 5.0), np.linspace(8, 50, 100)]), (7.0, 20.0, 40.0))
