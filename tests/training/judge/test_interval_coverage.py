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
    shares_below_quantiles,
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


def test_a_share_below_a_quantile_is_that_of_its_name_where_the_quantile_is_right_however_many_bring_nothing() -> None:
    rng = np.random.default_rng(0)
    y = np.where(rng.random(20_000) < 0.3, 0.0, rng.exponential(10.0, 20_000))
    right = {f"q{p}": np.quantile(y, p / 100) for p in (10, 50, 90)}
    shares = list(shares_below_quantiles(pd.DataFrame({"label": y, **right})).values())
    assert shares == pytest.approx([0.1, 0.5, 0.9], abs=0.001)
    too_low = shares_below_quantiles(pd.DataFrame({"label": y, **right, "q90": right["q90"] / 2}))
    assert too_low["share_below_q90"] < 0.85
    assert shares_below_quantiles(pd.DataFrame({"label": y})) == {}
