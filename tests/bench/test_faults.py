"""A fault is there within its `with`, and over after, whatever happened; growth is what grows, not a peak."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from bench import faults, soak
from bench.faults import Seen


def test_a_locked_file_is_written_by_nobody_else_until_it_is_free(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "f.db", timeout=0.01, isolation_level=None)) as own:
        own.execute("CREATE TABLE t (x)")
        with faults.locked(tmp_path / "f.db"), pytest.raises(sqlite3.OperationalError, match="locked"):
            own.execute("INSERT INTO t VALUES (1)")
        own.execute("INSERT INTO t VALUES (2)")
        assert own.execute("SELECT x FROM t").fetchall() == [(2,)]


@pytest.mark.parametrize("change", [faults.truncated, faults.flipped])
def test_a_damaged_file_is_another_and_then_the_same_again(tmp_path: Path, change) -> None:
    path = tmp_path / "model.txt"
    path.write_bytes(b"tree 12345")
    with pytest.raises(RuntimeError), faults.damaged(path, change):
        assert path.read_bytes() in (b"tree ", b"tree 02345")
        raise RuntimeError
    assert path.read_bytes() == b"tree 12345"


def test_a_file_that_is_away_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("here")
    with pytest.raises(RuntimeError), faults.away(path):
        assert not path.exists()
        raise RuntimeError
    assert path.read_text() == "here"


def test_a_process_whose_files_may_not_grow_writes_again_after(tmp_path: Path) -> None:
    code = (
        "import sys\nfor line in sys.stdin:\n"
        " try: open(sys.argv[1], 'wb').write(bytes(100_000)); print('written', flush=True)\n"
        " except OSError: print('full', flush=True)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "f")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin and child.stdout

        def tries() -> str:
            child.stdin.write("\n")
            child.stdin.flush()
            return child.stdout.readline().strip()

        assert tries() == "written"
        with faults._no_growth([child.pid]):
            assert tries() == "full"
        assert tries() == "written"


def test_a_frozen_process_runs_again_after() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = psutil.Process(child.pid)
        with faults.frozen(process):
            becomes(process, stopped=True)
        becomes(process, stopped=False)


def becomes(process: psutil.Process, stopped: bool) -> None:
    """A signal takes a moment."""
    end = time.monotonic() + 10
    while (process.status() == psutil.STATUS_STOPPED) != stopped:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_record_of_what_came_counts_by_status_and_times_in_milliseconds() -> None:
    seen = [Seen(200, 0.1), Seen(503, 0.2), Seen(503, 0.4)]
    told = faults.row("disk full", "events", seen, 1.5)
    assert told["statuses"] == {"200": 1, "503": 2}
    assert (told["p50_ms"], told["slowest_ms"], told["recovery_seconds"]) == (200.0, 400.0, 1.5)


def test_growth_is_of_the_line_and_no_single_peak() -> None:
    steady = [(float(t), 100.0) for t in range(0, 60, 5)]
    assert soak.growth(steady) == 0.0
    assert soak.growth([*steady[:5], (25.0, 900.0), *steady[6:]]) == 0.0
    assert soak.growth([(t, 100.0 + t) for t, _ in steady]) == pytest.approx(0.55)
