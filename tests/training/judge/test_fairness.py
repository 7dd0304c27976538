"""Group fairness: against fairlearn and statsmodels, against known truth, and silent where numbers are too small."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, selection_rate, true_positive_rate
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from configs.errors import DataError
from training.judge.fairness import (
    NO_DIFFERENCE,
    UNCOMPARED,
    churn_fairness,
    fairness_table,
    ratio_interval,
    select_top,
    summarise,
    value_fairness,
)

MEASURES = ("churn_rate", "selection_rate", "recall", "mean_predicted", "calibration_gap", "ratio")


def hand_made():
    """Two groups of four customers: of a, two leave and one of them is selected; of b, one leaves, unselected."""
    return pd.DataFrame(
        {
            "customer_id": list("stuvwxyz"),
            "sex": list("aaaabbbb"),
            "churned": [1.0, 1, 0, 0, 1, 0, 0, 0],
            "probability": [0.9, 0.3, 0.8, 0.2, 0.4, 0.1, 0.6, 0.1],
            "selected": [True, False, True, False, False, False, True, False],
        }
    )


def drawn(rates, n, seed=1):
    """Customers of groups that are selected at the given rates, and leave at the probability they are given."""
    rng = np.random.default_rng(seed)
    group = np.repeat(list(rates), n)
    probability = rng.beta(2, 6, len(group))
    return pd.DataFrame(
        {
            "customer_id": np.arange(len(group)),
            "sex": group,
            "probability": probability,
            "churned": (rng.random(len(group)) < probability).astype(float),
            "selected": rng.random(len(group)) < np.array([rates[g] for g in group]),
        }
    )


def by_group(table):
    return table.set_index("group")


def test_measures_by_hand():
    result = by_group(churn_fairness(hand_made(), "sex", min_group=1))
    assert result["n"].tolist() == [4, 4] and result["share"].tolist() == [0.5, 0.5]
    assert result["churn_rate"].tolist() == [0.5, 0.25]
    assert result["selection_rate"].tolist() == [0.5, 0.25]
    assert result["recall"].tolist() == [0.5, 0.0]
    assert result["mean_predicted"].tolist() == pytest.approx([0.55, 0.3])
    assert result["calibration_gap"].tolist() == pytest.approx([0.05, 0.05])
    assert result["ratio"].tolist() == [1.0, 0.5] and result["compared_to"].tolist() == ["a", "a"]


def test_measures_equal_fairlearns_metric_frame():
    frame = drawn({"f": 0.2, "m": 0.1, "x": 0.15}, 300)
    result = by_group(churn_fairness(frame, "sex"))
    other = MetricFrame(
        metrics={"selection_rate": selection_rate, "recall": true_positive_rate},
        y_true=frame["churned"],
        y_pred=frame["selected"],
        sensitive_features=frame["sex"],
    )
    for measure in ("selection_rate", "recall"):
        assert result[measure].tolist() == pytest.approx(other.by_group[measure].tolist())
    assert result["ratio"].min() == pytest.approx(other.ratio()["selection_rate"])


def test_intervals_of_rates_equal_statsmodels():
    frame = drawn({"f": 0.2, "m": 0.1}, 300)
    row = by_group(churn_fairness(frame, "sex")).loc["m"]
    part = frame[frame["sex"] == "m"]
    expected = proportion_confint(part["selected"].sum(), 300, method="wilson")
    assert (row["selection_rate_low"], row["selection_rate_high"]) == pytest.approx(expected)
    leavers = part[part["churned"] == 1]
    expected = proportion_confint(leavers["selected"].sum(), len(leavers), method="wilson")
    assert (row["recall_low"], row["recall_high"]) == pytest.approx(expected)


@pytest.mark.parametrize(("x", "n", "other_x", "other_n"), [(10, 100, 20, 100), (3, 200, 40, 300), (30, 60, 50, 90)])
def test_ratio_interval_is_close_to_the_score_interval_of_statsmodels(x, n, other_x, other_n):
    result = ratio_interval(x / n, n, other_x / other_n, other_n)
    expected = confint_proportions_2indep(x, n, other_x, other_n, compare="ratio", method="score")
    assert np.ravel(result) == pytest.approx(expected, rel=0.08)


def test_ratio_interval_holds_the_truth_in_about_95_of_100_samples():
    rng = np.random.default_rng(1)
    for p, n, other_p, other_n in ((0.1, 100, 0.1, 100), (0.05, 200, 0.2, 200), (0.2, 50, 0.2, 500)):
        rates, others = rng.binomial(n, p, 1500) / n, rng.binomial(other_n, other_p, 1500) / other_n
        bounds = [ratio_interval(r, n, o, other_n) for r, o in zip(rates, others, strict=True)]
        assert np.mean([low <= p / other_p <= high for low, high in bounds]) == pytest.approx(0.95, abs=0.02)


@given(st.integers(0, 60), st.integers(60, 200), st.integers(1, 60), st.integers(60, 200))
def test_ratio_interval_is_finite_and_holds_the_ratio(x, n, other_x, other_n):
    low, high = ratio_interval(x / n, n, other_x / other_n, other_n)
    ratio = (x / n) / (other_x / other_n)
    assert 0 <= low <= ratio + 1e-9 and ratio <= high + 1e-9 and np.isfinite(high)


def test_group_that_is_selected_half_as_often_is_found():
    result = by_group(churn_fairness(drawn({"f": 0.1, "m": 0.2}, 1500), "sex"))
    assert result.loc["f", "verdict"] == "lower than others" and result.loc["f", "ratio_high"] < 0.8
    assert result.loc["m", "verdict"] == "no difference shown"


def test_same_ratio_of_few_customers_is_no_finding():
    frame = drawn({"f": 0.1, "m": 0.2}, 1500).groupby("sex").head(120)
    result = by_group(churn_fairness(frame, "sex"))
    assert result.loc["f", "ratio"] < 0.8 < result.loc["f", "ratio_high"]
    assert result.loc["f", "verdict"] == "no difference shown"


def test_group_under_the_least_size_is_shown_but_neither_judged_nor_compared_to():
    frame = pd.concat([drawn({"f": 0.1, "m": 0.1}, 200), drawn({"x": 0.9}, 99, seed=2)])
    result = by_group(churn_fairness(frame.assign(customer_id=range(len(frame))), "sex", min_group=100))
    assert result.loc["x", "verdict"] == "too small to judge" and not result.loc["x", "judged"]
    assert result.loc["x", "ratio"] > 1 and set(result["compared_to"]) <= {"f", "m"}


def test_fair_model_is_rarely_accused_however_many_groups_there_are():
    rng = np.random.default_rng(3)
    n, groups, audits = 150, 12, 40
    accused = ratio_alone = 0
    for _ in range(audits):
        frame = pd.DataFrame({"group": np.repeat(range(groups), n), "probability": rng.random(n * groups)})
        frame["selected"] = select_top(frame["probability"], 0.1)
        result = churn_fairness(frame, "group", label=None)
        accused += (result["verdict"] == "lower than others").any()
        ratio_alone += (result["ratio"] < 0.8).any()
    assert accused <= 0.05 * audits and ratio_alone == audits


def test_two_moments_of_a_customer_are_not_two_customers():
    once = drawn({"f": 0.1, "m": 0.2}, 150)
    twice = pd.concat([once, once], ignore_index=True)
    first, second = (churn_fairness(frame, "sex") for frame in (once, twice))
    assert second["n"].tolist() == [300, 300] and second["customers"].tolist() == [150, 150]
    for bound in ("selection_rate_low", "recall_high", "ratio_low", "ratio_high"):
        assert first[bound].tolist() == pytest.approx(second[bound].tolist())
    assert not churn_fairness(twice, "sex", min_group=200)["judged"].any()


def test_missing_group_values_are_the_group_unknown():
    frame = hand_made()
    frame.loc[[0, 5], "sex"] = [None, np.nan]
    result = by_group(churn_fairness(frame, "sex", min_group=1))
    assert result["n"].to_dict() == {"a": 3, "b": 3, "unknown": 2}


def test_the_group_unknown_is_shown_but_neither_compared_nor_compared_to():
    frame = pd.DataFrame(
        {
            "group": ["a"] * 200 + ["b"] * 200 + [None] * 200,
            "selected": [True] * 20 + [False] * 180 + [True] * 20 + [False] * 180 + [True] * 200,
        }
    )
    result = churn_fairness(frame.assign(probability=0.5), "group", label=None).set_index("group")
    assert set(result["compared_to"]) == {"a"}
    assert result.loc["unknown", "verdict"] == UNCOMPARED
    assert not result.loc["unknown", "judged"]
    assert result.loc["b", "verdict"] == NO_DIFFERENCE


def test_unknown_outcomes_count_for_selection_only():
    frame = hand_made()
    frame.loc[0, "churned"] = np.nan
    row = by_group(churn_fairness(frame, "sex", min_group=1)).loc["a"]
    assert (row["n"], row["selection_rate"], row["churn_rate"], row["recall"]) == (4, 0.5, pytest.approx(1 / 3), 0.0)


def test_decisions_can_be_audited_before_outcomes_are_known():
    result = churn_fairness(hand_made().drop(columns="churned"), "sex", label=None, min_group=1)
    assert result[["churn_rate", "recall", "calibration_gap", "recall_low"]].isna().all(axis=None)
    assert result["ratio"].notna().all()


def test_group_without_a_leaver_has_no_recall():
    frame = hand_made().assign(churned=[1.0, 1, 0, 0, 0, 0, 0, 0])
    assert np.isnan(by_group(churn_fairness(frame, "sex", min_group=1)).loc["b", "recall"])


def test_one_large_group_alone_has_nothing_to_be_compared_with():
    result = churn_fairness(drawn({"f": 0.1}, 200), "sex")
    assert result["verdict"].tolist() == ["nothing to compare with"] and not result["judged"].any()


def test_where_nobody_is_selected_there_is_nothing_to_compare():
    result = churn_fairness(hand_made().assign(selected=False), "sex", min_group=1)
    assert result["verdict"].tolist() == ["nothing to compare with"] * 2


def test_calibration_gap_of_a_model_that_overrates_one_group_is_seen():
    frame = drawn({"f": 0.1, "m": 0.1}, 2000)
    frame.loc[frame["sex"] == "f", "probability"] += 0.1
    result = by_group(churn_fairness(frame, "sex"))
    assert result.loc["f", "calibration_gap_low"] > 0.05
    assert result.loc["m", "calibration_gap_low"] < 0 < result.loc["m", "calibration_gap_high"]


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_every_interval_holds_its_measure_and_order_of_rows_does_not_matter(seed, n):
    frame = drawn({"f": 0.3, "m": 0.5}, n, seed)
    before = frame.copy()
    result = churn_fairness(frame, "sex", min_group=1)
    for measure in MEASURES:
        known = result[result[measure].notna()]
        assert (known[f"{measure}_low"] <= known[measure] + 1e-9).all()
        assert (known[measure] <= known[f"{measure}_high"] + 1e-9).all()
    pd.testing.assert_frame_equal(result, churn_fairness(frame.sample(frac=1, random_state=0), "sex", min_group=1))
    pd.testing.assert_frame_equal(frame, before)


def test_top_share_is_taken_at_each_moment():
    chosen = select_top([0.1, 0.2, 0.3, 0.4, 0.9, 0.8, 0.7, 0.6], 0.25, as_ofs=list("aaaabbbb"))
    assert chosen.tolist() == [False, False, False, True, True, False, False, False]


def test_share_is_rounded_up_to_whole_customers_but_not_by_rounding_error():
    assert select_top(np.arange(30.0), 0.1).sum() == 3
    assert select_top(np.arange(31.0), 0.1).sum() == 4


def test_lot_and_not_the_order_of_rows_settles_equal_risks():
    chosen = select_top(np.full(1000, 0.3), 0.5)
    assert chosen.sum() == 500 and 200 < chosen[:500].sum() < 300
    assert (chosen == select_top(np.full(1000, 0.3), 0.5)).all()


def valued(factor=1.0, n=400, seed=1):
    """Two groups of customers with skewed values; those of f are expected at `factor` of what they are worth."""
    rng = np.random.default_rng(seed)
    sex = np.repeat(["f", "m"], n)
    expected = rng.lognormal(4, 0.8, 2 * n)
    clv = expected * rng.gamma(4, 0.25, 2 * n)
    expected = np.where(sex == "f", factor, 1.0) * expected
    return pd.DataFrame(
        {
            "customer_id": np.arange(2 * n),
            "sex": sex,
            "clv": clv,
            "expected": expected,
            "low": 0.3 * expected,
            "high": 2.0 * expected,
        }
    )


def test_value_measures_by_hand():
    frame = pd.DataFrame(
        {
            "sex": list("aabb"),
            "clv": [10.0, 30, 100, 60],
            "expected": [20.0, 28, 90, 70],
            "low": [0.0, 31, 0, 0],
            "high": [99.0, 99, 99, 99],
        }
    )
    result = by_group(value_fairness(frame, "sex", min_group=2))
    assert result["mean_actual"].tolist() == [20.0, 80.0] and result["mean_expected"].tolist() == [24.0, 80.0]
    assert result["relative_error"].tolist() == pytest.approx([0.2, 0.0])
    assert result["coverage"].tolist() == [0.5, 0.5]
    assert result["ratio"].tolist() == pytest.approx([1.2 / 1.04, 1 / 1.04])


def test_group_that_is_valued_at_half_its_worth_is_found_and_a_fair_one_is_not():
    unfair, fair = (by_group(value_fairness(valued(factor), "sex")) for factor in (0.5, 1.0))
    assert unfair.loc["f", "verdict"] == "lower than others" and unfair.loc["f", "relative_error_high"] < -0.4
    assert unfair.loc["m", "verdict"] == "no difference shown"
    assert set(fair["verdict"]) == {"no difference shown"}
    assert (fair["relative_error_low"] < 0).all() and (fair["relative_error_high"] > 0).all()


def test_customers_without_a_known_value_are_left_out():
    frame = valued()
    frame.loc[frame.index[:100], "clv"] = np.nan
    assert by_group(value_fairness(frame, "sex"))["n"].to_dict() == {"f": 300, "m": 400}


def test_value_of_a_group_without_revenue_cannot_be_compared():
    frame = valued().assign(clv=lambda f: f["clv"].where(f["sex"] == "m", 0.0))
    result = by_group(value_fairness(frame, "sex"))
    assert result.loc["f", "verdict"] == "nothing to compare with" and np.isnan(result.loc["f", "relative_error"])


def test_table_stacks_the_columns_and_the_summary_is_strict_json():
    frame = drawn({"f": 0.1, "m": 0.2}, 1500).assign(age=lambda f: np.where(f.index < 60, "young", "old"))
    table, summary = fairness_table(frame, ["sex", "age"], partial(churn_fairness, min_group=100))
    assert table.columns[:2].tolist() == ["attribute", "group"]
    assert table["attribute"].tolist() == ["sex", "sex", "age", "age"]
    content = json.loads(json.dumps(summary, allow_nan=False))
    assert content["sex"]["verdict"] == "lower than others"
    assert [g["group"] for g in content["sex"]["lower"]] == ["f"] and content["sex"]["lowest"]["group"] == "f"
    assert content["age"]["too_small"] == ["young"] and content["age"]["verdict"] == "nothing to compare with"
    assert content["age"]["lowest"] is None


def test_ages_and_birth_dates_are_audited_in_ranges():
    frame = drawn({"f": 0.1, "m": 0.2}, 1500)
    years = 1950 + np.arange(len(frame)) % 40
    frame = frame.assign(born=[f"05.06.{year}" for year in years], age=2024 - years, as_of=pd.Timestamp("2024-07-01"))
    table, _ = fairness_table(frame, ["born", "age"], partial(churn_fairness, min_group=100))
    groups = table.groupby("attribute")["group"].agg(set)
    assert groups["born"] == groups["age"] == {"30 to 39", "40 to 49", "50 to 59", "60 to 69", "70 and over"}


def test_no_sensitive_column_gives_an_empty_table():
    table, summary = fairness_table(hand_made(), [], churn_fairness)
    assert table.empty and summary == {}


def test_all_groups_too_small_is_the_summarys_verdict():
    assert summarise(churn_fairness(hand_made(), "sex"))["verdict"] == "too small to judge"


def test_missing_column_and_empty_table_are_refused():
    with pytest.raises(DataError, match=r"lacks \['age'\]"):
        churn_fairness(hand_made(), "age")
    with pytest.raises(DataError, match="no row to compare"):
        churn_fairness(hand_made().iloc[:0], "sex")
    with pytest.raises(DataError, match="no row to compare"):
        value_fairness(valued().assign(clv=np.nan), "sex")
