"""Loops that numba compiles."""

from __future__ import annotations

import os
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from training.compiled import compiled


def _add_squares(values: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(values)):
        out[0] += values[i] * values[i]


def test_a_compiled_loop_does_what_the_function_does() -> None:
    values, found, expected = np.array([1.0, 2.0, 4.0]), np.zeros(1), np.zeros(1)
    compiled(_add_squares)(values, found)
    _add_squares(values, expected)
    assert found == expected == 21.0


def test_a_function_is_compiled_once() -> None:
    assert compiled(_add_squares) is compiled(_add_squares)


def more_of(folder: Path) -> Any:
    """A compiled function of a file in a folder, as a process that begins has it."""
    (file := folder / "more.py").write_text("def more(number):\n    return number + 1\n", "utf-8")
    os.utime(file, (1, 1))  # not of another time than what was kept
    spec = spec_from_file_location("more", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return compiled(module.more)


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_what_a_crash_left_damaged_on_disk_is_compiled_again_and_kept(tmp_path: Path, kind: str) -> None:
    assert more_of(tmp_path)(1) == 2
    for file in (tmp_path / "__pycache__").glob(f"*.{kind}"):
        os.truncate(file, 20)
    assert more_of(tmp_path)(1) == 2
    again = more_of(tmp_path)
    assert again(1) == 2
    assert sum(again.stats.cache_hits.values()) == 1


def test_a_full_disk_stops_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(numba.core.caching.os, "replace", full)
    assert more_of(tmp_path)(1) == 2
