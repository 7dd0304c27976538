"""Loops that numba compiles."""

from __future__ import annotations

import numpy as np

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
