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
