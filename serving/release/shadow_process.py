"""A shadow scores in a process of its own, as threads of one take turns: beside one that scores, answers would wait.

The process reads a line of JSON a batch, and writes one: numbers come back as the very same. It has the lowest priority
and ends with the one that began it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from configs.errors import RegistryError
from configs.fingerprint import ROOT
from training.model.bundle import Bundle, load

TIMEOUT_SECONDS = 60.0  # of a batch, the first of which loads the model
LOWEST_PRIORITY = 19
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
Pipe = subprocess.Popen[bytes]


class ShadowProcess:
    """The process, as seen by the one that began it. One thread asks at a time; another may close it."""

    def __init__(self, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout_seconds
        self._process: Pipe | None = None
        self._closed = False

    def predict(
        self, folder: Path, manifest: str, dtypes: Mapping[str, str], rows: Sequence[Sequence[Any]]
    ) -> list[float]:
        """What a model says of feature rows.

        Parameters
        ----------
        folder, manifest
            Of the model's files, see `training.model.bundle.load`.
        dtypes
            The types of the columns, in their order; at least the columns that the model reads.
        rows
            Their values.

        Raises
        ------
        RegistryError
            It cannot be loaded, failed, crashed or did not answer in time; a new process is begun the next time.
        """
        process = self._begun()
        asked = {"folder": str(folder), "manifest": manifest, "dtypes": list(dtypes.items()), "rows": rows}
        timer = threading.Timer(self._timeout, process.kill)
        timer.start()
        try:
            assert process.stdin is not None and process.stdout is not None  # noqa: S101 - both are pipes
            process.stdin.write(orjson.dumps(asked, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY))
            process.stdin.flush()
            told = orjson.loads(process.stdout.readline())
        except (OSError, ValueError):
            self._end()
            raise RegistryError("the process of the shadow ended, or did not answer in time") from None
        finally:
            timer.cancel()
        if told["failed"]:
            raise RegistryError(f"the shadow failed: {told['failed']}")
        return list(told["said"])

    def close(self) -> None:
        """End the process; who waits for it is told so."""
        self._closed = True
        self._end()

    def _begun(self) -> Pipe:
        if self._closed:
            raise RegistryError("the process of the shadow is closed")
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "serving.release.shadow_process"],
                cwd=ROOT,
                env={**os.environ, **ONE_THREAD},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    _close(pipe)


def _close(pipe: Any) -> None:
    """Close a pipe, whatever is left in it."""
    try:
        pipe.close()
    except OSError:
        return


def answers(lines: Iterable[bytes]) -> Iterable[bytes]:
    """A line for each line asked, see `ShadowProcess.predict`; the model of the last line stays loaded."""
    name, bundle = "", None
    for line in lines:
        asked = orjson.loads(line)
        try:
            if bundle is None or name != asked["manifest"]:
                name, bundle = asked["manifest"], load(Path(asked["folder"]), asked["manifest"])
            told = {"failed": "", "said": _said(bundle, dict(asked["dtypes"]), asked["rows"])}
        except Exception as error:
            told = {"failed": type(error).__name__, "said": []}
        yield orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)


def _said(bundle: Bundle, dtypes: Mapping[str, str], rows: list[list[Any]]) -> list[float]:
    """What a model says of rows; null is not known."""
    frame = pd.DataFrame(rows, columns=list(dtypes)).astype(dict(dtypes))
    return [float(each) for each in bundle.predict(bundle.encode(frame))]


if __name__ == "__main__":
    os.nice(LOWEST_PRIORITY)
    for told in answers(sys.stdin.buffer):
        sys.stdout.buffer.write(told)
        sys.stdout.buffer.flush()
