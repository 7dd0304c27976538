from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import ConfigError
from configs.settings import Settings
from features.quality.anomalies import (
    RULES,
    SELF_RULES,
    Profile,
    design_effect,
    find_anomalies,
    hour_shift,
    profile_tables,
)
from features.quality.check import check_tables
from features.simulation.shop import generate

NOW = datetime(2024, 5, 8, tzinfo=UTC)
Tables = dict[str, pd.DataFrame]


def made(seed: int) -> Tables:
    return dict(generate(400, 4, seed).tables)


@pytest.fixture(scope="module")
def tables() -> Tables:
    return made(1)


def profile(tables: Tables, settings: Settings) -> Profile:
    return profile_tables(check_tables(tables, settings.columns, NOW), "UTC")


@pytest.fixture(scope="module")
def usual(settings: Settings) -> Profile:
    """Profile of the load before: another seed of the same business."""
    return profile(made(2), settings)


def rules(found: list) -> set[tuple[str, str, str]]:
    return {(f.table, f.column, f.rule) for f in found if f.severity == "stop"}


def orders(tables: Tables, **columns: object) -> Tables:
    return {**tables, "orders": tables["orders"].assign(**columns)}


def test_a_clean_load_of_the_same_business_has_no_finding(tables: Tables, usual: Profile, settings: Settings) -> None:
    assert find_anomalies(profile(tables, settings), usual) == []
    assert find_anomalies(profile(tables, settings)) == []


def test_a_load_compared_with_itself_has_no_finding(usual: Profile) -> None:
    assert find_anomalies(usual, usual) == []


def test_cents_for_euros_are_found_with_the_factor(tables: Tables, usual: Profile, settings: Settings) -> None:
    found = find_anomalies(profile(orders(tables, amount=tables["orders"]["amount"] * 100), settings), usual)
    assert ("orders", "amount", "scale_moved") in rules(found)
    one = next(f for f in found if f.rule == "scale_moved")
    assert "times what it was" in one.got
    assert "divide in the mapping" in one.text


def test_a_unit_that_changes_within_the_load_needs_no_reference(tables: Tables, settings: Settings) -> None:
    amounts, late = tables["orders"]["amount"], np.arange(len(tables["orders"])) > 0.6 * len(tables["orders"])
    found = find_anomalies(profile(orders(tables, amount=amounts.where(~late, amounts * 100)), settings))
    assert rules(found) == {("orders", "amount", "unit_change_within")}


def test_turned_signs_are_found_with_and_without_a_reference(
    tables: Tables, usual: Profile, settings: Settings
) -> None:
    turned = profile(orders(tables, amount=-tables["orders"]["amount"]), settings)
    assert ("orders", "amount", "negative_share_moved") in rules(find_anomalies(turned, usual))
    assert rules(find_anomalies(turned)) == {("orders", "amount", "returns_without_purchase")}


def test_the_same_rows_under_new_keys_are_found(tables: Tables, usual: Profile, settings: Settings) -> None:
    half = tables["orders"].head(600)
    twice = pd.concat([tables["orders"], half.assign(order_id=half["order_id"] + "x")], ignore_index=True)
    assert ("orders", "*", "repeated_rows") in rules(
        find_anomalies(profile({**tables, "orders": twice}, settings), usual)
    )


def test_text_read_in_a_wrong_encoding_needs_no_reference(tables: Tables, settings: Settings) -> None:
    broken = "Légumes".encode().decode("latin-1")
    found = find_anomalies(
        profile(orders(tables, category=tables["orders"]["category"].replace("fresh", broken)), settings)
    )
    assert rules(found) == {("orders", "category", "damaged_text")}


def test_control_signs_are_called_what_they_are(tables: Tables, settings: Settings) -> None:
    coloured = tables["orders"]["category"].replace("fresh", "\x1b[31mfresh\x1b[0m")
    found = find_anomalies(profile(orders(tables, category=coloured), settings))
    assert rules(found) == {("orders", "category", "control_signs")}
    assert "U+001B (ESC, as terminals write it for colours)" in found[0].got


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["Légumes", "Ärger & Söhne", "naïve", "São Paulo", "Straße", "東京", "Ünlü", "Ãlvaro A"]
)
def test_text_in_other_letters_is_not_damaged(tables: Tables, settings: Settings, text: str) -> None:
    assert find_anomalies(profile(orders(tables, category=text), settings)) == []


def test_a_recorded_time_before_the_event_needs_no_reference(tables: Tables, settings: Settings) -> None:
    swapped = orders(tables, ordered_at=tables["orders"]["recorded_at"], recorded_at=tables["orders"]["ordered_at"])
    assert ("orders", "recorded_at", "recorded_before_event") in rules(find_anomalies(profile(swapped, settings)))


def test_a_table_that_is_gone_is_found(tables: Tables, usual: Profile, settings: Settings) -> None:
    without = {n: f for n, f in tables.items() if n != "contacts"}
    assert rules(find_anomalies(profile(without, settings), usual)) == {("contacts", "*", "table_missing")}


def test_a_rule_that_is_accepted_only_warns_and_an_unknown_one_is_refused(
    tables: Tables, usual: Profile, settings: Settings
) -> None:
    new = profile(orders(tables, channel="kiosk"), settings)
    assert {
        f.rule for f in find_anomalies(new, usual, ["unseen_values", "stuck_values"]) if f.severity == "stop"
    } == set()
    with pytest.raises(ConfigError, match="did you mean 'unseen_values'"):
        find_anomalies(new, usual, ["unseen_value"])


def test_campaigns_that_come_and_go_are_no_new_categories(settings: Settings, usual: Profile) -> None:
    longer = dict(generate(400, 5, 3).tables)
    checked = check_tables(longer, settings.columns, datetime(2024, 6, 8, tzinfo=UTC))
    assert find_anomalies(profile_tables(checked, "UTC"), usual) == []


def test_every_finding_says_what_was_got_and_what_to_do(usual: Profile, tables: Tables, settings: Settings) -> None:
    for one in find_anomalies(profile(orders(tables, amount=1e6, channel="x"), settings), usual):
        assert one.got and one.expected and one.todo
        assert f"{one.table}.{one.column}" in one.text
    assert set(SELF_RULES) <= set(RULES)


day = st.lists(st.integers(0, 50), min_size=24, max_size=24)


@given(day, st.integers(-11, 11))
def test_a_day_that_is_turned_gains_at_least_nothing_and_as_told(hours: list[int], shift: int) -> None:
    old = np.array(hours, float)
    found, gain, explained = hour_shift(np.roll(old, shift), old)
    if shift and gain > 1:
        assert explained > 0.5
    assert -12 <= found <= 11


def test_rows_that_can_no_longer_be_used_are_found_even_where_the_share_is_within_its_threshold(
    tables: Tables, usual: Profile, settings: Settings
) -> None:
    amounts = tables["orders"]["amount"].astype(object).copy()
    amounts.iloc[::12] = None
    found = find_anomalies(profile(orders(tables, amount=amounts), settings), usual)
    assert ("orders", "*", "fewer_usable_rows") in {(f.table, f.column, f.rule) for f in found}


def test_a_day_as_common_as_before_is_not_stuck_because_its_rows_stand_together(settings: Settings) -> None:
    times = pd.Series(pd.date_range("2024-01-01", periods=400, freq="h", tz="UTC"))
    own = times + pd.Timedelta(days=30)
    day = pd.Timestamp("2024-05-01", tz="UTC")
    place = np.arange(400)

    def load(on_day: np.ndarray) -> Profile:
        ended = own.mask(pd.Series(on_day), day)
        ids = [f"c{n}" for n in place]
        contracts = pd.DataFrame(
            {"subscription_id": ids, "customer_id": ids, "started_at": times, "ended_at": ended, "plan": "a"}
        )
        customers = pd.DataFrame({"customer_id": ids, "signed_up_at": times, "region": "north", "age_group": "18-29"})
        checked = check_tables({"customers": customers, "subscriptions": contracts}, settings.columns, NOW, "contract")
        return profile_tables(checked, "UTC")

    spread = load(place % 2 == 0)
    stuck = ("subscriptions", "ended_at", "stuck_values")
    assert stuck not in rules(find_anomalies(load((place < 120) | (place % 7 < 2)), spread))
    assert stuck in rules(find_anomalies(load((place % 2 == 0) | (place > 200)), spread))


def habits(seed: int, tables: Tables) -> Tables:
    """A load whose customers each buy at an hour of their own, some of them very often."""
    rng = np.random.default_rng(seed)
    customers = tables["customers"]["customer_id"].to_numpy()[:120]
    hour = dict(zip(customers, np.clip(rng.normal(14, 4, len(customers)), 1, 22).astype(int), strict=True))
    who = np.sort(rng.choice(customers, 4000, p=rng.dirichlet(np.full(len(customers), 0.5))))
    rows = tables["orders"].iloc[rng.integers(0, len(tables["orders"]), len(who))].reset_index(drop=True)
    times = pd.to_datetime(rows["ordered_at"]).dt.floor("D") + pd.to_timedelta([60 * hour[w] + 7 for w in who], "min")
    number = [f"{seed}-{n}" for n in range(len(who))]
    return {**tables, "orders": rows.assign(order_id=number, customer_id=who, ordered_at=times)}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [8, 10, 12])
def test_a_few_customers_with_habits_are_no_clock_that_moved(seed: int, tables: Tables, settings: Settings) -> None:
    old, new = profile(habits(seed, tables), settings), profile(habits(seed + 1, tables), settings)
    assert new["tables"]["orders"]["columns"]["ordered_at"]["hours_effect"] > 10
    assert "hours_moved" not in {f.rule for f in find_anomalies(new, old)}
    as_if_independent = {"hours_effect": 1.0}
    for load in (old, new):
        load["tables"]["orders"]["columns"]["ordered_at"] |= as_if_independent
    assert "hours_moved" in {f.rule for f in find_anomalies(new, old)}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=40), st.integers(2, 4))
def test_copies_of_every_row_raise_the_design_effect_as_many_times(rows: list[tuple[int, int]], times: int) -> None:
    persons, classes = pd.Series([p for p, _ in rows]), np.array([c for _, c in rows])
    alone, copied = (design_effect(pd.concat([persons] * n), np.tile(classes, n)) for n in (1, times))
    assert alone >= 1
    assert copied >= alone
    if alone > 1:
        assert copied == pytest.approx(times * alone)
