"""What runs beside the champions: a shadow that answers nobody, or a canary that answers a share of the customers.

The ledger alone tells. A release begins with an entry of its own, goes on at another share, or as a canary after a
shadow, with further ones of the same version, and ends with a stop or the next decision on the champion. MLflow's
aliases show it: who moves one by hand changes nothing, and is told of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

from configs.workspace import Workspace
from training.model import catalog
from training.model.catalog import Version
from training.model.proof import ledger
from training.model.proof.ledger import Record, iso

Kind = Literal["shadow", "canary"]
ID_LENGTH = 16
OUTSIDE = "the alias '{}' was {} {} outside the ledger: {}"
GOES_ON = "the release goes on as decided, and the alias changes nothing"
BEGIN = "nobody is answered by it; begin with `staycast release start`"


@dataclass(frozen=True)
class Release:
    """One that runs.

    Attributes
    ----------
    id
        Names it, once for all; what decides who is in its share rests on it.
    model, version
        What runs: ``churn`` and ``4``.
    kind
        Whether it answers.
    percent
        Of the customers whom it answers; 0 of a shadow.
    champion
        The version that it runs beside.
    manifest
        The hash of the manifest of its files.
    began_at, since, changed_at
        When it began, since when it is of this kind, and when its kind or share was last decided, UTC.
    by, reason
        Who decided so then, and why.
    ended_at, ended
        When it ended, and by which action of the ledger; None and empty while it runs.
    """

    id: str
    model: str
    version: str
    kind: Kind
    percent: float
    champion: str
    manifest: str
    began_at: datetime
    since: datetime
    changed_at: datetime
    by: str
    reason: str
    ended_at: datetime | None = None
    ended: str = ""

    @property
    def label(self) -> str:
        """Name and number: ``churn/4``."""
        return f"{self.model}/{self.version}"

    def __str__(self) -> str:
        share = f" at {self.percent:g} %" if self.kind == "canary" else ""
        return f"{self.kind} {self.label}{share}"


def to_dict(release: Release) -> dict[str, Any]:
    """A release as plain values for JSON, without the hash of its files."""
    moments = {name: getattr(release, name) for name in ("began_at", "since", "changed_at", "ended_at")}
    times = {name: None if at is None else iso(at) for name, at in moments.items()}
    return {name: value for name, value in asdict(release).items() if name != "manifest"} | times


def running(records: Iterable[Record]) -> dict[str, Release]:
    """The release of each model that has one, by a ledger's records, oldest first."""
    return {release.model: release for release in all_releases(records) if release.ended_at is None}


def all_releases(records: Iterable[Record]) -> list[Release]:
    """All that run and all that ended, by a ledger's records, in the order in which they began."""
    present: dict[str, Release] = {}
    ended: list[Release] = []
    for record in records:
        if record.action in ledger.RELEASES:
            present[record.model] = _step(present.get(record.model), record)
        elif record.action in (*ledger.DECIDES, "stop") and record.model in present:
            ended.append(replace(present.pop(record.model), ended_at=record.at, ended=record.action))
    return sorted([*ended, *present.values()], key=lambda release: release.began_at)


def _step(before: Release | None, record: Record) -> Release:
    """What a record begins, or goes on with."""
    same = before if before is not None and before.version == record.version else None
    return Release(
        id=same.id if same else record.sha256[:ID_LENGTH],
        model=record.model,
        version=record.version,
        kind="canary" if record.action == "canary" else "shadow",
        percent=record.percent or 0.0,
        champion=record.previous or "",
        manifest=record.manifest,
        began_at=same.began_at if same else record.at,
        since=same.since if same and same.kind == record.action else record.at,
        changed_at=record.at,
        by=record.by,
        reason=record.reason,
    )


def moved_aliases(workspace: Workspace, tasks: Sequence[str], releases: Mapping[str, Release]) -> dict[str, str]:
    """By model, that an alias of releases is not where the ledger says; nothing while somebody decides.

    Raises
    ------
    RegistryError
        The registry cannot be read.
    """
    if workspace.decision.is_file():
        return {}
    said = {task: _moved(catalog.versions(workspace, task), releases.get(task)) for task in tasks}
    return {task: "; ".join(texts) for task, texts in said.items() if texts}


def _moved(versions: Sequence[Version], release: Release | None) -> list[str]:
    """What is to be said of the aliases of one model."""
    said = []
    for alias in catalog.BESIDE:
        named = next((v for v in versions if alias in v.aliases), None)
        due = release if release is not None and release.kind == alias else None
        if named is None and due is not None:
            said.append(OUTSIDE.format(alias, "taken from", due.label, GOES_ON))
        elif named is not None and due is None:
            said.append(OUTSIDE.format(alias, "set on", named.label, BEGIN))
        elif named is not None and due is not None and named.version != due.version:
            said.append(OUTSIDE.format(alias, "moved to", named.label, GOES_ON))
    return said
