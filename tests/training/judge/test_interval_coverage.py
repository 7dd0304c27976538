"""Coverage of an interval: exact for few rows, rows of one customer are one fact, ties at its ends are no fault."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from training.judge.interval_coverage import (
    Coverage,
    coverage_by_group,
    coverage_of,
    least_coverage,
    shares_at_quantiles,
)


def rows_of(y, low, high, customers=None, **more) -> pd.DataFrame:
    customers = np.arange(len(y)) if customers is None else customers
    return pd.DataFrame({"customer_id": customers, "label": y, "forecast": 1.0, "low": low, "high": high, **more})


def test_the_interval_of_a_share_is_the_exact_one() -> None:
    low, high = Coverage(0.9, 10, 10.0, 0.9).interval(0.95)
    assert (low, high) == pytest.approx((0.5550, 0.9975), abs=1e-4)  # 9 of 10, Clopper and Pearson
    assert Coverage(1.0, 10, 10.0, 0.9).interval(0.95) == pytest.approx((0.6915, 1.0), abs=1e-4)
    assert Coverage(0.0, 10, 10.0, 0.9).interval(0.95) == pytest.approx((0.0, 0.3085), abs=1e-4)


def test_rows_of_one_customer_that_share_a_fate_count_once_and_independent_ones_each() -> None:
    rng = np.random.default_rng(0)
    inside = rng.random(300) < 0.9
    shared = coverage_of(rows_of(np.repeat(inside, 4) * 1.0, 0.5, 2.0, np.repeat(np.arange(300), 4)), 0.9)
    assert shared.rows == 1200 and shared.independent == pytest.approx(300, rel=0.01)
    apart = coverage_of(rows_of(rng.random(1200) < 0.9, 0.5, 2.0, np.repeat(np.arange(300), 4)), 0.9)
    assert apart.independent > 900


def test_unknown_outcomes_are_left_out_and_no_row_has_no_coverage() -> None:
    measured = coverage_of(rows_of([1.0, np.nan, 9.0], 0.0, 2.0), 0.9)
    assert (measured.share, measured.rows) == (0.5, 2)
    assert np.isnan(coverage_of(rows_of([np.nan], 0.0, 2.0), 0.9).share)


def test_of_customers_who_bring_nothing_in_99_of_100_cases_no_interval_holds_less() -> None:
    y = np.where(np.arange(1000) % 100, 0.0, 50.0)
    assert coverage_of(rows_of(y, 0.0, 5.0), 0.9).least == pytest.approx(0.99)


def test_an_interval_that_could_be_narrower_is_too_wide_although_many_bring_nothing() -> None:
    y = np.where(np.arange(1000) % 5 < 2, 0.0, np.arange(1000) + 1.0)
    assert coverage_of(rows_of(y, 0.0, 1e9), 0.9).least == 0.9


def test_a_price_that_must_be_held_whole_is_held_whole() -> None:
    y = np.repeat([0.0, 10.0, 20.0], [500, 450, 50])  # [0, 10] holds .95, [0, 10) only .5
    zeros = np.zeros(1000)
    assert least_coverage(y, zeros, zeros, zeros + 10, 0.9) == pytest.approx(0.95)


def test_groups_are_the_tiers_and_the_new() -> None:
    rows = rows_of([1.0, 1.0, 3.0, 1.0], 0.0, 2.0, tier=["gold", "gold", "bronze", "bronze"], custom=["new", *"aaa"])
    groups = coverage_by_group(rows, 0.9, "new")
    assert {name: group.share for name, group in groups.items()} == {"bronze": 0.5, "gold": 1.0, "new": 1.0}
    assert coverage_by_group(rows.drop(columns="low"), 0.9, "new") == {}


def test_the_level_of_a_right_quantile_lies_between_the_shares_below_and_up_to_it_however_many_bring_nothing() -> None:
    rng = np.random.default_rng(0)
    y = np.where(rng.random(20_000) < 0.3, 0.0, rng.exponential(10.0, 20_000))
    right = {f"q{p}": np.quantile(y, p / 100) for p in (10, 50, 90)}
    shares = shares_at_quantiles(pd.DataFrame({"label": y, **right}))
    assert shares["share_below_q10"] == 0.0 and shares["share_up_to_q10"] == pytest.approx(0.3, abs=0.01)
    for name, level in (("q50", 0.5), ("q90", 0.9)):
        assert [shares[f"share_{side}_{name}"] for side in ("below", "up_to")] == pytest.approx([level] * 2, abs=0.001)


def test_a_quantile_that_is_wrong_has_its_level_outside_of_both_shares() -> None:
    y = np.repeat([0.0, 5.0], [400, 600])  # the median is 5, the 10 % quantile 0
    low = shares_at_quantiles(pd.DataFrame({"label": y, "q10": 0.0, "q50": 0.0, "q90": 4.9}))
    assert (low["share_up_to_q50"], low["share_up_to_q90"]) == (0.4, 0.4)  # less than their levels: too low
    high = shares_at_quantiles(pd.DataFrame({"label": y, "q10": 0.1, "q50": 5.0, "q90": 5.0}))
    assert high["share_below_q10"] == 0.4  # more than its level: too high
    assert (high["share_below_q50"], high["share_up_to_q50"]) == (0.4, 1.0)
    assert shares_at_quantiles(pd.DataFrame({"label": y})) == {}
