"""Loops that numba compiles: at their first call, and kept on disk for other processes.

Importing the compiler takes half a second, so it is imported when the first loop is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

Function = Callable[..., Any]
logger = logging.getLogger(__name__)


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

    loops: Any = njit(nogil=True)(function)
    with suppress(RuntimeError):  # neither this folder nor the user's can be written
        loops._cache = _files()(function)  # as numba's own `enable_caching` does
    return loops


@cache
def _files() -> Callable[[Function], Any]:
    """Makes numba's files of a function: one that cannot be read is made anew, one that cannot be written is not."""
    from numba.core.caching import FunctionCache

    class Files(FunctionCache):
        """What was compiled of one function."""

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            """What is kept; None, and room for it, where a crash left a damaged file."""
            try:
                return super().load_overload(sig, target_context)
            except Exception as error:
                logger.warning("compiled loops on disk cannot be read, and are compiled again: %s", error)
                with suppress(OSError):
                    self.flush()

        def save_overload(self, sig: Any, data: Any) -> None:
            """Keep it, where there is room on the disk."""
            try:
                super().save_overload(sig, data)
            except Exception as error:
                logger.warning("compiled loops cannot be kept on disk, every start compiles them: %s", error)

    return Files
