"""A caller's rate is its own, bursts are let through, and the wait that is told is long enough."""

from __future__ import annotations

import pytest

import serving.access.limits
from serving.access.limits import RateLimit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_over_long_a_caller_gets_its_rate_and_never_more_than_a_burst_beyond() -> None:
    clock = Clock()
    limit, granted = RateLimit(60, clock), 0
    for step in range(600):  # ten a second, for a minute
        clock.now = step / 10
        granted += limit.take("crm").wait_seconds == 0
    assert 60 <= granted <= 60 + 10


@pytest.mark.parametrize("per_minute", [1, 7, 60, 6000])
def test_who_waits_as_long_as_told_is_let_through(per_minute: float) -> None:
    clock = Clock()
    limit = RateLimit(per_minute, clock)
    while not (wait := limit.take("crm").wait_seconds):
        pass
    clock.now += wait
    assert limit.take("crm").wait_seconds == 0


def test_one_callers_haste_is_not_anothers() -> None:
    limit = RateLimit(6, Clock())
    assert [limit.take(caller).wait_seconds > 0 for caller in ("a", "a", "b")] == [False, True, False]


def test_who_has_asked_nothing_for_longest_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.access.limits, "MOST_CALLERS", 2)
    limit = RateLimit(6, Clock())
    for caller in ("a", "b", "a", "c"):
        limit.take(caller)
    assert set(limit._left) == {"a", "c"}


def test_what_is_left_and_when_all_is_left_again_is_told_as_it_then_is() -> None:
    clock = Clock()
    limit = RateLimit(120, clock)  # two a second, twenty at once
    assert limit.policy == '"requests";q=20;w=10'
    standings = [limit.take("crm") for _ in range(20)]
    assert [s.left for s in standings] == [*range(19, -1, -1)]
    assert standings[-1].header == '"requests";r=0;t=10'
    clock.now += standings[-1].full_seconds
    assert limit.take("crm").left == 19
