"""Short hashes that tell whether something has changed: values, files, and the code that a result was made by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGES = ("configs", "features", "training", "serving", "monitoring")  # in the order of the data's way
CODE_SUFFIXES = (".py", ".html")
DIGITS = 16


def fingerprint(*parts: Any) -> str:
    """A short hash of values that JSON can hold.

    >>> fingerprint({"a": 1}) == fingerprint({"a": 1}) != fingerprint({"a": 2})
    True
    """
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def files_fingerprint(paths: Iterable[Path], root: Path | None = None) -> str:
    """A short hash of the names and the contents of files.

    Parameters
    ----------
    paths
        The files, in any order.
    root
        A folder above all of them: names are relative to it, so that a file that moves within it counts as changed.
        None: names without their folders.
    """
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update((path.name if root is None else path.relative_to(root).as_posix()).encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:DIGITS]


def code_files(package: str, root: Path = ROOT) -> list[Path]:
    """Code and page templates of one package, in all its folders."""
    return sorted(p for suffix in CODE_SUFFIXES for p in (root / package).rglob(f"*{suffix}"))


def code_fingerprint(package: str, root: Path = ROOT) -> str:
    """A short hash of the code that a result of one package rests on: its own, and that of all it may import.

    Parameters
    ----------
    package
        One of `PACKAGES`. Imports follow their order and never turn back, so all before it count too.
    root
        The checkout.
    """
    upto = PACKAGES[: PACKAGES.index(package) + 1]
    return files_fingerprint((path for name in upto for path in code_files(name, root)), root)
