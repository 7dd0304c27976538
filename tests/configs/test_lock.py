from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from configs.lock import BusyError, exclusive

ROOT = Path(__file__).parent.parent.parent
HOLDING = """
import sys
from pathlib import Path
from configs.lock import exclusive
with exclusive(Path(sys.argv[1]), "train churn"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_elsewhere(state: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that trains in the workspace."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLDING, str(state)]
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_who_comes_second_is_told_who_does_what_since_when_and_where(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with (
        held_elsewhere(state) as other,
        pytest.raises(BusyError) as error,
        exclusive(state, "ingest", wait_seconds=0.1),
    ):
        pass
    said = f"'{tmp_path}' is being changed by `train churn`, process {other.pid} on {socket.gethostname()}, since 20"
    assert said in str(error.value)


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path / "state") as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        with exclusive(tmp_path / "state", "ingest", wait_seconds=1):
            pass


def test_one_thread_may_ask_again_and_another_one_waits(tmp_path: Path) -> None:
    refused: list[BaseException] = []

    def other_thread() -> None:
        try:
            with exclusive(tmp_path, "score", wait_seconds=0.1):
                pass
        except BusyError as error:
            refused.append(error)

    with exclusive(tmp_path, "run"), exclusive(tmp_path, "ingest"):
        thread = threading.Thread(target=other_thread)
        thread.start()
        thread.join()
    assert "by `run`, process" in str(refused[0])
    other_thread()
    assert len(refused) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["lock"]


def test_what_a_killed_process_left_goes_with_the_next_who_changes_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "scores" / ".scratch-1").mkdir(parents=True)
    with exclusive(tmp_path, "score"):
        assert list((tmp_path / "scores").iterdir()) == []
