"""A workspace in which the whole life was lived once: ``python -m tests.lived FOLDER`` makes it, if it is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).parents[1]


def live(folder: Path) -> None:
    """Run ``staycast run --config test`` in a folder; of several processes one does it, and the others wait."""
    with FileLock(f"{folder}.lock"):
        if (folder / "done").exists():
            return
        command = [sys.executable, str(ROOT / "staycast.py"), "run", "--config", "test", "--workspace", str(folder)]
        done = subprocess.run([*command, "--by", "the tests"], capture_output=True, text=True, check=False, timeout=900)
        assert done.returncode == 0, done.stderr
        (folder / "done").write_text(done.stdout)


if __name__ == "__main__":
    live(Path(sys.argv[1]))
