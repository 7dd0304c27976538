"""Events on daily revenue whose effect is known."""

from __future__ import annotations

import numpy as np
import pytest

from features.seasons.events import LEAST_SHARE, Events

DAYS = 1000
SALE = [(200, 209), (430, 439), (690, 699), (900, 909)]


def daily(times: float, seed: int = 1) -> np.ndarray:
    """A hundred a day or so, and on the days of the sale so many times as much."""
    out = np.random.default_rng(seed).gamma(50, 2, DAYS)
    for first, last in SALE:
        out[first : last + 1] *= times
    return out


@pytest.mark.parametrize("times", [2.0, 0.5])
def test_the_effect_of_earlier_times_is_found(times: float) -> None:
    assert Events({"sale": SALE}).effects(daily(times), 800)["sale"] == pytest.approx(np.log(times), abs=0.1)


def test_a_closure_counts_as_next_to_nothing_and_not_as_minus_infinity() -> None:
    assert Events({"closed": SALE}).effects(daily(0.0), 800)["closed"] == pytest.approx(np.log(LEAST_SHARE), abs=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_an_event_that_did_nothing_has_next_to_no_effect(seed: int) -> None:
    assert abs(Events({"sale": SALE}).effects(daily(1.0, seed), 800)["sale"]) < 0.06


def test_what_is_not_over_or_has_no_days_beside_it_teaches_nothing() -> None:
    events = Events({"sale": SALE})
    assert events.effects(daily(2.0), 205) == {}
    changed = daily(2.0)
    changed[500:] = 7.0
    assert events.effects(changed, 500) == events.effects(daily(2.0), 500)
    assert events.effects(np.zeros(DAYS), 800) == {}
    assert Events({"sale": [(0, 9)]}).effects(daily(2.0), 800) == {}


def test_the_days_ahead_are_raised_by_an_event_and_those_after_it_lowered() -> None:
    raised = Events({"sale": SALE}).exposure({"sale": np.log(2.0)}, np.array([100, 200, 210, 400]), 90, 30)
    assert raised == pytest.approx([0.0, np.log(40 / 30), -np.log(100 / 90), np.log(1.0)])
    assert Events({}).exposure({}, np.array([0, 5]), 90, 30).tolist() == [0.0, 0.0]


def flat(times: float, windows: list[tuple[int, int]], days: int = 1000) -> np.ndarray:
    """Ten a day, and on the days of the windows so many times as much."""
    out = np.full(days, 10.0)
    for first, last in windows:
        out[first : last + 1] *= times
    return out


def test_days_that_are_missing_are_no_closure() -> None:
    missing = flat(1.0, [])
    missing[195:215] = np.nan
    assert Events({"sale": [(200, 202)]}).effects(missing, 400) == {}
    assert Events({"sale": [(214, 216)]}).effects(missing, 400) == {}
    doubled = flat(2.0, [(100, 102), (300, 302)])
    doubled[195:215] = doubled[310:320] = np.nan
    sale = Events({"sale": [(100, 102), (200, 202), (300, 302)]})
    assert sale.effects(doubled, 400)["sale"] == pytest.approx(np.log(2))


def test_a_closure_is_known_once_orders_come_again() -> None:
    closed = Events({"closed": [(397, 399)]})
    revenue = flat(0.0, closed.windows["closed"])
    assert closed.effects(revenue, 400) == {}
    assert closed.effects(revenue, 402)["closed"] == pytest.approx(np.log(LEAST_SHARE))


@pytest.mark.parametrize("known", [-5, 0, 1])
def test_before_the_first_day_no_event_is_known(known: int) -> None:
    sale = Events({"sale": SALE})
    assert sale.effects(daily(2.0), known) == {}
    raised = sale.exposure({"sale": 1.0}, np.array([-60, -1, 0]), 90, 30)
    assert raised.tolist() == [0.0, 0.0, 0.0]


LONG, SHORT = [(200, 229), (500, 529)], [(210, 212), (510, 512)]


@pytest.mark.parametrize("order", [["sale", "xmas"], ["xmas", "sale"]])
def test_what_two_events_of_the_same_days_bring_together_is_counted_once(order: list[str]) -> None:
    events = Events(dict.fromkeys(order, LONG))
    effects = events.effects(flat(2.0, LONG), 800)
    assert sum(effects.values()) == pytest.approx(np.log(2), abs=1e-6)
    assert events.exposure(effects, np.array([500]), 90, 30) == pytest.approx([np.log(2)], abs=1e-6)


@pytest.mark.parametrize("order", [["bf", "xmas"], ["xmas", "bf"]])
@pytest.mark.parametrize(("long", "short"), [(2.0, 1.0), (2.0, 3.0), (1.0, 3.0), (2.0, 0.0), (0.5, 4.0)])
def test_of_an_event_within_another_only_what_it_adds_is_its_effect(
    long: float, short: float, order: list[str]
) -> None:
    revenue = flat(long, LONG)
    for first, last in SHORT:
        revenue[first : last + 1] *= short
    windows = {"bf": SHORT, "xmas": LONG}
    effects = Events({name: windows[name] for name in order}).effects(revenue, 800)
    assert effects["xmas"] == pytest.approx(np.log(long), abs=0.01)
    assert effects["bf"] == pytest.approx(np.log(max(short, LEAST_SHARE)), abs=0.01)


def test_events_that_share_one_of_their_times_are_told_apart() -> None:
    sale, feast = [(100, 109), (300, 309), (500, 509)], [(300, 309), (700, 709)]
    revenue = flat(2.0, sale)
    for first, last in feast:
        revenue[first : last + 1] *= 3.0
    effects = Events({"sale": sale, "feast": feast}).effects(revenue, 800)
    assert effects == pytest.approx({"sale": np.log(2), "feast": np.log(3)}, abs=0.01)


def test_events_together_do_no_more_than_one_alone_may() -> None:
    many = Events({f"e{i}": [(0, 999)] for i in range(500)})
    days = np.array([0, 500, 999])
    for effect in (-4.0, 3.0):
        assert np.isfinite(many.exposure(dict.fromkeys(many.windows, effect), days, 90, 30)).all()
