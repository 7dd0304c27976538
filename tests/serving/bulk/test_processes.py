from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

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


def test_a_process_ends_with_its_input_and_first_does_what_it_must(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from serving.bulk.processes import end_with_input; "
        "end_with_input(0, lambda: Path(sys.argv[1]).touch()); time.sleep(60)"
    )
    reading, writing = os.pipe()
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "told")], cwd=ROOT, stdin=reading) as process:
        os.close(reading)
        os.close(writing)
        assert process.wait(30) == 0
    assert (tmp_path / "told").exists()
