"""A stage that is killed at any step leaves what was current, and the next run is clean."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def killer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """See `tests.kills`."""
    command = [sys.executable, "-m", "tests.kills", str(tmp_path_factory.mktemp("kills"))]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


def kills(killer: subprocess.Popen[str], stage: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Kill a stage again and again; what is seen without a kill, and after each."""
    assert killer.stdin and killer.stdout
    print(stage, file=killer.stdin, flush=True)
    lines = []
    while (line := killer.stdout.readline()) != "\n":
        assert line, "the process that kills has ended"
        lines.append(line)
    first, *others = map(json.loads, lines)
    return first, others


@pytest.mark.slow
def test_an_ingest_killed_at_any_step_leaves_the_load_before_or_the_new_one_whole(
    killer: subprocess.Popen[str],
) -> None:
    told, killed = kills(killer, "ingest")
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
def test_what_was_current_serves_after_a_kill_at_any_step_and_the_next_run_is_clean(
    killer: subprocess.Popen[str], stage: str
) -> None:
    told, killed = kills(killer, stage)
    assert told["before"]["serving"]["whole"] is True and told["before"]["serving"]["model"] == "churn/1"
    for kill in killed:
        assert kill["code"] == -9 and kill["left"]["loaded"]["whole"] is True, kill
        assert kill["left"]["serving"]["whole"] is True, kill
    last = killed[-1]
    assert last["again"] == [0, None] and last["then"]["serving"]["whole"] is True, last
    assert last["then"]["loaded"]["left"] == [], last
