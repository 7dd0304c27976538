"""Files and folders that appear whole or not at all, whatever is killed, and outlive a crash of the machine.

What takes the place of something is written beside it, synced to disk, and put in its place by one step of the file
system. Who reads by the path finds the old or the new, never the middle and never nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

SCRATCH = ".scratch-"
LOCK, OLD_SUFFIX = ".lock-", ".old"
AT_WORKING_FOLDER, EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
NOT_OFFERED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


class FileVersion(NamedTuple):
    """A file, when it was written and which it is: what is read of one may be kept until the next."""

    path: Path
    written_ns: int
    inode: int


def file_version(path: Path) -> FileVersion | None:
    """The version of a file that is there now; None where there is none."""
    with suppress(FileNotFoundError):
        found = path.stat()
        return FileVersion(path, found.st_mtime_ns, found.st_ino)
    return None


def write_text(path: Path, text: str, mode: int = 0o666) -> None:
    """Write a file whole or not at all; it is on disk when this returns. Who may read it: `mode`, less the umask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with beside(path) as part, os.fdopen(os.open(part, flags, mode), "w", encoding="utf-8") as file:
        file.write(text)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """As `replacing_file`, in a folder of whoever: it must be there, and nothing else in it is touched."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield part
        sync(part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill, which takes the place of `folder` in one step, and only if the body succeeds."""
    with scratch(folder.parent) as place:
        new = place / "new"
        new.mkdir()
        yield new
        sync_tree(new)
        put_in_place(new, folder)
        sync(folder.parent)


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Give the path of a file to write, which takes the place of `path` only if the body succeeds."""
    with scratch(path.parent) as place:
        yield place / path.name
        sync(place / path.name)
        os.replace(place / path.name, path)
        sync(path.parent)


def put_in_place(new: Path, folder: Path) -> None:
    """Let a folder take the place of another one, which is then found at `new` or beside it.

    Linux exchanges both in one step. Where the file system does not offer it, `folder` is gone for a moment; if the
    process is killed just then, the next use of `scratch` there brings the old one back.
    """
    if not folder.exists():
        os.replace(new, folder)
    elif not _exchange(new, folder):
        os.replace(folder, new.with_name(f"{folder.name}{OLD_SUFFIX}"))
        os.replace(new, folder)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False if that is not offered here."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(AT_WORKING_FOLDER, os.fsencode(one), AT_WORKING_FOLDER, os.fsencode(other), EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in NOT_OFFERED:
        return False
    raise OSError(code, os.strerror(code), str(other))


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sync_tree(folder: Path) -> None:
    """Wait until all that a folder holds, at any depth, is on disk."""
    for at, _, files in os.walk(folder):
        for name in files:
            sync(Path(at) / name)
        sync(Path(at))


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """Give an empty folder in `parent` that is gone when the body ends; those that killed processes left go first.

    A lock beside the folder is held for as long as it is used, which ends with the process at the latest: that tells it
    from one that was left. The lock comes before the folder and goes after it.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(parent)
    folder = parent / f"{SCRATCH}{uuid.uuid4().hex[:8]}"
    with _locked(folder):
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(root: Path) -> None:
    """Remove the scratch folders that killed processes left anywhere under a folder."""
    for at, folders, _ in os.walk(root):
        others = [name for name in folders if not name.startswith(SCRATCH)]
        if len(others) < len(folders):
            _sweep(Path(at))
        folders[:] = others


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{SCRATCH}*"):
        try:
            with _locked(folder):
                _bring_back(folder)
                shutil.rmtree(folder, ignore_errors=True)
        except Timeout:  # in use
            continue


def _bring_back(place: Path) -> None:
    """Put a folder back whose successor never came, see `put_in_place`."""
    for old in place.glob(f"*{OLD_SUFFIX}"):
        folder = place.parent / old.name.removesuffix(OLD_SUFFIX)
        if not folder.exists():
            os.replace(old, folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = folder.with_name(folder.name.replace(SCRATCH, LOCK))
    with FileLock(lock, timeout=0):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
