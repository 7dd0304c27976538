"""Processes that do not outlive the one that began them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from multiprocessing import parent_process


def end_with_parent() -> None:
    """End this process, one of `multiprocessing`, when the one that began it is gone, however that ended."""
    threading.Thread(target=_wait_and_end, name="parent", daemon=True).start()


def end_with_input(descriptor: int, before: Callable[[], None]) -> None:
    """End this process when a pipe ends, and do something before."""

    def wait() -> None:
        while os.read(descriptor, 1):
            continue
        try:
            before()
        finally:
            os._exit(0)

    threading.Thread(target=wait, name="input", daemon=True).start()


def _wait_and_end() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
