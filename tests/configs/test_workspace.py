from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.workspace import (
    Workspace,
    replacing,
    replacing_file,
    scratch,
    sweep,
    write_text,
)

ROOT = Path(__file__).parent.parent.parent
KILLED = """
import os, sys
from pathlib import Path
from configs.workspace import scratch
with scratch(Path(sys.argv[1])) as folder:
    (folder / "orders").write_text("ann")
    os.kill(os.getpid(), 9)
"""


def test_a_workspace_holds_one_business(workspace: Workspace) -> None:
    workspace.claim("grocer")
    workspace.claim("grocer")
    with pytest.raises(ConfigError, match="holds the business 'grocer'"):
        workspace.claim("hotel")


def test_a_stage_is_reused_only_for_the_same_mark(workspace: Workspace) -> None:
    workspace.record("ingest", "one", {"rows": 3})
    assert workspace.done("ingest", "one") == {"rows": 3}
    assert workspace.done("ingest", "two") is None
    assert workspace.done("features", "one") is None


def test_a_folder_is_replaced_only_when_the_body_succeeds(tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    with replacing(folder) as new:
        write_text(new / "orders", "first")
    with pytest.raises(RuntimeError), replacing(folder) as new:
        write_text(new / "orders", "second")
        raise RuntimeError
    assert (folder / "orders").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["tables"]


def test_replacing_leaves_nothing_of_what_was_there(tmp_path: Path) -> None:
    for name in ("old", "new"):
        with replacing(tmp_path / "tables") as folder:
            write_text(folder / name, name)
    assert [p.name for p in (tmp_path / "tables").iterdir()] == ["new"]


def test_a_file_is_replaced_only_when_the_body_succeeds(tmp_path: Path) -> None:
    with replacing_file(tmp_path / "deep" / "prints") as new:
        new.write_text("first")
    with pytest.raises(RuntimeError), replacing_file(tmp_path / "deep" / "prints") as new:
        new.write_text("second")
        raise RuntimeError
    assert [(p.name, p.read_text()) for p in (tmp_path / "deep").iterdir()] == [("prints", "first")]


def killed(parent: Path) -> None:
    """A process that is killed while it uses a scratch folder."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(parent)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [p.read_text() for p in parent.glob(".scratch-*/orders")] == ["ann"]


def test_what_a_killed_process_left_goes_with_the_next_that_needs_a_folder_there(tmp_path: Path) -> None:
    killed(tmp_path)
    with scratch(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_sweeping_finds_what_was_left_at_any_depth_and_takes_no_folder_in_use(tmp_path: Path) -> None:
    killed(tmp_path)
    killed(tmp_path / "scores" / "2024-03-01")
    with scratch(tmp_path) as first, scratch(tmp_path / "scores") as second:
        killed(tmp_path / "scores")
        sweep(tmp_path)
        assert sorted(tmp_path.rglob(".scratch-*")) == sorted([first, second])
    sweep(tmp_path / "nowhere")
