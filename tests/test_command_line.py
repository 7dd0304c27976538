"""What goes wrong ends in one line and exit code 2; help is quick because it imports nothing heavy."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.workspace import Workspace
from staycast import _is_of_a_store

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[1]
HEAVY = (
    *("feast", "mlflow", "evidently", "bentoml", "optuna", "lightgbm", "sklearn", "scipy", "pandas", "numpy"),
    *("ibis", "duckdb", "matplotlib", "pandera", "pyarrow"),
)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    *progress, message = done.stderr.strip().splitlines()
    assert message.startswith("staycast:") and "staycast:" not in "".join(progress)
    return message


def test_the_version_is_that_of_the_project(staycast: Run) -> None:
    done = staycast("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"staycast \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["models"]])
def test_help_and_a_list_of_models_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    code = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print('heavy:', [m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr))\n"
        f"sys.argv = ['staycast', *{arguments}] + (['-w', {str(tmp_path)!r}] if 'models' in {arguments} else [])\n"
        "from staycast import main\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "heavy: []" in done.stderr, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("models",),
        ("train",),
        ("score",),
        ("evaluate",),
        ("features",),
        ("monitor",),
        ("serve",),
        ("rollback", "churn", "--reason", "x"),
        ("erase", "ann", "--reason", "x"),
    ],
)
def test_a_mistyped_workspace_is_said_and_not_made(staycast: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    place = tmp_path / "mistyped"
    assert "no workspace at" in refused(staycast(*arguments, "-c", "test", "-w", place))
    assert not place.exists()


@pytest.mark.parametrize("verb", ["ingest", "models", "run"])
def test_a_workspace_that_is_a_file_is_said(staycast: Run, tmp_path: Path, verb: str) -> None:
    place = tmp_path / "file"
    place.write_text("content")
    assert "is a file: give a folder" in refused(staycast(verb, "-c", "test", "-w", place))
    assert place.read_text() == "content"


@pytest.mark.parametrize("arguments", [("models",), ("train", "churn"), ("evaluate",), ("monitor",)])
def test_a_broken_registry_is_said_in_one_line(staycast: Run, fresh: Workspace, arguments: tuple[str, ...]) -> None:
    fresh.mlruns.mkdir(parents=True, exist_ok=True)
    (fresh.mlruns / "mlflow.db").write_text("not a database")
    said = refused(staycast(*arguments, "-c", "test", "-w", fresh.root))
    assert "mlflow.db' cannot be read" in said and "restore it from a copy" in said


def test_mlflow_pages_on_a_port_in_use_are_refused_before_they_start(staycast: Run, lived: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port}" in refused(staycast("mlflow", "-w", lived.root, "--port", port))


def test_a_failing_store_is_told_from_a_program_that_fails() -> None:
    import sqlite3

    import optuna
    import sqlalchemy
    from mlflow.exceptions import INVALID_PARAMETER_VALUE, MlflowException

    stores = [
        sqlite3.OperationalError("database is locked"),
        sqlalchemy.exc.OperationalError("select", {}, sqlite3.OperationalError("locked")),
        optuna.exceptions.StorageInternalError("gone"),
        MlflowException("the schema of the database is of another version"),
    ]
    assert all(map(_is_of_a_store, stores))
    programs = [MlflowException("too long", INVALID_PARAMETER_VALUE), KeyError("x"), optuna.TrialPruned()]
    assert not any(map(_is_of_a_store, programs))
