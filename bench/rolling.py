"""Restarts under load: two services on one workspace behind a balancer, and one after the other is stopped and started.

python bench/rolling.py [--config test] [--workspace .] [--restarts 10] [--rate 40]

Needs a workspace as `staycast run` leaves it; all is done in a copy. The balancer is a few lines of this file: it asks
each service ten times a second whether it is ready, and sends a request to one that was, over connections that it keeps
open. Told: how many requests came to nothing or to something else than an answer, and how long a service that was told
to stop still took requests after it had said that it was not ready.
"""

from __future__ import annotations

import http.client
import itertools
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402

from bench.serving import Place, command_line, contestants, copied, running  # noqa: E402

DRAIN_SECONDS, POLL_SECONDS, SENDERS = 2, 0.1, 4


class Service:
    """One of several that serve a workspace; starts, and stops as `kill` would have it."""

    def __init__(self, place: Place, folder: Path) -> None:
        self._place, self._folder, self._stack = place, folder, ExitStack()
        self.port, self.ready = 0, False
        self.unready_at = self.gone_at = float("inf")

    def start(self) -> None:
        """Start, and return once it answers."""
        ours = contestants(self._place, None)[0]
        first = ours.ask(self._place.ids[:1])
        self.port, _ = self._stack.enter_context(running(ours, first, self._folder / f"{id(self)}.log"))
        self.unready_at = self.gone_at = float("inf")

    def stop(self) -> None:
        """Tell it to stop, and return once it is gone."""
        self._stack.close()

    def look(self) -> None:
        """See whether it is ready."""
        if not self.port:
            return
        now, status = time.monotonic(), _status(self.port)
        self.ready = status == 200
        if not self.ready:
            self.unready_at = min(self.unready_at, now)
        if not status:
            self.gone_at = min(self.gone_at, now)


def _status(port: int) -> int:
    with suppress(OSError, http.client.HTTPException), closing(_connection(port, 2.0)) as connection:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    return 0


def _connection(port: int, seconds: float) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)


class Balancer:
    """Sends requests to whoever is ready, for as long as the `with` lasts."""

    def __init__(self, services: list[Service], place: Place, rate: float) -> None:
        self._services, self._place, self._rate = services, place, rate
        self._over = threading.Event()
        self.statuses: Counter[int] = Counter()
        self.slowest = 0.0

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send all the while."""
        senders = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]
        threads = [threading.Thread(target=self._poll), *senders]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _poll(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            for service in self._services:
                service.look()

    def _send(self, number: int) -> None:
        kept: dict[int, http.client.HTTPConnection] = {}
        for turn, customer in enumerate(itertools.cycle(self._place.ids)):
            if self._over.wait(SENDERS / self._rate):
                break
            ready = [service for service in self._services if service.ready]
            if not ready:
                self.statuses[-1] += 1
                continue
            port = ready[(turn + number) % len(ready)].port
            began = time.monotonic()
            self.statuses[self._ask(kept.setdefault(port, _connection(port, 30.0)), customer)] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
        for connection in kept.values():
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection, customer: str) -> int:
        headers = {"X-API-Key": self._place.key, "Content-Type": "application/json"}
        try:
            connection.request("POST", "/v1/predictions", json.dumps({"customer_id": customer}), headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            connection.close()
            return 0


def restart_in_turn(config: str, root: Path, restarts: int, rate: float) -> tuple[Counter[int], list[float], float]:
    """How many requests came to what, how long each that stopped went on after it was not ready, and the slowest."""
    changes = {"serving": {"drain_seconds": DRAIN_SECONDS, "registry_poll_seconds": 1, "max_wait_ms": 10_000}}
    with tempfile.TemporaryDirectory() as folder, copied(config, root, changes) as place, ExitStack() as stack:
        services, went_on = [Service(place, Path(folder)) for _ in range(2)], list[float]()
        for service in services:
            stack.callback(service.stop)
            service.start()
            service.look()
        balancer = Balancer(services, place, rate)
        with balancer.sending():
            for service in itertools.islice(itertools.cycle(services), restarts):
                service.stop()
                time.sleep(2 * POLL_SECONDS)
                went_on.append(service.gone_at - service.unready_at)
                service.start()
                while not service.ready:
                    time.sleep(POLL_SECONDS)
        return balancer.statuses, went_on, balancer.slowest


def main() -> None:
    parser = command_line(__doc__, "test")
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--rate", type=float, default=40.0, help="requests a second")
    options = parser.parse_args()
    statuses, went_on, slowest = restart_in_turn(options.config, options.workspace, options.restarts, options.rate)
    names = {0: "nothing", -1: "nobody ready"}
    told = ", ".join(f"{names.get(status, status)}: {number}" for status, number in sorted(statuses.items()))
    console = Console(width=140)
    console.print(f"{options.restarts} restarts, {sum(statuses.values())} requests: {told}; slowest {slowest:.2f} s")
    console.print(f"not ready, and still answering, for {min(went_on):.1f} to {max(went_on):.1f} s before each stop")


if __name__ == "__main__":
    main()
