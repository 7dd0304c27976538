"""The loads of a workspace: each is written and judged aside, and becomes the current one by one atomic step.

    loads/
      pointer.json        which load is current, which is the newest, and which earlier ones are still kept
      000004/             one load: never changed once it is published, but by an erasure
        tables/           checked tables, one parquet each
        quarantine/       rows that were not used, with their reasons, one parquet a table
        report/           the quality report: HTML for people, JSON beside it
        verdict.json  profile.json  history.jsonl

The pointer says both what the tables are and what was decided on them. A load that was refused is the newest, and the
one before stays current. An earlier load is kept for a while, for readers that have it open.

Whoever publishes holds the lock of the workspace (`configs.lock`). A workspace of before there were loads is read where
its files lie, until the first load is published: `adopt` then makes them the load before it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from configs.files import scratch, sync, sync_tree, write_text

TABLES, QUARANTINE, REPORT = "tables", "quarantine", "report"
VERDICT, PROFILE, HISTORY = "verdict.json", "profile.json", "history.jsonl"
KEPT_FOR = timedelta(minutes=15)
NO_LOAD = "none"


@dataclass(frozen=True)
class Pointer:
    """Which loads there are.

    Attributes
    ----------
    newest
        The load that was published last.
    current
        The last one that may be used: it passed, or a person accepted it. None if there was none yet.
    accepted
        Fingerprint of the verdict that a person let pass last.
    kept
        Earlier loads, and since when each is not current any more (ISO 8601, UTC).
    """

    newest: str
    current: str | None = None
    accepted: str | None = None
    kept: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Loads:
    """The loads under the folder of a workspace's state."""

    state: Path

    @property
    def folder(self) -> Path:
        """Where all loads are."""
        return self.state / "loads"

    def pointer(self) -> Pointer | None:
        """What is current and what is the newest; None before the first load, and in a workspace of before."""
        try:
            return Pointer(**json.loads((self.folder / "pointer.json").read_text("utf-8")))
        except FileNotFoundError:
            return None

    def current(self, part: str) -> Path:
        """The folder or file of a part (`TABLES`, ...) of the current load; it may not be there."""
        pointer = self.pointer()
        return self._of_before(part) if pointer is None else self.folder / (pointer.current or NO_LOAD) / part

    def newest(self, part: str) -> Path:
        """The folder or file of a part of the newest load, used or refused; it may not be there."""
        pointer = self.pointer()
        return self._of_before(part) if pointer is None else self.folder / pointer.newest / part

    def all(self) -> list[Path]:
        """The folder of every load that is kept, the newest last."""
        return sorted(p for p in self.folder.glob("[0-9]*") if p.is_dir())

    @contextmanager
    def staged(self) -> Iterator[Path]:
        """Give an empty folder to write a load into, already under its later name; it is gone unless it is published.

        What killed processes staged and never published goes first.
        """
        self.sweep()
        with scratch(self.folder) as place:
            staged = place / f"{max([0, *(int(p.name) for p in self.all())]) + 1:06}"
            for part in (TABLES, QUARANTINE, REPORT):
                (staged / part).mkdir(parents=True)
            yield staged

    def publish(self, staged: Path, passed: bool, fingerprint: str) -> Pointer:
        """Make a load the newest one, and the current one if it may be used.

        Parameters
        ----------
        staged
            As `staged` gave it, filled.
        passed
            Nothing was found for which it has to be refused.
        fingerprint
            Of its verdict. A refused load that is the same as the one a person accepted may be used.
        """
        before = self.pointer() or Pointer(staged.name)
        may_be_used = passed or fingerprint == before.accepted
        after = self._with_current(before, staged.name) if may_be_used else before
        sync_tree(staged)
        os.rename(staged, self.folder / staged.name)
        sync(self.folder)
        self._point(replace(after, newest=staged.name))
        self.sweep()
        return replace(after, newest=staged.name)

    def accept(self, fingerprint: str) -> None:
        """Make the newest load the current one because a person lets it pass; `fingerprint` is of its verdict."""
        self.adopt()
        before = self.pointer()
        if before is not None:
            self._point(replace(self._with_current(before, before.newest), accepted=fingerprint))

    def sweep(self, now: datetime | None = None) -> None:
        """Remove the loads that were never published, and those that have not been current for `KEPT_FOR`."""
        pointer = self.pointer()
        if pointer is None:
            kept = set()
        else:
            limit = ((now or datetime.now(UTC)) - KEPT_FOR).isoformat()
            kept = {pointer.newest, pointer.current, *(n for n, since in pointer.kept.items() if since > limit)}
        for load in self.all():
            if load.name not in kept:
                shutil.rmtree(load, ignore_errors=True)

    def adopt(self) -> None:
        """Make what a workspace of before there were loads holds its first load; where there is nothing, do nothing.

        The files are linked, not moved, so that they are found at either place at every moment.
        """
        if self.pointer() is not None or not (self.state / TABLES).is_dir():
            return
        with self.staged() as staged:
            for part in (TABLES, QUARANTINE, REPORT):
                if self._of_before(part).is_dir():
                    shutil.copytree(
                        self._of_before(part), staged / part, copy_function=_link_or_copy, dirs_exist_ok=True
                    )
            for part in (VERDICT, HISTORY, PROFILE):
                if self._of_before(part).is_file():
                    shutil.copy2(self._of_before(part), staged / part)
            sync_tree(staged)
            os.rename(staged, self.folder / staged.name)
            self._point(Pointer(staged.name, staged.name, self.accepted_before()))
        for old in (self.state / TABLES, self.state / QUARANTINE, self.state / "quality", self._of_before(REPORT)):
            shutil.rmtree(old, ignore_errors=True)

    def accepted_before(self) -> str | None:
        """As `Pointer.accepted`, of a workspace of before there were loads."""
        path = self.state / "quality" / "accepted"
        return path.read_text("utf-8") if path.is_file() else None

    def _of_before(self, part: str) -> Path:
        """Where a part lay before there were loads; the profile is the one that later loads are compared with."""
        places = {REPORT: "reports/quality", PROFILE: "quality/reference.json"}
        return self.state / places.get(part, part if part in (TABLES, QUARANTINE) else f"quality/{part}")

    def _with_current(self, before: Pointer, name: str) -> Pointer:
        if before.current in (None, name):
            return replace(before, current=name)
        kept = {n: since for n, since in before.kept.items() if (self.folder / n).is_dir() and n != name}
        return replace(before, current=name, kept={**kept, str(before.current): datetime.now(UTC).isoformat()})

    def _point(self, pointer: Pointer) -> None:
        write_text(self.folder / "pointer.json", json.dumps(asdict(pointer), indent=1))


def _link_or_copy(source: str, to: str) -> None:
    try:
        os.link(source, to)
    except OSError:
        shutil.copy2(source, to)
