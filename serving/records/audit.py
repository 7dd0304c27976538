"""Whether the record is whole, how its key is changed, it is moved, and what is older than it may be kept removed."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from filelock import FileLock, Timeout

from configs.errors import ConfigError, StaycastError
from configs.settings import Records
from configs.workspace import Workspace
from features.store.timestamps import from_micros, to_micros
from serving.records.chain import MOST_FAULTS, START, Entry, Fault, Link, faults_of
from serving.records.checkpoints import Checkpoint, load_checkpoints
from serving.records.envelope import name_in
from serving.records.prediction_log import PredictionLog
from serving.records.store import Store

if TYPE_CHECKING:
    from serving.records.postgres_store import PostgresStore

PRUNED = "pruned"
COPIED_AT_ONCE = 1000
AT_ONCE = 200  # entries removed in one transaction: who answers waits no longer than for another answer
SECONDS_BETWEEN = 6 * 3600.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """What a verification found.

    Attributes
    ----------
    faults
        Empty where the record is whole.
    first, last
        Positions of the entries there are; 0 without any.
    checkpoints
        How many were compared.
    """

    faults: list[Fault]
    first: int
    last: int
    checkpoints: int


def verify(log: PredictionLog, folder: Path, public_key: str | None = None) -> Verdict:
    """Look for edits, deletions, another order, a cut-off end, and for what cannot be read and no erasure says why.

    One answer of each person is decrypted.

    Parameters
    ----------
    log
        The record.
    folder
        Of the signed checkpoints.
    public_key
        As for `load_checkpoints`.
    """
    try:
        checkpoints = load_checkpoints(folder, public_key)
    except ConfigError as error:
        return Verdict([Fault(0, str(error))], 0, 0, 0)
    first = next(log.store.entries(), None)
    if first is not None and not any(c.why == "head" for c in checkpoints):
        unsigned = Fault(0, "there is no signed head among the checkpoints: nothing tells how far the record went")
        return Verdict([unsigned], first.position, 0, 0)
    before = _start(first, checkpoints)
    if before is None:
        missing = Fault(1, f"entries before {first.position if first else 1} are missing, and were not removed by age")
        return Verdict([missing], first.position if first else 0, 0, len(checkpoints))
    seen = _Seen()
    known = [c.link for c in checkpoints if c.position > before.position]
    faults, last = faults_of(seen.watch(log.store.entries()), before, known)
    if not faults:
        faults = sorted(_unreadable(log, seen, last.position), key=lambda fault: fault.position)[:MOST_FAULTS]
    return Verdict(faults, first.position if first else 0, last.position, len(checkpoints))


def _start(first: Entry | None, checkpoints: list[Checkpoint]) -> Link | None:
    """What the first entry must follow: the start, or the signed end of what was removed by age; None: neither."""
    if first is None or first.position == 1:
        return Link(0, START)
    ends = (c.link for c in checkpoints if c.why == PRUNED and c.position == first.position - 1)
    return next(ends, None)


class _Seen:
    """The first answer of each person and with each context, and whose keys were destroyed by an erasure."""

    def __init__(self) -> None:
        self.answers: dict[bytes, Entry] = {}
        self.contexts: dict[bytes, int] = {}
        self.erased: set[bytes] = set()

    def watch(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        for entry in entries:
            if entry.kind == "answer":
                if entry.person not in self.answers:
                    self.answers[entry.person] = replace(entry, content=b"")
                if entry.context is not None:
                    self.contexts.setdefault(entry.context, entry.position)
            elif entry.kind == "erased":
                self.erased.update(map(bytes.fromhex, orjson.loads(entry.content)))
            yield entry


def _unreadable(log: PredictionLog, seen: _Seen, last: int) -> Iterator[Fault]:
    """Answers up to the last that cannot be read, or not be found by their customer, though nobody was erased."""
    with log.store.looking():
        persons = {name: (pseudonym, key) for pseudonym, (name, key) in log.store.all_persons().items()}
    list(seen.watch(log.store.entries(last + 1)))  # who was erased since the entries were read, and before the persons
    for name, first in seen.answers.items():
        if name in seen.erased:
            continue
        if name not in persons:
            yield Fault(first.position, "cannot be read: its key is gone, and no erasure says so")
        elif what := log.fault_in_person(*persons[name], first):
            yield Fault(first.position, what)
    for hash_, position in seen.contexts.items():
        if what := log.fault_in_context(hash_):
            yield Fault(position, what)


def rotate(log: PredictionLog) -> int:
    """Wrap all data keys with a new master key, and drop the old one; how many were wrapped anew.

    Rows are not touched. Whoever writes meanwhile finds the new key; killed at any moment, both keys are there and it
    can be done again. A key in an environment variable is put before the old one by whoever sets it, for all processes.
    """
    masters = log.masters
    if not masters.variable:
        masters.add()
    newest = masters.newest
    with log.store.writing():
        persons, secrets = log.store.all_persons(), log.store.secrets()
        if masters.variable and name_in(secrets["own"]) == newest:
            raise ConfigError(
                f"put a new key before the old one in {masters.place}, start anew what serves, and rotate then"
            )
        wrapped = {p: (name, masters.wrap(masters.unwrap(key), newest)) for p, (name, key) in persons.items()}
        own = {name: masters.wrap(masters.unwrap(key), newest) for name, key in secrets.items()}
        log.store.replace_keys(wrapped, own)
    log.note_event("rotated", {"keys": len(wrapped)})
    log.store.overwrite_deleted()
    masters.drop_old()
    return len(wrapped)


def move(workspace: Workspace, settings: Records) -> int:
    """Take the record from its file to the database of the settings, and remove the file; how many entries it has.

    Chain, keys and checkpoints stay as they are. Nobody writes to the file meanwhile, and whoever has it open keeps
    nothing any more. What was cut short can be done again: the file goes last.

    Raises
    ------
    ConfigError
        No database is set or there is no file, the database holds another record, or the record is not whole.
    """
    path = workspace.prediction_log
    if settings.database is None or not path.is_file():
        raise ConfigError("nothing to move: set `records.database`; what is moved to it is a record in the workspace")
    from serving.records.postgres_store import PostgresStore

    with PredictionLog.of(workspace, settings.model_copy(update={"database": None})) as log:
        folder = log.checkpoints.folder
        _require_whole(log, folder)
        with log.store.writing():
            with closing(PostgresStore(settings.database)) as target:
                target.open()
                with target.writing():
                    _copy(log.store, target)
            with PredictionLog(path, log.masters, folder, database=settings.database) as moved:
                last = _require_whole(moved, folder)
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
    return last


def _require_whole(log: PredictionLog, folder: Path) -> int:
    verdict = verify(log, folder)
    if verdict.faults:
        raise ConfigError(f"the record is not whole: entry {verdict.faults[0].position} {verdict.faults[0].what}")
    return verdict.last - verdict.first + 1 if verdict.last else 0


def _copy(source: Store, target: PostgresStore) -> None:
    """All tables; for the bodies of `writing` of both."""
    secrets = source.secrets()
    if target.secrets() not in ({}, secrets):
        raise ConfigError("records.database holds another record: give an empty database, or a schema of its own")
    target.clear()
    target.add_secrets(secrets)
    target.add_persons(source.all_persons())
    for hash_, sealed in source.all_contexts().items():
        target.add_context(hash_, sealed)
    entries = source.entries()
    while some := list(islice(entries, COPIED_AT_ONCE)):
        target.insert(some)


def prune(log: PredictionLog, now: datetime, keep_days: int) -> int:
    """Remove the oldest entries, as far as all are older than they may be kept; how many, 0 while another does so.

    The end of what is removed is signed before, so that the rest is still told from a record whose start was cut off.

    Raises
    ------
    ConfigError
        What would be removed is not whole: it is kept until somebody has looked.
    """
    try:
        with FileLock(log.checkpoints.folder / ".pruning", timeout=0):
            return _prune(log, now, to_micros(now - timedelta(days=keep_days)))
    except Timeout:
        return 0


@contextmanager
def pruning(log: PredictionLog, keep_days: int, first_after_seconds: float = 60.0) -> Iterator[None]:
    """Remove what is older than it may be kept in the background, again and again."""
    ended = threading.Event()

    def work() -> None:
        wait = first_after_seconds
        while not ended.wait(wait):
            wait = SECONDS_BETWEEN
            try:
                prune(log, datetime.now(UTC), keep_days)
            except (StaycastError, sqlite3.Error, OSError) as error:
                logger.error("old entries of the record cannot be removed: %s", error)

    thread = threading.Thread(target=work, daemon=True, name="pruning")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _prune(log: PredictionLog, now: datetime, before: int) -> int:
    end = log.store.end_before(before)
    first = next(log.store.entries(), None)
    if first is None or end < first.position:
        return 0
    start = _start(first, load_checkpoints(log.checkpoints.folder))
    faults = [] if start is None else faults_of(log.store.entries(last=end), start, [])[0]
    if start is None or faults:
        raise ConfigError("the oldest entries of the record are not whole: `staycast audit verify` says where")
    # behind what goes, so that an entry always stays and the chain goes on from it
    log.note_event(PRUNED, {"through": end, "before": from_micros(before).isoformat()})
    for chunk_end in [*range(first.position + AT_ONCE - 1, end, AT_ONCE), end]:
        (entry,) = log.store.entries(chunk_end, chunk_end)
        log.checkpoints.add(Link(entry.position, entry.hash), to_micros(now), PRUNED)
        with log.store.writing():
            log.store.remove_through(chunk_end)
    log.store.overwrite_deleted()
    return end - first.position + 1
