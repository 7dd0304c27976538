"""Tells who a key belongs to, as the file of keys says now: it may be changed, damaged or gone at any time."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from configs.errors import ConfigError
from serving.access.keys import ApiKey, ApiKeys, closed_mark, hash_of, mark_closed
from serving.access.roles import AccessUnavailableError, Caller, NotAuthenticatedError

BELIEVED_SECONDS = 1.0  # after which a server looks again: a revoked key is refused everywhere within it
BUSY_SECONDS = 0.2  # longer no request waits for who writes keys
SETTLED_SECONDS = 2.0  # a file that changed later may change again within the same tick of its clock
NOBODY = b"\0" * 32
Version = tuple[tuple[int, int, int] | None, ...]
logger = logging.getLogger(__name__)


class KeyCheck:
    """Tells who a key belongs to; looks once a second whether the file is another. May be called from several threads.

    Once there was a key, a file that is gone or damaged lets nobody in.

    Parameters
    ----------
    path
        The file of keys; it is not made.
    clock
        Gives the present, UTC.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path, self._clock = path, clock
        self._reading = threading.Lock()
        self._known: dict[str, ApiKey] = {}
        self._closed, self._fault = False, ""
        self._version: Version | None = None
        self._until = 0.0

    def __call__(self, key: str) -> Caller:
        """The caller of a key.

        Raises
        ------
        NotAuthenticatedError
            It is no key of this workspace, or it is revoked or expired.
        AccessUnavailableError
            The keys cannot be read.
        """
        _, _, rest = key.partition("_")
        key_id, _, secret = rest.partition("_")
        known = self._current().get(key_id)
        if not hmac.compare_digest(hash_of(secret), known.hash if known else NOBODY) or known is None:
            raise NotAuthenticatedError("the key is not known")
        if (state := known.state(self._clock().astimezone(UTC))) != "valid":
            raise NotAuthenticatedError(f"the key is {state}")
        return Caller(known.name, known.role, "key", known.rows)

    def is_closed(self) -> bool:
        """Whether there ever was a key, or whether that cannot be told: a service that was closed stays so."""
        with suppress(AccessUnavailableError):
            self._current()
        return self._closed

    def require_readable(self) -> None:
        """Check that the keys can be read.

        Raises
        ------
        AccessUnavailableError
            They cannot.
        """
        self._current()

    def _current(self) -> dict[str, ApiKey]:
        with self._reading:
            if time.monotonic() >= self._until:
                self._look()
                self._until = time.monotonic() + BELIEVED_SECONDS
            if self._fault:
                raise AccessUnavailableError("the keys of the service cannot be read now")
            return self._known

    def _look(self) -> None:
        """Read the keys if the file is another than before, and know whether the service is closed."""
        fault, version = "", self._version_now()
        if version is None or version != self._version:
            self._known, fault = self._read()
        self._version = None if fault else version
        self._closed = self._closed or bool(self._known) or bool(fault) or closed_mark(self._path).exists()
        if fault and fault != self._fault:
            logger.error("%s", fault)
        self._fault = fault

    def _read(self) -> tuple[dict[str, ApiKey], str]:
        """The keys by their id, and what is wrong with their file."""
        if not self._path.exists():
            was_there = self._closed or closed_mark(self._path).exists()
            return {}, f"there were keys, and their file '{self._path}' is gone: put a copy back" if was_there else ""
        try:
            with ApiKeys(self._path, self._clock, busy_seconds=BUSY_SECONDS) as keys:
                known = {key.key_id: key for key in keys.all()}
            if known:
                mark_closed(self._path)
        except (ConfigError, OSError) as error:
            return {}, str(error)
        return known, ""

    def _version_now(self) -> Version | None:
        """Which file it is and when it changed; None where it is gone, or changed so lately that it may again."""
        found: list[tuple[int, int, int] | None] = []
        for path in (self._path, self._path.with_name(self._path.name + "-wal")):
            try:
                stat = path.stat()
            except OSError:
                found.append(None)
                continue
            if abs(time.time() - stat.st_mtime) < SETTLED_SECONDS:
                return None
            found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return tuple(found) if found[0] else None
