from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from configs.fingerprint import ROOT

PARENT = """
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from serving.bulk.processes import end_with_parent

if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, get_context("spawn"), end_with_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    os.kill(os.getpid(), 9)
"""


def test_a_process_ends_when_its_parent_was_killed(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(tmp_path / "parent.py")]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False, text=True)
    worker = Path(f"/proc/{int(done.stdout)}/stat")
    until = time.monotonic() + 20
    while worker.exists() and ") Z" not in worker.read_text():
        assert time.monotonic() < until, "the worker goes on"
        time.sleep(0.05)


@pytest.mark.parametrize("by", ["input", "SIGTERM", "both"])
def test_a_process_ends_when_it_is_told_and_first_does_what_it_must_once(tmp_path: Path, by: str) -> None:
    code = (
        "import sys, time; from serving.bulk.processes import end_when_told; "
        "end_when_told(0, lambda: print('told', flush=True)); print('ready', flush=True); time.sleep(60)"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if by != "input":
            process.terminate()
        if by != "SIGTERM":
            process.stdin.close()
        assert process.wait(30) == 0
        assert process.stdout.read() == "told\n"
