"""How much memory the service takes after minutes of steady work: forecasts by all ways, orders, reads and refusals.

python bench/soak.py [--config test] [--workspace .] [--minutes 10] [--warm-up 2] [--rate 40] [--json soak.json]

Needs a workspace as `staycast run` leaves it; all is done in a copy. One worker serves it. After the warm-up, in which
what is cached is filled, the memory of the worker (its unique set: what no other process shares) is read every five
seconds. Told is the growth: the line through all readings by Theil and Sen, from its beginning to its end, as a share
of the beginning. The goal is at most 2 % in ten minutes.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402
from scipy.stats import theilslopes  # noqa: E402

from bench.faults import Scene, Seen, staged  # noqa: E402
from bench.serving import command_line  # noqa: E402
from bench.table import write_records  # noqa: E402

SENDERS, LOOK_SECONDS, MOST_GROWTH = 2, 5.0, 0.02
ONE = {"workers": 1, "registry_poll_seconds": 1, "max_wait_ms": 1000}
Ask = Callable[[Scene, str], Seen]


def asks() -> list[Ask]:
    """What is asked in turn: mostly forecasts."""

    def path(template: str) -> Ask:
        return lambda scene, i: scene.send("GET", template.format(i))

    def post(where: str, content: Callable[[str], Any]) -> Ask:
        return lambda scene, i: scene.send("POST", where, content(i))

    forecast: Ask = Scene.ask
    lists = post("/v1/predictions", lambda i: {"customer_ids": [i, "nobody"]})
    refused = post("/v1/predictions", lambda i: b'{"customer_id": NaN}')
    what_if = post("/v1/what-if", lambda i: {"customer_id": i, "changes": {"days_since_last_order": 3}})
    others = [path("/v1/customers/{}"), lists, what_if, refused, path("/v1/models"), path("/readyz"), path("/none")]
    return [*itertools.chain.from_iterable((forecast, forecast, other) for other in others), Scene.tell]


def growth(readings: Sequence[tuple[float, float]]) -> float:
    """Of memory from the beginning to the end of the readings (seconds, bytes), as a share of that at the beginning.

    >>> round(growth([(0, 100.0), (10, 101.0), (20, 150.0), (30, 103.0), (40, 104.0)]), 2)
    0.04
    """
    times, sizes = zip(*readings, strict=True)
    slope, start, *_ = theilslopes(sizes, times)
    begin = start + slope * times[0]
    return float(slope * (times[-1] - times[0]) / begin)


def _send(scene: Scene, until: float, rate: float, number: int, statuses: Counter[int]) -> None:
    for turn, customer in zip(itertools.cycle(asks()), itertools.cycle(scene.place.ids[number::SENDERS]), strict=False):
        if time.monotonic() >= until:
            return
        began = time.monotonic()
        statuses[turn(scene, customer).status] += 1
        time.sleep(max(0.0, SENDERS / rate - (time.monotonic() - began)))


def soak(scene: Scene, minutes: float, warm_up: float, rate: float) -> tuple[list[tuple[float, float]], Counter[int]]:
    """Readings of the memory after the warm-up, and what all requests came to."""
    began, statuses = time.monotonic(), Counter[int]()
    until = began + 60 * (warm_up + minutes)
    threads = [threading.Thread(target=_send, args=(scene, until, rate, n, statuses)) for n in range(SENDERS)]
    for thread in threads:
        thread.start()
    (worker,), readings = scene.workers(), list[tuple[float, float]]()
    time.sleep(60 * warm_up)
    while time.monotonic() < until:
        readings.append((time.monotonic() - began, float(worker.memory_full_info().uss)))
        time.sleep(LOOK_SECONDS)
    for thread in threads:
        thread.join()
    return readings, statuses


def main() -> None:
    parser = command_line(__doc__, "test")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--warm-up", type=float, default=2.0, help="minutes before that")
    parser.add_argument("--rate", type=float, default=40.0, help="requests a second")
    parser.add_argument("--json", type=Path, help="write the record here")
    options = parser.parse_args()
    with staged(options.config, options.workspace, changes=ONE) as scene:
        readings, statuses = soak(scene, options.minutes, options.warm_up, options.rate)
        faults = scene.whole()
    grown = growth(readings)
    record = {"minutes": options.minutes, "requests": dict(statuses), "growth": grown, "readings": readings}
    write_records([record], options.json)
    told = ", ".join(f"{status}: {number}" for status, number in sorted(statuses.items()))
    console = Console(width=140)
    console.print(f"{sum(statuses.values())} requests: {told}; what is kept is {'whole' if not faults else faults[:5]}")
    goal = f"{MOST_GROWTH * options.minutes / 10:.1%}"
    console.print(f"{readings[0][1] / 2**20:.0f} MiB, grown by {grown:+.2%} in {options.minutes:g} min (goal: {goal})")


if __name__ == "__main__":
    main()
