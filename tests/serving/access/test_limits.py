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
        granted += limit.wait_seconds("crm") == 0
    assert 60 <= granted <= 60 + 10


@pytest.mark.parametrize("per_minute", [1, 7, 60, 6000])
def test_who_waits_as_long_as_told_is_let_through(per_minute: float) -> None:
    clock = Clock()
    limit = RateLimit(per_minute, clock)
    while not (wait := limit.wait_seconds("crm")):
        pass
    clock.now += wait
    assert limit.wait_seconds("crm") == 0


def test_one_callers_haste_is_not_anothers() -> None:
    limit = RateLimit(6, Clock())
    assert limit.wait_seconds("a") == 0 and limit.wait_seconds("a") > 0 and limit.wait_seconds("b") == 0


def test_who_has_asked_nothing_for_longest_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.access.limits, "MOST_CALLERS", 2)
    limit = RateLimit(6, Clock())
    for caller in ("a", "b", "a", "c"):
        limit.wait_seconds(caller)
    assert set(limit._left) == {"a", "c"}
