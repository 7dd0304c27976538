"""What changes a fingerprint, and what does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from configs.files import write_text
from configs.fingerprint import (
    CODE_SUFFIXES,
    PACKAGES,
    ROOT,
    code_files,
    code_fingerprint,
    files_fingerprint,
    fingerprint,
)


def test_a_fingerprint_follows_content_not_order_of_keys(tmp_path: Path) -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})
    write_text(tmp_path / "a", "one")
    before = files_fingerprint([tmp_path / "a"])
    write_text(tmp_path / "a", "two")
    assert files_fingerprint([tmp_path / "a"]) != before


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code alone, in a place where it may be changed."""
    place = tmp_path_factory.mktemp("checkout")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
    return place


FOLDERS = sorted({path.parent.relative_to(ROOT).as_posix() for package in PACKAGES for path in code_files(package)})


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_changed_file_in_any_folder_changes_what_rests_on_it_and_nothing_before_it(
    checkout: Path, folder: str
) -> None:
    before = {package: code_fingerprint(package, checkout) for package in PACKAGES}
    path = min(p for p in (checkout / folder).iterdir() if p.suffix in CODE_SUFFIXES)
    content = path.read_text("utf-8")
    path.write_text(f"{content}\n# another formula\n", "utf-8")
    changed = [package for package in PACKAGES if code_fingerprint(package, checkout) != before[package]]
    assert changed == list(PACKAGES[PACKAGES.index(folder.split("/")[0]) :])
    path.write_text(content, "utf-8")
    assert {package: code_fingerprint(package, checkout) for package in PACKAGES} == before


def test_a_new_file_and_a_moved_one_change_the_fingerprint(checkout: Path) -> None:
    before = code_fingerprint("features", checkout)
    new = checkout / "features" / "columns" / "brand_new.py"
    new.write_text("", "utf-8")
    with_new = code_fingerprint("features", checkout)
    moved = new.rename(checkout / "features" / "labels" / "brand_new.py")
    assert len({before, with_new, code_fingerprint("features", checkout)}) == 3
    moved.unlink()
    assert code_fingerprint("features", checkout) == before
