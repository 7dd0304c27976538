from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import httpx
import pandas as pd
import pytest
from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled
from starlette.applications import Starlette

from configs.settings import Settings
from configs.workspace import Workspace
from features.people.identity import write_repairs
from features.schema import Feature, FeatureSchema
from serving.answer.champion import Champions
from serving.api.schema.answers import Answer, Problem
from serving.launch import command
from serving.records.prediction_log import PredictionLog
from serving.service import leavers

ROOT = Path(__file__).parents[2]
CONFIG = """
name: shop
serving:
  registry_poll_seconds: 0.1
  drain_seconds: 1.5
"""
SERVED = '''from __future__ import annotations

import warnings

import pandas as pd

from configs.workspace import Workspace
from serving import service


class OnlineFeatures:
    """Reads ``online.parquet`` of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._frame = pd.read_parquet(workspace.root / "online.parquet").set_index("customer_id")

    def read(self, customer_ids: list[str]) -> pd.DataFrame:
        warnings.simplefilter("always")
        warnings.warn("for developers", DeprecationWarning)
        warnings.warn("for users", UserWarning)
        return self._frame.reindex(customer_ids).rename_axis("customer_id").reset_index()


service.OnlineFeatures = OnlineFeatures
Staycast = service.Staycast


__all__ = ["Staycast"]
'''
pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
]


class Server:
    """The service in processes of its own, as deployed, but with features from a parquet."""

    def __init__(self, workspace: Workspace, port: int, output: Path) -> None:
        config = workspace.root / "shop.yaml"
        config.write_text(CONFIG, "utf-8")
        arguments, environment = command(str(config), workspace.root, "127.0.0.1", port)
        arguments[arguments.index("serving.service:Staycast")] = "served:Staycast"
        arguments[arguments.index("--working-dir") + 1] = str(workspace.root)
        (workspace.root / "served.py").write_text(SERVED, "utf-8")
        environment["PYTHONPATH"] = str(ROOT)
        self.output = output
        with output.open("wb") as sink:
            self.process = subprocess.Popen(arguments, env=environment, stdout=sink, stderr=sink, cwd=workspace.root)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)

    def until(self, path: str, status: int, seconds: float = 60) -> httpx.Response:
        """Ask until the answer has this status."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            try:
                answer = self.http.get(path)
                if answer.status_code == status:
                    return answer
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"{path} was never {status}: {self.output.read_text()}")

    def ask(self, customer_id: str) -> httpx.Response:
        return self.http.post("/v1/predictions", json={"customer_id": customer_id})


@pytest.fixture
def server(workspace: Workspace, customers: pd.DataFrame, tmp_path: Path) -> Iterator[Server]:
    customers.to_parquet(workspace.root / "online.parquet")
    workspace.features.mkdir(parents=True)
    schema_of(customers).save(workspace.features)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(workspace, port, tmp_path / "output.txt")
    yield server
    server.http.close()
    server.process.terminate()
    try:
        server.process.wait(20)
    finally:
        server.process.kill()


def schema_of(customers: pd.DataFrame) -> FeatureSchema:
    names = [c for c in customers.columns if c not in ("customer_id", "as_of")]
    return FeatureSchema(tuple(Feature(n, "orders", "string" if n == "region" else "float64", "") for n in names))


@pytest.mark.timeout(240)
def test_the_life_of_a_server(
    server: Server, workspace: Workspace, champions: Champions, customers: pd.DataFrame, register: Callable[..., str]
) -> None:
    server.until("/healthz", 200)
    waiting = server.http.get("/readyz")
    assert waiting.status_code == 503
    assert Problem.model_validate(waiting.json()).title == "The service cannot answer now"
    assert server.ask("c1").status_code == 503

    served = schema_of(customers).hash
    register(workspace, replace(champions.churn.bundle, schema_hash=served))
    register(workspace, replace(champions.clv.bundle, schema_hash=served))
    server.until("/readyz", 200)
    answer = Answer.model_validate_json(server.ask("c1").content)
    assert answer.model.churn == "churn/1"
    refused = server.http.post(
        "/v1/predictions", content=b'{"customer_id": NaN}', headers={"content-type": "application/json"}
    )
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert server.http.get("/schema.json").status_code == 404
    assert server.http.get("/openapi.json").json()["openapi"] == "3.1.0"

    register(workspace, replace(champions.churn.bundle, schema_hash=served))
    wait_for(lambda: server.ask("c1").json()["model"]["churn"] == "churn/2")
    assert 'staycast_customers_total{outcome="scored"}' in server.http.get("/metrics").text

    server.process.send_signal(signal.SIGTERM)
    server.until("/readyz", 503, seconds=5)
    assert server.ask("c2").status_code == 200
    server.process.wait(20)

    with PredictionLog(workspace.prediction_log) as log:
        assert {"c1", "c2"} == set(log.read()["customer_id"])
    output = server.output.read_text()
    assert "POST /v1/predictions 200" in output
    assert '"c1"' not in output
    assert "'c1'" not in output
    assert "Traceback" not in output
    assert "for users" in output and "for developers" not in output


@pytest.mark.parametrize(("kind", "left"), [("label", {"b"}), ("inactivity", set())])
def test_the_app_of_a_ready_table_knows_who_has_left(
    kind: str, left: set[str], workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from serving import service

    pd.DataFrame({"customer_id": ["a", "b"], "label": [0.0, 1.0]}).to_parquet(tmp_path / "profiles.parquet")
    monkeypatch.setattr(Workspace, "tables", property(lambda _: tmp_path))
    monkeypatch.setattr(service, "ChampionWatcher", lambda *arguments, **named: MagicMock())
    monkeypatch.setattr(service, "LazyFeatureReader", MagicMock())
    monkeypatch.setattr(service, "EventIntake", MagicMock())
    monkeypatch.setattr(service, "create_app", MagicMock())
    monkeypatch.setattr(service, "_graceful_shutdown", lambda *arguments: nullcontext())
    config = tmp_path / "ready.yaml"
    config.write_text(f"name: ready\nchurn:\n  kind: {kind}\n")
    with service.application(str(config), workspace):
        assert service.create_app.call_args.kwargs["left"](["a", "b", "c"]) == left


def test_features_of_other_columns_are_read_once_all_are_online(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from serving import service

    def build(*names: str) -> None:
        workspace.features.mkdir(parents=True, exist_ok=True)
        FeatureSchema(tuple(Feature(name, "customers", "float", "") for name in names)).save(workspace.features)

    class Online:
        columns = frozenset({"a"})

        def __init__(self, of: Workspace) -> None:
            self._schema = service.load_schema(of.features)
            self.schema_hash = self._schema.hash

        def read(self, ids: list[str]) -> pd.DataFrame:
            if not {*self._schema.names} <= Online.columns:
                raise sqlite3.OperationalError("no such column")
            return pd.DataFrame(columns=self._schema.names)

    monkeypatch.setattr(service, "OnlineFeatures", Online)
    build("a")
    reader = service.LazyFeatureReader(workspace)
    assert list(reader.read([])) == ["a"]
    build("a", "b")
    assert list(reader.read([])) == ["a"]
    monkeypatch.setattr(Online, "columns", frozenset({"a", "b"}))
    assert list(reader.read([])) == ["a", "b"]


def test_a_worker_ends_when_the_process_that_started_it_is_killed() -> None:
    worker = (
        "import time; from serving.service import _stop_without_parent; "
        "_stop_without_parent(0.05); print('up', flush=True); time.sleep(60)"
    )
    script = (
        f"import subprocess, sys; worker = subprocess.Popen([sys.executable, '-c', {worker!r}]); "
        "print(worker.pid, flush=True); worker.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert parent.stdout.readline() == "up\n"
        parent.kill()
    wait_for(lambda: not Path(f"/proc/{pid}").exists() or "State:\tZ" in Path(f"/proc/{pid}/status").read_text())


def test_a_worker_whose_parent_is_gone_stops_without_a_drain_so_that_the_port_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from serving import service

    stopped: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    try:
        app = Starlette()
        app.state.draining = False
        with service._graceful_shutdown(app, 1000.0):
            monkeypatch.setattr(os, "getppid", lambda: 1)
            os.kill(os.getpid(), signal.SIGTERM)
            wait_for(lambda: stopped == [signal.SIGTERM])
    finally:
        signal.signal(signal.SIGTERM, before)


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it never came true"
        time.sleep(0.05)


def test_who_has_left_by_a_label_is_found_by_an_id_as_the_files_write_it(
    settings: Settings, workspace: Workspace
) -> None:
    workspace.tables.mkdir(parents=True)
    rows = pd.DataFrame({"customer_id": ["ka7", "ka8"], "label": [1, 0]})
    rows.to_parquet(workspace.tables / "profiles.parquet", index=False)
    write_repairs(workspace.tables, ["case"])
    business = settings.model_copy(update={"churn": settings.churn.model_copy(update={"kind": "label"})})
    assert leavers(business, workspace)(["KA7", "KA8", "ka7", "x"]) == {"KA7", "ka7"}


def test_requests_are_not_even_looked_at_for_spans() -> None:
    async def look() -> bool:
        return is_http_instrumentation_enabled()

    async def serve() -> bool:
        return await asyncio.create_task(look())

    assert not asyncio.run(serve())
