"""What goes wrong ends in one line and exit code 2; help is quick because it imports nothing heavy."""

from __future__ import annotations

import csv
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import staycast as command_line
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


@pytest.mark.parametrize(("given", "used"), [(None, "1"), ("3", "3")])
def test_matrices_are_multiplied_by_one_thread_unless_the_environment_says_otherwise(
    given: str | None, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    if given:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
    code = "import sys, staycast, os; print('numpy' in sys.modules, os.environ['OPENBLAS_NUM_THREADS'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False", used], done.stderr


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


@pytest.mark.parametrize("arguments", [("models",), ("train", "churn"), ("evaluate",), ("monitor",), ("serve",)])
def test_a_broken_registry_is_said_in_one_line(staycast: Run, fresh: Workspace, arguments: tuple[str, ...]) -> None:
    fresh.mlruns.mkdir(parents=True, exist_ok=True)
    (fresh.mlruns / "mlflow.db").write_text("not a database")
    said = refused(staycast(*arguments, "-c", "test", "-w", fresh.root))
    assert "mlflow.db' cannot be read" in said and "restore it from a copy" in said


def test_score_also_writes_the_answers_as_csv_where_it_is_told(lived: Workspace, tmp_path: Path) -> None:
    arguments = ["score", "--csv", str(tmp_path / "a.csv"), "-c", "test", "-w", str(lived.root), "--json"]
    done = CliRunner().invoke(command_line.app, arguments)
    assert done.exit_code == 0, done.stderr
    with (tmp_path / "a.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert len(rows) == json.loads(done.stdout)["customers"] and {len(row) for row in rows} == {len(header)}


def test_mlflow_pages_on_a_port_in_use_are_refused_before_they_start(staycast: Run, lived: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port}" in refused(staycast("mlflow", "-w", lived.root, "--port", port))


def test_a_failing_store_is_told_from_a_program_that_fails() -> None:
    import sqlite3

    import optuna
    import pyarrow
    import sqlalchemy
    from google.protobuf.message import DecodeError
    from mlflow.exceptions import INVALID_PARAMETER_VALUE, MlflowException

    stores = [
        sqlite3.OperationalError("database is locked"),
        sqlalchemy.exc.OperationalError("select", {}, sqlite3.OperationalError("locked")),
        optuna.exceptions.StorageInternalError("gone"),
        MlflowException("the schema of the database is of another version"),
        json.JSONDecodeError("no value", "", 0),
        pyarrow.ArrowInvalid("no parquet"),
        DecodeError("no registry"),
    ]
    assert all(map(_is_of_a_store, stores))
    programs = [MlflowException("too long", INVALID_PARAMETER_VALUE), KeyError("x"), optuna.TrialPruned()]
    assert not any(map(_is_of_a_store, programs))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "/data/state"), "'/data/state': Permission denied"),
        (OSError(28, "No space left on device"), "write: No space left on device"),
    ],
)
def test_what_the_machine_refuses_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: OSError, said: str
) -> None:
    def refuse() -> None:
        raise error

    monkeypatch.setattr(command_line, "app", refuse)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "-1", "65536"])
@pytest.mark.parametrize("verb", ["serve", "mlflow"])
def test_a_port_that_is_none_is_refused(staycast: Run, tmp_path: Path, verb: str, port: str) -> None:
    done = staycast(verb, "-w", tmp_path, "--port", port)
    assert done.returncode == 2 and "Invalid value for '--port'" in done.stderr


def test_mlflow_pages_are_of_this_workspace_whatever_the_environment_names(
    lived: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = {}
    monkeypatch.setenv("MLFLOW_REGISTRY_STORE_URI", "sqlite:////elsewhere/other.db")
    monkeypatch.setenv("MLFLOW_HOST", "0.0.0.0")
    monkeypatch.setattr("os.execve", lambda path, command, environment: started.update(c=command, e=environment))
    command_line.mlflow_ui(lived.root, _free_port())
    assert [name for name in started["e"] if name.startswith("MLFLOW")] == ["MLFLOW_DISABLE_TELEMETRY"]
    assert started["c"][started["c"].index("--host") + 1] == "127.0.0.1"
    assert started["c"][started["c"].index("--backend-store-uri") + 1] == lived.tracking_uri


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_features_as_of_a_moment_to_come_are_refused(staycast: Run, lived: Workspace) -> None:
    said = refused(staycast("features", "--refresh", "--as-of", "2999-12-31", "-c", "test", "-w", lived.root))
    assert "lies in the future" in said


def test_no_warning_of_a_library_is_on_the_screen(staycast: Run, copied: Workspace) -> None:
    done = staycast("features", "--again", "-c", "test", "-w", copied.root)
    assert done.returncode == 0 and "Warning" not in done.stderr, done.stderr
