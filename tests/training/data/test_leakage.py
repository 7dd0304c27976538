from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from configs.settings import Settings
from features.schema import Feature, FeatureSchema
from training.data.leakage import LeakError, by_name, find_leaks, require_no_leaks, single_gini, target

N, PLAIN = 1500, 8
FEW = examples(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


def world(seed: int) -> pd.DataFrame:
    """Four moments; each customer has an own risk of leaving, of which eight plain columns tell a little."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=N)
    label = (rng.random(N) < 1 / (1 + np.exp(1.5 - 1.5 * risk))).astype(float)
    as_ofs = pd.date_range("2024-01-01", periods=4, freq="MS", tz="UTC")[np.arange(N) % 4]
    honest = {f"plain_{i}": risk + rng.normal(size=N) for i in range(PLAIN)}
    return pd.DataFrame({"as_of": as_ofs, **honest, "label": label})


def schema(*attributes: str, plain: tuple[str, ...] = ()) -> FeatureSchema:
    result = [*(f"plain_{i}" for i in range(PLAIN)), *plain]
    return FeatureSchema(
        (
            *(Feature(n, "orders", "float64", "") for n in result),
            *(Feature(n, "customers", "string", "") for n in attributes),
        )
    )


@FEW
@given(st.integers(0, 10**6))
def test_plain_columns_and_an_honest_attribute_are_never_suspected(settings: Settings, seed: int) -> None:
    rows = world(seed)
    region = np.random.default_rng(seed).choice(np.array(["east", "west", None], object), N)
    assert find_leaks(rows.assign(region=region), schema("region"), settings.leaks) == []


@FEW
@given(st.integers(0, 10**6), st.floats(0.0, 0.3))
def test_the_label_with_noise_is_found_by_name(settings: Settings, seed: int, noise: float) -> None:
    rows = world(seed)
    status = rows["label"] + noise * np.random.default_rng(seed).normal(size=N)
    result = find_leaks(rows.assign(status=status), schema(plain=("status",)), settings.leaks)
    assert [(leak.column, leak.kind) for leak in result] == [("status", "values")]


@FEW
@given(st.integers(0, 10**6))
def test_days_to_the_next_order_are_found_although_missing_means_left(settings: Settings, seed: int) -> None:
    rows = world(seed)
    days = pd.Series(np.random.default_rng(seed).exponential(10, N)).where(rows["label"] == 0)
    result = find_leaks(rows.assign(next_order=days), schema(plain=("next_order",)), settings.leaks)
    assert [leak.column for leak in result] == ["next_order"]


@FEW
@given(st.integers(0, 10**6))
def test_an_attribute_filled_mostly_for_stayers_is_found_as_missing(settings: Settings, seed: int) -> None:
    rows, rng = world(seed), np.random.default_rng(seed)
    filled = rng.random(N) < np.where(rows["label"] == 0, 0.35, 0.05)
    age = pd.Series(rng.choice(np.array(["young", "old"], object), N)).where(filled, None)
    result = find_leaks(rows.assign(age=age), schema("age"), settings.leaks)
    assert [(leak.column, leak.kind) for leak in result] == [("age", "missing")]


def test_a_status_in_words_is_found(settings: Settings) -> None:
    rows = world(1)
    status = np.where(rows["label"] == 1, "closed", "open").astype(object)
    result = find_leaks(rows.assign(status=status), schema("status"), settings.leaks)
    assert result[0].column == "status" and "AUC of 1.000" in result[0].got


def test_an_amount_to_come_is_found_where_value_is_the_label(settings: Settings) -> None:
    rows, rng = world(2), np.random.default_rng(99)
    rows["label"] = np.exp(rows["plain_0"] + rng.normal(size=N))
    result = find_leaks(rows.assign(invoice=rows["label"] * 1.1), schema(plain=("invoice",)), settings.leaks)
    assert [leak.column for leak in result] == ["invoice"]


def profiles(*names: str) -> FeatureSchema:
    return FeatureSchema(tuple(Feature(name, "profiles", "float64", "") for name in names))


@pytest.mark.parametrize("share", [0.08, 0.3, 0.7])
def test_a_flag_only_ever_seen_with_leavers_is_asked_about_however_few_of_them_have_it(
    settings: Settings, share: float
) -> None:
    rows, rng = world(8), np.random.default_rng(8)
    rows["part"] = np.arange(N) % 5
    complained = ((rows["label"] == 1) & (rng.random(N) < share)).astype(float)
    waited = pd.Series(np.where(complained == 1, rng.exponential(9, N), 0.0)).round(2)
    in_words = pd.Series(np.where(complained == 1, "filed", rng.choice(["none", "phone", "mail"], N)), dtype=object)
    for column in (complained, waited, in_words):
        result = find_leaks(rows.assign(x=column), profiles("plain_0", "x"), settings.leaks, "part")
        assert [leak.column for leak in result] == ["x"]
    if share < 0.5:
        assert (
            result[0].kind == "part"
            and "with 'filed'" in result[0].got
            and "the label holds for 100.0%" in result[0].got
        )


def test_a_value_that_only_stayers_or_mostly_leavers_have_is_not_asked_about(settings: Settings) -> None:
    rows, rng = world(9), np.random.default_rng(9)
    stays = ((rows["label"] == 0) & (rng.random(N) < 0.3)).astype(float)
    mostly = (rng.random(N) < np.where(rows["label"] == 1, 0.4, 0.02)).astype(float)
    schema_ = profiles("plain_0", "stays", "mostly")
    rows = rows.assign(stays=stays, mostly=mostly, part=np.arange(N) % 5)
    assert find_leaks(rows, schema_, settings.leaks, "part") == []


def test_too_few_labels_of_a_kind_tell_nothing(settings: Settings) -> None:
    rows = world(3).head(80)
    assert find_leaks(rows.assign(status=rows["label"]), schema(plain=("status",)), settings.leaks) == []


def test_the_gini_of_a_rising_column_agrees_with_scikit_learn() -> None:
    rows = world(4)
    y, later = target(rows["label"]), np.arange(N) >= N // 2
    own = single_gini(rows["plain_0"], y, later)
    other = 2 * roc_auc_score(y[later], rows["plain_0"][later]) - 1
    assert own == pytest.approx(other, abs=0.06)


def test_a_column_that_changes_its_meaning_does_not_look_good() -> None:
    rows = world(5)
    y, later = target(rows["label"]), np.arange(N) >= N // 2
    turned = rows["label"].where(~pd.Series(later), 1 - rows["label"])
    assert single_gini(turned, y, later) == -1.0


def test_training_stops_with_the_names_unless_they_are_accepted(settings: Settings) -> None:
    rows = world(6)
    result = find_leaks(rows.assign(status=rows["label"]), schema(plain=("status",)), settings.leaks)
    with pytest.raises(LeakError, match=r"status: it alone tells the label.*--accept-leaks status"):
        require_no_leaks(result)
    require_no_leaks(result, ["status"])
    with pytest.raises(LeakError):
        require_no_leaks(result, ["plain_0"])


def test_rows_are_not_changed(settings: Settings) -> None:
    rows = world(7)
    before = rows.copy()
    find_leaks(rows, schema(), settings.leaks)
    pd.testing.assert_frame_equal(rows, before)


def amounts(n: int, zeros: float, seed: int) -> pd.DataFrame:
    """A table without dates: amounts of which many are nothing, and a price that is known beforehand."""
    rng = np.random.default_rng(seed)
    price, stays = rng.choice([9.0, 19.0, 29.0, 49.0, 99.0], n), rng.random(n) >= zeros
    past = price * rng.lognormal(0, 0.5, n)
    return pd.DataFrame({"part": rng.integers(0, 4, n), "price": price, "past": past, "label": price * 3 * stays})


PROFILES = FeatureSchema(tuple(Feature(n, "profiles", "float64", "") for n in ("price", "past", "copy")))


@pytest.mark.parametrize("zeros", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("n", [60, 400])
def test_an_amount_that_stands_in_a_second_column_is_found_in_few_rows_and_a_price_is_none(
    settings: Settings, zeros: float, n: int
) -> None:
    for seed in range(4):
        rows = amounts(n, zeros, seed)
        rows["label"] *= np.random.default_rng(seed).lognormal(0, 1.5, n)
        rows["copy"] = rows["label"].where(rows["label"] != 0)
        many = (rows["label"] != 0).sum() >= 10
        found = {leak.column for leak in find_leaks(rows, PROFILES, settings.leaks, by="part")}
        assert found == ({"copy"} if many else set())


def test_a_price_of_contracts_is_no_copy_of_what_they_bring(settings: Settings) -> None:
    for zeros in (0.0, 0.3):
        rows = amounts(90, zeros, 1).assign(copy=1.0)
        assert find_leaks(rows, PROFILES, settings.leaks, by="part") == []


def donors(n: int, giving: float, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """A table without dates: few or most give, how much follows a little from the past."""
    rng = np.random.default_rng(seed)
    past, gave = rng.lognormal(3, 1, n), rng.random(n) < giving
    label = np.where(gave, past**0.5 * rng.lognormal(2, 1, n), 0.0)
    return pd.DataFrame(
        {"part": rng.integers(0, 4, n), "price": rng.normal(size=n), "past": past, "label": label}
    ), gave


@pytest.mark.parametrize(("n", "giving"), [(2000, 0.8), (2000, 0.6), (2000, 0.1), (2000, 0.04), (300, 0.15)])
@pytest.mark.parametrize("copy", ["gave", "times", "ranks", "chance"])
def test_what_tells_who_gave_or_how_much_is_asked_about_whether_few_or_most_give(
    settings: Settings, n: int, giving: float, copy: str
) -> None:
    for seed in range(3):
        rows, gave = donors(n, giving, seed)
        rng = np.random.default_rng(seed + 100)
        rows["copy"] = {
            "gave": gave.astype(float),
            "times": 1.19 * rows["label"],
            "ranks": rows["label"] ** 0.5 * rng.lognormal(0, 0.05, n),
            "chance": (rng.random(n) < giving).astype(float),
        }[copy]
        found = [leak.column for leak in find_leaks(rows, PROFILES, settings.leaks, by="part")]
        assert found == ([] if copy == "chance" else ["copy"])


def test_a_letter_that_thanks_half_of_few_givers_is_asked_about_and_a_contract_that_most_pay_is_not(
    settings: Settings,
) -> None:
    rows, gave = donors(2000, 0.1, 0)
    thanked = rows.assign(copy=(gave & (np.arange(2000) % 2 == 0)).astype(float))
    assert [leak.kind for leak in find_leaks(thanked, PROFILES, settings.leaks, by="part")] == ["part"]
    rows, gave = donors(2000, 0.9, 0)
    on_contract = rows.assign(copy=(gave & (np.arange(2000) % 2 == 0)).astype(float))
    assert find_leaks(on_contract, PROFILES, settings.leaks, by="part") == []


def test_a_name_of_what_came_after_is_asked_about_however_little_it_tells(settings: Settings) -> None:
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({"part": 1, "label": rng.integers(0, 2, 40).astype(float), "n": rng.random(40)})
    names = ("revenue_next_90d", "Umsatz_in_90_Tagen", "last_90_days", "spend_90d")
    told = FeatureSchema(tuple(Feature(name, "profiles", "float64", "") for name in names))
    rows = rows.assign(**{name: rng.random(40) for name in names})
    found = find_leaks(rows, told, settings.leaks, "part")
    assert [(leak.column, leak.kind) for leak in found] == [
        ("revenue_next_90d", "name"),
        ("Umsatz_in_90_Tagen", "name"),
    ]
    with pytest.raises(LeakError, match=r"'next 90 d'.*columns.exclude.*known_before"):
        require_no_leaks(found)
    dated = FeatureSchema((Feature("future_plan", "attribute_changes", "string", ""),))
    assert by_name(dated) == []


@pytest.mark.parametrize("named", ["bonus", "bonus_in_30_days"])
def test_what_the_values_prove_is_told_first_and_what_the_name_says_beside(settings: Settings, named: str) -> None:
    rows = world(10)
    rows = rows.assign(part=np.arange(N) % 5, **{named: rows["label"]})
    found = find_leaks(rows, profiles("plain_0", named), settings.leaks, "part")
    assert [(leak.column, leak.kind) for leak in found] == [(named, "values"), (named, "name")][: 1 + ("_in_" in named)]
    assert "AUC of 1.000" in found[0].got
    with pytest.raises(LeakError, match=rf"AUC of 1\.000.*--accept-leaks {named} "):
        require_no_leaks(found)
