"""The manifest of a bundle: the SHA-256 of every file in it, in one file whose own hash stands elsewhere.

``manifest.json`` names every other file of the folder. Who may edit the files may edit it, too: so its own hash is kept
where the version is registered and, as a promotion's part, in the chained ledger. A folder is whole if its manifest has
that hash, holds what it names, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from configs.errors import RegistryError

MANIFEST = "manifest.json"
RESTORE = "restore it, or promote another version"


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def seal(folder: Path) -> str:
    """Write the manifest of all files that a folder holds now, and return its hash."""
    content = {"files": {name: sha256(folder / name) for name in _names(folder)}}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1), "utf-8")
    return sha256(folder / MANIFEST)


def verify(folder: Path, registered: str | None = None) -> str:
    """Check that a folder holds what was sealed, and return the hash of its manifest.

    Parameters
    ----------
    folder
        Of the bundle.
    registered
        The hash of its manifest as it was noted elsewhere; None: the manifest alone is asked, which shows damage, but
        not who changed both.

    Raises
    ------
    RegistryError
        A file is missing, altered or added, or the manifest is another one.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise RegistryError(
            f"{folder}: there is no {MANIFEST}, so nothing tells whether its files are those that were registered: "
            "restore it, or train again"
        )
    got = sha256(path)
    if registered is not None and got != registered:
        raise _altered(path, got, registered)
    listed = _listed(path)
    for name, expected in listed.items():
        if not (folder / name).is_file():
            raise RegistryError(f"model file {folder / name} is missing: {RESTORE}")
        if (found := sha256(folder / name)) != expected:
            raise _altered(folder / name, found, expected)
    if added := [name for name in _names(folder) if name not in listed]:
        raise RegistryError(f"model file {folder / added[0]} was added after it was registered: remove it")
    return got


def _listed(path: Path) -> dict[str, str]:
    try:
        return dict(json.loads(path.read_text("utf-8"))["files"])
    except (ValueError, TypeError, KeyError):
        raise RegistryError(f"model file {path} is no manifest: {RESTORE}") from None


def _names(folder: Path) -> list[str]:
    """Every file of a folder but its manifest, relative to it."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return sorted(name for name in found if name != MANIFEST)


def _altered(path: Path, got: str, registered: str) -> RegistryError:
    return RegistryError(
        f"model file {path} was altered: SHA-256 {got[:12]}…, registered {registered[:12]}…; {RESTORE}"
    )
