"""What a process of its own says of rows is what the model says here, bit by bit; its end is told and harms nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pandas as pd
import pytest

from configs.errors import RegistryError
from configs.fingerprint import ROOT
from serving.answer.champion import Champions
from serving.records.evidence import dtypes_of, rows_of
from serving.release.shadow_process import ShadowProcess, answers
from training.model.proof import manifest


@pytest.fixture(scope="module")
def saved(champions: Champions, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a model, and the hash of its manifest."""
    folder = champions.churn.bundle.save(tmp_path_factory.mktemp("model") / "bundle")
    return folder, manifest.verify(folder)


@pytest.fixture
def process() -> Iterator[ShadowProcess]:
    process = ShadowProcess()
    yield process
    process.close()


def test_it_says_bit_by_bit_what_the_model_says_here_and_begins_anew_when_it_was_killed(
    process: ShadowProcess, saved: tuple[Path, str], champions: Champions, customers: pd.DataFrame
) -> None:
    features = customers[list(champions.churn.bundle.features)]
    rows, due = (
        list(rows_of(features)),
        champions.churn.bundle.predict(champions.churn.bundle.encode(features)).tolist(),
    )
    assert features.isna().to_numpy().any()
    assert process.predict(*saved, dtypes_of(features), rows) == due
    first = process._process.pid
    os.kill(first, signal.SIGKILL)
    with pytest.raises(RegistryError, match="ended, or did not answer in time"):
        process.predict(*saved, dtypes_of(features), rows[:3])
    assert process.predict(*saved, dtypes_of(features), rows[:3]) == due[:3] and process._process.pid != first
    process.close()
    with pytest.raises(RegistryError, match="is closed"):
        process.predict(*saved, dtypes_of(features), rows[:3])


def test_who_does_not_answer_in_time_is_ended(saved: tuple[Path, str]) -> None:
    hasty = ShadowProcess(timeout_seconds=0.01)
    with pytest.raises(RegistryError, match="did not answer in time"):
        hasty.predict(*saved, {"spend_90d": "float64"}, [[1.0]])
    assert hasty._process is None


def test_what_fails_is_told_by_its_kind_alone_and_the_next_line_is_answered(
    saved: tuple[Path, str], champions: Champions, customers: pd.DataFrame
) -> None:
    features = customers[list(champions.churn.bundle.features)].head(2)
    good = {
        "folder": str(saved[0]),
        "manifest": saved[1],
        "dtypes": list(dtypes_of(features).items()),
        "rows": list(rows_of(features)),
    }
    altered = {**good, "manifest": "0" * 64}
    missing = {**good, "dtypes": [["spend_90d", "float64"]], "rows": [[1.0]]}
    told = [orjson.loads(line) for line in answers(orjson.dumps(each) for each in (good, missing, altered, good))]
    assert [bool(each["failed"]) for each in told] == [False, True, True, False]
    assert told[2]["failed"] == "RegistryError" and told[0]["said"] == told[3]["said"] and len(told[0]["said"]) == 2


@pytest.mark.slow
def test_it_ends_with_whoever_began_it() -> None:
    command = [sys.executable, "-m", "serving.release.shadow_process"]
    child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdin.close()
    assert child.wait(timeout=60) == 0
    child.stdout.close()
