"""Gates: each check alone decides, NaN never passes, and each sentence carries its numbers."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.settings import Gates
from training.judge.checks import Champion, Check
from training.judge.gates import Decision, is_in_doubt, judge_churn, judge_small_data, judge_value, lean_to_simpler
from training.judge.interval_coverage import Coverage
from training.margins import Margin
from training.metrics import calibration_error_by_chance, expected_calibration_error

GATES = Gates(
    min_auc=0.6,
    max_calibration_error=0.05,
    min_gini=0.3,
    coverage_tolerance=0.06,
    max_loss_to_champion=0.02,
    must_beat_baseline=True,
)
GOOD = {"auc": 0.8, "log_loss": 0.30, "expected_calibration_error": 0.02}
RULE = {"auc": 0.7, "log_loss": 0.35}
CHAMPION = {"auc": 0.79, "log_loss": 0.30}
GOOD_VALUE = {"normalised_gini": 0.7, "mae": 50.0, "coverage": 0.91}
RATE = {"normalised_gini": 0.6, "mae": 60.0}
VALUE_CHAMPION = {"mae": 50.0}
TIERS = (("diamond", 0.79, 1000), ("new", 0.93, 500), ("gold", 0.5, 10))


def champions(metrics, error):
    return [] if metrics is None else [Champion("churn/1", metrics.get(error, math.nan))]


def churn(candidate=GOOD, baseline=RULE, champion=CHAMPION, gates=GATES):
    return judge_churn(candidate, baseline, champions(champion, "log_loss"), gates)


def value(candidate=GOOD_VALUE, baseline=RATE, champion=VALUE_CHAMPION, gates=GATES):
    return judge_value(candidate, baseline, champions(champion, "mae"), gates, 0.9)


def failed(decision):
    return [check.name for check in decision.checks if not check.passed]


def test_a_calibration_error_that_chance_explains_is_no_fault_and_one_beyond_it_is() -> None:
    def told(error: float, chance: tuple[float, float]) -> Check:
        return judge_churn({**GOOD, "expected_calibration_error": error}, RULE, [], GATES, chance=chance).checks[1]

    assert told(0.058, (0.03, 0.055)).passed  # .0496 beyond chance
    assert not told(0.059, (0.03, 0.055)).passed
    few = told(0.083, (0.056, 0.085))
    assert few.passed and "cannot tell from chance: true probabilities show up to 0.085" in few.text
    assert not told(0.086, (0.056, 0.085)).passed
    assert not told(math.nan, (0.056, 0.085)).passed


@pytest.mark.parametrize("rows", [100, 300, 1000])
def test_true_probabilities_fail_by_their_calibration_in_one_case_of_a_hundred_at_most(rows: int) -> None:
    rng, refused = np.random.default_rng(rows), 0
    for _ in range(150):
        p = rng.beta(1, 3, rows)
        y, customers = (rng.random(rows) < p).astype(float), np.arange(rows)
        metrics = {**GOOD, "expected_calibration_error": expected_calibration_error(y, p)}
        chance = calibration_error_by_chance(p, customers, draws=400)
        refused += not judge_churn(metrics, RULE, [], GATES, chance=chance).promote
    assert refused <= 150 * 0.01 + 3 * math.sqrt(150 * 0.01)


def test_probabilities_a_tenth_too_high_fail_where_there_are_many() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.1, 0.6, 5000)
    y = (rng.random(5000) < p - 0.1).astype(float)
    metrics = {**GOOD, "expected_calibration_error": expected_calibration_error(y, p)}
    chance = calibration_error_by_chance(p, np.arange(5000))
    assert failed(judge_churn(metrics, RULE, [], GATES, chance=chance)) == ["max_calibration_error"]


def test_good_churn_model_is_promoted_with_every_check_as_reason():
    decision = churn()
    assert decision.promote and failed(decision) == []
    assert len(decision.reasons) == len(decision.checks) == 5


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"auc": 0.59}, ["min_auc", "beats_baseline_auc"]),
        ({"auc": 0.699}, ["beats_baseline_auc"]),
        ({"expected_calibration_error": 0.051}, ["max_calibration_error"]),
        ({"log_loss": 0.301}, ["not_worse_than_champion"]),
        ({"log_loss": 0.36}, ["beats_baseline_log_loss", "not_worse_than_champion"]),
    ],
)
def test_each_churn_check_alone_rejects(change, name):
    decision = churn(GOOD | change)
    assert not decision.promote and failed(decision) == name
    assert decision.reasons == tuple(check.text for check in decision.checks if not check.passed)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"normalised_gini": 0.29}, ["min_gini", "beats_baseline_normalised_gini"]),
        ({"normalised_gini": 0.599}, ["beats_baseline_normalised_gini"]),
        ({"coverage": 0.83}, ["coverage_tolerance"]),
        ({"coverage": 0.97}, ["coverage_tolerance"]),
        ({"mae": 50.01}, ["not_worse_than_champion"]),
        ({"mae": 60.01}, ["beats_baseline_mae", "not_worse_than_champion"]),
    ],
)
def test_each_value_check_alone_rejects(change, name):
    assert value().promote
    assert failed(value(GOOD_VALUE | change)) == name


def test_limits_themselves_pass():
    edge = {"auc": 0.6, "expected_calibration_error": 0.05, "log_loss": 0.30}
    assert churn(edge, {"auc": 0.6, "log_loss": 0.4}).promote
    edge = {"normalised_gini": 0.3, "coverage": 0.84, "mae": 50.0}
    assert value(edge, {"normalised_gini": 0.3, "mae": 99}).promote


def test_without_a_champion_or_the_baseline_gate_those_checks_are_not_made():
    gates = GATES.model_copy(update={"must_beat_baseline": False})
    assert [c.name for c in churn(champion=None, gates=gates).checks] == ["min_auc", "max_calibration_error"]
    assert [c.name for c in value(champion=None, gates=gates).checks] == ["min_gini", "coverage_tolerance"]


@pytest.mark.parametrize("key", GOOD)
def test_churn_number_that_is_nan_or_missing_never_passes(key):
    for candidate in (GOOD | {key: math.nan}, {k: v for k, v in GOOD.items() if k != key}):
        decision = churn(candidate)
        assert not decision.promote and any("not measured" in reason for reason in decision.reasons)


@pytest.mark.parametrize("key", GOOD_VALUE)
def test_value_number_that_is_nan_never_passes(key):
    assert not value(GOOD_VALUE | {key: math.nan}).promote


def test_baseline_or_champion_that_is_nan_never_passes():
    assert not churn(baseline=RULE | {"auc": math.nan}).promote
    assert not churn(champion={}).promote


def test_sentences_carry_both_numbers():
    texts = {check.name: check.text for check in churn(GOOD | {"auc": 0.65}).checks}
    assert texts["min_auc"] == "AUC 0.65 is at least 0.6"
    assert texts["beats_baseline_auc"] == "AUC 0.65 is not above the recency rule's 0.7"
    assert texts["not_worse_than_champion"] == "log loss 0.3, the champion churn/1's 0.3: not worse"


def test_sentence_shows_enough_digits_to_tell_the_numbers_apart():
    assert churn(GOOD | {"auc": 0.5999999}).reasons[0] == "AUC 0.5999999 is not at least 0.6"


def test_large_amounts_are_written_out():
    texts = [check.text for check in value(GOOD_VALUE | {"mae": 1234567.0}).checks]
    assert any("1,234,567" in text for text in texts)


def test_decision_becomes_strict_json_with_nan_as_null():
    content = json.loads(json.dumps(churn(GOOD | {"auc": math.nan}).to_dict(), allow_nan=False))
    assert content["promote"] is False
    assert content["checks"][0] == {
        "name": "min_auc",
        "value": None,
        "limit": 0.6,
        "passed": False,
        "verdict": "failed",
        "text": "AUC (not measured) is not at least 0.6",
    }


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 5), st.floats(0, 0.5))
def test_better_model_is_never_rejected_where_a_worse_one_is_promoted(auc, better, log_loss, error):
    worse = {"auc": auc, "log_loss": log_loss, "expected_calibration_error": error}
    improved = {"auc": max(auc, better), "log_loss": log_loss * 0.9, "expected_calibration_error": error * 0.9}
    assert churn(improved).promote or not churn(worse).promote


def test_a_tier_or_new_customers_whose_interval_breaks_its_promise_fail_the_model():
    groups = {name: Coverage(share, n, float(n), 0.9) for name, share, n in TIERS}
    decision = judge_value(GOOD_VALUE, RATE, [], GATES, 0.9, groups=groups)
    assert failed(decision) == ["coverage_tolerance_diamond"]
    assert decision.reasons[0] == "interval coverage of diamond customers 0.79 is not within 0.06 of its target 0.9"
    assert "coverage_tolerance_gold" not in [check.name for check in decision.checks]


def test_the_more_groups_are_judged_the_more_each_must_miss_to_fail():
    missing = {"diamond": Coverage(0.745, 170, 170.0, 0.9)}
    fine = {f"group {i}": Coverage(0.9, 100, 100.0, 0.9) for i in range(9)}
    assert failed(judge_value(GOOD_VALUE, RATE, [], GATES, 0.9, groups=missing)) == ["coverage_tolerance_diamond"]
    decision = judge_value(GOOD_VALUE, RATE, [], GATES, 0.9, groups=missing | fine)
    assert failed(decision) == [] and decision.in_doubt == ("coverage_tolerance_diamond",)


def test_what_passed_in_doubt_is_named():
    margins = {"beats_baseline_auc": Margin(0.1, 0.2, 100.0, 101)}
    decision = judge_churn(GOOD, RULE, [], GATES, margins=margins)
    assert decision.summary == "passed every gate, where the data cannot tell: beats_baseline_auc"
    assert churn().summary == "passed every gate"


def test_with_little_history_only_what_is_shown_to_be_worse_is_refused():
    unsure, worse = {"auc": (-0.2, 0.3), "log_loss": (-0.1, 0.2)}, {"auc": (-0.2, -0.1), "log_loss": (0.05, 0.2)}
    assert judge_small_data(unsure, None).promote
    assert failed(judge_small_data(worse, True)) == ["not_worse_auc", "not_worse_log_loss"]
    assert not judge_small_data(worse, True).promote
    assert judge_small_data({"auc": (math.nan, math.nan)}, None).promote
    better = judge_small_data({"auc": (0.1, 0.3), "log_loss": (-0.2, 0.1)}, True)
    assert [check.verdict for check in better.checks] == ["passed", "passed", "cannot tell"]


def test_where_nothing_else_could_answer_a_prior_serves_and_its_figures_stay_on_record():
    first = judge_small_data({"auc": (-0.2, -0.1)}, None)
    assert (first.promote, first.passed, failed(first)) == (True, False, ["not_worse_auc"])


def test_what_nothing_judged_may_serve_but_not_in_place_of_a_model_that_learned_from_more():
    first = judge_small_data({}, None)
    assert first.promote
    assert any("nothing has matured" in reason for reason in first.reasons)
    assert judge_small_data({}, champion_is_prior=True).promote
    assert failed(judge_small_data({}, champion_is_prior=False)) == ["champion_had_no_more"]


def test_with_little_data_a_better_mean_is_not_refused_for_not_being_the_median() -> None:
    margins = {"normalised_gini": (-0.1, 0.3), "mae": (1.0, 9.0)}
    assert not judge_small_data(margins, True, "past rate").promote
    assert not judge_small_data(margins | {"deviance": (-0.2, 0.1)}, True, "past rate").promote
    decision = judge_small_data(margins | {"deviance": (-0.3, -0.1)}, True, "past rate")
    assert decision.promote and decision.in_doubt == ("not_worse_normalised_gini", "not_worse_mae")
    assert not judge_small_data({"auc": (-0.3, -0.1), "deviance": (-0.3, -0.1)}, True).promote


GARDEN_CENTRE = {
    "min_gini": Margin(0.04, 0.2, 200.0, 234),
    "beats_baseline_normalised_gini": Margin(-0.1, 0.2, 200.0, 234),
    "beats_baseline_mae": Margin(-1.0, 3.0, 200.0, 234),
}


def few_customers(gini: float = 0.04, mae: float = 59.0, **margins: Margin) -> Decision:
    candidate = {"normalised_gini": gini, "mae": mae, "coverage": 0.9}
    return judge_value(
        candidate, {"normalised_gini": 0.14, "mae": 60.0}, [], GATES, 0.9, margins=GARDEN_CENTRE | margins
    )


@pytest.mark.parametrize("error", [0.01, 50.0, math.nan])
def test_trees_that_rank_below_the_rule_within_chance_give_way_to_a_prior_of_smaller_loss(error: float) -> None:
    decision = few_customers()
    assert decision.promote and is_in_doubt(decision)
    leant = lean_to_simpler(decision, Margin(0.2, error, 200.0, 234))
    assert not leant.promote and failed(leant) == ["simpler_has_smaller_loss"]
    assert leant.checks[:-1] == decision.checks and "a prior, which is simpler" in leant.reasons[0]


def test_a_prior_of_no_smaller_loss_and_a_candidate_without_doubt_change_nothing() -> None:
    for loss in (0.0, -0.2, math.nan):
        assert lean_to_simpler(few_customers(), Margin(loss, 0.1, 200.0, 234)) == few_customers()
    better = few_customers(gini=0.3, beats_baseline_normalised_gini=Margin(0.16, 0.2, 200.0, 234))
    assert better.in_doubt and not is_in_doubt(better)  # it is better, though not beyond chance
    assert lean_to_simpler(better, Margin(0.2, 0.01, 200.0, 234)) == better
    assert is_in_doubt(few_customers(gini=0.3, mae=61.0, beats_baseline_mae=Margin(1.0, 3.0, 200.0, 234)))


def test_of_churn_a_worse_area_or_log_loss_is_a_doubt_and_another_check_is_none() -> None:
    def told(auc: float, loss: float, chance: tuple[float, float] = (0.0, 0.0)) -> Decision:
        off = {
            "beats_baseline_auc": Margin(auc - 0.7, 0.2, 99.0, 99),
            "beats_baseline_log_loss": Margin(0, 0.2, 99.0, 99),
        }
        candidate = GOOD | {"auc": auc, "log_loss": loss, "expected_calibration_error": 0.02}
        return judge_churn(candidate, RULE, [], GATES, chance=chance, margins=off)

    assert is_in_doubt(told(0.69, 0.3)) and is_in_doubt(told(0.8, 0.36)) and not is_in_doubt(told(0.71, 0.34))


def test_nobody_is_in_doubt_who_is_better_beyond_chance_in_any_figure() -> None:
    area = {"beats_baseline_auc": Margin(-0.001, 0.01, 1e6, 5000)}
    surely = area | {"beats_baseline_log_loss": Margin(-0.05, 0.005, 1e6, 5000)}
    by_chance = area | {"beats_baseline_log_loss": Margin(-0.05, 0.1, 1e6, 5000)}
    lower_area = GOOD | {"auc": 0.699}
    decision = judge_churn(lower_area, RULE, [], GATES, margins=surely)
    assert decision.in_doubt == ("beats_baseline_auc",) and not is_in_doubt(decision)
    assert lean_to_simpler(decision, Margin(0.1, 0.01, 1e6, 5000)) == decision
    assert is_in_doubt(judge_churn(lower_area, RULE, [], GATES, margins=by_chance))


@pytest.mark.parametrize(("gini", "mae"), [(0.13, 59.0), (0.14, 61.0), (0.13, 61.0)])
def test_nobody_is_in_doubt_whose_mean_is_better_beyond_chance_by_its_deviance(gini: float, mae: float) -> None:
    assert is_in_doubt(few_customers(gini, mae, beats_baseline_mae=Margin(mae - 60, 3.0, 200.0, 234)))
    sure = few_customers(gini, mae, deviance_less_baseline=Margin(-0.2, 0.01, 200.0, 234))
    assert sure.promote and not is_in_doubt(sure)
    unsure = few_customers(gini, mae, deviance_less_baseline=Margin(-0.2, 0.2, 200.0, 234))
    assert not unsure.promote or is_in_doubt(unsure)


@pytest.mark.parametrize("loss", [0.35, math.nan])
def test_a_figure_that_is_level_or_undefined_is_no_doubt(loss: float) -> None:
    margins = {
        "beats_baseline_auc": Margin(0.01, 0.2, 99.0, 99),
        "beats_baseline_log_loss": Margin(loss - 0.35, 0.2, 99.0, 99),
    }
    decision = judge_churn(GOOD | {"auc": 0.71, "log_loss": loss}, RULE, [], GATES, margins=margins)
    assert decision.promote and "beats_baseline_log_loss" in decision.in_doubt and not is_in_doubt(decision)


def test_a_margin_that_is_not_defined_is_said_to_tell_nothing() -> None:
    decision = judge_small_data({"auc": (math.nan, math.nan), "log_loss": (-0.2, -0.1)}, None)
    texts = {check.name: check.text for check in decision.checks}
    assert texts["not_worse_auc"].startswith("auc beside the recency rule's, cannot tell: ")
    assert "nan" not in "".join(texts.values())
