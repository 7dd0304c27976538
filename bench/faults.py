"""What the service says while something that it rests on fails, over HTTP: how soon, how soon it is well again after.

python bench/faults.py [--config test] [--workspace .] [--seconds 3] [--only NAME ...] [--json faults.json]

Needs a workspace as `staycast run` leaves it; all is done in a copy. Two workers serve it on a free port of this
machine, with a key and the record of every answer: from SQLite in a small file system of its own, where root may
mount one, and then from a Redis, if `redis-server` is installed. While a fault lasts, four callers ask one after the
other, each request over a connection of its own, for forecasts and, where a fault is of events, to take orders. Told
of each fault: how many were answered (200), refused (503), or got nothing; the middle and the slowest; how long after
its end twenty answers in a row began. At the end the record is verified, and whether all that was answered is in it.

`tests/faults` meets the same faults and asks the same of what came.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from bench.serving import RECOVERED_IN_A_ROW, Contestant, Place, command_line, contestants, copied, running  # noqa: E402
from bench.table import write_records  # noqa: E402
from configs import settings as configs  # noqa: E402
from features.store.event_log import EventLog  # noqa: E402
from serving.records import audit  # noqa: E402
from serving.records.prediction_log import PredictionLog  # noqa: E402
from training.model.catalog import files, require_champion  # noqa: E402

ASKERS, PATIENCE_SECONDS = 4, 30
SPARE_BYTES = 48 * 2**20  # what a small file system holds beside the workspace
SERVING = {"workers": 2, "registry_poll_seconds": 0.5, "drain_seconds": 1, "max_wait_ms": 10_000}
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@dataclass(frozen=True)
class Seen:
    """What came of one request: status, 0 where nothing came; seconds; the body, as far as it is JSON."""

    status: int
    seconds: float
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Scene:
    """A service that runs, and what it rests on.

    Attributes
    ----------
    place, port, server
        The copy, where the service listens, and its first process.
    redis
        Process and port of its online store; None: that is SQLite.
    disk
        A small file system that holds the workspace; None where there could be none.
    clock
        A file that moves the clock of the service; None: it cannot be moved.
    answered, taken
        Ids of all forecasts that were answered, of all events that were taken.
    """

    place: Place
    port: int
    server: psutil.Process
    redis: tuple[psutil.Process, int] | None = None
    disk: Path | None = None
    clock: Path | None = None
    answered: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)

    def ask(self, customer_id: str) -> Seen:
        """Ask for one forecast, over a connection of its own."""
        seen = self.send("POST", "/v1/predictions", {"customer_id": customer_id})
        if seen.status == 200:
            self.answered.append(seen.body["prediction_id"])
        return seen

    def tell(self, customer_id: str) -> Seen:
        """Tell of one order."""
        name = uuid.uuid4().hex
        content = {"event_id": name, "type": "order", "order_id": name, "customer_id": customer_id}
        content |= {"ordered_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60)), "amount": 12.5}
        seen = self.send("POST", "/v1/events", content)
        if seen.status == 200:
            self.taken.append(name)
        return seen

    def send(self, method: str, path: str, content: Any = None, headers: Mapping[str, str] | None = None) -> Seen:
        """Send one request; bytes go as they are."""
        sent = content if isinstance(content, bytes) or content is None else json.dumps(content).encode()
        shown = {"X-API-Key": self.place.key, "Content-Type": "application/json", **(headers or {})}
        began = time.monotonic()
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)) as connection:
                connection.request(method, path, sent, shown)
                answer = connection.getresponse()
                body = answer.read()
                seconds = time.monotonic() - began
                named = {name.lower(): value for name, value in answer.getheaders()}
                return Seen(answer.status, seconds, _read(body), named)
        except (OSError, http.client.HTTPException):
            return Seen(0, time.monotonic() - began)

    def workers(self) -> list[psutil.Process]:
        """The processes that answer, oldest first."""
        found = []
        for process in self.server.children(recursive=True):
            with suppress(psutil.Error):  # it has ended meanwhile
                if "_bentoml_impl.worker.service" in process.cmdline():
                    found.append((process.create_time(), process))
        return [process for _, process in sorted(found, key=lambda each: each[0])]

    def whole(self) -> list[str]:
        """What is wrong with what was kept: faults of the record, answers and events that are not there."""
        with PredictionLog.of(self.place.workspace, configs.load(self.place.config).records) as log:
            found = [fault.what for fault in audit.verify(log, log.checkpoints.folder).faults]
            kept = set(log.read()["prediction_id"])
        with EventLog(self.place.workspace.events) as events:
            known = events.known(self.taken)
        lost = [f"answer {i} is not on record" for i in self.answered if i not in kept]
        return [*found, *lost, *(f"event {i} is not in the log" for i in self.taken if i not in known)]


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


# faults: each is there within its `with`, and over after


@contextmanager
def locked(path: Path, how: str = "IMMEDIATE") -> Iterator[None]:
    """Another process writes to a SQLite file, and does not end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"BEGIN {how}")
        yield
        other.execute("ROLLBACK")


@contextmanager
def away(path: Path) -> Iterator[None]:
    """A file or folder is not there."""
    hidden = path.with_name(path.name + ".away")
    path.rename(hidden)
    try:
        yield
    finally:
        hidden.rename(path)


@contextmanager
def damaged(path: Path, change: Callable[[bytes], bytes]) -> Iterator[None]:
    """A file holds something else."""
    content = path.read_bytes()
    path.write_bytes(change(content))
    try:
        yield
    finally:
        path.write_bytes(content)


def truncated(content: bytes) -> bytes:
    """The first half."""
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    """One bit in the middle is another."""
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@contextmanager
def killed_worker(scene: Scene) -> Iterator[None]:
    """One of the workers is killed; another takes its place by itself."""
    scene.workers()[0].kill()
    yield


@contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    """A process neither runs nor ends."""
    process.suspend()
    try:
        yield
    finally:
        process.resume()


@contextmanager
def full_disk(scene: Scene) -> Iterator[None]:
    """No byte is free where the workspace lies; where there is no file system for it, no file may grow."""
    if scene.disk is None:
        with _no_growth([p.pid for p in scene.workers()]):
            yield
        return
    ballast = scene.disk / "ballast"
    try:
        with ballast.open("wb", buffering=0) as sink, suppress(OSError):
            while True:
                sink.write(bytes(4096))
        yield
    finally:
        ballast.unlink()


@contextmanager
def _no_growth(pids: Sequence[int]) -> Iterator[None]:
    import resource

    before = [(pid, resource.prlimit(pid, resource.RLIMIT_FSIZE)) for pid in pids]
    try:
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (8192, before[0][1][1]))
        yield
    finally:
        for pid, limits in before:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


@contextmanager
def stepped_back(scene: Scene, days: int) -> Iterator[None]:
    """The clock of the service is behind."""
    assert scene.clock is not None
    scene.clock.write_text(f"-{days}d\n")
    time.sleep(1.5)  # so long it is believed that the file says what it said
    try:
        yield
    finally:
        scene.clock.write_text("+0\n")


@contextmanager
def emptied_redis(scene: Scene) -> Iterator[None]:
    """The online store holds nothing; after it, all customers are put there again."""
    assert scene.redis
    subprocess.run(["redis-cli", "-p", str(scene.redis[1]), "flushall"], check=True, stdout=subprocess.DEVNULL)
    yield
    _fill(scene.place)


@contextmanager
def killed_redis(scene: Scene) -> Iterator[None]:
    """The online store is gone; another takes its place, and all customers are put there."""
    assert scene.redis
    process, port = scene.redis
    process.kill()
    process.wait()
    yield
    scene.redis = _start_redis(port), port
    _fill(scene.place)


def _fill(place: Place) -> None:
    """Put all customers online where the configuration says."""
    from features.store import feature_store  # seconds, which who looks at other faults need not wait

    feature_store.apply(place.workspace, configs.load(place.config))
    feature_store.materialize(place.workspace)


@contextmanager
def slow_callers(scene: Scene, number: int = 150) -> Iterator[list[socket.socket]]:
    """Many connections over which next to nothing comes: a third nothing, a third half a head, a third half a body."""
    head = f"POST /v1/predictions HTTP/1.1\r\nHost: x\r\nX-API-Key: {scene.place.key}\r\n"
    begun = [b"", head.encode(), f"{head}Content-Type: application/json\r\nContent-Length: 90\r\n\r\n{{".encode()]
    with ExitStack() as stack:
        opened = (closing(socket.create_connection(("127.0.0.1", scene.port))) for _ in range(number))
        slow = [stack.enter_context(each) for each in opened]
        for connection, some in zip(slow, itertools.cycle(begun), strict=False):
            connection.sendall(some)
        yield slow


@dataclass(frozen=True)
class Fault:
    """A fault by its name, how it is brought about, whether events are asked for, too, and in which scene."""

    name: str
    bring: Callable[[Scene], AbstractContextManager[Any]]
    events: bool = False
    scene: str = "sqlite"


def _bundle(scene: Scene) -> Path:
    """The file of a booster of the churn model, as the registry holds it."""
    workspace = scene.place.workspace
    return next((files(workspace, require_champion(workspace, "churn")) / "bundle").glob("*.txt"))


FAULTS = (
    Fault("record locked", lambda s: locked(s.place.workspace.prediction_log)),
    Fault("events locked", lambda s: locked(s.place.workspace.events), events=True),
    Fault("online store locked", lambda s: locked(s.place.online, "EXCLUSIVE"), events=True),
    Fault("registry locked", lambda s: locked(s.place.workspace.mlruns / "mlflow.db", "EXCLUSIVE")),
    Fault("registry away", lambda s: away(s.place.workspace.mlruns / "mlflow.db")),
    Fault("model truncated", lambda s: damaged(_bundle(s), truncated)),
    Fault("model bit-flipped", lambda s: damaged(_bundle(s), flipped)),
    Fault("disk full", full_disk, events=True),
    Fault("150 slow connections", slow_callers),
    Fault("clock 400 days back", lambda s: stepped_back(s, 400), scene="clock"),
    Fault("Redis frozen", lambda s: frozen(s.redis[0]), events=True, scene="redis"),  # type: ignore[index]
    Fault("Redis emptied", emptied_redis, events=True, scene="redis"),
    Fault("Redis killed", killed_redis, events=True, scene="redis"),
    Fault("one worker killed", killed_worker),
)


def during(scene: Scene, fault: Fault, seconds: float, ids: Sequence[str] = ()) -> tuple[dict[str, list[Seen]], float]:
    """What came while a fault lasted, by what was asked of whom, and how long it took after that until all was well.

    Forecasts are asked of `ids`, everybody if left out, orders told of the others.
    """
    some = list(ids or scene.place.ids)
    others = [i for i in scene.place.ids if i not in ids] if ids else some
    with fault.bring(scene):
        asked = {"forecasts": (scene.ask, some), **({"events": (scene.tell, others)} if fault.events else {})}
        seen = {what: _asked_together(ask, whom, seconds) for what, (ask, whom) in asked.items()}
    return seen, _seconds_to_recovery(scene)


def _seconds_to_recovery(scene: Scene) -> float:
    """Until answers come again, some in a row: seconds until the first of those; infinite if none come."""
    began, in_a_row, first = time.monotonic(), 0, 0.0
    for customer in itertools.cycle(scene.place.ids):
        well, passed = scene.ask(customer).status == 200, time.monotonic() - began
        if passed > PATIENCE_SECONDS:
            return float("inf")
        first = first if in_a_row else passed
        in_a_row = in_a_row + 1 if well else 0
        if in_a_row == RECOVERED_IN_A_ROW:
            return first
    return float("inf")


def _asked_together(ask: Callable[[str], Seen], ids: Sequence[str], seconds: float) -> list[Seen]:
    end, found = time.monotonic() + seconds, list[Seen]()

    def go_on(number: int) -> None:
        for customer in itertools.cycle(ids[number::ASKERS]):
            if time.monotonic() >= end:
                return
            found.append(ask(customer))

    threads = [threading.Thread(target=go_on, args=(number,)) for number in range(ASKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@contextmanager
def staged(
    config: str, root: Path, redis: bool = False, clock: bool = False, changes: Mapping[str, Any] | None = None
) -> Iterator[Scene]:
    """A service that runs in a copy of a workspace; with `clock` it asks a file what time it is."""
    with ExitStack() as stack:
        disk = None if redis else stack.enter_context(_small_disk(_size(root) + SPARE_BYTES))
        told = {"serving": {**SERVING, **(changes or {})}}
        scene: Scene | None = None
        store = None
        if redis:
            with closing(socket.create_server(("127.0.0.1", 0))) as free:
                port = free.getsockname()[1]
            store = _start_redis(port), port
            stack.callback(lambda: _end_redis((scene and scene.redis) or store))
            told |= {"online_store": "redis", "redis": {"url": f"redis://127.0.0.1:{port}/0"}}
        place = stack.enter_context(copied(config, root, told, disk))
        if redis:
            _fill(place)
        ours, file = contestants(place, None)[0], place.config.with_name("clock") if clock else None
        ours = Contestant(ours.name, ours.command, ours.ask, _moved_by(file) if file else {})
        log = Path(tempfile.mkdtemp(prefix="staycast-faults-")) / "service.log"
        stack.callback(shutil.rmtree, log.parent)
        port, server = stack.enter_context(running(ours, ours.ask(place.ids[:1]), log))
        scene = Scene(place, port, server, store, disk, file)
        yield scene


def _size(root: Path) -> int:
    return sum(p.stat().st_size for part in ("state", "mlruns") for p in (root / part).rglob("*") if p.is_file())


def _moved_by(clock: Path) -> dict[str, str]:
    clock.write_text("+0\n")
    told = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_CACHE_DURATION": "1"}
    return told | {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@contextmanager
def _small_disk(size: int) -> Iterator[Path | None]:
    """A file system of so many bytes in memory; None where it may not be mounted."""
    with tempfile.TemporaryDirectory(prefix="staycast-disk-") as folder:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "staycast-faults", folder]
        if os.getuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            yield None
            return
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=False)


def _start_redis(port: int) -> psutil.Process:
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    while True:
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), 1)):
            return process
        time.sleep(0.02)


def _end_redis(redis: tuple[psutil.Process, int]) -> None:
    redis[0].resume()
    redis[0].kill()
    redis[0].wait()


def row(fault: str, what: str, seen: Sequence[Seen], recovery: float) -> dict[str, Any]:
    """One record of what came."""
    took = [1000 * each.seconds for each in seen]
    return {
        "fault": fault,
        "asked": what,
        "statuses": {str(s): n for s, n in sorted(Counter(each.status for each in seen).items())},
        "p50_ms": median(took),
        "slowest_ms": max(took),
        "recovery_seconds": recovery,
    }


def table(rows: Sequence[dict[str, Any]]) -> Table:
    out = Table("fault", "asked for", "statuses", "p50 ms", "slowest ms", "well again after s")
    for r in rows:
        statuses = ", ".join(f"{s if s != '0' else 'none'}: {n}" for s, n in r["statuses"].items())
        numbers = (f"{r['p50_ms']:.0f}", f"{r['slowest_ms']:.0f}", f"{r['recovery_seconds']:.2f}")
        out.add_row(r["fault"], r["asked"], statuses, *numbers)
    return out


def main() -> None:
    parser = command_line(__doc__, "test")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each fault lasts")
    parser.add_argument("--only", nargs="+", help="names of faults; all if left out")
    parser.add_argument("--json", type=Path, help="write the records here")
    options = parser.parse_args()
    rows, console = list[dict[str, Any]](), Console(width=140)
    scenes = {"sqlite": {}, "redis": {"redis": True}, "clock": {"clock": True}}
    there = {"redis": shutil.which("redis-server"), "clock": FAKETIME.exists()}
    for needs, how in scenes.items():
        faults = [f for f in FAULTS if f.scene == needs and (not options.only or f.name in options.only)]
        if not faults or not there.get(needs, True):
            continue
        with staged(options.config, options.workspace, **how) as scene:
            console.print(f"{needs}: {'a disk of its own' if scene.disk else 'the disk of all'}")
            for fault in faults:
                seen, recovery = during(scene, fault, options.seconds)
                rows += [row(fault.name, what, of_kind, recovery) for what, of_kind in seen.items()]
                print(rows[-1], flush=True)
            console.print(*(scene.whole()[:10] or ["the record is whole, and all that was answered is in it"]))
    write_records(rows, options.json)
    console.print(table(rows))


if __name__ == "__main__":
    main()
