"""Processes that do not outlive the one that began them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import parent_process


def end_with_parent() -> None:
    """End this process, one of `multiprocessing`, when the one that began it is gone, however that ended."""
    threading.Thread(target=_wait_and_end, name="parent", daemon=True).start()


def end_when_told(descriptor: int, before: Callable[[], None]) -> None:
    """End this process when a pipe ends or SIGTERM comes, and do something before, once. Only a main thread may ask."""
    ending = threading.Lock()

    def end() -> None:
        with ending:  # which is left with the process
            try:
                before()
            finally:
                os._exit(0)

    def wait() -> None:
        while os.read(descriptor, 1):
            continue
        end()

    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=end, name="stop").start())
    threading.Thread(target=wait, name="input", daemon=True).start()


def _wait_and_end() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
