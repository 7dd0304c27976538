"""The service beside others that serve the same models, in one run on one machine; and what it bears.

python bench/serving.py [--config completejourney] [--workspace .] [--seconds 5] [--only ours bentoml fastapi mlflow]
                        [--mlserver PYTHON] [--offered 5000] [--json serving.json]

Needs a workspace as `make demo` leaves it; all is done in a copy. Each contestant is a process of one worker on a free
port of this machine, with the load generator (`bench/http_load.py`) beside it, and answers by customer id with the five
reasons that count most of both models, but MLflow:

- ours: `staycast serve` as a CRM has it, with a key and the record of every answer;
- bentoml: a stock BentoML service, one `@bentoml.api`, that reads through Feast and calls the same bundles
  (`bench/servers/bento_stock.py`); no access control, no record, no texts of reasons, no decisions;
- fastapi: the boosters alone with their contributions, over plain SQLite (`bench/servers/boosters.py`); no priors, no
  calibration, no interval, no horizons;
- mlserver: the same in a runtime of MLServer. It is not in the lock; make it by hand and give its interpreter:
  `uv venv --python 3.11 /tmp/mlserver; uv pip install --python /tmp/mlserver/bin/python mlserver lightgbm orjson`;
- mlflow: `mlflow models serve` of the registered churn model alone, by rows of features, without reasons: it has no
  other way.

Measured: a closed loop of one customer a request over 8 connections, an open loop of 100 requests a second, and lists
of 256 customers over 2 connections. Then ours alone: single events over 64 connections, the most it answers over 64
connections, and a flood of `--offered` requests a second, open loop, with what it costs. Ratios are to ours.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import psutil
import yaml

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import pandas as pd  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from bench.http_load import Figures, closed_loop, figures, open_loop, request  # noqa: E402
from bench.table import write_records  # noqa: E402
from configs import settings as configs  # noqa: E402
from configs.workspace import Workspace  # noqa: E402
from serving.access.keys import ApiKeys  # noqa: E402
from training.model.catalog import files, require_champion  # noqa: E402

SERVERS = ROOT / "bench" / "servers"
CONNECTIONS, RATE, IN_LIST, LISTS_AT_ONCE = 8, 100, 256, 2
MANY_CONNECTIONS, FLOOD_CONNECTIONS = 64, 1000
WARM_UP_SECONDS, START_SECONDS, STOP_SECONDS = 1.5, 180, 8
RECOVERED_IN_A_ROW, RECOVERED_MS, RECOVERY_SECONDS = 20, 100, 30
ALLOWED = {200, 429, 503}
Ask = Callable[[Sequence[str]], bytes]


class NotStartedError(Exception):
    """A server gave no answer."""


@dataclass(frozen=True)
class Contestant:
    """A server and how it is asked.

    Attributes
    ----------
    name
        In tables.
    command
        Starts it, given a port.
    ask
        A whole request for some customers.
    environment
        Beside that of this process.
    """

    name: str
    command: Callable[[int], list[str]]
    ask: Ask
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """A copy of a workspace, with a key of its service, and whom one may ask for there."""

    workspace: Workspace
    config: Path
    key: str
    ids: list[str]

    @property
    def online(self) -> Path:
        return self.workspace.feast / "online.db"

    def model(self, task: str) -> Path:
        """The folder that MLflow wrote of the champion."""
        return files(self.workspace, require_champion(self.workspace, task)).parent


@contextmanager
def copied(
    config: str, root: Path, changes: Mapping[str, Any] | None = None, within: Path | None = None
) -> Iterator[Place]:
    """A copy of a workspace in a temporary folder, and a configuration that lets one caller ask as much as it likes.

    `changes` are merged over the configuration, a part at a time; `within` is where the folder is made.
    """
    with tempfile.TemporaryDirectory(prefix="staycast-serving-", dir=within) as folder:
        place = Workspace(Path(folder) / "workspace")
        for part in ("state", "mlruns"):
            shutil.copytree(root / part, place.root / part)
        for path in place.access_keys.parent.glob("access.*"):
            path.unlink()
        named = ROOT / "configs" / f"{config}.yaml"
        content = yaml.safe_load((named if named.is_file() else Path(config)).read_text("utf-8"))
        for part, told in {"access": {"requests_per_minute": 1e9}, **(changes or {})}.items():
            content[part] = {**content.get(part, {}), **told} if isinstance(told, Mapping) else told
        own = Path(folder) / "config.yaml"
        own.write_text(yaml.safe_dump(content), "utf-8")
        configs.load(own)
        with ApiKeys(place.access_keys) as keys:
            _, key = keys.create("bench", "admin")
        with closing(sqlite3.connect(place.feast / "online.db")) as rows:
            (table, *_), *_ = rows.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '%orders%'"
            )
            ids = [i for (i,) in rows.execute(f'SELECT customer_id FROM "{table}" ORDER BY customer_id')]
        yield Place(place, own, key, ids)


def contestants(place: Place, mlserver: Path | None) -> list[Contestant]:
    """All there are, ours first."""
    boosters = {
        "BENCH_BUNDLES": os.pathsep.join(str(place.model(t) / "artifacts" / "bundle") for t in ("churn", "clv")),
        "BENCH_ONLINE": str(place.online),
        "PYTHONPATH": str(SERVERS),
    }
    found = [
        Contestant("ours", partial(_serve_ours, place), partial(ask_ours, place.key)),
        Contestant("bentoml", _serve_bentoml, ask_plain, _bentoml_environment(place)),
        Contestant("fastapi", _serve_fastapi, ask_plain, boosters),
        Contestant("mlflow", partial(_serve_mlflow, place), _mlflow_asker(place), {"PYTHONPATH": str(ROOT)}),
    ]
    if mlserver:
        found.append(Contestant("mlserver", partial(_serve_mlserver, place, mlserver), ask_mlserver, boosters))
    return found


def ask_ours(key: str, ids: Sequence[str]) -> bytes:
    content = {"customer_id": ids[0]} if len(ids) == 1 else {"customer_ids": list(ids)}
    return request("POST", "/v1/predictions", orjson.dumps(content), {"X-API-Key": key})


def ask_plain(ids: Sequence[str]) -> bytes:
    return request("POST", "/predict", orjson.dumps({"customer_ids": list(ids), "top": 5}))


def ask_mlserver(ids: Sequence[str]) -> bytes:
    tensor = {"name": "ids", "shape": [len(ids), 1], "datatype": "BYTES", "data": list(ids)}
    return request("POST", "/v2/models/boosters/infer", orjson.dumps({"inputs": [tensor]}))


def _mlflow_asker(place: Place) -> Ask:
    rows = pd.read_parquet(place.workspace.features / "rows.parquet")
    rows = rows[rows["as_of"] == rows["as_of"].max()].set_index("customer_id")
    names = json.loads((place.model("churn") / "artifacts" / "bundle" / "bundle.json").read_text("utf-8"))["features"]
    numbers = rows[names].astype(object).where(rows[names].notna(), None)

    def ask(ids: Sequence[str]) -> bytes:
        content = {"dataframe_split": {"columns": names, "data": numbers.loc[list(ids)].to_numpy().tolist()}}
        return request("POST", "/invocations", orjson.dumps(content))

    return ask


def _bentoml_environment(place: Place) -> dict[str, str]:
    return {
        "BENCH_WORKSPACE": str(place.workspace.root),
        "BENTOML_HOME": str(place.workspace.root / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONPATH": str(ROOT),
    }


def _serve_ours(place: Place, port: int) -> list[str]:
    where = ["--config", str(place.config), "--workspace", str(place.workspace.root)]
    return [sys.executable, str(ROOT / "staycast.py"), "serve", *where, "--port", str(port)]


def _serve_bentoml(port: int) -> list[str]:
    where = ["--working-dir", str(SERVERS), "--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", "bentoml", "serve", "bento_stock:Stock", *where]


def _serve_fastapi(port: int) -> list[str]:
    how = ["--app-dir", str(SERVERS), "--no-access-log", "--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", "uvicorn", "fastapi_boosters:app", *how]


def _serve_mlflow(place: Place, port: int) -> list[str]:
    how = ["--env-manager", "local", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(place.model("churn")), *how]


def _serve_mlserver(place: Place, python: Path, port: int) -> list[str]:
    folder = place.workspace.root / "mlserver"
    folder.mkdir(exist_ok=True)
    model = {"name": "boosters", "implementation": "mlserver_boosters.BoostersRuntime"}
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as grpc,
        closing(socket.create_server(("127.0.0.1", 0))) as told,
    ):
        ports = {"http_port": port, "grpc_port": grpc.getsockname()[1], "metrics_port": told.getsockname()[1]}
    server = {"host": "127.0.0.1", "parallel_workers": 0, "debug": False, **ports}
    for name, content in (("model-settings", model), ("settings", server)):
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return [str(python.parent / "mlserver"), "start", str(folder)]


@contextmanager
def running(contestant: Contestant, first: bytes, log: Path) -> Iterator[tuple[int, psutil.Process]]:
    """The server as a process that answers the first request, stopped in the end with all that it started."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # MLflow runs uvicorn
    shared = {**threads, "PATH": programs, "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment = {**os.environ, **shared, **contestant.environment}
    with log.open("wb") as out:
        child = subprocess.Popen(
            contestant.command(port),
            env=environment,
            cwd=log.parent,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process = psutil.Process(child.pid)
    try:
        _wait_until_it_answers(port, first, child, log)
        yield port, process
    finally:
        _stop(process, child)


def _wait_until_it_answers(port: int, first: bytes, child: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and child.poll() is None:
        if status(port, first) == 200:
            return
        time.sleep(0.2)
    said = log.read_text("utf-8", "replace")[-2000:]
    raise NotStartedError(f"no answer within {START_SECONDS} s from `{' '.join(map(str, child.args))}`:\n{said}")


def status(port: int, payload: bytes) -> int:
    """Of the answer to one request over a connection of its own; 0 where none came."""
    try:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
            connection.sendall(payload)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer.status
    except (OSError, http.client.HTTPException):
        return 0


def _stop(process: psutil.Process, child: subprocess.Popen[bytes]) -> None:
    """Ask politely, then kill whatever of it is left."""
    family = [process, *process.children(recursive=True)] if child.poll() is None else []
    if family:
        child.send_signal(signal.SIGTERM)
        _, family = psutil.wait_procs(family, timeout=STOP_SECONDS)
    for left in family:
        left.kill()
    psutil.wait_procs(family, timeout=STOP_SECONDS)
    child.wait()


def resident_mib(process: psutil.Process) -> float:
    """Memory of a process and all that it started, MiB."""
    return sum(p.memory_info().rss for p in (process, *process.children(recursive=True))) / 2**20


def beside(contestant: Contestant, place: Place, seconds: float, port: int) -> dict[str, Any]:
    """One record: what a contestant answers in closed loop, at a fixed rate and in lists."""
    each = [contestant.ask([i]) for i in place.ids]
    ids = list(itertools.islice(itertools.cycle(place.ids), 8 * IN_LIST))
    lists = [contestant.ask(ids[at : at + IN_LIST]) for at in range(0, len(ids), IN_LIST)]
    ours = itertools.cycle(each)
    closed_loop(port, ours, CONNECTIONS, WARM_UP_SECONDS)
    alone = figures(closed_loop(port, ours, CONNECTIONS, seconds))
    steady = figures(open_loop(port, ours, MANY_CONNECTIONS, seconds, RATE))
    many = figures(closed_loop(port, itertools.cycle(lists), LISTS_AT_ONCE, seconds))
    return {
        "contestant": contestant.name,
        "closed": asdict(alone),
        "open": asdict(steady),
        "lists": asdict(many),
        "customers_per_second": many.answered_per_second * min(IN_LIST, len(place.ids)),
    }


def bears(
    place: Place, contestant: Contestant, seconds: float, offered: float, port: int, server: psutil.Process
) -> dict:
    """What ours bears: most answers, a flood and what it costs, then events."""
    each = itertools.cycle([contestant.ask([i]) for i in place.ids])
    most = figures(closed_loop(port, each, MANY_CONNECTIONS, seconds))
    before = resident_mib(server)
    flood = figures(open_loop(port, each, FLOOD_CONNECTIONS, seconds, offered))
    recovery = seconds_to_recovery(port, each)
    after = resident_mib(server)
    orders = _orders(place)
    closed_loop(port, orders, CONNECTIONS, WARM_UP_SECONDS)
    events = figures(closed_loop(port, orders, MANY_CONNECTIONS, seconds))
    return {
        "capacity": asdict(most),
        "flood": asdict(flood),
        "recovery_seconds": recovery,
        "before_mib": before,
        "after_mib": after,
        "events": asdict(events),
    }


def seconds_to_recovery(port: int, payloads: Iterator[bytes]) -> float:
    """Until answers come in time again, some in a row: seconds until the first of those; infinite if none come."""
    began, in_a_row, first = time.monotonic(), 0, 0.0
    while time.monotonic() < began + RECOVERY_SECONDS:
        asked = time.monotonic()
        quick = status(port, next(payloads)) == 200 and time.monotonic() - asked < RECOVERED_MS / 1000
        first = time.monotonic() - began if quick and not in_a_row else first
        in_a_row = in_a_row + 1 if quick else 0
        if in_a_row == RECOVERED_IN_A_ROW:
            return first
    return float("inf")


def _orders(place: Place) -> Iterator[bytes]:
    """Orders without end, one event a request, each of another customer than the one before."""
    for customer in itertools.cycle(place.ids):
        name = uuid.uuid4().hex
        content = {"event_id": name, "type": "order", "order_id": name, "customer_id": customer}
        content |= {"ordered_at": "2018-01-02T10:00:00Z", "amount": 12.5}
        yield request("POST", "/v1/events", orjson.dumps(content), {"X-API-Key": place.key})


@dataclass(frozen=True)
class Goal:
    """What is wanted, what was got, and whether it is met."""

    wanted: str
    got: str
    met: bool


def goals(rows: Sequence[dict[str, Any]], own: dict[str, Any] | None) -> list[Goal]:
    """The goals that can be judged by what was measured."""
    by_name = {row["contestant"]: row for row in rows}
    ours, found = by_name.get("ours"), []
    if ours:
        for name, least in (("bentoml", 3.0), ("fastapi", 1.0)):
            if name in by_name:
                ratio = ours["closed"]["answered_per_second"] / by_name[name]["closed"]["answered_per_second"]
                found.append(Goal(f"single customers: at least {least:g}x {name}", f"{ratio:.2f}x", ratio >= least))
        p99, bulk = ours["open"]["p99_ms"], ours["customers_per_second"]
        found.append(Goal(f"p99 at {RATE} requests/s at most 30 ms", f"{p99:.1f} ms", p99 <= 30))
        found.append(Goal("lists by id: at least 5,000 customers/s", f"{bulk:,.0f}/s", bulk >= 5000))
    return found + (_goals_of_own(own) if own else [])


def _goals_of_own(own: dict[str, Any]) -> list[Goal]:
    events, flood = own["events"]["answered_per_second"], own["flood"]
    strange = {s: share for s, share in flood["shares"].items() if int(s) not in ALLOWED}
    kept = flood["answered_per_second"] / own["capacity"]["answered_per_second"]
    grown = own["after_mib"] / own["before_mib"] - 1
    return [
        Goal("single events: at least 500/s", f"{events:,.0f}/s", events >= 500),
        Goal("flood: only 200, 429 and 503", f"{sum(strange.values()):.2%} else", not strange),
        Goal("flood: p99 of who is admitted at most 200 ms", f"{flood['p99_ms']:.0f} ms", flood["p99_ms"] <= 200),
        Goal("flood: at least 80 % of the most answers", f"{kept:.0%}", kept >= 0.8),
        Goal("flood: memory grows by at most 5 %", f"{grown:+.1%}", grown <= 0.05),
        Goal("flood: recovered within 5 s", f"{own['recovery_seconds']:.2f} s", own["recovery_seconds"] <= 5),
    ]


def side_by_side(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="One worker each; ours beside others (ratios to ours)")
    for name in (
        "",
        "answers/s",
        "ratio",
        "p50 ms",
        "p99 ms",
        f"at {RATE}/s: p50",
        "p99",
        "200",
        "customers/s",
        "ratio",
    ):
        table.add_column(name, justify="left" if not name else "right")
    reference = rows[0]
    for row in rows:
        closed, steady, many = row["closed"], row["open"], row["customers_per_second"]
        table.add_row(
            row["contestant"],
            f"{closed['answered_per_second']:,.0f}",
            f"{closed['answered_per_second'] / reference['closed']['answered_per_second']:.2f}",
            f"{closed['p50_ms']:.1f}",
            f"{closed['p99_ms']:.1f}",
            f"{steady['p50_ms']:.1f}",
            f"{steady['p99_ms']:.1f}",
            f"{steady['shares'].get(200, 0):.1%}",
            f"{many:,.0f}",
            f"{many / reference['customers_per_second']:.2f}",
        )
    return table


def borne(own: dict[str, Any]) -> Table:
    table = Table(
        "ours", "offered/s", "answered/s", "p50 ms", "p99 ms", "p99 since sent", "shares", title="What it bears"
    )
    runs = {f"most, {MANY_CONNECTIONS} connections": "capacity", "flood": "flood", "single events": "events"}
    for name, key in runs.items():
        of = Figures(**own[key])
        shares = ", ".join(f"{s or 'none'}: {share:.1%}" for s, share in of.shares.items())
        numbers = (f"{of.p50_ms:.1f}", f"{of.p99_ms:.1f}", f"{of.p99_sent_ms:.1f}")
        table.add_row(name, f"{of.offered_per_second:,.0f}", f"{of.answered_per_second:,.0f}", *numbers, shares)
    return table


def of_goals(found: Sequence[Goal]) -> Table:
    table = Table("goal", "got", "met", title="Goals")
    for goal in found:
        table.add_row(goal.wanted, goal.got, "yes" if goal.met else "NO")
    return table


def command_line(doc: str | None, config: str) -> argparse.ArgumentParser:
    """Of a bench that starts services in a copy of a workspace; SIGTERM then stops these, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=config)
    parser.add_argument("--workspace", type=Path, default=ROOT, help="as `staycast run` left it; it is copied")
    return parser


def main() -> None:
    parser = command_line(__doc__, "completejourney")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measure")
    parser.add_argument("--only", nargs="+", help="names of contestants; all if left out")
    parser.add_argument("--mlserver", type=Path, help="the interpreter of an environment with MLServer and LightGBM")
    parser.add_argument("--offered", type=float, default=5000.0, help="requests a second of the flood")
    parser.add_argument("--json", type=Path, help="write the records here")
    options = parser.parse_args()
    mlserver = options.mlserver.absolute() if options.mlserver else None
    if mlserver and not (mlserver.parent / "mlserver").is_file():
        parser.error(f"no MLServer beside {mlserver}: see the head of this file for how to install it")
    rows: list[dict[str, Any]] = []
    own: dict[str, Any] | None = None
    console, load = Console(width=140), os.getloadavg()[0]
    with copied(options.config, options.workspace) as place:
        for one in contestants(place, mlserver):
            if options.only and one.name not in options.only:
                continue
            log = place.workspace.root / f"{one.name}.log"
            try:
                with running(one, one.ask(place.ids[:1]), log) as (port, server):
                    rows.append(beside(one, place, options.seconds, port))
                    if one.name == "ours":
                        own = bears(place, one, options.seconds, options.offered, port, server)
            except NotStartedError as error:
                console.print(f"{one.name}: {error}", markup=False, highlight=False)
    write_records([*rows, *([own] if own else [])], options.json)
    console.print(f"{os.cpu_count()} cores, load before {load:.2f}, {options.seconds:g} s each measure")
    console.print(*([side_by_side(rows)] if rows else []), *([borne(own)] if own else []), of_goals(goals(rows, own)))


if __name__ == "__main__":
    main()
