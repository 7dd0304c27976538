"""One check: its verdict by chance and margin, what would tell, and the sentence that says so."""

from __future__ import annotations

import math

import pytest

from training.judge.checks import Champion, baseline_check, calibration_check, champion_checks, coverage_check
from training.judge.interval_coverage import Coverage
from training.margins import Margin


def auc_check(value: float, baseline: float, error: float):
    customers = 0 if math.isnan(value) else 1200
    margins = {"beats_baseline_auc": Margin(value - baseline, error, 1000.0, customers)}
    return baseline_check("auc", "AUC", {"auc": value}, {"auc": baseline}, "recency rule", margins)


def test_a_shortfall_that_chance_explains_is_no_fault_and_the_sentence_says_what_would_tell() -> None:
    check = auc_check(0.607, 0.609, 0.0061)  # -.018 to +.014
    assert (check.verdict, check.passed) == ("cannot tell", True)
    assert check.text == (
        "AUC 0.607 cannot be told from chance: is it above the recency rule's 0.609 (-0.01821 to +0.01421); "
        "about 79,000 customers would tell, here are 1,200"
    )


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [(0.59, 0.005, "failed"), (0.60, 0.005, "cannot tell"), (0.62, 0.005, "cannot tell"), (0.63, 0.005, "passed")],
)
def test_a_baseline_is_beaten_missed_or_neither_by_the_interval_of_the_difference(value, error, verdict) -> None:
    assert auc_check(value, 0.609, error).verdict == verdict


def test_level_with_the_baseline_is_not_failed_and_nothing_measured_is() -> None:
    assert auc_check(0.6, 0.6, 0.0).verdict == "cannot tell"
    assert auc_check(math.nan, 0.6, math.nan).verdict == "failed"
    alone = auc_check(0.5, 0.6, math.nan)  # one leaver alone
    assert alone.verdict == "cannot tell" and alone.text.endswith("0.6 (too few customers to tell an error)")


def test_a_figure_that_no_model_has_as_all_outcomes_are_alike_is_no_fault() -> None:
    undefined = {"beats_baseline_auc": Margin(math.nan, math.nan, math.nan, 100)}
    assert baseline_check("auc", "AUC", {}, {}, "rule", undefined).verdict == "cannot tell"


def loss_check(worse: float, error: float, customers: int):
    margins = {"beats_baseline_log_loss": Margin(worse, error, 1e9, customers)}
    return baseline_check("log_loss", "log loss", {"log_loss": 0.3 + worse}, {"log_loss": 0.3}, "rule", margins)


def test_log_losses_that_differ_much_fail_at_two_standard_errors_and_those_that_hardly_do_at_more() -> None:
    assert loss_check(0.0021, 0.001, 5000).verdict == "failed"
    assert loss_check(0.00021, 0.0001, 5000).verdict == "cannot tell"
    assert loss_check(0.00027, 0.0001, 5000).verdict == "failed"


@pytest.mark.parametrize(("customers", "verdict"), [(1900, "cannot tell"), (2100, "failed")])
def test_an_error_of_value_fails_at_two_standard_errors_where_customers_are_many(customers, verdict) -> None:
    margins = {"beats_baseline_mae": Margin(2.2, 1.0, 1e9, customers)}
    assert baseline_check("mae", "MAE", {"mae": 52.2}, {"mae": 50.0}, "past rate", margins).verdict == verdict


def test_the_mean_of_values_is_not_failed_for_not_being_their_median() -> None:
    def verdict(deviance: float) -> str:
        margins = {
            "beats_baseline_mae": Margin(2.0, 0.3, 1e9, 900),
            "deviance_less_baseline": Margin(deviance, 0.01, 1e9, 900),
        }
        return baseline_check("mae", "mean absolute error", {"mae": 52.0}, {"mae": 50.0}, "past rate", margins).verdict

    assert [verdict(d) for d in (-0.05, -0.01, 0.05)] == ["cannot tell", "failed", "failed"]


def against(*champions: Champion, value: float = 0.30):
    return champion_checks("log loss", {"log_loss": value}, "log_loss", champions, 0.02)


def champion(loss: float, error: float, name: str = "churn/3", value: float = 0.30) -> Champion:
    return Champion(name, loss, Margin(value - loss, error, 1e9, 2000))


@pytest.mark.parametrize(
    ("loss", "error", "verdict", "sentence"),
    [
        (0.31, 0.001, "passed", "not worse"),
        (0.299, 0.0001, "failed", "worse beyond chance"),  # within the allowed two per cent all the same
        (0.299, 0.001, "passed", "no worse than chance tells, and by at most 0.02 of it"),
        (0.299, 0.004, "cannot tell", "no worse than chance tells; about"),
        (0.280, 0.004, "failed", "worse beyond chance"),
    ],
)
def test_worse_than_the_champion_beyond_chance_never_passes(loss, error, verdict, sentence) -> None:
    (check,) = against(champion(loss, error))
    assert (check.name, check.verdict) == ("not_worse_than_champion", verdict)
    assert sentence in check.text and "the champion churn/3's" in check.text
    assert check.limit == pytest.approx(loss * 1.02)


def test_small_losses_cannot_add_up_over_the_champions_of_a_year() -> None:
    present = champion(0.2995, 0.0008, "churn/9")
    assert against(present)[0].passed
    checks = against(present, champion(0.297, 0.001, "churn/4"), champion(0.298, 0.002, "churn/7"))
    assert [c.name for c in checks] == ["not_worse_than_champion", "not_worse_than_past_champions"]
    assert [c.verdict for c in checks] == ["passed", "failed"] and "churn/4" in checks[1].text


def test_each_of_many_champions_gets_its_share_of_the_chance_to_fail_by_chance() -> None:
    one = champion(0.3 - 0.0026, 0.001)
    assert against(one)[0].verdict == "failed"
    assert all(c.passed for c in against(*[one] * 12))


def test_no_champion_no_check_and_one_that_was_not_measured_fails() -> None:
    assert against() == []
    assert not against(champion(math.nan, 0.1))[0].passed


def test_thirty_diamonds_covered_733_are_not_refused_and_a_thousand_are() -> None:
    few = coverage_check(Coverage(22 / 30, 30, 30.0, 0.9), 0.9, 0.04, 0.99, "diamond")
    assert few.verdict == "cannot tell" and "rows would tell, here are 30" in few.text
    wide = coverage_check(Coverage(1.0, 60, 60.0, 0.9), 0.9, 0.04, 0.99)
    assert wide.verdict == "cannot tell" and "about 120 rows would tell, here are 60" in wide.text
    many = coverage_check(Coverage(0.733, 1000, 1000.0, 0.9), 0.9, 0.04, 0.99, "diamond")
    assert many.verdict == "failed" and many.name == "coverage_tolerance_diamond"


def test_a_tier_that_no_interval_can_cover_less_is_not_too_wide_and_one_that_can_is() -> None:
    assert coverage_check(Coverage(0.991, 5000, 5000.0, 0.99), 0.9, 0.04, 0.99, "bronze").verdict == "passed"
    assert coverage_check(Coverage(0.991, 5000, 5000.0, 0.9), 0.9, 0.04, 0.99, "bronze").verdict == "failed"
    assert coverage_check(Coverage(0.83, 5000, 5000.0, 0.99), 0.9, 0.04, 0.99, "bronze").verdict == "failed"


def test_many_rows_of_few_customers_are_few() -> None:
    assert coverage_check(Coverage(0.80, 600, 60.0, 0.9), 0.9, 0.04, 0.99).passed
    assert not coverage_check(Coverage(0.80, 600, 600.0, 0.9), 0.9, 0.04, 0.99).passed


def test_a_calibration_error_that_chance_explains_says_how_many_rows_would_tell() -> None:
    check = calibration_check({"expected_calibration_error": 0.083, "n": 300}, (0.056, 0.085), 0.05)
    assert check.verdict == "cannot tell" and "about 580 rows would tell" in check.text
    assert calibration_check({"expected_calibration_error": 0.086}, (0.056, 0.085), 0.05).verdict == "failed"


def test_what_was_not_measured_fails() -> None:
    assert not calibration_check({"expected_calibration_error": 0.4}, (math.nan, math.nan), 0.05).passed
    assert not coverage_check(Coverage(math.nan, 0, 0.0, 0.9), 0.9, 0.04, 0.99).passed
