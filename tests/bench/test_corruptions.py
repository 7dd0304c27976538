"""Fourteen kinds of seeded corruption are stopped, and clean loads are not: `bench/quality.py` with fewer trials."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.corruptions import KINDS, corrupt
from features.simulation.shop import generate

ROOT = Path(__file__).parents[2]
TRIALS = 2  # one with letters outside ASCII, one without


@pytest.fixture(scope="module")
def bench() -> dict[str, Any]:
    sys.path.insert(0, str(ROOT / "bench"))
    try:
        return runpy.run_path(str(ROOT / "bench" / "quality.py"))
    finally:
        sys.path.remove(str(ROOT / "bench"))


@pytest.fixture(scope="module")
def records(bench: dict[str, Any]) -> pd.DataFrame:
    """One row a trial and kind, on synthetic customers."""
    return pd.DataFrame(bench["run"](TRIALS, businesses=("synthetic",)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_corruption_is_stopped_in_every_trial(records: pd.DataFrame, kind: str) -> None:
    mine = records[records["kind"] == kind]
    assert len(mine) == TRIALS
    assert mine["found"].map(bool).all(), mine[["what", "found"]].to_dict("records")


@pytest.mark.slow
def test_a_clean_load_is_never_stopped(records: pd.DataFrame) -> None:
    clean = records[records["kind"] == "clean"]
    assert not clean["found"].map(bool).any()
    assert not clean["found_without_reference"].map(bool).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_corruption_is_seeded_and_leaves_what_it_was_given(kind: str) -> None:
    tables = dict(generate(60, 3, 5).tables)
    before = {n: f.copy() for n, f in tables.items()}
    first, said = corrupt(kind, tables, np.random.default_rng(1))
    two, again = corrupt(kind, tables, np.random.default_rng(1))
    assert said == again
    for name, frame in before.items():
        pd.testing.assert_frame_equal(tables[name], frame)
        pd.testing.assert_frame_equal(first[name], two[name])
    assert any(not first[n].equals(before[n]) for n in before)
