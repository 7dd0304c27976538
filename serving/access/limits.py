"""How much one caller may ask: a bucket of tokens each, which fills at a steady rate."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable
from typing import NamedTuple

BURST_SECONDS = 10.0  # of the rate may come at once
MOST_CALLERS = 10_000


class Standing(NamedTuple):
    """How a caller stands: in how many seconds the next request is let through, how many are left, when all are."""

    wait_seconds: int
    left: int
    full_seconds: int

    @property
    def header(self) -> str:
        """As ``RateLimit`` tells it (draft-ietf-httpapi-ratelimit-headers-10)."""
        return f'"requests";r={self.left};t={self.full_seconds}'


class RateLimit:
    """Counts requests by caller. For one thread.

    Parameters
    ----------
    per_minute
        Requests a minute of one caller, on average; bursts of `BURST_SECONDS` worth are let through.
    clock
        Seconds that only rise.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = per_minute / 60, clock
        self._most = max(1.0, self._rate * BURST_SECONDS)
        self._left: dict[str, tuple[float, float]] = {}

    @property
    def policy(self) -> str:
        """The rule as a header tells it: how many at once, and in how many seconds as many come back."""
        return f'"requests";q={int(self._most)};w={math.ceil(self._most / self._rate)}'

    def wait_seconds(self, caller: str) -> int:
        """Count a request; 0, or in how many whole seconds one will be let through."""
        return self.take(caller).wait_seconds

    def take(self, caller: str) -> Standing:
        """Count a request, and tell how the caller stands then.

        Examples
        --------
        >>> limit = RateLimit(60, clock=lambda: 0.0)
        >>> [limit.take("crm").wait_seconds for _ in range(11)] == [0] * 10 + [1]
        True
        >>> limit.take("analyst")
        Standing(wait_seconds=0, left=9, full_seconds=1)
        """
        now = self._clock()
        left, at = self._left.pop(caller, (self._most, now))
        left = min(self._most, left + (now - at) * self._rate)
        granted = left >= 1.0
        left -= granted
        self._left[caller] = (left, now)
        if len(self._left) > MOST_CALLERS:
            self._left.pop(next(iter(self._left)))  # who has asked nothing for longest
        wait = 0 if granted else max(1, math.ceil((1.0 - left) / self._rate))
        return Standing(wait, int(left), math.ceil((self._most - left) / self._rate))


def network_of(address: str) -> str:
    """The address that failed attempts are counted by: of IPv6 the network of 64 bits, which one client has whole.

    >>> network_of("192.0.2.7"), network_of("2001:db8:1:2:3::4"), network_of("unix")
    ('192.0.2.7', '2001:db8:1:2::', 'unix')
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_address(int(parsed) >> 64 << 64)) if parsed.version == 6 else address
