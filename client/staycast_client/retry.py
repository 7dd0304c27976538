"""When a call is tried again, and after how long."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from staycast_client.errors import retry_after

AGAIN = frozenset({429, 503})


@dataclass(frozen=True)
class Retry:
    """Tries again what may be sent twice: after 429 and 503, and where there was no answer.

    Attributes
    ----------
    attempts
        How often it is tried at most, the first time included.
    base_seconds, most_seconds
        The wait before the second attempt, at most, doubles with each, up to the most. It is drawn between nothing and
        that ("full jitter"), so that callers do not come back together; never less than ``Retry-After`` tells.
    patience_seconds
        A service that asks for a longer wait is not waited for.
    draw
        Gives a number in [0, 1).

    Raises
    ------
    ValueError
        It would never try, or a wait is no time.
    """

    attempts: int = 4
    base_seconds: float = 0.2
    most_seconds: float = 10.0
    patience_seconds: float = 60.0
    draw: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        if not isinstance(self.attempts, int) or self.attempts < 1:
            raise ValueError(f"attempts is {self.attempts!r}: give a whole number from 1 on; 1 tries once and no more")
        for name in ("base_seconds", "most_seconds", "patience_seconds"):
            if not getattr(self, name) >= 0:  # nor NaN
                raise ValueError(f"{name} is {getattr(self, name)!r}: give seconds, from 0 on")

    def wait(self, attempt: int, outcome: httpx.Response | Exception, may_repeat: bool) -> float | None:
        """Seconds until the next attempt after the `attempt`-th (from 1) ended so; None: it was the last.

        Examples
        --------
        >>> retry = Retry(draw=lambda: 0.5)
        >>> [retry.wait(attempt, httpx.Response(503), True) for attempt in (1, 2, 3, 4)]
        [0.1, 0.2, 0.4, None]
        >>> retry.wait(1, httpx.Response(429, headers={"Retry-After": "7"}), True)
        7.1
        """
        if attempt >= self.attempts or not may_repeat:
            return None
        told = 0.0
        if isinstance(outcome, httpx.Response):
            if outcome.status_code not in AGAIN:
                return None
            told = retry_after(outcome) or 0.0
        elif not isinstance(outcome, httpx.TransportError):
            return None
        if told > self.patience_seconds:
            return None
        return told + self.draw() * min(self.most_seconds, self.base_seconds * 2.0 ** (attempt - 1))
