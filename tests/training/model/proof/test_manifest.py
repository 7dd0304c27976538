"""A folder is what was sealed, or it is said what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from configs.errors import RegistryError
from training.model.proof import manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "trees").mkdir()
    (tmp_path / "bundle.json").write_text('{"slope": 1.0}')
    (tmp_path / "trees" / "leave.txt").write_text("tree")
    return tmp_path


def test_the_manifest_names_every_file_and_its_own_hash_is_given(folder: Path) -> None:
    sealed = manifest.seal(folder)
    content = json.loads((folder / "manifest.json").read_text())
    files = {"bundle.json": b'{"slope": 1.0}', "trees/leave.txt": b"tree"}
    assert content == {"files": {name: sha256(text).hexdigest() for name, text in files.items()}}
    assert sealed == sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert manifest.verify(folder) == manifest.verify(folder, sealed) == manifest.seal(folder) == sealed


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "edited": (lambda f: (f / "bundle.json").write_text('{"slope": 2.0}'), r"bundle\.json was altered"),
    "a byte of another": (lambda f: (f / "trees/leave.txt").write_text("trez"), r"leave\.txt was altered"),
    "missing": (lambda f: (f / "trees/leave.txt").unlink(), r"leave\.txt is missing"),
    "added": (lambda f: (f / "trees/extra.txt").write_text(""), r"extra\.txt was added after it was registered"),
    "added as a link": (lambda f: (f / "link").symlink_to(f / "nowhere"), "link was added"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), r"there is no manifest\.json"),
    "no JSON": (lambda f: (f / "manifest.json").write_text("{"), r"manifest\.json is no manifest"),
}


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES)
def test_what_was_changed_is_named(folder: Path, change: Callable[[Path], object], said: str) -> None:
    manifest.seal(folder)
    change(folder)
    with pytest.raises(RegistryError, match=said):
        manifest.verify(folder)


def test_who_changes_file_and_manifest_is_told_by_the_hash_that_is_noted_elsewhere(folder: Path) -> None:
    sealed = manifest.seal(folder)
    (folder / "bundle.json").write_text('{"slope": 2.0}')
    manifest.seal(folder)
    manifest.verify(folder)
    with pytest.raises(RegistryError, match=r"manifest\.json was altered: SHA-256 .*, registered " + sealed[:12]):
        manifest.verify(folder, sealed)
