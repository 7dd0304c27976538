"""A stage that is killed at any step leaves what was current, and the next run is clean."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def kills(folder: Path, stage: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Kill a stage again and again, see `tests.kills`; what is seen without a kill, and after each."""
    command = [sys.executable, "-m", "tests.kills", str(folder), stage]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    first, *others = map(json.loads, done.stdout.splitlines())
    return first, others


@pytest.mark.slow
def test_an_ingest_killed_at_any_step_leaves_the_load_before_or_the_new_one_whole(tmp_path: Path) -> None:
    told, killed = kills(tmp_path, "ingest")
    before, after = told["before"]["loaded"]["tables"], told["after"]["loaded"]["tables"]
    assert before != after and told["steps"] > 20 and len(killed) > 5
    seen = [kill["left"]["loaded"] for kill in killed]
    assert all(left["whole"] is True for left in seen)
    found = [left["tables"] for left in seen]
    step = found.index(after)
    assert found == [before] * step + [after] * (len(found) - step), "from one step on, and never back"
    for kill in killed:
        assert (kill["code"], kill["again"]) == (-9, [0, None]), kill
        assert kill["then"]["loaded"] == {"tables": after, "whole": True, "left": []}, kill


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("stage", ["features", "train churn", "score"])
def test_what_was_current_serves_after_a_kill_at_any_step_and_the_next_run_is_clean(tmp_path: Path, stage: str) -> None:
    told, killed = kills(tmp_path, stage)
    assert told["before"]["serving"]["whole"] is True and told["before"]["serving"]["model"] == "churn/1"
    for kill in killed:
        assert kill["code"] == -9 and kill["left"]["loaded"]["whole"] is True, kill
        assert kill["left"]["serving"]["whole"] is True, kill
    last = killed[-1]
    assert last["again"] == [0, None] and last["then"]["serving"]["whole"] is True, last
    assert last["then"]["loaded"]["left"] == [], last
