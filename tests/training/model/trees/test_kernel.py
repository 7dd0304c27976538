from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import training.model.trees

CODE = """
import numpy as np
from training.model.trees import kernel
empty = np.zeros(0)
out = np.ones(2)
whole, byte = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32)
nodes = (byte, empty, byte, whole, whole, np.zeros(0, dtype=np.uint32), byte, byte)
kernel.scores(np.zeros((2, 1)), (np.zeros(2, dtype=np.int64), np.arange(2)), nodes, np.array([0.5]), out)
print(out.tolist(), bool(kernel.scores.stats.cache_path))
"""


def test_where_nothing_can_be_kept_on_disk_the_loops_are_compiled_all_the_same(tmp_path: Path) -> None:
    source = Path(training.model.trees.__file__).parent
    package = tmp_path / "training" / "model" / "trees"
    package.mkdir(parents=True)
    for folder in (package.parent.parent, package.parent, package):
        (folder / "__init__.py").touch()
    for name in ("model/trees/kernel.py", "model/trees/text.py", "compiled.py"):
        (tmp_path / "training" / name).write_text((source.parents[1] / name).read_text("utf-8"), "utf-8")
    (package / "__pycache__").write_text("no folder")  # root may write anywhere, but not into a file
    nowhere = tmp_path / "home"
    nowhere.write_text("no folder")
    places = os.pathsep.join((str(tmp_path), str(source.parents[2])))
    environment = {"PYTHONPATH": places, "HOME": str(nowhere), "XDG_CACHE_HOME": str(nowhere / "cache")}
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[0.5, 0.5] False"
