"""The promotion ledger: who put which model version in charge, when, why, and on what evidence.

A text file of JSON lines that only grows. Each line carries its number and the SHA-256 of the line before it, so a
line that is changed, removed or put in between breaks the chain at a place that can be named. What a chain alone
cannot show is that its newest lines were cut off: for that, note the `sha256` of the newest record elsewhere and look
it up again (``[r.sha256 for r in read(path)]``).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from configs.errors import DataError
from configs.files import sync

ACTIONS = ("promote", "reject", "rollback", "shadow", "canary", "stop", "accept_quality", "accept_leaks")
DECIDES = ("promote", "rollback")  # which version serves
RELEASES = ("shadow", "canary")  # which runs beside it
START = "0" * 64


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A decision to be recorded.

    Attributes
    ----------
    action
        ``promote`` (`version` becomes the champion), ``reject`` (it does not), ``rollback`` (an earlier one does
        again), ``shadow`` or ``canary`` (it runs beside the champion, see `training.model.proof.releases`), ``stop``
        (it does so no more), ``accept_quality`` (a load that was stopped may be used) or ``accept_leaks`` (a model may
        learn from columns that look as if they knew the label).
    model
        Name of the registered model: ``churn``; ``data`` for a load.
    version
        The version that was promoted, rejected or returned to; the fingerprint of the data that was accepted.
    previous
        The champion before the decision; None if there was none.
    by
        Who decided: a person, or the name of the job.
    reason
        Why, in a sentence.
    checks
        What the gates measured: the ``checks`` of ``Decision.to_dict()``.
    manifest
        The hash of the manifest of the version's files; empty of a load.
    percent
        Of the customers whom a canary answers, above 0 and below 100; None of all else.
    at
        When, with its time zone; now by default.
    """

    action: str
    model: str
    version: str
    previous: str | None
    by: str
    reason: str
    checks: tuple[dict[str, Any], ...] = ()
    manifest: str = ""
    percent: float | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        """Refuse what could not be read back."""
        if self.action not in ACTIONS:
            raise DataError(f"ledger: unknown action '{self.action}'; use one of {', '.join(ACTIONS)}")
        if self.at.utcoffset() is None:
            raise DataError(f"ledger: the time {self.at.isoformat()} has no time zone; pass one in UTC")
        for name in ("model", "version", "by", "reason"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise DataError(f"ledger: '{name}' must be a text that is not empty, got {value!r}")
        share = 1.0 if self.percent is None else self.percent
        if (self.percent is not None) != (self.action == "canary") or not 0 < share < 100:
            raise DataError(f"ledger: a canary, and nothing else, has a percentage in (0, 100), got {self.percent}")


@dataclass(frozen=True, kw_only=True)
class Record(Entry):
    """An entry as it stands in the ledger.

    Attributes
    ----------
    entry
        Its number, from 1.
    previous_sha256
        SHA-256 of the line before it, without its line end; 64 zeros for the first.
    sha256
        SHA-256 of its own line: what the next one will carry. Not stored.
    """

    entry: int
    previous_sha256: str
    sha256: str


def append(path: str | Path, entry: Entry) -> Record:
    """Write a decision at the end of the ledger, so that it survives a crash of the machine.

    The file is locked meanwhile, so that processes take turns, and made with its folders if there is none.

    Returns
    -------
    Record
        The entry with its place in the chain.

    Raises
    ------
    DataError
        The ledger is broken (nothing is added to it then), or a check holds a value that JSON cannot.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, fcntl.LOCK_EX) as file:
        records = _verify(_contents(file), path)
        number, last = (records[-1].entry + 1, records[-1].sha256) if records else (1, START)
        line = _line(entry, number, last)
        unwritten = line + b"\n"
        while unwritten:
            unwritten = unwritten[os.write(file, unwritten) :]
        os.fsync(file)
        if not records:
            sync(path.parent)
    return _record(line, json.loads(line))


def read(path: str | Path) -> list[Record]:
    """Read the ledger, oldest entry first, and verify its chain.

    Returns
    -------
    list of Record
        Empty if there is no ledger yet.

    Raises
    ------
    DataError
        A line is broken; the first such line is named.
    """
    path = Path(path)
    if not path.exists():
        return []
    with _locked(path, os.O_RDONLY, fcntl.LOCK_SH) as file:
        content = _contents(file)
    return _verify(content, path)


def champions(path: str | Path, model: str) -> list[str]:
    """List the versions that lead to today's champion, which is the last of them.

    A promotion adds a version. A rollback takes away all that came after the version returned to, so that a second
    one goes further back and not to and fro. All other entries change nothing.
    """
    reigning: list[str] = []
    for record in read(path):
        if record.model != model or record.action not in DECIDES:
            continue
        if record.action == "rollback" and record.version in reigning:
            reigning = reigning[: len(reigning) - reigning[::-1].index(record.version)]
        elif reigning[-1:] != [record.version]:
            reigning = [*reigning, record.version]
    return reigning


def champions_since(path: str | Path, model: str, since: datetime) -> list[str]:
    """List those of `champions` that were in charge at some time from `since` on, each once, today's last.

    One that a rollback took away is not among them: nobody need be as good as what was found to be wrong.
    """
    reigning = champions(path, model)
    began = {r.version: r.at for r in read(path) if r.model == model and r.action in DECIDES}
    recent = [v for v, successor in pairwise(reigning) if began[successor] > since] + reigning[-1:]
    return list(dict.fromkeys(reversed(recent)))[::-1]


def previous_champion(path: str | Path, model: str) -> str | None:
    """Name the version that a rollback returns to: the one before today's champion. None if there is none."""
    reigning = champions(path, model)
    return reigning[-2] if len(reigning) > 1 else None


@contextmanager
def _locked(path: Path, flags: int, lock: int) -> Iterator[int]:
    file = os.open(path, flags, 0o644)
    try:
        fcntl.flock(file, lock)
        yield file
    finally:
        os.close(file)


def _contents(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)


def _line(entry: Entry, number: int, previous_sha256: str) -> bytes:
    fields_ = {f.name: getattr(entry, f.name) for f in fields(Entry)}
    if entry.percent is None:
        del fields_["percent"]
    content = {"entry": number, **fields_, "at": iso(entry.at), "previous_sha256": previous_sha256}
    try:
        return json.dumps(content, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise DataError(f"ledger: the checks of {entry.model}/{entry.version} are not JSON: {error}") from None


def iso(at: datetime) -> str:
    """A time as the ledger writes it, UTC."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _verify(content: bytes, path: Path) -> list[Record]:
    records: list[Record] = []
    *lines, rest = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        expected = records[-1].sha256 if records else START
        records.append(_link(line, number, expected, path))
    if rest:
        raise _broken(path, len(lines) + 1, "it has no line end, so its writing was cut short", "remove that line")
    return records


def _link(line: bytes, number: int, expected: str, path: Path) -> Record:
    try:
        record = _record(line, json.loads(line))
    except (ValueError, TypeError, KeyError, DataError) as error:
        raise _broken(path, number, f"it is not an entry ({type(error).__name__}: {error})") from None
    if record.previous_sha256 != expected:
        got = f"it follows a line with hash {record.previous_sha256[:12]}, but the line before it has {expected[:12]}"
        raise _broken(path, number, f"{got}: one of the two was changed, added or removed")
    if record.entry != number:
        raise _broken(path, number, f"it says it is entry {record.entry}")
    return record


def _record(line: bytes, content: dict[str, Any]) -> Record:
    at = datetime.fromisoformat(content["at"])
    checks = tuple(content["checks"])
    return Record(**{**content, "at": at, "checks": checks}, sha256=hashlib.sha256(line).hexdigest())


def _broken(path: Path, number: int, why: str, what_to_do: str = "restore the file from a backup") -> DataError:
    return DataError(f"ledger '{path}' is broken at line {number}: {why}. Keep a copy for the record and {what_to_do}")


def to_dict(record: Record) -> dict[str, Any]:
    """Give a record as plain values for JSON.

    >>> entry = Entry(action="promote", model="churn", version="1", previous=None, by="ana", reason="first model")
    >>> to_dict(Record(**vars(entry), entry=1, previous_sha256=START, sha256=START))["action"]
    'promote'
    """
    return {**asdict(record), "at": iso(record.at), "checks": list(record.checks)}
