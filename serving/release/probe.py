"""A model is loaded and asked in a child process first: what crashes there, or never ends, crashes no worker.

Files whose hashes are right may still be malformed, and LightGBM reads them in native code: no ``except`` catches that.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from configs.errors import RegistryError
from configs.fingerprint import ROOT
from training.model.bundle import load

TIMEOUT_SECONDS = 60.0
ROWS = 64
TRIED = "{}: tried in a process of its own, it"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def probe(folder: Path, manifest: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Load a bundle in a process of its own and have it answer for a few made-up customers.

    Raises
    ------
    RegistryError
        It crashed, did not end in time, or gave something that is not a number.
    """
    command = [sys.executable, "-m", "serving.release.probe", str(folder), manifest]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command,
            cwd=ROOT,
            env={**os.environ, **ONE_THREAD},
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RegistryError(f"{TRIED.format(folder)} did not answer in {timeout_seconds:g} s") from None
    if done.returncode:
        raise RegistryError(f"{TRIED.format(folder)} {_ending(done.returncode, done.stderr)}")


def _ending(code: int, said: str) -> str:
    if code < 0:
        return f"crashed ({signal.Signals(-code).name}): its files are malformed"
    return f"failed: {next(reversed(said.strip().splitlines()), '')}"


def answer(folder: Path, manifest: str) -> None:
    """Load a bundle, and have it say all that answers take from it."""
    bundle = load(folder, manifest)
    unknown = np.full((1, len(bundle.features)), np.nan)
    known = bundle.encode(bundle.reference.head(ROWS)) if len(bundle.reference) else unknown
    matrix = np.vstack([unknown, known])
    alone = bundle.predict(matrix[:1])
    predicted = bundle.predict(matrix)
    explained = bundle.explain(matrix)
    curve = bundle.survival(matrix, predicted).no_event if bundle.task == "churn" else {}
    if not all(np.isfinite(part).all() for part in (predicted, explained.effects, *curve.values())):
        raise RegistryError(f"{folder} gives something that is not a number")
    if alone[0] != predicted[0]:
        raise RegistryError(f"{folder} gives a customer alone {alone[0]}, and among others {predicted[0]}")


if __name__ == "__main__":
    answer(Path(sys.argv[1]), sys.argv[2])
