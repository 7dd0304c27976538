"""A call is tried again when that can help and does no harm, and never sooner than the service asks."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from staycast_client import Retry

RETRY = Retry(draw=lambda: 1.0)


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_service_is_asked_again(status: int) -> None:
    assert RETRY.wait(1, httpx.Response(status), True) == 0.2
    assert RETRY.wait(1, httpx.Response(status, headers={"retry-after": "5"}), True) == 5.2


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 422, 500])
def test_what_is_answered_once_and_for_all_is_not_asked_again(status: int) -> None:
    assert RETRY.wait(1, httpx.Response(status), True) is None


@pytest.mark.parametrize("error", [httpx.ConnectError(""), httpx.ReadTimeout(""), httpx.RemoteProtocolError("")])
def test_where_there_was_no_answer_only_what_may_be_sent_twice_is(error: Exception) -> None:
    assert RETRY.wait(1, error, True) == 0.2
    assert RETRY.wait(1, error, False) is None


def test_waits_double_up_to_the_most_and_end_with_the_attempts() -> None:
    retry = Retry(attempts=9, base_seconds=1, most_seconds=6, draw=lambda: 1.0)
    assert [retry.wait(n, httpx.Response(503), True) for n in range(1, 10)] == [1, 2, 4, 6, 6, 6, 6, 6, None]


def test_waits_are_drawn_so_that_callers_do_not_come_back_together() -> None:
    waits = {Retry().wait(3, httpx.Response(503), True) for _ in range(50)}
    assert len(waits) > 40 and all(w is not None and 0 <= w <= 0.8 for w in waits)


def test_who_is_told_to_wait_too_long_does_not() -> None:
    assert RETRY.wait(1, httpx.Response(503, headers={"retry-after": "61"}), True) is None
    assert RETRY.wait(1, httpx.Response(503, headers={"retry-after": "Fri, 27 Nov 2026 09:00:00 GMT"}), True) == 0.2


@pytest.mark.parametrize(
    "given",
    [{"attempts": 0}, {"attempts": -1}, {"attempts": 2.5}, {"base_seconds": -0.1}, {"most_seconds": float("nan")}],
    ids=str,
)
def test_what_would_never_try_or_wait_for_no_time_is_refused_by_name(given: dict[str, Any]) -> None:
    (name,) = given
    with pytest.raises(ValueError, match=f"{name} is .*give"):
        Retry(**given)
    assert Retry(attempts=1).wait(1, httpx.Response(503), True) is None
