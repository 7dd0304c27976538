"""What a shadow costs the answers: the same work with and without one beside, in turns.

python bench/shadow.py [--config test] [--workspace .] [--rounds 4] [--seconds 5] [--rate 20]

Needs a workspace as `staycast run` leaves it; all is done in a copy. One worker serves it, and the shadow is the churn
champion registered once more, which costs what any model of its size does. Told for both: time on the processor for an
answer, of the worker and of its shadow's process, and how long answers took, at a steady rate.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402
from rich.console import Console  # noqa: E402

from bench.faults import Scene, staged  # noqa: E402
from bench.http_load import figures, open_loop  # noqa: E402
from bench.serving import ask_ours, command_line  # noqa: E402
from configs.workspace import Workspace  # noqa: E402
from training.model.catalog import require_champion  # noqa: E402
from training.registry import releases, runs  # noqa: E402

ONE = {"workers": 1, "registry_poll_seconds": 0.2, "max_wait_ms": 10_000}
BY, SETTLE_SECONDS, CONNECTIONS = "the bench", 15.0, 16


def registered_again(workspace: Workspace) -> str:
    """The churn champion as a new version; its name."""
    client, champion = runs.client(workspace), require_champion(workspace, "churn")
    old = client.get_model_version("churn", champion.version)
    new = client.create_model_version("churn", old.source, old.run_id, old.tags)
    return f"churn/{new.version}"


def _until(scene: Scene, told: Callable[[dict], bool]) -> None:
    end = time.monotonic() + 60
    while not told(scene.send("GET", "/v1/models").body.get("beside", {})):
        if time.monotonic() > end:
            raise TimeoutError("the service does not follow")
        time.sleep(0.2)


def measure(scene: Scene, worker: psutil.Process, seconds: float, rate: float) -> dict[str, float]:
    """Milliseconds of one answer: on the processor, and from when it was due."""
    each = itertools.cycle([ask_ours(scene.place.key, [i]) for i in scene.place.ids])
    family = [worker, *worker.children(recursive=True)]
    before = [sum(p.cpu_times()[:2]) for p in family]
    found = figures(open_loop(scene.port, each, CONNECTIONS, seconds, rate))
    used = [sum(p.cpu_times()[:2]) - b for p, b in zip(family, before, strict=True)]
    answers = found.answered_per_second * seconds
    return {
        "worker": 1000 * used[0] / answers,
        "beside": 1000 * sum(used[1:]) / answers,
        "p50": found.p50_ms,
        "p99": found.p99_ms,
    }


def main() -> None:
    parser = command_line(__doc__, "test")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measure")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second")
    options = parser.parse_args()
    console = Console(width=140)
    with staged(options.config, options.workspace, changes=ONE) as scene:
        (worker,), name = scene.workers(), registered_again(scene.place.workspace)
        found: dict[str, list[dict[str, float]]] = {"without": [], "with": []}
        for _ in range(options.rounds):
            found["without"].append(measure(scene, worker, options.seconds, options.rate))
            releases.start(scene.place.workspace, name, None, BY, "to measure it", override=True)
            _until(scene, lambda beside: "churn" in beside)
            measure(scene, worker, options.seconds, options.rate)  # its process starts with the first answers
            time.sleep(SETTLE_SECONDS)
            found["with"].append(measure(scene, worker, options.seconds, options.rate))
            releases.stop(scene.place.workspace, name, BY, "it was measured")
            _until(scene, lambda beside: "churn" not in beside)
    for how, rounds in found.items():
        told = ", ".join(f"{part} {median(each[part] for each in rounds):.1f}" for part in rounds[0])
        console.print(f"{how} a shadow, ms of an answer, middle of {len(rounds)} rounds: {told}")


if __name__ == "__main__":
    main()
