"""Scripts in processes of their own, forked from one that has imported the libraries but none of our code.

``python -m tests.forked`` takes one script a line, as JSON with ``cwd`` and ``script``, and answers each with ``code``
(of the end) and ``output``.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

LIBRARIES = """evidently ibis.backends.duckdb lightgbm mlflow.pyfunc mlflow.store.model_registry.sqlalchemy_store
    mlflow.store.tracking.sqlalchemy_store optuna pandas plotly.graph_objects pyarrow.parquet pydantic pytest
    ruamel.yaml scipy.stats sklearn.linear_model starlette.testclient typer"""


class Forked:
    """Runs scripts one after the other, each in a fork of its own."""

    def __init__(self) -> None:
        from training.registry.runs import MLFLOW_ENVIRONMENT  # not in the process that is forked from

        command = [sys.executable, "-W", "ignore", "-m", "tests.forked"]
        root, environment = Path(__file__).parent.parent, {**os.environ, **MLFLOW_ENVIRONMENT}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root, env=environment)

    def run(self, script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a script in a folder, from which it imports; what it printed, errors too, is its output."""
        assert self._process.stdin and self._process.stdout
        print(json.dumps({"script": script, "cwd": str(cwd)}), file=self._process.stdin, flush=True)
        ended = json.loads(self._process.stdout.readline())
        return subprocess.CompletedProcess(["fork"], ended["code"], ended["output"], "")

    def close(self) -> None:
        """End the process that is forked from."""
        self._process.communicate()


def run(script: str, cwd: str, output: str) -> None:
    """Do what a script says, in this process, and end it."""
    opened = os.open(output, os.O_WRONLY)
    os.dup2(opened, 1)
    os.dup2(opened, 2)
    os.chdir(cwd)
    sys.path[:] = ["", *(path for path in sys.path if path not in ("", str(Path(__file__).parent.parent)))]
    for name in ("tests.forked", "tests"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    end_with(lambda: exec(compile(script, "script", "exec"), {"__name__": "__main__"}))


def end_with(body: Callable[[], object]) -> NoReturn:
    """Do something and end this process as Python would have, without what a forked one shares with its parent."""
    code = 1
    try:
        body()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    for name in LIBRARIES.split():
        importlib.import_module(name)
    with patch("typeguard.typechecked", lambda target: target):  # as our own code imports it
        importlib.import_module("feast")
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        with tempfile.NamedTemporaryFile() as output:
            child = os.fork()
            if not child:
                run(asked["script"], asked["cwd"], output.name)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            text = Path(output.name).read_text("utf-8", "replace")
        print(json.dumps({"code": code, "output": text}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
