"""Copies of the models that serve, within the workspace: they answer when the registry is away, also at a start.

A copy is named after the hash of its manifest, checked against it whenever it is read, and made only of what a child
process could load. ``served.json`` names those that served last.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path

from configs.errors import RegistryError
from configs.files import replacing, write_text
from configs.lock import exclusive
from configs.workspace import Workspace
from serving.answer.champion import LoadedModel
from serving.release.probe import probe
from training.model import catalog
from training.model.bundle import Bundle, load
from training.model.catalog import Version
from training.model.proof import manifest

logger = logging.getLogger(__name__)
KEPT = 3  # copies a model
LOCK_SECONDS = 120.0
RETRY_SECONDS = 60.0
Probe = Callable[[Path, str], None]


@dataclass(frozen=True)
class Served:
    """What served last of one task."""

    version: str
    manifest: str


class LocalCopies:
    """The copies of one workspace.

    Parameters
    ----------
    workspace
        Holds them under ``state/serving``.
    try_out
        Loads the files in a child process, see `serving.release.probe.probe`.
    """

    def __init__(self, workspace: Workspace, try_out: Probe = probe) -> None:
        self._workspace, self._try_out = workspace, try_out
        self._root = workspace.state / "serving"
        self._failed: dict[str, tuple[str, float]] = {}

    def take(self, version: Version) -> Bundle:
        """The model of a registered version; it is copied first, and tried, unless that was done.

        A copy that is whole is enough: the files in the registry are looked at only where there is none.

        Raises
        ------
        RegistryError
            Its files are away, not those that were registered, or malformed.
        """
        sealed = catalog.manifest_of(version)
        try:
            if not self._is_usable(version.model, sealed):
                with exclusive(self._root, f"copying {version.label}", wait_seconds=LOCK_SECONDS):
                    if not self._is_usable(version.model, sealed):
                        self._copy(version, sealed)
            return load(self._bundle(version.model, sealed), sealed)
        except OSError as error:  # the disk is full or cannot be written to: that keeps no model from serving
            logger.warning("%s serves without a copy: %s", version.label, error)
            source = catalog.files(self._workspace, version) / "bundle"
            self._try(source, sealed)
            return load(source, sealed)

    def folder_of(self, model: LoadedModel) -> Path:
        """Where the copy of a model that is loaded lies."""
        return self._bundle(model.bundle.task, model.hash)

    def last(self, task: str) -> tuple[Served, Bundle] | None:
        """What served last of a task, if its copy is whole; None without one."""
        served = self._served().get(task)
        if served is None or not self._is_usable(task, served.manifest):
            return None
        return served, load(self._bundle(task, served.manifest), served.manifest)

    def note(self, models: Sequence[LoadedModel]) -> None:
        """Note that these serve, so that they are found by `last`, and remove older copies."""
        before = self._served()
        now = before | {m.bundle.task: Served(m.version, m.hash) for m in models if m.hash}
        if now == before:
            return
        try:
            write_text(self._root / "served.json", json.dumps({task: vars(served) for task, served in now.items()}))
            self._remove_old(now)
        except OSError as error:
            logger.warning("what serves cannot be noted: %s", error)

    def _served(self) -> dict[str, Served]:
        try:
            content = json.loads((self._root / "served.json").read_text("utf-8"))
            return {task: Served(**served) for task, served in content.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _copy(self, version: Version, sealed: str) -> None:
        source = catalog.files(self._workspace, version) / "bundle"
        try:
            self._require_not_failed(sealed)
            manifest.verify(source, sealed)
            with replacing(self._folder(version.model, sealed)) as new:
                shutil.copytree(source, new / "bundle")
                manifest.verify(new / "bundle", sealed)
                self._try(new / "bundle", sealed)
                (new / "tried.json").write_text(json.dumps(_environment()), "utf-8")
        except RegistryError as error:
            said = str(error).replace(str(source.parents[1]), version.label)
            raise RegistryError(said if version.label in said else f"{version.label}: {said}") from None

    def _try(self, bundle: Path, sealed: str) -> None:
        """Try a model out; what failed is not tried again before a minute has passed."""
        self._require_not_failed(sealed)
        try:
            self._try_out(bundle, sealed)
        except RegistryError as error:
            self._failed[sealed] = (str(error).replace(str(bundle), "its bundle"), time.monotonic())
            raise RegistryError(self._failed[sealed][0]) from None

    def _require_not_failed(self, sealed: str) -> None:
        """RegistryError with the reason if it was tried within the last minute and failed."""
        reason, at = self._failed.get(sealed, ("", 0.0))
        if reason and time.monotonic() - at < RETRY_SECONDS:
            raise RegistryError(reason)

    def _is_usable(self, task: str, sealed: str) -> bool:
        """Whether there is a whole copy that was tried with the packages of today."""
        folder = self._folder(task, sealed)
        try:
            manifest.verify(folder / "bundle", sealed)
            return bool(json.loads((folder / "tried.json").read_text("utf-8")) == _environment())
        except (RegistryError, OSError, ValueError):
            return False

    def _remove_old(self, served: Mapping[str, Served]) -> None:
        for task in served:
            folders = sorted((self._root / task).glob("[!.]*"), key=lambda path: path.stat().st_mtime, reverse=True)
            for folder in [f for f in folders if f != self._folder(task, served[task].manifest)][KEPT - 1 :]:
                shutil.rmtree(folder, ignore_errors=True)

    def _bundle(self, task: str, sealed: str) -> Path:
        return self._folder(task, sealed) / "bundle"

    def _folder(self, task: str, sealed: str) -> Path:
        return self._root / task / sealed[:32]


def _environment() -> dict[str, str]:
    return {"python": sys.version.split()[0], "lightgbm": package_version("lightgbm")}
