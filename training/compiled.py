"""Loops that numba compiles: at their first call, and kept on disk for other processes.

Importing the compiler takes half a second, so it is imported when the first loop is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

Function = Callable[..., Any]


@cache
def compiled(function: Function) -> Function:
    """A function as numba compiles it for the types that it is called with; it holds no lock of the interpreter.

    It is kept on disk for other processes where there is a place for it, beside its module or in the user's cache.

    Parameters
    ----------
    function
        Takes numbers and arrays, and calls other compiled functions alone.
    """
    from numba import njit

    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # neither this folder nor the user's can be written
        return njit(nogil=True)(function)
