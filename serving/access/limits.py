"""How much one caller may ask: a bucket of tokens each, which fills at a steady rate."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable

BURST_SECONDS = 10.0  # of the rate may come at once
MOST_CALLERS = 10_000


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

    def wait_seconds(self, caller: str) -> int:
        """Count a request; 0, or in how many whole seconds one will be let through.

        Examples
        --------
        >>> limit = RateLimit(60, clock=lambda: 0.0)
        >>> [limit.wait_seconds("crm") for _ in range(11)] == [0] * 10 + [1]
        True
        """
        now = self._clock()
        left, at = self._left.pop(caller, (self._most, now))
        left = min(self._most, left + (now - at) * self._rate)
        granted = left >= 1.0
        self._left[caller] = (left - 1.0 if granted else left, now)
        if len(self._left) > MOST_CALLERS:
            self._left.pop(next(iter(self._left)))  # who has asked nothing for longest
        return 0 if granted else max(1, math.ceil((1.0 - left) / self._rate))


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
