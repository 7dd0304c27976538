"""Metrics: against answers worked out by hand, against second implementations, and where nothing is defined."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from empulse.metrics import empc_score
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from scipy import stats
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve
from statsmodels.stats.proportion import proportion_confint

from configs.errors import DataError
from training import metrics
from training.metrics import CHURN_METRICS, INTERVAL_METRICS, VALUE_METRICS

OUTCOMES = np.array([1, 0, 0, 1, 0, 0, 0, 0, 1, 0], dtype=float)
PROBABILITIES = np.array([0.9, 0.8, 0.1, 0.7, 0.2, 0.3, 0.1, 0.05, 0.4, 0.6])
ACTUAL = np.array([0.0, 10.0, 20.0, 30.0, 140.0])
EXPECTED = np.array([5.0, 15.0, 10.0, 40.0, 130.0])

values = st.floats(-1e6, 1e6, allow_nan=False, width=32).map(float)


def sample(n=500, seed=1):
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 4, n).round(2)
    return (rng.random(n) < p).astype(float), p


def test_ranking_metrics_and_log_loss_equal_scikit_learn():
    y, p = sample()
    assert metrics.auc(y, p) == reference.roc_auc_score(y, p)
    assert metrics.average_precision(y, p) == reference.average_precision_score(y, p)
    inner = np.clip(p, 0.01, 0.99)
    assert metrics.log_loss(y, inner) == pytest.approx(reference.log_loss(y, inner))
    assert metrics.brier(y, p) == pytest.approx(reference.brier_score_loss(y, p))


def test_log_loss_of_a_certain_error_is_finite():
    assert metrics.log_loss([1.0, 0.0], [0.0, 1.0]) == pytest.approx(-math.log(1e-15), rel=0.01)


def test_calibration_error_equals_the_one_built_from_scikit_learns_curve():
    y, p = sample()
    rate, forecast = calibration_curve(y, p, n_bins=10, strategy="quantile")
    sizes = pd.Series(metrics.quantile_bins(p)).value_counts().sort_index().to_numpy()
    assert metrics.expected_calibration_error(y, p) == pytest.approx(np.abs(rate - forecast) @ sizes / len(y))


def test_calibration_error_of_one_bin_is_the_gap_of_the_means():
    assert metrics.expected_calibration_error([1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5]) == pytest.approx(0.25)


def test_calibration_error_does_not_cancel_between_bins():
    y, p = [0, 0, 1, 1], [0.1, 0.1, 0.9, 0.9]
    assert metrics.expected_calibration_error(y, p, n_bins=2) == pytest.approx(0.1)
    assert np.mean(p) == pytest.approx(np.mean(y))


def test_top_decile_lift_of_ten_customers_looks_at_one():
    assert metrics.top_decile_lift(OUTCOMES, PROBABILITIES) == pytest.approx(1 / 0.3)


def test_top_decile_lift_of_a_constant_probability_is_one():
    assert metrics.top_decile_lift(OUTCOMES, np.full(10, 0.3)) == pytest.approx(1.0)


def test_value_errors_by_hand():
    assert metrics.total_error(ACTUAL, EXPECTED) == pytest.approx(0.0)
    assert metrics.total_error(ACTUAL, 1.1 * EXPECTED) == pytest.approx(0.1)
    assert metrics.total_error(ACTUAL, 0.5 * EXPECTED) == pytest.approx(-0.5)
    assert metrics.mae(ACTUAL, EXPECTED) == pytest.approx(8.0)
    assert metrics.rmse(ACTUAL, EXPECTED) == pytest.approx(math.sqrt((25 + 25 + 100 + 100 + 100) / 5))


def test_mae_and_rmse_equal_scikit_learn():
    rng = np.random.default_rng(2)
    y, expected = rng.lognormal(3, 1, 200), rng.lognormal(3, 1, 200)
    assert metrics.mae(y, expected) == pytest.approx(reference.mean_absolute_error(y, expected))
    assert metrics.rmse(y, expected) == pytest.approx(reference.root_mean_squared_error(y, expected))


def test_spearman_equals_scipy_with_ties():
    rng = np.random.default_rng(3)
    y, expected = rng.poisson(2, 300).astype(float), rng.poisson(2, 300).astype(float)
    assert metrics.spearman(y, expected) == pytest.approx(stats.spearmanr(y, expected).statistic)


def gini_by_lorenz_curve(values, order_by):
    """The textbook's: area between the diagonal and the Lorenz curve, no ties allowed."""
    ordered = values[np.argsort(order_by)]
    curve = np.concatenate([[0], np.cumsum(ordered) / ordered.sum()])
    return 1 - np.sum(curve[1:] + curve[:-1]) / len(values)


def test_normalised_gini_equals_the_ratio_of_two_lorenz_areas():
    rng = np.random.default_rng(4)
    y = rng.lognormal(3, 1, 300)
    expected = y * rng.lognormal(0, 0.8, 300)
    ratio = gini_by_lorenz_curve(y, expected) / gini_by_lorenz_curve(y, y)
    assert metrics.normalised_gini(y, expected) == pytest.approx(ratio)


def test_normalised_gini_of_zeros_and_ones_is_twice_the_auc_less_one():
    y, p = sample()
    assert metrics.normalised_gini(y, p) == pytest.approx(2 * reference.roc_auc_score(y, p) - 1)


def test_normalised_gini_is_one_for_the_right_order_and_minus_one_for_the_reverse():
    assert metrics.normalised_gini(ACTUAL, ACTUAL**3) == pytest.approx(1)
    assert metrics.normalised_gini(ACTUAL, -ACTUAL) == pytest.approx(-1)


def test_decile_calibration_error_by_hand():
    y, expected = np.arange(1.0, 21), np.arange(1.0, 21) * 1.1
    assert metrics.decile_calibration_error(y, expected) == pytest.approx(0.1)


def test_decile_without_revenue_has_no_percentage_and_is_left_out():
    y = np.array([0.0] * 2 + [10.0] * 18)
    expected = np.array([3.0, 4.0] + [12.0 + i / 1000 for i in range(18)])
    assert metrics.decile_calibration_error(y, expected) == pytest.approx(0.2, abs=0.001)


def test_coverage_counts_both_ends_and_width_is_in_currency():
    low, high = np.array([0.0, 5, 5, 5, 5]), np.array([5.0, 10, 10, 10, 10])
    assert metrics.coverage([0, 10, 11, 5, 4], low, high) == pytest.approx(0.6)
    assert metrics.mean_interval_width([0, 10, 11, 5, 4], low, high) == pytest.approx(5.0)


def test_wilson_equals_statsmodels_and_stays_within_zero_and_one():
    for successes, n in ((0, 5), (5, 5), (3, 17), (200, 1000)):
        low, high = metrics.wilson_interval(successes, n)
        expected = proportion_confint(successes, n, method="wilson")
        assert (float(low), float(high)) == pytest.approx(expected)
        assert 0 <= low <= successes / n <= high <= 1


def test_wilson_of_no_rows_is_nan():
    assert np.isnan(metrics.wilson_interval(0, 0)).all()


def test_equal_values_share_a_bin():
    bins = metrics.quantile_bins([0.1] * 9 + [0.2])
    assert len(set(bins[:9])) == 1 and bins[9] > bins[0]


def test_churn_metrics_names_every_metric_and_counts_known_rows_only():
    result = metrics.churn_metrics([1, 0, math.nan, 0], [0.9, 0.2, 0.5, 0.1])
    assert list(result)[:3] == ["n", "churn_rate", "mean_predicted"]
    assert set(result) == {"n", "churn_rate", "mean_predicted"} | {m.__name__ for m in CHURN_METRICS}
    assert result["n"] == 3 and result["churn_rate"] == pytest.approx(1 / 3) and result["auc"] == 1.0
    assert all(type(value) is float for value in result.values())


def test_value_metrics_has_interval_metrics_only_with_an_interval():
    without, with_ = metrics.value_metrics(ACTUAL, EXPECTED), metrics.value_metrics(ACTUAL, EXPECTED, ACTUAL, ACTUAL)
    assert set(with_) - set(without) == {"coverage", "mean_interval_width"}
    assert with_["coverage"] == 1.0 and with_["mean_interval_width"] == 0.0
    assert all(type(value) is float for value in with_.values())


@pytest.mark.parametrize("metric", CHURN_METRICS + VALUE_METRICS, ids=lambda m: m.__name__)
def test_no_rows_unknown_outcomes_and_forecasts_that_are_not_numbers_give_nan(metric):
    for y, forecast in (([], []), ([math.nan], [0.5]), ([1, 0], [0.5, math.nan]), ([1, 0], [0.5, math.inf])):
        assert math.isnan(metric(y, forecast))


@pytest.mark.parametrize("metric", INTERVAL_METRICS, ids=lambda m: m.__name__)
def test_interval_that_is_not_a_number_gives_nan(metric):
    assert math.isnan(metric([1.0], [0.0], [math.nan]))
    assert math.isnan(metric([], [], []))


@pytest.mark.parametrize("one_class", [[0, 0, 0], [1, 1, 1]])
def test_ranking_of_one_class_is_nan_without_a_warning(one_class):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(metrics.auc(one_class, [0.1, 0.2, 0.3]))
        assert math.isnan(metrics.average_precision(one_class, [0.1, 0.2, 0.3]))
        assert math.isfinite(metrics.log_loss(one_class, [0.1, 0.2, 0.3]))


def test_customers_without_any_revenue_have_no_relative_metric():
    result = metrics.value_metrics(np.zeros(20), np.arange(20.0))
    undefined = {name for name, value in result.items() if math.isnan(value)}
    assert undefined == {"total_error", "spearman", "normalised_gini", "decile_calibration_error"}


def test_arrays_of_different_lengths_are_refused_with_their_shapes():
    with pytest.raises(DataError, match=r"\(2,\), \(3,\)"):
        metrics.auc([0, 1], [0.1, 0.2, 0.3])


@settings(max_examples=60)
@given(st.data())
def test_no_metric_depends_on_the_order_of_the_rows_or_changes_its_arguments(data):
    n = data.draw(st.integers(2, 30))
    y = data.draw(arrays_of.arrays(float, n, elements=st.sampled_from([0.0, 1.0])))
    p = data.draw(arrays_of.arrays(float, n, elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0])))
    order = np.array(data.draw(st.permutations(range(n))))
    before = y.copy(), p.copy()
    for metric in CHURN_METRICS + VALUE_METRICS:
        assert metric(y, p) == pytest.approx(metric(y[order], p[order]), nan_ok=True)
    assert (y == before[0]).all() and (p == before[1]).all()


@settings(max_examples=60)
@given(arrays_of.arrays(float, st.integers(2, 40), elements=values), st.integers(0, 2**32 - 1))
def test_gini_and_spearman_stay_within_minus_one_and_one(y, seed):
    expected = np.random.default_rng(seed).integers(0, 5, len(y)).astype(float)
    for metric in (metrics.normalised_gini, metrics.spearman):
        assert math.isnan(metric(y, expected)) or abs(metric(y, expected)) <= 1 + 1e-9


def slices():
    return pd.DataFrame(
        {"plan": ["a", "b", None, "a"], "y": [1.0, 0.0, 1.0, 0.0], "p": [0.9, 0.2, 0.7, 0.4], "as_of": [1, 1, 2, 2]}
    )


def test_slices_are_measured_apart_and_missing_values_are_one_of_them():
    result = metrics.by_slice(slices(), "plan", lambda rows: {"brier": metrics.brier(rows["y"], rows["p"])})
    assert result["plan"].tolist() == ["a", "b", "unknown"]
    assert result["n"].tolist() == [2, 1, 1]
    assert result["brier"].tolist() == pytest.approx([(0.01 + 0.16) / 2, 0.04, 0.09])


def test_slices_by_two_columns_and_of_no_rows():
    result = metrics.by_slice(slices(), ["plan", "as_of"], lambda rows: {"mean": rows["p"].mean()})
    assert list(result.columns) == ["plan", "as_of", "n", "mean"] and len(result) == 4
    assert metrics.by_slice(slices().iloc[:0], "plan", lambda rows: {"mean": 0.0}).empty


def test_bootstrap_interval_of_a_mean_is_about_the_normal_one():
    sample_ = np.random.default_rng(5).normal(10, 2, 400)
    low, high = metrics.bootstrap_interval(lambda a: float(a.mean()), sample_, seed=1, n=1000)
    reach = 1.96 * sample_.std() / 20
    assert (low, high) == pytest.approx((sample_.mean() - reach, sample_.mean() + reach), abs=0.03)


def test_bootstrap_draws_customers_and_not_rows():
    rng = np.random.default_rng(6)
    mean_of_customer = rng.normal(0, 1, 100)
    rows, customer = np.repeat(mean_of_customer, 9), np.repeat([f"c{i}" for i in range(100)], 9)
    apart = metrics.bootstrap_interval(lambda a: float(a.mean()), rows, seed=1, n=500)
    together = metrics.bootstrap_interval(lambda a: float(a.mean()), rows, groups=customer, seed=1, n=500)
    assert np.ptp(together) == pytest.approx(3 * np.ptp(apart), rel=0.2)


def test_bootstrap_gives_the_same_interval_for_the_same_seed():
    y, p = sample(100)
    first = metrics.bootstrap_interval(metrics.auc, y, p, seed=7)
    assert first == metrics.bootstrap_interval(metrics.auc, y, p, seed=7)
    assert first != metrics.bootstrap_interval(metrics.auc, y, p, seed=8)
    assert first[0] < metrics.auc(y, p) < first[1]


def test_bootstrap_of_an_undefined_metric_is_nan():
    assert np.isnan(metrics.bootstrap_interval(metrics.auc, np.zeros(20), np.ones(20), seed=1)).all()
    assert np.isnan(metrics.bootstrap_interval(metrics.auc, np.zeros(0), np.zeros(0), seed=1)).all()


def test_a_margin_is_the_difference_on_the_same_draws():
    y, p = sample(100)
    rng = np.random.default_rng(3)
    other, groups = rng.random(100), np.repeat(np.arange(50), 2)

    def less(*arrays):
        return metrics.auc(arrays[0], arrays[1]) - metrics.auc(arrays[0], arrays[2])

    result = metrics.margin_interval(metrics.auc, y, p, other, seed=7, groups=groups, n=150)
    assert result == metrics.bootstrap_interval(less, y, p, other, seed=7, groups=groups, n=150)
    assert metrics.margin_interval(metrics.auc, y, p, p, seed=7) == (0.0, 0.0)


CASES = ({}, {"value": 80.0, "offer_cost": 25.0, "contact_cost": 3.0, "alpha": 2.0, "beta": 5.0}, {"contact_cost": 0.0})


@pytest.mark.parametrize("case", CASES, ids=["defaults", "dear offer", "free contact"])
def test_empc_equals_empulse(case):
    own = {"value": "clv", "offer_cost": "incentive_cost"}
    for seed, n in ((1, 60), (2, 500), (3, 3000)):
        y, p = sample(n, seed)
        other = empc_score(y, p.round(2), **{own.get(k, k): v for k, v in case.items()})
        assert metrics.empc(y, p.round(2), **case) == pytest.approx(float(other), abs=1e-9)


def test_empc_equals_the_best_cut_off_at_each_success_rate_integrated():
    y, p = sample(300, 4)
    p = p + 1e-6 * np.arange(len(p))
    order = np.argsort(-p)
    left = np.concatenate([[0.0], np.cumsum(y[order])])
    contacted = np.arange(len(y) + 1)

    def best(rate):
        return (rate * 190 * left - 10 * (contacted - left) - contacted).max() / len(y)

    rates = np.linspace(0, 1, 20_001)
    integrated = np.trapezoid([best(rate) for rate in rates] * stats.beta(6, 14).pdf(rates), rates)
    assert metrics.empc(y, p) == pytest.approx(integrated, rel=1e-5)


def test_empc_counts_the_order_alone_and_a_perfect_one_brings_most():
    y, p = sample(400, 5)
    assert metrics.empc(y, p) == pytest.approx(metrics.empc(y, p**3))
    assert metrics.empc(y, -y) <= metrics.empc(y, p) <= metrics.empc(y, y)


def test_empc_of_a_perfect_order_and_a_sure_rate_is_the_profit_of_its_leavers():
    y = np.array([1.0, 0.0, 0.0, 1.0])
    sure = {"alpha": 3e6, "beta": 7e6}
    assert metrics.empc(y, y, **sure) == pytest.approx(0.5 * (0.3 * 190 - 1), rel=1e-3)


def test_nobody_is_worth_an_offer_that_costs_more_than_he_brings():
    y, p = sample(100)
    assert math.isnan(metrics.empc(y, p, value=5.0))
