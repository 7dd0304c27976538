from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from configs import files
from configs.files import beside, put_in_place, replacing, replacing_file, scratch, sweep, write_text

ROOT = Path(__file__).parent.parent.parent
KILLED = """
import os, sys
from pathlib import Path
from configs.files import scratch
with scratch(Path(sys.argv[1])) as folder:
    (folder / "orders").write_text("ann")
    os.kill(os.getpid(), 9)
"""


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


def test_a_file_beside_others_takes_its_place_only_if_it_was_written_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".scratch-of-another").mkdir()
    with beside(tmp_path / "a.csv") as part:
        part.write_text("first")
    with pytest.raises(RuntimeError), beside(tmp_path / "a.csv") as part:
        part.write_text("second")
        raise RuntimeError
    assert sorted(p.name for p in tmp_path.iterdir()) == [".scratch-of-another", "a.csv"]
    assert (tmp_path / "a.csv").read_text() == "first"


def killed(parent: Path) -> None:
    """A process that is killed while it uses a scratch folder."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(parent)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [p.read_text() for p in parent.glob(".scratch-*/orders")] == ["ann"]


def test_what_a_killed_process_left_goes_with_the_next_that_needs_a_folder_there(tmp_path: Path) -> None:
    killed(tmp_path)
    with scratch(tmp_path) as folder:
        assert list(tmp_path.glob(".scratch-*")) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_sweeping_finds_what_was_left_at_any_depth_and_takes_no_folder_in_use(tmp_path: Path) -> None:
    killed(tmp_path)
    killed(tmp_path / "scores" / "2024-03-01")
    with scratch(tmp_path) as first, scratch(tmp_path / "scores") as second:
        killed(tmp_path / "scores")
        sweep(tmp_path)
        assert sorted(tmp_path.rglob(".scratch-*")) == sorted([first, second])
    sweep(tmp_path / "nowhere")


def test_a_reader_finds_the_old_folder_or_the_new_one_and_never_none(tmp_path: Path) -> None:
    here, new = tmp_path / "tables", tmp_path / "new"
    for folder in (here, new):
        write_text(folder / "orders", folder.name)
    names = f"{(here / 'orders')!s}"
    with pytest.MonkeyPatch.context() as patch:  # no two renames, of which the first would leave nothing behind
        patch.setattr(files.os, "replace", lambda *paths: pytest.fail(f"{paths} for {names}"))
        put_in_place(new, here)
    assert ((here / "orders").read_text(), (new / "orders").read_text()) == ("new", "tables")


def test_where_folders_cannot_be_exchanged_a_killed_replacement_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    for content in ("first", "second"):
        with replacing(tmp_path / "tables") as new:
            write_text(new / "orders", content)
    assert (tmp_path / "tables" / "orders").read_text() == "second"
    left = tmp_path / ".scratch-1"  # as a kill between the two renames leaves it
    left.mkdir()
    os.replace(tmp_path / "tables", left / "tables.old")
    sweep(tmp_path)
    assert (tmp_path / "tables" / "orders").read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["tables"]


def test_what_cannot_be_written_whole_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    write_text(tmp_path / "pointer", "first")
    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(tmp_path / "pointer", "second")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("pointer", "first")]
