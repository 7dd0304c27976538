"""The command line as a user runs it, in a process of its own, without the seconds that its imports take each time.

Processes are forked from one that has imported what the verbs import, and has done nothing else yet: no thread runs in
it, no library is at work. What a call prints, and the code it ends with, are those of `staycast.py`.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.forked import end_with

SECONDS = 280


def call(
    *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``staycast`` with these arguments.

    Parameters
    ----------
    arguments
        Of the command line.
    cwd, env
        Working directory and environment; None: those of this process.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.imported"])
    words = ["staycast", *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        told = (words, str(cwd or Path.cwd()), dict(os.environ if env is None else env), str(out), str(err))
        process = context.Process(target=_main, args=told)
        process.start()
        process.join(SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, SECONDS)
        return subprocess.CompletedProcess(words, process.exitcode or 0, out.read_text("utf-8"), err.read_text("utf-8"))


def _main(words: list[str], cwd: str, environment: dict[str, str], out: str, err: str) -> None:
    for number, path in ((0, os.devnull), (1, out), (2, err)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = words
    end_with(_staycast)


def _staycast() -> None:
    import staycast

    staycast.main()
