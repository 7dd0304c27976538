"""Break one line at a time and see whether the tests notice: ``make mutants`` (``python tests/mutants/run.py [WORD]``).

Each mutant is tried in a copy of the checkout, two at a time. One whose tests do not end in time counts as unnoticed:
a busy machine notices nothing. Ends with 1 if fewer than 95 % are noticed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
LEAST_SHARE = 0.95
SECONDS = 900
EVERY = "slow or not slow"  # marks of the tests that are asked
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "state", "mlruns", "__pycache__", ".*_cache", ".hypothesis")


def survives(mutant: Mutant) -> bool:
    """Whether no test notices the change in time."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "checkout"
        shutil.copytree(ROOT, place, ignore=LEFT_OUT)
        (place / ".venv").symlink_to(ROOT / ".venv")
        path = place / mutant.file
        path.write_text(path.read_text("utf-8").replace(mutant.line, mutant.change), "utf-8")
        tests = [name for name in mutant.tests if (place / name).exists()]
        command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "--no-header", "-m", EVERY, *tests]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                command, cwd=place, env=environment, capture_output=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return True
        assert done.returncode in (0, 1, 2), done.stdout.decode()
        return done.returncode == 0


def main(word: str = "") -> int:
    """Try every mutant whose file or change holds a word, and say which nobody noticed."""
    chosen = [m for m in MUTANTS if word in f"{m.file} {m.change}"]
    with ThreadPoolExecutor(2) as pool:
        survived = []
        for mutant, alive in zip(chosen, pool.map(survives, chosen), strict=True):
            print("survived" if alive else "killed  ", mutant.file, "|", mutant.change.strip()[:70], flush=True)
            survived += [mutant] if alive else []
    share = 1 - len(survived) / len(chosen)
    print(f"{len(chosen) - len(survived)} of {len(chosen)} killed ({share:.1%})")
    return int(share < LEAST_SHARE)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
