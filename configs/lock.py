"""One at a time changes a workspace; who comes second is told who is at it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from configs.errors import StaycastError
from configs.files import sweep, write_text

WAIT_SECONDS = 2.0


class BusyError(StaycastError):
    """Another process changes this workspace."""

    status = 503


@contextmanager
def exclusive(state: Path, verb: str, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Be the only one who changes a workspace while the body runs; within one thread it may be asked for again.

    The lock ends with the process at the latest, however it ends. What killed processes left half done goes first.
    Reading needs no lock.

    Parameters
    ----------
    state
        The folder that holds the workspace's state; it is made if there is none.
    verb
        What is done, for those who come meanwhile.
    wait_seconds
        How long to wait for another.

    Raises
    ------
    BusyError
        Another is at it; the message says what it does, which process on which machine it is, and since when.
    """
    state.mkdir(parents=True, exist_ok=True)
    lock = FileLock(state / "lock", is_singleton=True)
    try:
        lock.acquire(timeout=wait_seconds)
    except Timeout:
        raise BusyError(_who_holds(state)) from None
    try:
        if lock.lock_counter == 1:
            me = {"pid": os.getpid(), "verb": verb, "host": socket.gethostname()}
            sweep(state)
            write_text(_holder(state), json.dumps(me | {"since": datetime.now(UTC).isoformat(timespec="seconds")}))
        yield
    finally:
        if lock.lock_counter == 1:
            _holder(state).unlink(missing_ok=True)
        lock.release()


def _holder(state: Path) -> Path:
    return state / "lock.json"


def _who_holds(state: Path) -> str:
    try:
        who = json.loads(_holder(state).read_text("utf-8"))
        by = f"`{who['verb']}`, process {who['pid']} on {who['host']}, since {who['since']}"
    except (OSError, ValueError, KeyError):  # it has only just begun or ended
        by = "another process"
    return (
        f"workspace '{state.parent}' is being changed by {by}: wait until it has ended, or give another folder with "
        "--workspace"
    )
