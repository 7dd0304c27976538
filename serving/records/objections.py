"""Who objects to being forecast: on disk before it is acknowledged, and heeded by every answer from then on.

An objection counts for the person, by whichever id it was told; each one, and each withdrawal, is kept with when and by
whom. Ids are kept as they were sent.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from configs.errors import ConfigError
from configs.workspace import Workspace
from features.people.identity import AliasMap, load_alias_map
from features.people.suppression_list import erased_among
from features.store.durable_file import BUSY_SECONDS, DurableFile
from features.store.timestamps import from_micros, to_micros
from features.tables import id_of

Status = Literal["accepted", "known"]
TABLE = "objections"
ALIASES_SECONDS = 1.0  # so long at most an alias of a new load is not known
_TABLE = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    entry INTEGER PRIMARY KEY,
    customer_id TEXT NOT NULL,
    objects INTEGER NOT NULL,
    at INTEGER NOT NULL,
    by TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS objections_by_customer ON {TABLE} (customer_id, entry);
"""
_OBJECTING = f"""
SELECT customer_id FROM {TABLE} o
WHERE objects AND entry = (SELECT max(entry) FROM {TABLE} WHERE customer_id = o.customer_id)
"""


@dataclass(frozen=True)
class Objection:
    """A customer objects, or no longer does."""

    customer_id: str
    objects: bool = True


class ObjectionLog(DurableFile):
    """The log in its file, opened as a `DurableFile`."""

    def __init__(self, path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        super().__init__(path, _TABLE, busy_seconds)
        self._version, self._objecting = -1, frozenset[str]()

    def objecting(self) -> frozenset[str]:
        """Ids under which somebody objects now; the same object until that changes."""
        with self._writing:
            ((version,),) = self._connection.execute("PRAGMA data_version")  # of what others wrote
            if version != self._version:
                self._version, self._objecting = version, self._read()
            return self._objecting

    def append(self, objections: Sequence[Objection], aliases: AliasMap, by: str, now: datetime) -> list[Status]:
        """Keep objections and withdrawals, all or none, in their order; on disk when this returns.

        Who objects already under any id, or does not, is ``known``. A withdrawal is of all ids of the person.

        Raises
        ------
        sqlite3.Error
            They could not be written.
        """
        with self._writing:
            with self._transaction():
                statuses = [self._insert(each, aliases, by, to_micros(now)) for each in objections]
            self._version = -1
        return statuses

    def history(self) -> list[dict[str, Any]]:
        """All objections and withdrawals, oldest first: ``customer_id``, ``objects``, ``at`` and ``by``."""
        with self._writing:
            rows = self._connection.execute(f"SELECT customer_id, objects, at, by FROM {TABLE} ORDER BY entry")
            return [{"customer_id": i, "objects": bool(o), "at": _iso(at), "by": by} for i, o, at, by in rows]

    def _insert(self, objection: Objection, aliases: AliasMap, by: str, now: int) -> Status:
        objecting, given = self._read(), id_of(objection.customer_id)
        own = objecting.intersection([given, *aliases.all_ids(aliases.repaired([given]))])
        if bool(own) == objection.objects:
            return "known"
        rows = [(i, objection.objects, now, by) for i in ([given] if objection.objects else sorted(own))]
        self._connection.executemany(f"INSERT INTO {TABLE} (customer_id, objects, at, by) VALUES (?, ?, ?, ?)", rows)
        return "accepted"

    def _read(self) -> frozenset[str]:
        return frozenset(customer_id for (customer_id,) in self._connection.execute(_OBJECTING))


class Objections:
    """Who objects in a workspace. May be called from several threads.

    Parameters
    ----------
    workspace
        Of the business.
    busy_seconds
        How long to wait for another who writes.
    """

    def __init__(self, workspace: Workspace, busy_seconds: float = BUSY_SECONDS) -> None:
        self._workspace, self._busy_seconds = workspace, busy_seconds
        self._file, self._read_at = str(workspace.objections), -math.inf
        self._log: ObjectionLog | None = None
        self._opening = threading.Lock()
        self._known: tuple[frozenset[str], AliasMap, frozenset[str]] = (frozenset(), AliasMap(), frozenset())

    def persons(self) -> frozenset[str]:
        """The persons who object now, by the ids that answers name them by.

        Raises
        ------
        sqlite3.Error
            It cannot be read.
        """
        if self._log is None and not os.path.exists(self._file):
            return frozenset()
        objecting = self._open().objecting()
        if not objecting:
            return objecting
        if objecting is not self._known[0] or time.monotonic() - self._read_at > ALIASES_SECONDS:
            aliases = load_alias_map(self._workspace.tables)
            self._known = (objecting, aliases, frozenset(aliases.of(sorted(objecting))))
            self._read_at = time.monotonic()
        return self._known[2]

    def among(self, ids: Sequence[str]) -> set[str]:
        """Of these ids, those of persons who object; errors as `persons`."""
        persons = self.persons()
        if not persons:
            return set()
        of = self._known[1].of(map(id_of, ids))
        return {i for i, person in zip(ids, of, strict=True) if person in persons}

    def take(self, objections: Sequence[Objection], by: str, now: datetime) -> list[Status]:
        """Keep objections and withdrawals, see `ObjectionLog.append`.

        Raises
        ------
        ConfigError
            One is of a person who was erased: nothing of them is kept.
        """
        if erased_among(self._workspace, [each.customer_id for each in objections]):
            raise ConfigError("who was erased needs not object: nothing is forecast of them, nor kept")
        return self._open().append(objections, load_alias_map(self._workspace.tables), by, now)

    def history(self) -> list[dict[str, Any]]:
        """See `ObjectionLog.history`."""
        return self._open().history() if os.path.exists(self._file) else []

    def close(self) -> None:
        """Close the file."""
        with self._opening:
            if self._log is not None:
                self._log.close()
            self._log = None

    def _open(self) -> ObjectionLog:
        with self._opening:
            if self._log is None:
                self._log = ObjectionLog(self._workspace.objections, self._busy_seconds)
            return self._log


def persons_who_object(workspace: Workspace) -> frozenset[str]:
    """Who objects in a workspace now."""
    with closing(Objections(workspace)) as objections:
        return objections.persons()


def _iso(at: int) -> str:
    return from_micros(at).isoformat(timespec="seconds")
