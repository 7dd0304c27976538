import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pandas.testing import assert_frame_equal
from scipy import stats
from scipy.stats.contingency import association
from statsmodels.stats.multitest import multipletests

from configs.errors import DataError
from configs.settings import Monitoring, load
from monitoring.watch.drift import (
    DRIFTED,
    NO_CHANGE,
    TOO_FEW,
    cramers_v,
    cramers_v_by_chance,
    drift_table,
    holm,
    homogeneity_p_value,
    merge_rare_levels,
    monte_carlo_p_value,
    wasserstein_effect,
)
from training.data.profile import profile

RULE = load("test").monitoring


def sample(seed: int, size: int) -> pd.DataFrame:
    """Columns of every nature, with no difference between seeds but chance."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "probability": rng.beta(1, 4, size),
            "spend": rng.lognormal(3, 1.5, size),
            "orders": rng.poisson(0.5, size).astype(float),
            "gap": np.where(rng.random(size) < 0.2, np.nan, rng.normal(size=size)),
            "region": rng.choice(["north", "south", "west", None], size, p=[0.6, 0.3, 0.08, 0.02]),
            "shop": rng.choice([f"shop {i}" for i in range(100)], size),
        }
    )


def rule(**changed: float) -> Monitoring:
    return RULE.model_copy(update=changed)


def verdicts(reference: pd.DataFrame, current: pd.DataFrame, monitoring: Monitoring = RULE) -> dict[str, str]:
    table = drift_table(reference, current, reference.columns, monitoring)
    return dict(zip(table["column"], table["verdict"], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("many", "few"), [(20_000, 200), (1_000, 1_000), (300, 250)])
def test_without_drift_windows_alarm_less_often_than_the_level(many: int, few: int) -> None:
    """A window alarms if any column does. 30 windows at 1 %: three or more by chance in 1 of 300 such runs."""
    alarms = sum(DRIFTED in verdicts(sample(2 * i, many), sample(2 * i + 1, few)).values() for i in range(30))
    assert alarms <= 2


@pytest.mark.slow
@pytest.mark.parametrize(("many", "few"), [(2_000, 200), (1_000, 1_000)])
def test_without_drift_the_test_alone_keeps_its_level(many: int, few: int) -> None:
    """Even if every effect counted: 60 windows at 5 %, at most 9 by chance (99.9 %)."""
    any_effect = rule(drift_effect=1e-12, drift_p_value=0.05)
    draws = (verdicts(sample(2 * i, many), sample(2 * i + 1, few), any_effect) for i in range(60))
    assert sum(DRIFTED in outcome.values() for outcome in draws) <= 9


@pytest.mark.parametrize(("many", "few"), [(20_000, 200), (1_000, 1_000)])
def test_a_shift_by_half_a_deviation_a_new_category_and_nulls_are_found(many: int, few: int) -> None:
    reference, current = sample(1, many), sample(2, few)
    rng = np.random.default_rng(3)
    current["probability"] += reference["probability"].std() / 2
    current["region"] = current["region"].where(rng.random(few) > 0.2, "islands")
    current["orders"] = current["orders"].where(rng.random(few) > 0.3)
    by_column = verdicts(reference, current)
    assert [name for name, verdict in by_column.items() if verdict == DRIFTED] == ["probability", "orders", "region"]


def test_a_found_change_is_told_in_words_with_its_part() -> None:
    reference = pd.DataFrame({"age": np.tile([1.0, 2.0, 3.0], 100), "city": np.tile(["a", "b"], 150)})
    current = pd.DataFrame({"age": np.tile([1.0, np.nan, 3.0], 100), "city": np.tile(["a", "c"], 150)})
    table = drift_table(reference, current, ["age", "city"], RULE).set_index("column")
    assert table.loc["age", "part"] == "missing"
    assert table.loc["age", "text"] == "missing 0% → 33%"
    assert table.loc["city", "text"] == "share of 'b' 50% → 0%"
    assert table.loc["city", "effect"] == pytest.approx(np.sqrt(0.5 - 2 / 4 * 2 / 300))
    assert set(table["verdict"]) == {DRIFTED}


def test_a_significant_trifle_is_no_change() -> None:
    values = np.arange(50_000.0)
    reference, current = pd.DataFrame({"x": values}), pd.DataFrame({"x": values + 2_000})
    row = drift_table(reference, current, ["x"], RULE).iloc[0]
    assert row["p_corrected"] < 1e-6
    assert row["verdict"] == NO_CHANGE


def test_a_large_change_in_few_rows_cannot_be_told() -> None:
    reference, current = pd.DataFrame({"x": np.zeros(1000)}), pd.DataFrame({"x": np.ones(199)})
    assert verdicts(reference, current) == {"x": TOO_FEW}
    assert verdicts(reference, current, rule(drift_min_rows=199)) == {"x": DRIFTED}


def test_a_number_with_few_values_left_cannot_be_told_unless_their_loss_is_the_change() -> None:
    mostly_empty = np.where(np.arange(1000) < 100, 1.0, np.nan)
    empty, full = pd.DataFrame({"x": mostly_empty}), pd.DataFrame({"x": np.ones(1000)})
    assert verdicts(empty, empty) == {"x": TOO_FEW}
    assert verdicts(full, empty) == {"x": DRIFTED}


def test_a_column_without_any_value_now_has_drifted_and_without_rows_cannot_be_told() -> None:
    full = pd.DataFrame({"x": np.ones(500), "c": ["a"] * 500})
    none = pd.DataFrame({"x": [None] * 500, "c": [None] * 500})
    assert verdicts(full, none) == {"x": DRIFTED, "c": DRIFTED}
    row = drift_table(full, full.head(0), ["x"], RULE).iloc[0]
    assert row["verdict"] == TOO_FEW
    assert np.isnan(row["effect"])


def test_infinite_numbers_count_as_missing() -> None:
    full = pd.DataFrame({"x": np.ones(500)})
    infinite = pd.DataFrame({"x": np.where(np.arange(500) % 2 == 0, np.inf, 1.0)})
    row = drift_table(full, infinite, ["x"], RULE).iloc[0]
    assert (row["missing_current"], row["part"], row["verdict"]) == (0.5, "missing", DRIFTED)


def test_booleans_texts_and_nullable_numbers_get_their_kind() -> None:
    frame = pd.DataFrame(
        {
            "flag": [True, False],
            "text": ["a", None],
            "count": pd.array([1, None], dtype="Int64"),
            "level": pd.Categorical(["x", "y"]),
            "float": [0.5, np.nan],
        }
    )
    table = drift_table(frame, frame, frame.columns, RULE)
    assert list(table["kind"]) == ["category", "category", "number", "category", "number"]


def test_the_rule_travels_with_each_row_and_no_column_gives_an_empty_table() -> None:
    frame = sample(1, 300)
    table = drift_table(frame, frame, ["spend"], RULE)
    assert table.loc[0, ["effect_at_least", "p_at_most", "rows_at_least"]].tolist() == [0.2, 0.01, 200]
    assert list(drift_table(frame, frame, [], RULE)) == list(table)


def test_the_frames_are_not_changed() -> None:
    reference, current = sample(1, 300), sample(2, 300)
    before = reference.copy(deep=True), current.copy(deep=True)
    drift_table(reference, current, reference.columns, RULE)
    assert_frame_equal(reference, before[0])
    assert_frame_equal(current, before[1])


def test_unusable_columns_are_refused_by_name() -> None:
    frame = pd.DataFrame({"spend": [1.0], "at": pd.to_datetime(["2024-01-01"])})
    with pytest.raises(DataError, match="current rows have no column 'spend'"):
        drift_table(frame, frame[["at"]], ["spend"], RULE)
    with pytest.raises(DataError, match="'at' holds dates"):
        drift_table(frame, frame, ["at"], RULE)
    with pytest.raises(DataError, match="named twice"):
        drift_table(frame, frame, ["spend", "spend"], RULE)


@given(arrays(float, st.integers(1, 30), elements=st.floats(0, 1)))
def test_holm_rejects_what_its_step_down_procedure_rejects(p_values: np.ndarray) -> None:
    """Go through the p-values from the smallest up; stop at the first that, times those left, exceeds the level."""
    for level in (0.01, 0.05, 0.2):
        rejected, left = set(), len(p_values)
        for place in np.argsort(p_values, kind="stable"):
            if p_values[place] * left > level:
                break
            rejected.add(place)
            left -= 1
        assert set(np.flatnonzero(holm(p_values) <= level)) == rejected


def test_holm_corrects_as_statsmodels_does() -> None:
    p_values = np.random.default_rng(1).beta(0.3, 1.0, 40).round(2)
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-15)


@given(st.lists(st.integers(1, 200), min_size=2, max_size=8), st.lists(st.integers(0, 200), min_size=8, max_size=8))
def test_v_of_samples_of_one_size_agrees_with_scipy(first: list[int], second: list[int]) -> None:
    counts = np.array([first, second[: len(first)]], dtype=float)
    counts[1, -1] += counts.sum() - 2 * counts[1].sum() if counts[0].sum() >= counts[1].sum() else 0
    counts[0, -1] += counts[1].sum() - counts[0].sum()
    assert cramers_v(counts) == pytest.approx(association(counts.astype(int), method="cramer"))


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_v_tells_of_shares_and_not_of_rows(times: int, others: int) -> None:
    counts = np.array([[50.0, 30.0, 20.0], [20.0, 30.0, 50.0]])
    assert cramers_v(counts * [[times], [others]]) == pytest.approx(cramers_v(counts))


@settings(max_examples=50)
@given(st.floats(-1e3, 1e3), st.floats(0.01, 1e3), st.floats(-3, 3))
def test_the_distance_of_numbers_has_no_unit_and_is_the_shift_in_deviations(
    origin: float, unit: float, shift: float
) -> None:
    values = np.linspace(-1, 1, 101)
    moved = values + shift * values.std()
    assert wasserstein_effect(origin + unit * values, origin + unit * moved) == pytest.approx(abs(shift), abs=1e-6)


def test_plentiful_cells_are_judged_by_chi_square_with_both_rows_as_samples() -> None:
    counts = np.array([[60.0, 40.0], [40.0, 60.0]])
    assert homogeneity_p_value(counts) == pytest.approx(stats.chi2.sf(8.0, df=1))
    assert homogeneity_p_value(counts[:, :1]) == 1


def test_two_rare_levels_are_judged_as_fisher_judged_the_lady_tasting_tea() -> None:
    assert homogeneity_p_value(np.array([[3.0, 1.0], [1.0, 3.0]])) == pytest.approx(34 / 70)


def test_drawn_tables_agree_with_all_tables_there_are() -> None:
    """Cut a, a, b, b, c, c into halves: of 20 ways, 8 give each half one of each level, 12 do not."""
    apart, alike = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]), np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    assert monte_carlo_p_value(apart) == pytest.approx(12 / 20, abs=0.06)
    assert monte_carlo_p_value(alike) == 1


def test_a_new_level_is_found_however_large_the_reference() -> None:
    assert homogeneity_p_value(np.array([[100_000.0, 20_000.0, 0.0], [150.0, 30.0, 20.0]])) == pytest.approx(1e-5)


@pytest.mark.parametrize(("levels", "first", "second"), [(2, 100, 100), (5, 2_000, 100), (40, 2_000, 200)])
def test_chance_alone_gives_the_v_that_is_subtracted(levels: int, first: int, second: int) -> None:
    rng, shares = np.random.default_rng(levels), np.full(levels, 1 / levels)
    tables = np.stack([rng.multinomial(first, shares, 2_000), rng.multinomial(second, shares, 2_000)], axis=1)
    mean = np.mean([cramers_v(table) ** 2 for table in tables])
    assert mean == pytest.approx(cramers_v_by_chance(tables[0]) ** 2, rel=0.1)


@given(arrays(np.int64, st.tuples(st.just(2), st.integers(1, 12)), elements=st.integers(0, 60)), st.integers(1, 12))
def test_merging_the_rarest_levels_keeps_all_rows(counts: np.ndarray, most: int) -> None:
    merged = merge_rare_levels(counts, most)
    assert merged.shape[1] == min(counts.shape[1], most + 1)
    np.testing.assert_array_equal(merged.sum(axis=1), counts.sum(axis=1))


@pytest.mark.slow
@pytest.mark.parametrize(("many", "few"), [(2_000, 200), (300, 250)])
def test_a_profile_alarms_no_more_often_than_the_rows_it_tells_of(many: int, few: int) -> None:
    alarms = sum(DRIFTED in verdicts(profile(sample(2 * i, many)), sample(2 * i + 1, few)).values() for i in range(20))
    assert alarms <= 2
    shifted = sample(2, few).assign(spend=lambda rows: rows["spend"] * 3, shop="elsewhere")
    found = verdicts(profile(sample(1, many)), shifted)
    assert [found[name] for name in ("spend", "shop", "orders")] == [DRIFTED, DRIFTED, NO_CHANGE]
