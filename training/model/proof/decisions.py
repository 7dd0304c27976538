"""Which version is to serve, and which beside it: those that the registry names, if somebody decided so.

MLflow's alias can be moved by whoever reaches its database or page; the ledger tells who decided what, and cannot be
changed unseen. Where both differ, what was decided serves, and it is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from configs.errors import RegistryError
from configs.workspace import Workspace
from training.model import catalog
from training.model.catalog import Version
from training.model.proof import ledger, releases
from training.model.proof.ledger import Record
from training.model.proof.releases import Release

Unledgered = Literal["refuse", "serve"]
MOVED = "the alias 'champion' was moved to {} outside the ledger: "
DECIDE = "put it in charge with `staycast promote {} {}`, or see who moved it"


@dataclass(frozen=True)
class Decided:
    """What is to serve.

    Attributes
    ----------
    versions
        By task.
    unserved
        Why a task has none.
    notices
        By task, where the registry names another version than was decided on.
    releases
        What runs beside the champion, by task.
    beside
        The versions of those; one that is not in the registry any more is missing.
    """

    versions: dict[str, Version]
    unserved: dict[str, str]
    notices: dict[str, str]
    releases: dict[str, Release] = field(default_factory=dict)
    beside: dict[str, Version] = field(default_factory=dict)


def decided(workspace: Workspace, tasks: Sequence[str], unledgered: Unledgered = "refuse") -> Decided:
    """The versions that are to serve.

    Parameters
    ----------
    workspace, tasks
        Whose registry and ledger; the models of the business.
    unledgered
        Whether a version that an alias names and no decision does serves all the same; it is said in either case.

    Raises
    ------
    RegistryError
        No task has a version, or the registry cannot be read.
    DataError
        The ledger is broken.
    """
    named, unserved = catalog.champions(workspace, tasks)
    records = ledger.read(workspace.ledger)
    out = Decided({}, unserved, {})
    for task, version in named.items():
        chosen = next((r for r in reversed(records) if r.model == task and r.action in ledger.DECIDES), None)
        if chosen is not None and chosen.version == version.version:
            out.versions[task] = same_files(version, chosen)
        elif unledgered == "serve":
            out.versions[task] = version
            out.notices[task] = f"{MOVED.format(version.label)}it serves, as serving.unledgered says"
        else:
            _instead(workspace, version, chosen, out)
    _add_releases(workspace, tasks, records, out)
    return out


def same_files(version: Version, chosen: Record | Release) -> Version:
    """The version, if its files are those that were decided on; else RegistryError."""
    registered = version.tags.get(catalog.MANIFESTS["bundle"], "")
    if chosen.manifest and registered != chosen.manifest:
        raise RegistryError(
            f"{version.label}: the registry notes the hash {registered[:12]}… of its files, the ledger "
            f"{chosen.manifest[:12]}…: one of the two was changed; promote another version"
        )
    return version


def _add_releases(workspace: Workspace, tasks: Sequence[str], records: Sequence[Record], out: Decided) -> None:
    found = releases.running(records)
    out.releases.update({task: found[task] for task in tasks if task in found})
    for task, release in out.releases.items():
        known = next((v for v in catalog.versions(workspace, task) if v.version == release.version), None)
        if known is not None:
            out.beside[task] = known
    for task, text in releases.moved_aliases(workspace, tasks, out.releases).items():
        out.notices[task] = joined(out.notices.get(task), text)


def joined(before: str | None, text: str) -> str:
    """Two things that are to be known of one model, as one text."""
    return f"{before}; {text}" if before else text


def _instead(workspace: Workspace, version: Version, chosen: Record | None, out: Decided) -> None:
    """What was decided on serves in place of the version that was named; nothing where nothing was."""
    task, moved = version.model, MOVED.format(version.label)
    what_to_do = DECIDE.format(task, version.version)
    before = [v for v in catalog.versions(workspace, task) if chosen and v.version == chosen.version]
    if before:
        out.versions[task] = before[0]
        if not workspace.decision.is_file():  # else one is just being made, and the alias follows
            out.notices[task] = f"{moved}{before[0].label} serves; {what_to_do}"
    else:
        out.unserved[task] = f"{moved}it does not serve; {what_to_do}"
