"""A workspace is whole in itself: moved, copied or restored, it goes on as before, and touches no other place."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pandas as pd
import pytest

from configs.tracking import PATHS, relocate
from configs.workspace import Workspace
from training.model import catalog

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture
def moved(copied: Workspace, tmp_path: Path) -> Workspace:
    """The lived workspace at another place, with a name that addresses must quote; the place before is gone."""
    place = tmp_path / "a 'quoted' % place" / "mlruns" / "ws"
    place.parent.mkdir(parents=True)
    shutil.move(copied.root, place)
    return Workspace(place)


@contextmanager
def serving(workspace: Workspace) -> Iterator[httpx.Client]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [sys.executable, str(ROOT / "staycast.py"), "serve", "-c", "test", "-w", str(workspace.root)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*command, "--port", str(port)], **quiet) as server:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                ends = time.monotonic() + 120
                while time.monotonic() < ends:
                    try:
                        if client.get("/readyz").status_code == 200:
                            break
                    except httpx.TransportError:
                        time.sleep(0.2)
                yield client
        finally:
            server.terminate()


def test_a_moved_workspace_serves_evaluates_trains_and_rolls_back(moved: Workspace, staycast: Run) -> None:
    where = ("--config", "test", "-w", moved.root, "--json")

    def answer(*arguments: str) -> dict:
        done = staycast(*arguments, *where)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    scores = pd.concat(pd.read_parquet(p) for p in moved.scores.rglob("scores.parquet")).set_index("customer_id")
    customer = scores["probability"].dropna().index[0]
    with serving(moved) as client:
        served = client.post("/v1/predictions", json={"customer_id": customer}).json()
    assert served["churn"]["probability"] == pytest.approx(scores.loc[customer, "probability"], abs=1e-12)
    assert served["model"] == {"churn": "churn/1", "clv": "clv/1"}

    recorded = moved.last("train churn")
    assert recorded is not None
    assert answer("evaluate")["churn"]["model"] == pytest.approx(recorded["model"], rel=1e-9)
    assert answer("train", "churn", "--again")["churn"]["version"] == "churn/2"
    answer("promote", "churn", "2", "--override", "--reason", "an experiment")
    assert "champion" in answer("rollback", "churn", "--reason", "worse")["aliases"]
    assert answer("reproduce", "churn/2")["identical"]


@pytest.mark.filterwarnings("ignore::UserWarning:mlflow")  # its own types, while it is first imported
def test_mlflow_itself_finds_the_models_of_a_moved_workspace(moved: Workspace) -> None:
    import mlflow

    from training.registry import runs

    runs.client(moved)
    rows = pd.read_parquet(moved.features / "rows.parquet").head(5)
    model = mlflow.pyfunc.load_model("models:/clv/1")
    answer = model.predict(rows[model.metadata.get_input_schema().input_names()])
    assert (answer["expected"] >= 0).all() and model.metadata.get_output_schema().input_names() == list(answer)


def test_every_path_of_a_copy_is_its_own_and_the_original_is_left_alone(lived: Workspace, copied: Workspace) -> None:
    before = (lived.mlruns / "mlflow.db").read_bytes()
    assert relocate(copied) > 0
    assert relocate(copied) == 0
    with closing(sqlite3.connect(copied.mlruns / "mlflow.db")) as database:
        paths = [
            value
            for table, column in PATHS
            for (value,) in database.execute(f"SELECT {column} FROM {table}")
            if value and not value.startswith("models:/")
        ]
    assert paths and all(path.startswith(copied.mlruns.resolve().as_uri()) for path in paths)
    version = catalog.champion(copied, "churn")
    assert version is not None and catalog.files(copied, version).is_relative_to(copied.root)
    assert (lived.mlruns / "mlflow.db").read_bytes() == before
